REFERENCE_PROTOCOL = PARAMS.evaluate.protocol == REFERENCE


rule evaluate_method:
    input:
        inputs_of(f"results/evaluations/{UNDER}/{{method}}-{{key}}"),
    output:
        metrics=f"results/evaluations/{UNDER}/{{method}}-{{key}}/evaluation.json",
        predictions=f"results/evaluations/{UNDER}/{{method}}-{{key}}/predictions.parquet",
    log:
        "logs/evaluate_method/{method}-{key}.log",
    benchmark:
        "logs/benchmarks/evaluate_method/{method}-{key}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000 if REFERENCE_PROTOCOL else 2000,
        runtime=120 if REFERENCE_PROTOCOL else 30,
        gpu=0,
    params:
        file=PARAMS_FILE,
    shell:
        "sreclip --log {log} evaluate {wildcards.method} --key {wildcards.key} --params {params.file}"


rule compare_methods:
    input:
        inputs_of(f"results/comparisons/{UNDER}/{{key}}"),
    output:
        metrics=f"results/comparisons/{UNDER}/{{key}}/metrics.json",
        means=f"results/comparisons/{UNDER}/{{key}}/means.json",
        results=report(
            f"results/comparisons/{UNDER}/{{key}}/results.csv",
            caption="../report/results.rst",
            category="Results",
        ),
        significance=f"results/comparisons/{UNDER}/{{key}}/significance.csv",
        curves=f"results/comparisons/{UNDER}/{{key}}/curves.csv",
        per_class=f"results/comparisons/{UNDER}/{{key}}/per_class.csv",
        confusion=f"results/comparisons/{UNDER}/{{key}}/confusion.csv",
        training=f"results/comparisons/{UNDER}/{{key}}/training.csv",
        literature=f"results/comparisons/{UNDER}/{{key}}/literature.csv",
        history=f"results/comparisons/{UNDER}/{{key}}/history.csv",
    log:
        "logs/compare_methods/{key}.log",
    benchmark:
        "logs/benchmarks/compare_methods/{key}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        file=PARAMS_FILE,
    shell:
        "sreclip --log {log} compare --params {params.file}"


rule evaluate:
    input:
        results_of(lambda plan: [plan.comparison]),
