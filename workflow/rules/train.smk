FIT_FILES = ("scores.h5", "model.safetensors", "fit.json")


def fit_inputs(plan, wildcards):
    """Features and graph; joined files with another limit of rejects make no fit again."""
    fit = Path(f"results/models/{UNDER}/{wildcards.method}-{wildcards.key}")
    there = all((fit / name).exists() for name in FIT_FILES)
    joined = {plan.joined_features(domain) for domain in DOMAINS}
    return [
        *(
            path
            for path in plan.all_features()
            if not there or path not in joined or path.exists()
        ),
        plan.graph_dir / "graph.json",
        plan.graph_dir / "similarity.safetensors",
    ]


rule train_method:
    input:
        planned(fit_inputs),
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
        mem_mb=4000,
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
