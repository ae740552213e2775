"""The drawn figures of the report: what of the findings is drawn, and how it is told in words."""

from __future__ import annotations

from collections.abc import Sequence

from dis2.combinations import expected
from dis2.evaluation.compare import MEAN
from dis2.report.charts import STYLES, WIDTH, Figure, Panel, Series, axis, broken, lines, panels, room
from dis2.report.findings import Document, Findings
from dis2.report.markup import render
from dis2.report.tables import LOSSES, lost, reliable


def reliability_diagrams(findings: Findings) -> Figure | None:
    """How right each method is against how sure it is, a drawing for each combination."""
    shown = [
        Panel(
            combination,
            [
                Series(method, style, [(sure, right) for _, _, _, sure, right in reliable(findings, method, combination)])
                for style, method in enumerate(findings.methods)
            ],
        )
        for combination in findings.combinations
    ]
    title = "How right against how sure"
    alternative = (
        "A drawing per combination, a line per method: under the diagonal it is surer than right. "
        "The table reliability.csv has the numbers."
    )
    return panels("reliability", title, alternative, shown, "confidence (%)", "right (%)", diagonal=True)


def degradation(findings: Findings, kind: str) -> Figure | None:
    """mIoU as one sensor is damaged more and more, a drawing for each sensor."""
    name, what, _ = LOSSES[kind]
    share = 100 if kind == "clouds" else 1
    shown = []
    for sensor in findings.sensors:
        series = []
        for style, method in enumerate(findings.methods):
            scores = lost(findings, method, kind, sensor)
            if kind == "clouds" and "missing" in scores:
                scores[1.0] = scores["missing"]
            points = [(share * level, 100 * score.mean) for level, score in scores.items() if isinstance(level, float)]
            series.append(Series(method, style, points if len(points) > 1 else []))
        shown.append(Panel(sensor, series))
    title = {
        "clouds": "Clouds over one sensor",
        "noise": "Noise in one sensor",
        "misregistration": "One sensor beside its place",
    }[kind]
    alternative = f"A drawing per sensor, a line per method: mIoU {what}. The table partial-{name}.csv has the numbers."
    label = {"clouds": "hidden (%)", "noise": "noise (deviations)", "misregistration": "shift (px)"}[kind]
    return panels(f"partial-{name}", title, alternative, shown, label, "mIoU (%)")


def differences(findings: Findings) -> Figure | None:
    """How far the lead is above each rival on every combination, with the interval; hollow where that is not distinguishable."""
    if not findings.comparisons:
        return None
    names = {name: broken(name) for name in (*findings.combinations, MEAN)}
    rivals = list(findings.comparisons.items())
    left, line, gap, top = room(row for rows in names.values() for row in rows), 15, 12, 10
    block = line * max(len(rivals), *map(len, names.values()))
    rows, marks = [], []
    for i, (name, texts) in enumerate(names.items()):
        start = top + i * (block + gap)
        rows.append((texts, start + block / 2, start + block + gap / 2))
        for j, (rival, comparison) in enumerate(rivals):
            d = comparison.differences[name]
            spread = (100 * d.mean, 100 * d.mean) if d.low is None or d.high is None else (100 * d.low, 100 * d.high)
            text = f"{name}, beside {rival}: {100 * d.mean:+.1f} points ({spread[0]:+.1f} to {spread[1]:+.1f}), {d.verdict}"
            marks.append(
                (
                    start + block / 2 + line * (j - len(rivals) / 2 + 0.5),
                    100 * d.mean,
                    spread,
                    findings.methods.index(rival) % STYLES,
                    d.verdict,
                    text,
                )
            )
    height = round(top + len(names) * (block + gap) + 44)
    across = axis([0.0, *(value for _, _, spread, *_ in marks for value in spread)], left + 12, WIDTH - 18)
    title = f"How far {findings.lead} is above each rival"
    alternative = (
        "A mark per combination and rival with its 95 % interval, filled where it is distinguishable from 0 after Holm's "
        "correction; the table beside.csv has the numbers."
    )
    svg = render(
        "intervals.svg",
        width=WIDTH,
        height=height,
        left=left,
        across=across,
        rows=rows,
        marks=[
            (y, across(mean), across(low), across(high), style, verdict == "not distinguishable", text)
            for y, mean, (low, high), style, verdict, text in marks
        ],
        title=title,
        alternative=alternative,
        legend=[(rival, findings.methods.index(rival) % STYLES) for rival, _ in rivals],
        x_label="difference of mIoU (points)",
    )
    return Figure("beside", title, alternative, svg)


def combination_scores(findings: Findings) -> Figure:
    """A row per combination, a mark per method: how far each falls as sensors go."""
    names = {name: broken(name) for name in findings.combinations}
    left, row, top = room(row for rows in names.values() for row in rows), 8 + 18 * max(map(len, names.values())), 12
    scores = {
        (method, name): 100 * score.mean
        for method in findings.methods
        for name in names
        if (score := findings.score(method, name, "miou")) is not None
    }
    seeds = {
        key: [100 * value for value in findings.at_seeds(key[0], "combinations", key[1], "scores", "miou")] for key in scores
    }
    height = top + row * len(names) + 44
    across = axis(
        [*scores.values(), *(value for values in seeds.values() for value in values)] or [0.0, 1.0], left + 12, WIDTH - 18
    )
    places = {name: top + row * i + row / 2 for i, name in enumerate(names)}
    marks = [
        (across(scores[method, name]), y, style % STYLES, f"{method}, {name}: {scores[method, name]:.1f} %")
        for style, method in enumerate(findings.methods)
        for name, y in places.items()
        if (method, name) in scores
    ]
    dots = [
        (across(value), y, style % STYLES)
        for style, method in enumerate(findings.methods)
        for name, y in places.items()
        if len(seeds.get((method, name), [])) > 1
        for value in seeds[method, name]
    ]
    title = "mIoU by the sensors that are there"
    each = " A small dot is one seed." if dots else ""
    alternative = f"One mark per method and combination.{each} The table of mIoU has the numbers."
    svg = render(
        "marks.svg",
        width=WIDTH,
        height=height,
        left=left,
        across=across,
        rows=[(texts, places[name]) for name, texts in names.items()],
        marks=marks,
        dots=dots,
        title=title,
        alternative=alternative,
        legend=[(method, style % STYLES) for style, method in enumerate(findings.methods)],
        x_label="mIoU (%)",
    )
    return Figure("miou", title, alternative, svg)


def failure_curves(findings: Findings) -> Figure | None:
    """Expected mIoU against the probability that each sensor fails."""
    series = []
    for style, method in enumerate(findings.methods):
        scores = {name: findings.score(method, name, "miou") for name in findings.combinations}
        known = {name: 100 * score.mean for name, score in scores.items() if score is not None}
        if len(known) == len(scores):
            points = [(step * 2.5, expected(known, findings.sensors, step / 40)) for step in range(21)]
            series.append(Series(method, style, points))
    alternative = "A line per method that falls as failures become more probable; the table of expected mIoU has the numbers."
    return lines(
        "failure", "Expected mIoU as sensors fail", alternative, series, "each sensor fails in … % of cases", "expected mIoU (%)"
    )


def quality(findings: Findings) -> Figure | None:
    """Mean mIoU beside the arithmetic of a window with every sensor; nothing where that is the same for all."""
    series, works = [], []
    for style, method in enumerate(findings.methods):
        work = findings.over_seeds(method, "cost", findings.full, "gflops")
        score = findings.over_seeds(method, "summary", "mean_miou")
        if work and score:
            works.append(work.mean)
            series.append(Series(method, style, [(work.mean, 100 * score.mean)]))
    if not works or max(works) < 1.05 * min(works):
        return None
    alternative = "A mark per method: the higher the better, the further left the cheaper; the table of costs has the numbers."
    label = "GFLOP a window, every sensor"
    return lines("quality", "Quality beside cost", alternative, series, label, "mean mIoU (%)", from_zero=True)


def training_curves(findings: Findings) -> list[Figure]:
    """Validation mIoU and loss over the steps, a line per training."""
    validation, loss = [], []
    for method, seeds in findings.histories.items():
        for history in seeds.values():
            style = findings.methods.index(method) if method in findings.methods else len(findings.methods)
            validation.append(Series(method, style, _points(history, "mean_miou", 100)))
            loss.append(Series(method, style, thinned(_points(history, "loss", 1))))
    drawn = (
        lines(
            "validation",
            "Validation during training (a teacher's: with every sensor)",
            "A line per training: mean mIoU over the combinations, by step.",
            validation,
            "step",
            "mean mIoU on validation (%)",
        ),
        lines(
            "loss",
            "Loss during training",
            "A line per training: the loss by step; losses of different methods have different terms.",
            loss,
            "step",
            "loss",
        ),
    )
    return [figure for figure in drawn if figure]


def _points(history: Sequence[Document], key: str, factor: float) -> list[tuple[float, float]]:
    values = [(line.get("step"), line.get(key)) for line in history]
    return [
        (step, factor * value) for step, value in values if isinstance(step, (int, float)) and isinstance(value, (int, float))
    ]


def thinned(points: Sequence[tuple[float, float]], most: int = 150) -> list[tuple[float, float]]:
    """At most so many points: the means of neighbours."""
    size = -(-len(points) // most) or 1
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]
