"""Rasters to tiles: one job per scene and step."""

for number, (sensors, scenes) in enumerate(PLAN.simulated().items()):

    rule:
        """A built-in scene and the truth about it; a rule for each set of sensors that scenes have."""
        name:
            f"simulate_{number}" if number else "simulate"
        output:
            rasters=[results(f"scenes/{{scene}}/{sensor}.tif") for sensor in sensors],
            labels=results("scenes/{scene}/labels.tif"),
            truth=results("scenes/{scene}/truth.json"),
        log:
            results("logs/simulate/{scene}.log"),
        benchmark:
            results("benchmarks/simulate/{scene}.tsv")
        wildcard_constraints:
            scene=either(scenes, PLAN.simulated()),
        conda:
            "../envs/prepare.yaml"
        resources:
            mem_mb=growing(2000),
            runtime=30,
        params:
            settings=lambda wildcards: PLAN.simulate_settings(wildcards.scene),
            folder=lambda wildcards, output: parent(output.truth),
            code=code("dis2.raster.simulate"),
        message:
            "Simulating {wildcards.scene}"
        shell:
            "python -m dis2 simulate --settings {params.settings:q} --scene {wildcards.scene:q}"
            " --out {params.folder:q} 2>&1 | tee -i {log:q}"


rule check:
    """What is wrong with a scene's rasters is said before anything is computed."""
    input:
        files=lambda wildcards: PLAN.files(wildcards.scene),
    output:
        seen=results("checked/{scene}.json"),
    log:
        results("logs/check/{scene}.log"),
    benchmark:
        results("benchmarks/check/{scene}.tsv")
    priority: 1
    conda:
        "../envs/prepare.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=60,
        broken=PLAN.run.preparation.broken,
    params:
        settings=lambda wildcards: scene_settings(wildcards.scene, "grid"),
        code=code("dis2.raster.check"),
    message:
        "Checking the rasters of {wildcards.scene}"
    shell:
        "python -m dis2 check --settings {params.settings:q} --scene {wildcards.scene:q}"
        " --broken {resources.broken} --out {output.seen:q} 2>&1 | tee -i {log:q}"


checkpoint sound:
    """Where broken scenes are skipped, all are looked at before it is planned what is made of the others."""
    input:
        checked=checked,
    output:
        scenes=results("sound.json"),
    log:
        results("logs/sound.log"),
    localrule: True
    conda:
        "../envs/prepare.yaml"
    params:
        settings=lambda wildcards: PLAN.all_settings(),
        checked=lambda wildcards, input: parent(input.checked[0]),
        code=code("dis2.raster.sound"),
    message:
        "Telling which scenes are sound"
    shell:
        "python -m dis2 sound --settings {params.settings:q} --checked {params.checked:q}"
        " --out {output.scenes:q} 2>&1 | tee -i {log:q}"


rule register:
    """How far each sensor lies beside the reference."""
    input:
        rasters=lambda wildcards: PLAN.rasters(wildcards.scene),
        checked=rules.check.output.seen,
    output:
        shifts=results("registered/{scene}.json"),
        picture=report(
            results("registered/{scene}.png"),
            caption="../report/registration.rst",
            category="Registration",
            labels={"scene": "{scene}"},
        ),
    log:
        results("logs/register/{scene}.log"),
    benchmark:
        results("benchmarks/register/{scene}.tsv")
    conda:
        "../envs/prepare.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        settings=lambda wildcards: scene_settings(wildcards.scene, "grid"),
        code=code("dis2.raster.register"),
    message:
        "Registering the sensors of {wildcards.scene}"
    shell:
        "python -m dis2 register --settings {params.settings:q} --scene {wildcards.scene:q} --checked {input.checked:q}"
        " --out {output.shifts:q} --picture {output.picture:q} 2>&1 | tee -i {log:q}"


rule tile:
    """All sensors and labels of a scene on one grid, as one store."""
    input:
        files=lambda wildcards: PLAN.files(wildcards.scene),
        shifts=rules.register.output.shifts,
    output:
        store=directory(results("tiles/{scene}.zarr")),
        manifest=results("tiles/{scene}.manifest.json"),
    log:
        results("logs/tile/{scene}.log"),
    benchmark:
        results("benchmarks/tile/{scene}.tsv")
    conda:
        "../envs/prepare.yaml"
    threads: PLAN.run.preparation.processes
    resources:
        mem_mb=lambda wildcards, threads, attempt: (3000 + 1000 * threads) * attempt,
        runtime=120,
        dask=PLAN.run.preparation.scheduler or "",
    params:
        settings=lambda wildcards: scene_settings(wildcards.scene, "grid"),
        code=code("dis2.tiles.cut"),
    message:
        "Tiling {wildcards.scene}"
    shell:
        "python -m dis2 tile --settings {params.settings:q} --scene {wildcards.scene:q}"
        " --shifts {input.shifts:q} --out {output.store:q}"
        " --processes {threads} --scheduler={resources.dask:q} 2>&1 | tee -i {log:q}"


rule statistics:
    """Mean and spread of every band, and how often each class occurs."""
    input:
        stores=stores("train"),
        manifests=manifests("train"),
    output:
        statistics=results("statistics.json"),
    log:
        results("logs/statistics.log"),
    benchmark:
        results("benchmarks/statistics.tsv")
    conda:
        "../envs/prepare.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=120,
        dask=PLAN.run.preparation.scheduler or "",
    params:
        settings=split_settings(["train"]),
        tiles=lambda wildcards, input: parent(input.stores[0]),
        code=code("dis2.tiles.statistics"),
    message:
        "Taking the statistics of the training pixels"
    shell:
        "python -m dis2 statistics --settings {params.settings:q} --tiles {params.tiles:q}"
        " --out {output.statistics:q} --scheduler={resources.dask:q} 2>&1 | tee -i {log:q}"


rule prepare:
    """All that comes before training: `snakemake prepare --cores all`."""
    input:
        shifts=of("registered/{scene}.json"),
        stores=stores(),
        manifests=manifests(),
        statistics=results("statistics.json"),
    localrule: True
