rule train_method:
    input:
        inputs_of(f"results/models/{UNDER}/{{method}}-{{key}}"),
    output:
        scores=f"results/models/{UNDER}/{{method}}-{{key}}/scores.h5",
        model=f"results/models/{UNDER}/{{method}}-{{key}}/model.safetensors",
        fit=f"results/models/{UNDER}/{{method}}-{{key}}/fit.json",
    log:
        "logs/train_method/{method}-{key}.log",
    benchmark:
        "logs/benchmarks/train_method/{method}-{key}.tsv"
    conda:
        ENVIRONMENT
    threads: PARAMS.train.cores
    resources:
        mem_mb=5000,
        runtime=120,
        gpu=int(PARAMS.train.device != "cpu"),
    params:
        file=PARAMS_FILE,
    shell:
        "sreclip --log {log} train {wildcards.method} --key {wildcards.key} --params {params.file}"


rule make_bundle:
    input:
        once_prepared(inputs_of_bundle),
    output:
        touch(f"{BUNDLES.as_posix()}/{{content}}-{{key}}.done"),
    log:
        "logs/make_bundle/{content}-{key}.log",
    benchmark:
        "logs/benchmarks/make_bundle/{content}-{key}.tsv"
    conda:
        ENVIRONMENT
    threads: PARAMS.train.cores
    resources:
        mem_mb=5000,
        runtime=60,
        gpu=int(PARAMS.train.device != "cpu"),
    params:
        file=PARAMS_FILE,
        bundle=f"{BUNDLES.as_posix()}/{{content}}-{{key}}.json",
    shell:
        "sreclip --log {log} make-bundle {params.bundle} --params {params.file}"


rule train:
    input:
        results_of(
            lambda plan: [
                candidate.fit(method)
                for method in PARAMS.methods.run
                for candidate in plan.candidates(method)
            ]
        ),
