FEATURES = PLAN.feature_dir.as_posix()


rule extract_images:
    input:
        inputs_of(f"{FEATURES}/images/{{key}}.h5"),
    output:
        f"{FEATURES}/images/{{key}}.h5",
    log:
        "logs/extract_images/{key}.log",
    benchmark:
        "logs/benchmarks/extract_images/{key}.tsv"
    conda:
        ENVIRONMENT
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
        inputs_of(f"{FEATURES}/text/{{kind}}-{{key}}.h5"),
    output:
        f"{FEATURES}/text/{{kind}}-{{key}}.h5",
    log:
        "logs/extract_text/{kind}-{key}.log",
    benchmark:
        "logs/benchmarks/extract_text/{kind}-{key}.tsv"
    conda:
        ENVIRONMENT
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
        results_of(lambda plan: (*plan.features, *plan.background)),
