checkpoint prepare_data:
    input:
        IMAGES,
    output:
        manifest=PLAN.task_dir / "manifest.parquet",
        classes=PLAN.task_dir / "classes.json",
        shards=PLAN.task_dir / "shards.json",
        summary=PLAN.task_dir / "summary.json",
        labels=PLAN.task_dir / "target_labels.parquet",
    log:
        "logs/prepare_data.log",
    benchmark:
        "logs/benchmarks/prepare_data.tsv"
    conda:
        "../envs/sreclip.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=240,
        gpu=0,
    params:
        file=PARAMS_FILE,
    shell:
        "sreclip --log {log} prepare-data --params {params.file}"
