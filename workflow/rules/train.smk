"""Tiles to models: one job per method and seed.

Asked to stop by SIGTERM (a scheduler sends it to every process of a job), a training saves its state and exits with 143, so that the
next attempt goes on from there: shell and log outlive it.
"""


rule train:
    """The teacher or a rival."""
    input:
        stores=stores("train", "validation"),
        manifests=manifests("train", "validation"),
        statistics=results("statistics.json"),
        teacher=teacher_of,
    output:
        *model("{method}", "{seed}"),
        history=results("models/{method}/{seed}/history.jsonl"),
        curves=report(
            results("models/{method}/{seed}/curves.png"),
            caption="../report/training.rst",
            category="Training",
            labels={"method": "{method}", "seed": "{seed}"},
        ),
    log:
        results("logs/train/{method}-{seed}.log"),
    benchmark:
        results("benchmarks/train/{method}-{seed}.tsv")
    wildcard_constraints:
        method=one_of(method for method in PLAN.trained if method not in ("dis2", *PLAN.specialists)),
    conda:
        TRAIN_ENV
    threads: PLAN.run.training.threads
    resources:
        mem_mb=growing(8000 * DEVICES),
        runtime=1440,
        gpu=GPUS * DEVICES,
    params:
        settings=lambda wildcards: plan().training_settings(wildcards.method),
        indifferent=indifferent,
        tiles=lambda wildcards, input: parent(input.stores[0]),
        options=lambda wildcards, input: ["--teacher", parent(input.teacher[0])] if input.teacher else [],
        state=results("state/{method}/{seed}"),
        model=lambda wildcards, output: parent(output.history),
        code=lambda wildcards: training_code(wildcards.method),
        pins=PINS,
    message:
        "Training {wildcards.method}, seed {wildcards.seed}"
    shell:
        "trap : TERM; python -m dis2 train {wildcards.method:q} --settings {params.settings:q} --settings {params.indifferent:q}"
        " --seed {wildcards.seed} --tiles {params.tiles:q} --statistics {input.statistics:q} {params.options:q}"
        " --state {params.state:q} --out {params.model:q} 2>&1 | (trap '' TERM; exec tee -i {log:q})"


use rule train as specialize with:
    output:
        *model("{method}", "{seed}/{combination}"),
        history=results("models/{method}/{seed}/{combination}/history.jsonl"),
        curves=report(
            results("models/{method}/{seed}/{combination}/curves.png"),
            caption="../report/training.rst",
            category="Training",
            labels={"method": "{method} {combination}", "seed": "{seed}"},
        ),
    log:
        results("logs/train/{method}-{seed}-{combination}.log"),
    benchmark:
        results("benchmarks/train/{method}-{seed}-{combination}.tsv")
    wildcard_constraints:
        method=one_of(PLAN.specialists),
    params:
        options=lambda wildcards: ["--combination", wildcards.combination],
        state=results("state/{method}/{seed}/{combination}"),
    message:
        "Training {wildcards.method} {wildcards.combination}, seed {wildcards.seed}"


rule distill:
    """The student, which takes any combination of sensors."""
    input:
        stores=stores("train", "validation"),
        manifests=manifests("train", "validation"),
        statistics=results("statistics.json"),
        teacher=model("teacher", "{seed}"),
    output:
        *model("dis2", "{seed}"),
        history=results("models/dis2/{seed}/history.jsonl"),
        curves=report(
            results("models/dis2/{seed}/curves.png"),
            caption="../report/training.rst",
            category="Training",
            labels={"method": "dis2", "seed": "{seed}"},
        ),
    log:
        results("logs/distill/{seed}.log"),
    benchmark:
        results("benchmarks/distill/{seed}.tsv")
    conda:
        TRAIN_ENV
    threads: PLAN.run.training.threads
    resources:
        mem_mb=growing(8000 * DEVICES),
        runtime=1440,
        gpu=GPUS * DEVICES,
    params:
        settings=lambda wildcards: plan().training_settings("dis2"),
        indifferent=indifferent,
        tiles=lambda wildcards, input: parent(input.stores[0]),
        teacher=lambda wildcards, input: parent(input.teacher[0]),
        state=results("state/dis2/{seed}"),
        model=lambda wildcards, output: parent(output.history),
        code=training_code("dis2"),
        pins=PINS,
    message:
        "Distilling the student, seed {wildcards.seed}"
    shell:
        "trap : TERM; python -m dis2 distill --settings {params.settings:q} --settings {params.indifferent:q}"
        " --seed {wildcards.seed} --teacher {params.teacher:q} --tiles {params.tiles:q} --statistics {input.statistics:q}"
        " --state {params.state:q} --out {params.model:q} 2>&1 | (trap '' TERM; exec tee -i {log:q})"
