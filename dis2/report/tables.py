"""The tables of the report, each once for the page and for a CSV file."""

from __future__ import annotations

import math
from typing import Any

from dis2.combinations import name_of
from dis2.evaluation.compare import MEAN, Estimate, estimate
from dis2.report.cells import Cell, Table, percent, with_best
from dis2.report.findings import Document, Findings


def comparison(findings: Findings) -> Table:
    """mIoU of every method on every combination, the mean over them and the worst."""
    rows = []
    for method in findings.methods:
        scores = [percent(findings.score(method, combination, "miou")) for combination in findings.combinations]
        mean = percent(findings.over_seeds(method, "summary", "mean_miou"))
        worst = percent(findings.over_seeds(method, "summary", "worst", "miou"))
        rows.append([Cell(method), *scores, mean, worst])
    caption = (
        f"mIoU in percent points on the {findings.split} split, by the sensors that are there. "
        "The best of each column is marked ●, whether or not the difference means anything."
    )
    if any(cell.half is not None for row in rows for cell in row):
        caption += " ± is half the width of the 95 % t interval of the mean over seeds."
    return Table("miou", caption, ("method", *findings.combinations, "mean", "worst"), with_best(rows))


def beside(findings: Findings) -> Table:
    """By how far the lead is above each rival on every combination, with the interval of the difference."""
    rows = []
    for name in (*findings.combinations, MEAN):
        gaps = [comparison.differences[name] for comparison in findings.comparisons.values()]
        cells = [
            Cell(
                100 * gap.mean,
                None if gap.high is None else 100 * (gap.high - gap.mean),
                best=gap.verdict != "not distinguishable",
                signed=True,
            )
            for gap in gaps
        ]
        rows.append((Cell(name), *cells))
    caption = (
        f"Percent points of mIoU by which {findings.lead} is above each rival; ± is half the width of the paired 95 % interval "
        "over blocks of pixels and seeds. ● marks what is distinguishable from 0 after Holm's correction."
    )
    return Table("beside", caption, ("combination", *findings.comparisons), tuple(rows))


def expected(findings: Findings) -> Table:
    """Expected mIoU when every sensor fails by itself with a probability."""
    summaries = [
        document["summary"].get("expected", {}) for seeds in findings.evaluations.values() for document in seeds.values()
    ]
    chances = sorted({chance for summary in summaries for chance in summary}, key=float)
    rows = [
        [Cell(method), *(percent(findings.over_seeds(method, "summary", "expected", chance)) for chance in chances)]
        for method in findings.methods
    ]
    caption = "Expected mIoU in percent points when every sensor fails by itself with this probability, given that one is left."
    return Table("expected", caption, ("method", *(f"{100 * float(chance):g} %" for chance in chances)), with_best(rows))


def calibration(findings: Findings) -> Table:
    """Expected calibration error of every method on every combination, with temperatures and without; the least is best."""
    rows = []
    for method in findings.methods:
        rows.append([Cell(method), *(percent(findings.score(method, name, "ece")) for name in findings.combinations)])
        before = [findings.over_seeds(method, "combinations", name, "untempered", "ece") for name in findings.combinations]
        if any(before):
            rows.append([Cell(f"{method}, untempered"), *map(percent, before)])
    caption = (
        "Expected calibration error in percent points: how far stated confidence lies from being right, at the temperature that "
        "was fitted for each combination on validation pixels, and without one (untempered). The least is marked ●."
    )
    return Table("calibration", caption, ("method", *findings.combinations), with_best(rows, min))


def reliability(findings: Findings) -> Table:
    """Every bin of confidence: how many pixels, how sure, and how many of them right; added up over seeds."""
    rows = []
    for method in findings.methods:
        for combination in findings.combinations:
            for low, high, count, sure, right in reliable(findings, method, combination):
                numbers = Cell(low, digits=2), Cell(high, digits=2), Cell(float(count), digits=0), Cell(sure), Cell(right)
                rows.append((Cell(method), Cell(combination), *numbers))
    caption = "Bins of stated confidence: how many pixels, how sure on average, and how many of them right, in percent."
    return Table("reliability", caption, ("method", "combination", "from", "to", "pixels", "confidence", "right"), tuple(rows))


def reliable(findings: Findings, method: str, combination: str) -> list[tuple[float, float, int, float, float]]:
    """The bins that hold pixels: from, to, pixels, confidence and share of right ones in percent; added up over seeds."""
    told = [it["combinations"][combination].get("reliability") for it in findings.evaluations[method].values()]
    known = [it for it in told if it]
    sums = [[sum(values) for values in zip(*(it[key] for it in known), strict=True)] for key in ("count", "right", "confidence")]
    bins = len(sums[0])
    return [
        (i / bins, (i + 1) / bins, count, 100 * sure / count, 100 * right / count)
        for i, (count, right, sure) in enumerate(zip(*sums, strict=True))
        if count
    ]


LOSSES = {
    "clouds": ("clouds", "by the share of each window that clouds hide", lambda level: f"{100 * level:g} %"),
    "noise": ("noise", "by added noise, in deviations of the band", lambda level: f"{level:g} σ"),
    "misregistration": ("misregistration", "by the pixels that it lies beside its place", lambda level: f"{level:g} px"),
}
"""Kinds of partial loss: as a name, what is lost, and how a level reads."""


def levels(findings: Findings, kind: str) -> list[float]:
    """How much of a loss was tried, in any evaluation."""
    told = [document.get("partial", {}).get(kind, {}) for seeds in findings.evaluations.values() for document in seeds.values()]
    return sorted({float(level) for by_sensor in told for by_level in by_sensor.values() for level in by_level})


def lost(findings: Findings, method: str, kind: str, sensor: str) -> dict[float | str, Estimate]:
    """mIoU as a sensor is damaged more and more: from `0`, whole, to `missing`, without it; what is not known is left out."""
    rest = name_of(other for other in findings.sensors if other != sensor)
    keys: dict[float | str, tuple[str, ...]] = {0.0: ("whole", findings.full)}
    keys |= {level: (kind, sensor, f"{level:g}") for level in levels(findings, kind)}
    keys |= {"missing": ("whole", rest)}
    found = {level: findings.over_seeds(method, "partial", *key, "miou") for level, key in keys.items()}
    return {level: score for level, score in found.items() if score is not None}


def partial_loss(findings: Findings, kind: str) -> Table:
    """mIoU of every method with all sensors, one of them damaged."""
    name, what, reads = LOSSES[kind]
    tried: list[float | str] = [0.0, *levels(findings, kind), "missing"]
    rows = []
    for sensor in findings.sensors:
        for method in findings.methods:
            if scores := lost(findings, method, kind, sensor):
                rows.append((Cell(sensor), Cell(method), *(percent(scores.get(level)) for level in tried)))
    columns = ("whole", *(reads(level) for level in tried[1:-1]), "missing")
    caption = f"mIoU in percent points with all sensors, one of them damaged, {what}. On the same pixels throughout."
    return Table(f"partial-{name}", caption, ("sensor", "method", *columns), tuple(rows))


def similarity(findings: Findings) -> Table:
    """How much each method's fused features are like the teacher's, by combination and level."""
    rows = []
    for method in findings.methods:
        for level in ("1", "2", "3", "4"):
            found = [findings.over_seeds(method, "similarity", name, level) for name in findings.combinations]
            if any(value is not None for value in found):
                cells = [Cell(None) if it is None else Cell(it.mean, it.half, digits=3) for it in found]
                rows.append((Cell(method), Cell(level), *cells))
    caption = (
        "Linear CKA (unbiased) of fused features with the named sensors to the teacher's with all of them, by level from fine "
        "(1) to coarse (4): 1 is alike, 0 unrelated."
    )
    return Table("similarity", caption, ("method", "level", *findings.combinations), tuple(rows))


def class_drop(findings: Findings, method: str) -> Table:
    """By how much each class's IoU falls from that of all sensors, for every other combination."""
    shown = [combination for combination in findings.combinations if combination != findings.full]
    rows = []
    for name in findings.classes:
        full = findings.score(method, findings.full, "iou", name)
        cells = [Cell(name)]
        for combination in shown:
            here = findings.score(method, combination, "iou", name)
            cells.append(Cell(None) if here is None or full is None else Cell(100 * (full.mean - here.mean)))
        rows.append(tuple(cells))
    caption = f"{method}: percent points of IoU that each class loses from {findings.full}."
    return Table(f"drop-{method}", caption, ("class", *shown), tuple(rows))


OVERALL = {"mIoU": "miou", "F1": "f1", "overall accuracy": "oa", "average accuracy": "aa", "kappa": "kappa"}


def overall_scores(findings: Findings) -> Table:
    """Every overall score of each method and combination, and mIoU on all labelled pixels."""
    rows = []
    for method in findings.methods:
        for combination in findings.combinations:
            found = [percent(findings.score(method, combination, key)) for key in OVERALL.values()]
            everywhere = percent(findings.over_seeds(method, "combinations", combination, "all_pixels", "scores", "miou"))
            rows.append((Cell(method), Cell(combination), *found, everywhere))
    caption = (
        "All scores in percent points (kappa times 100). The last one is on every labelled pixel that any sensor measured, "
        "the others on those that every sensor did."
    )
    return Table("scores", caption, ("method", "combination", *OVERALL, "mIoU, all labelled pixels"), tuple(rows))


def class_scores(findings: Findings) -> Table:
    """IoU of every class, for every method and combination."""
    rows = [
        (
            Cell(method),
            Cell(combination),
            *(percent(findings.score(method, combination, "iou", name)) for name in findings.classes),
        )
        for method in findings.methods
        for combination in findings.combinations
    ]
    return Table("classes", "IoU of each class in percent points.", ("method", "combination", *findings.classes), tuple(rows))


COSTS = {
    "parameters": ("stored parameters (million)", 1e-6, 2),
    "steps": ("steps", 1, 0),
    "best_step": ("best step", 1, 0),
    "seconds": ("training (s)", 1, 0),
    "peak_memory_mb": ("peak memory (MB)", 1, 0),
}


def cost(findings: Findings) -> Table:
    """What every model took beside what it is worth, as its card and its evaluation tell; means over seeds."""
    methods = list(dict.fromkeys([*findings.methods, *findings.cards]))
    known = {(method, key): estimate(_costs(findings, method, key)) for method in methods for key in COSTS}
    keys = [key for key in COSTS if any(known[method, key] for method in methods)]
    rows = []
    for method in methods:
        cells = [
            Cell(None) if (it := known[method, key]) is None else Cell(it.mean * COSTS[key][1], digits=COSTS[key][2])
            for key in keys
        ]
        seeds = findings.evaluations.get(method) or findings.cards[method]
        rows.append((Cell(method), *_worth(findings, method), *cells, Cell(", ".join(map(str, seeds)))))
    caption = (
        "What each model is worth and costs, mean over its seeds: mIoU over combinations in percent; parameters read and 10⁹ "
        "operations of a window with every sensor. What starts from a teacher needs the teacher's training too."
    )
    return Table("cost", caption, ("method", *WORTH, *(COSTS[key][0] for key in keys), "seeds"), tuple(rows))


WORTH = ("mean mIoU", "GFLOP a window", "read parameters (million)")


def _worth(findings: Findings, method: str) -> list[Cell]:
    """Mean mIoU, and what inference with every sensor takes."""
    keys = ("summary", "mean_miou"), ("cost", findings.full, "gflops"), ("cost", findings.full, "parameters")
    found = [findings.over_seeds(method, *key) if method in findings.evaluations else None for key in keys]
    factors = (100, 1), (1, 2), (1e-6, 2)
    return [
        Cell(None) if value is None else Cell(factor * value.mean, digits=digits)
        for value, (factor, digits) in zip(found, factors, strict=True)
    ]


def _costs(findings: Findings, method: str, key: str) -> list[float | None]:
    """A cost at every seed, wherever it is told."""
    models = [document.get("model", {}) for document in findings.evaluations.get(method, {}).values()]
    for told in (models, findings.cards.get(method, {}).values()):
        values = [model.get(key, model.get("training", {}).get(key)) for model in told]
        if any(value is not None for value in values):
            return values
    return []


def registration(findings: Findings) -> Table:
    """The shift found for every sensor of every scene, the true one where it is known, and the error in pixels."""
    rows = []
    for scene, document in findings.registered.items():
        for sensor, found in document["sensors"].items():
            if sensor != document.get("reference"):
                rows.append(_registration_row(scene, sensor, found, true_shift(findings, scene, sensor)))
    caption = (
        "Shifts in pixels of the common grid, right and down, beside what each sensor was compared to, once that was put right; "
        "that of an affine is the one in the middle of the scene."
    )
    columns: tuple[str, ...] = (
        "scene",
        "sensor",
        "beside",
        "result",
        "by",
        "found dx",
        "found dy",
        "true dx",
        "true dy",
        "error",
        "spread",
        "windows",
        "reason",
    )
    if not findings.truths:
        columns = tuple(column for column in columns if not column.startswith("true") and column != "error")
        rows = [row[:7] + row[10:] for row in rows]
    return Table("registration", caption, columns, tuple(rows))


def _registration_row(scene: str, sensor: str, found: Document, true: tuple[float, float] | None) -> tuple[Cell, ...]:
    shift, accepted = found["shift"], bool(found["accepted"])
    windows = found.get("windows") or []
    counted = f"{sum(bool(window.get('used')) for window in windows)} of {len(windows)}" if windows else None
    numbers: list[Any] = [shift["dx"], shift["dy"], *(true or (None, None)), error_of(found, true), found.get("spread")]
    result = "refused" if not accepted else "accepted, affine" if "linear" in shift else "accepted"
    return (
        *(Cell(text) for text in (scene, sensor, found.get("to"), result, found.get("method"))),
        *(Cell(None if number is None else float(number), digits=2) for number in numbers),
        *(Cell(text) for text in (counted, found.get("reason"))),
    )


def true_shift(findings: Findings, scene: str, sensor: str) -> tuple[float, float] | None:
    """The sensor's misregistration beside what it was compared to, as that was put right, where the data set knows it."""
    shifts, registered = findings.truths.get(scene, {}).get("shifts", {}), findings.registered[scene]
    if sensor not in shifts:
        return None
    to, nothing = registered["sensors"][sensor].get("to", registered.get("reference")), {"dx": 0.0, "dy": 0.0}
    base, right = shifts.get(to, nothing), registered["sensors"].get(to, {}).get("shift", nothing)
    return shifts[sensor]["dx"] - base["dx"] + right["dx"], shifts[sensor]["dy"] - base["dy"] + right["dy"]


def error_of(found: Document, true: tuple[float, float] | None) -> float | None:
    """Pixels between an accepted shift and the true one."""
    if true is None or not found["accepted"]:
        return None
    return math.hypot(found["shift"]["dx"] - true[0], found["shift"]["dy"] - true[1])
