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
    threads: 1
    resources:
        mem_mb=5000,
        runtime=120,
        gpu=int(PARAMS.train.device != "cpu"),
    params:
        file=PARAMS_FILE,
    shell:
        "sreclip --log {log} train {wildcards.method} --key {wildcards.key} --params {params.file}"


rule train:
    input:
        results_of(
            lambda plan: [
                candidate.fit(method)
                for method in PARAMS.methods.run
                for candidate in plan.candidates(method)
            ]
        ),
