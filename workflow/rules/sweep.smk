rule tabulate_sweep:
    input:
        inputs_of(f"results/sweeps/{UNDER}/{{key}}"),
    output:
        table=f"results/sweeps/{UNDER}/{{key}}/sweep.parquet",
        csv=f"results/sweeps/{UNDER}/{{key}}/sweep.csv",
    log:
        "logs/tabulate_sweep/{key}.log",
    benchmark:
        "logs/benchmarks/tabulate_sweep/{key}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
        gpu=0,
    params:
        file=PARAMS_FILE,
    shell:
        "sreclip --log {log} tabulate-sweep --params {params.file}"


rule sweep:
    input:
        results_of(lambda plan: [Sweep(plan).table]),
