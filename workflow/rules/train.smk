rule train_method:
    input:
        planned(lambda plan, wildcards: fit_inputs(plan)),
    output:
        scores=f"results/models/{UNDER}/{{method}}-{{key}}/scores.h5",
        model=f"results/models/{UNDER}/{{method}}-{{key}}/model.safetensors",
        fit=f"results/models/{UNDER}/{{method}}-{{key}}/fit.json",
    log:
        "logs/train_method/{method}-{key}.log",
    benchmark:
        "logs/benchmarks/train_method/{method}-{key}.tsv"
    conda:
        "../envs/sreclip.yaml"
    threads: 1
    resources:
        mem_mb=5000,
        runtime=120,
        gpu=int(PARAMS.train.device != "cpu"),
    params:
        file=params_of(lambda: SWEEP.fits),
    shell:
        "sreclip --log {log} train {wildcards.method} --params {params.file}"


rule train:
    input:
        planned(
            lambda plan, wildcards: [
                candidate.model_dir(method) / "scores.h5"
                for method in PARAMS.methods.run
                for candidate in plan.candidates(method)
            ]
        ),
