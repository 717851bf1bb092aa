rule extract_images:
    input:
        planned(lambda plan, wildcards: [plan.task_dir / "manifest.parquet"]),
    output:
        f"{PLAN.feature_dir}/images/{{key}}.h5",
    log:
        "logs/extract_images/{key}.log",
    benchmark:
        "logs/benchmarks/extract_images/{key}.tsv"
    conda:
        "../envs/sreclip.yaml"
    threads: PARAMS.features.workers + 1
    resources:
        mem_mb=4000,
        runtime=120,
        gpu=int(PARAMS.features.device != "cpu"),
    params:
        file=PARAMS_FILE,
    shell:
        "sreclip --log {log} extract-images --key {wildcards.key} --threads {threads} --params {params.file}"


rule extract_text:
    input:
        planned(
            lambda plan, wildcards: (
                [plan.graph_dir / "graph.json"]
                if wildcards.kind == "nodes"
                else [plan.task_dir / "classes.json"]
            )
        ),
    output:
        f"{PLAN.feature_dir}/text/{{kind}}-{{key}}.h5",
    log:
        "logs/extract_text/{kind}-{key}.log",
    benchmark:
        "logs/benchmarks/extract_text/{kind}-{key}.tsv"
    conda:
        "../envs/sreclip.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
        gpu=int(PARAMS.features.device != "cpu"),
    params:
        file=PARAMS_FILE,
    shell:
        "sreclip --log {log} extract-text {wildcards.kind} --params {params.file}"


rule extract_features:
    input:
        planned(lambda plan, wildcards: plan.all_features()),
