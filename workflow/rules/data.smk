checkpoint prepare_data:
    output:
        [touch(path) for path in PREPARE_AGAIN],
        PLAN.task.outputs,
    log:
        "logs/prepare_data.log",
    benchmark:
        "logs/benchmarks/prepare_data.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=4000,
        runtime=240,
        gpu=0,
    params:
        file=PARAMS_FILE,
    shell:
        "sreclip --log {log} prepare-data --params {params.file}"
