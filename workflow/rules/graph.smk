rule build_graph:
    input:
        inputs_of(f"results/graph/{PARAMS.task.name}-{{key}}"),
    output:
        graph=f"results/graph/{PARAMS.task.name}-{{key}}/graph.json",
        similarity=f"results/graph/{PARAMS.task.name}-{{key}}/similarity.h5",
    log:
        "logs/build_graph/{key}.log",
    benchmark:
        "logs/benchmarks/build_graph/{key}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
        gpu=0,
    params:
        file=PARAMS_FILE,
    shell:
        "sreclip --log {log} build-graph --params {params.file}"


rule graph:
    input:
        results_of(lambda plan: [plan.graph]),
