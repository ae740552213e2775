"""Models to scores and maps: one job per model, and per model and scene."""


rule evaluate:
    """Every combination of sensors on the test split, in one pass."""
    input:
        model=scored_model,
        stores=stores("test"),
        manifests=manifests("test"),
        teacher=measure,
    output:
        scores=results("evaluation/{method}/{seed}.json"),
    log:
        results("logs/evaluate/{method}-{seed}.log"),
    benchmark:
        results("benchmarks/evaluate/{method}-{seed}.tsv")
    conda:
        TRAIN_ENV
    threads: PLAN.run.evaluation.threads
    resources:
        mem_mb=growing(8000),
        runtime=240,
        gpu=GPUS,
    params:
        settings=split_settings(["test"], "evaluation"),
        model=model_folder,
        tiles=lambda wildcards, input: parent(input.stores[0]),
        zeros=lambda wildcards: [] if PLAN.model(wildcards.method) == wildcards.method else ["--zeros"],
        teacher=lambda wildcards, input: ["--teacher", parent(input.teacher[0])] if input.teacher else [],
        code=lambda wildcards: model_code("dis2.evaluation.evaluate", wildcards.method),
    message:
        "Evaluating {wildcards.method}, seed {wildcards.seed}"
    shell:
        "python -m dis2 evaluate {params.model:q} --settings {params.settings:q} --split test {params.zeros:q} {params.teacher:q}"
        " --tiles {params.tiles:q} --out {output.scores:q} 2>&1 | tee -i {log:q}"


rule explain:
    """What each sensor and each resolution tells of each class, and where a class is looked for."""
    input:
        model=scored_model,
        files=lambda wildcards: PLAN.files(wildcards.scene),
        shifts=rules.register.output.shifts,
    output:
        told=results("explained/{method}/{scene}/explanation.json"),
        tables=[results(f"explained/{{method}}/{{scene}}/{name}.csv") for name in ("sensors", "levels")],
        evidence=results("explained/{method}/{scene}/evidence.npy"),
        pictures=report(
            directory(results("explained/{method}/{scene}/pictures")),
            patterns=["{picture}.png"],
            caption="../report/explanation.rst",
            category="Explanation",
            labels={"method": "{method}", "scene": "{scene}", "picture": "{picture}"},
        ),
    log:
        results("logs/explain/{method}-{scene}.log"),
    benchmark:
        results("benchmarks/explain/{method}-{scene}.tsv")
    conda:
        TRAIN_ENV
    threads: PLAN.run.prediction.threads
    resources:
        mem_mb=growing(8000),
        runtime=240,
        gpu=GPUS,
    params:
        settings=lambda wildcards: PLAN.map_settings(wildcards.scene),
        model=model_folder,
        folder=lambda wildcards, output: parent(output.told),
        code=lambda wildcards: model_code("dis2.evaluation.explain", wildcards.method),
    message:
        "Explaining {wildcards.scene} with {wildcards.method}"
    shell:
        "python -m dis2 explain {params.model:q} --settings {params.settings:q} --scene {wildcards.scene:q}"
        " --shifts {input.shifts:q} --out {params.folder:q} 2>&1 | tee -i {log:q}"


for number, (combinations, scenes) in enumerate(PLAN.mapped().items()):

    rule:
        """The maps of a scene; a rule for each set of combinations that scenes are mapped with."""
        name:
            f"predict_{number}" if number else "predict"
        input:
            model=scored_model,
            rasters=lambda wildcards: PLAN.rasters(wildcards.scene),
            shifts=rules.register.output.shifts,
        output:
            maps=[results(f"maps/{{method}}/{{scene}}/{name}.tif") for name in combinations],
            confidence=[results(f"maps/{{method}}/{{scene}}/{name}.confidence.tif") for name in combinations],
            sensors=[results(f"maps/{{method}}/{{scene}}/{name}.sensors.tif") for name in combinations],
            manifest=results("maps/{method}/{scene}/manifest.json"),
        log:
            results("logs/predict/{method}-{scene}.log"),
        benchmark:
            results("benchmarks/predict/{method}-{scene}.tsv")
        wildcard_constraints:
            scene=either(scenes, PLAN.mapped()),
        conda:
            TRAIN_ENV
        threads: PLAN.run.prediction.threads
        resources:
            mem_mb=growing(8000),
            runtime=240,
            gpu=GPUS,
        params:
            settings=lambda wildcards: PLAN.map_settings(wildcards.scene),
            model=model_folder,
            combinations=combinations,
            folder=lambda wildcards, output: parent(output.maps[0]),
            code=lambda wildcards: model_code("dis2.prediction.predict", wildcards.method),
        message:
            "Mapping {wildcards.scene} with {wildcards.method}"
        shell:
            "python -m dis2 predict {params.model:q} --settings {params.settings:q} --scene {wildcards.scene:q}"
            " --shifts {input.shifts:q} --combinations {params.combinations:q}"
            " --out {params.folder:q} 2>&1 | tee -i {log:q}"
