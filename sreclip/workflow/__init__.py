"""What the Snakefile changes in Snakemake: its output, and how it waits for Slurm."""
