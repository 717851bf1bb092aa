rule write_page:
    input:
        inputs_of(f"results/pages/{UNDER}/{{key}}"),
    output:
        page=report(
            f"results/pages/{UNDER}/{{key}}/index.html",
            caption="../report/page.rst",
            category="Page",
        ),
        rejects=f"results/pages/{UNDER}/{{key}}/rejects.csv",
        findings=f"results/pages/{UNDER}/{{key}}/findings.csv",
        predictions=multiext(
            f"results/pages/{UNDER}/{{key}}/predictions", ".csv", ".parquet"
        ),
    log:
        "logs/write_page/{key}.log",
    benchmark:
        "logs/benchmarks/write_page/{key}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        gpu=0,
    params:
        file=PARAMS_FILE,
    shell:
        "sreclip --log {log} report --params {params.file}"


rule keep_model:
    input:
        once_prepared(lambda wildcards: before_model()),
    output:
        model=f"results/kept/{UNDER}/{{method}}-{{key}}/model.json",
        tensors=f"results/kept/{UNDER}/{{method}}-{{key}}/model.safetensors",
        card=f"results/kept/{UNDER}/{{method}}-{{key}}/README.md",
    log:
        "logs/keep_model/{method}-{key}.log",
    benchmark:
        "logs/benchmarks/keep_model/{method}-{key}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        gpu=0,
    params:
        file=PARAMS_FILE,
    shell:
        "sreclip --log {log} keep-model --params {params.file}"


rule publish_report:
    input:
        inputs_of("reports/made-from/{key}.json"),
    output:
        "reports/made-from/{key}.json",
        *map(touch, AGAIN),
    log:
        "logs/publish_report/{key}.log",
    benchmark:
        "logs/benchmarks/publish_report/{key}.tsv"
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
        "sreclip --log {log} publish --params {params.file}"
