"""All of the above to one page."""


rule report:
    """One HTML file that works offline."""
    input:
        checked=checked,
        truths=truths,
        shifts=of("registered/{scene}.json"),
        pictures=of("registered/{scene}.png"),
        stores=stores(),
        manifests=manifests(),
        statistics=results("statistics.json"),
        models=MODELS,
        scores=SCORES,
        maps=maps,
        explained=explanations,
    output:
        page=report(results("report/index.html"), caption="../report/page.rst", category="Report"),
        figures=report(
            directory(results("report/figures")),
            patterns=["{part}.svg"],
            caption="../report/part.rst",
            category="Figures",
            labels={"of": "{part}"},
        ),
        tables=report(
            directory(results("report/tables")),
            patterns=["{part}.csv"],
            caption="../report/part.rst",
            category="Tables",
            labels={"of": "{part}"},
        ),
    log:
        results("logs/report.log"),
    benchmark:
        results("benchmarks/report.tsv")
    conda:
        "../envs/prepare.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        settings=lambda wildcards: PLAN.report_settings(),
        results=lambda wildcards, output: parent(parent(output.page)),
        only=[f"{method}/{seed}" for method in PLAN.scored for seed in PLAN.run.seeds],
        explained=lambda wildcards: plan().explained,
        code=code("dis2.report.page"),
    message:
        "Writing the report"
    shell:
        "python -m dis2 report --settings {params.settings:q} --results {params.results:q}"
        " --only {params.only:q} --explained {params.explained:q} --out {output.page:q} 2>&1 | tee -i {log:q}"
