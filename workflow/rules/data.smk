checkpoint prepare_data:
    input:
        IMAGES,
    output:
        PLAN.task.outputs,
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
