"""The summary in sentences, made from the numbers; it claims no more than they carry."""

from __future__ import annotations

import statistics

from dis2.evaluation.compare import Estimate, said
from dis2.raster.shifts import NOT_LOOKED_FOR
from dis2.report.findings import Findings
from dis2.report.tables import error_of, true_shift


def points(value: Estimate) -> str:
    """A fraction in percent points, with its interval where there is one."""
    half = "" if value.half is None else f" ± {100 * value.half:.1f}"
    return f"{100 * value.mean:.1f}{half}"


def listed(words: list[str]) -> str:
    """a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def summary(findings: Findings) -> list[str]:
    """What the run found, in order of importance."""
    parts = [robustness(findings), failures(findings), *(against(findings, rival) for rival in findings.methods[1:])]
    return [part for part in (*parts, certainty(findings), alignment(findings)) if part]


def robustness(findings: Findings) -> str:
    """How good the lead is with every sensor, on average and at worst."""
    lead, data = findings.lead, next(iter(findings.evaluations[findings.lead].values()))
    full, mean = findings.score(lead, findings.full, "miou"), findings.over_seeds(lead, "summary", "mean_miou")
    if full is None or mean is None:
        return ""
    known = {c: score.mean for c in findings.combinations if (score := findings.score(lead, c, "miou")) is not None}
    worst = min(known, key=lambda combination: known[combination])
    scenes = data.get("scenes") or []
    where = f" on {len(scenes)} {findings.split} scene{'s' * (len(scenes) != 1)} ({listed(scenes)})" if scenes else ""
    return (
        f"{lead} maps {len(findings.classes)} classes from any combination of {len(findings.sensors)} sensors "
        f"({listed(list(findings.sensors))}). Over all {len(findings.combinations)} combinations its mean mIoU is "
        f"{points(mean)} %{where}: {points(full)} % with every sensor, {100 * known[worst]:.1f} % in its worst case, "
        f"{worst} {'only' if '+' in worst else 'alone'}."
    )


def failures(findings: Findings) -> str:
    """What losing one sensor costs the lead, and what the failure of any sensor does."""
    full = findings.score(findings.lead, findings.full, "miou")
    lost = {}
    for sensor in findings.sensors:
        left = "+".join(other for other in findings.sensors if other != sensor)
        if full is not None and (score := findings.score(findings.lead, left, "miou")) is not None:
            lost[sensor] = 100 * (full.mean - score.mean)
    if not lost:
        return ""
    said = listed(
        [f"{-value:+.1f} without {sensor}".replace("-", "−") for sensor, value in sorted(lost.items(), key=lambda it: -it[1])]
    )
    expected = findings.over_seeds(findings.lead, "summary", "expected", "0.1")
    tail = f" When each sensor fails by itself in one case of ten, {points(expected)} % is to be expected." if expected else ""
    return f"Losing one sensor changes its mIoU, in points, by {said}.{tail}"


def against(findings: Findings, rival: str) -> str:
    """The lead beside one rival, as far as the intervals carry."""
    comparison = findings.comparisons.get(rival)
    return said(comparison) if comparison else ""


def likeness(findings: Findings) -> str:
    """How much features of too few sensors are like the teacher's of all, by method."""
    levels, fewer = ("1", "2", "3", "4"), [name for name in findings.combinations if name != findings.full]
    said = []
    for method in findings.methods:
        found = [findings.over_seeds(method, "similarity", name, level) for name in fewer for level in levels]
        if known := [value.mean for value in found if value is not None]:
            said.append(f"{statistics.mean(known):.2f} for {method}")
    where = "On average over levels and over combinations that lack a sensor"
    return f"{where}, the likeness is {listed(said)}. It tells how close they are, not how good." if said else ""


def certainty(findings: Findings) -> str:
    """How far the comparison can be trusted, from the number of seeds."""
    if len(findings.methods) < 2:
        return "No other method was evaluated, so these numbers stand alone."
    if not findings.comparisons:
        return ""
    blocks = next(iter(findings.comparisons.values())).blocks
    counts = {len(seeds) for seeds in findings.evaluations.values()}
    drawn = f"{blocks} block{'s' * (blocks != 1)} of the scored pixels, drawn again and again"
    if counts == {1}:
        return (
            f"These intervals come from {drawn}, and what they say holds after Holm's correction for several comparisons. Each "
            "method was trained once: no claim is made that it would hold for another training, or in other places."
        )
    return (
        f"These intervals come from {drawn}, and from the seeds ({', '.join(map(str, findings.seeds))}): they tell how other "
        "pixels of these scenes and a new training would vary, not how other places would. What they say holds after Holm's "
        "correction for several comparisons."
    )


def alignment(findings: Findings) -> str:
    """How many sensors were brought into register, and how well where the truth is known."""
    found = [
        (scene, sensor, match, error_of(match, true_shift(findings, scene, sensor)))
        for scene, document in findings.registered.items()
        for sensor, match in document["sensors"].items()
        if sensor != document.get("reference") and match.get("method") != NOT_LOOKED_FOR
    ]
    if not found:
        return ""
    refused = [f"{sensor} of {scene}" for scene, sensor, match, _ in found if not match["accepted"]]
    errors = [error for *_, error in found if error is not None]
    text = f"Of {len(found)} images beside a reference sensor, {len(found) - len(refused)} were registered"
    if errors:
        text += (
            f", with a median error of {statistics.median(errors):.2f} px (largest {max(errors):.2f} px) against the known shift"
        )
    if refused:
        few = f" ({listed(refused)})" if len(refused) <= 4 else ""
        text += f"; {len(refused)} {'was' if len(refused) == 1 else 'were'} refused and left as georeferenced{few}"
    return f"{text}."
