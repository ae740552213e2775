"""The statistics of a comparison: how far one method is above another on the same pixels, and whether that could be luck.

Two things vary: where the test pixels lie, and how a training goes. For the first, blocks of pixels are drawn again and again
(a bootstrap, with the same blocks for all methods and seeds); for the second stand the differences at each seed. The two
variances are added, and the interval is Student's, with the degrees of freedom of Welch and Satterthwaite: a bootstrap's own
quantiles are too narrow for few blocks. Holm's correction keeps the chance of any false claim at 5 %, among all rivals in the
mean over combinations, and among all rivals and combinations.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from dis2.errors import UserError
from dis2.evaluation.evaluations import ALIKE, Document, Runs, evaluations, named, pooled
from dis2.evaluation.printed import aligned

RESAMPLES = 2000
LEVEL = 0.95
MEAN = "mean"
"""The mean over combinations, which is compared beside each of them."""
Methods = Mapping[str, Runs]
ONCE = "\nWhere each was trained once, nothing is claimed for another training."


class Estimate(NamedTuple):
    """A number over seeds: its mean, and half the width of the 95 % interval of the mean (none for one seed)."""

    mean: float
    half: float | None = None


def estimate(values: Iterable[float | None]) -> Estimate | None:
    """The mean over seeds with its t interval; nothing where no seed has the number."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    if len(known) < 2:
        return Estimate(float(known[0]))
    half = stdtrit(len(known) - 1, (1 + LEVEL) / 2) * np.std(known, ddof=1) / np.sqrt(len(known))
    return Estimate(float(np.mean(known)), float(half))


@dataclass(frozen=True)
class Difference:
    """By how much the first method's mIoU is above the second's, with its 95 % interval (none where too little is known)."""

    mean: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    """the chance of a difference as large if there were none"""
    holm: float | None = None
    """the same after Holm's correction"""

    @property
    def verdict(self) -> str:
        """A lead needs an interval above 0 that holds after Holm's correction."""
        if self.holm is None or self.holm >= 1 - LEVEL:
            return "not distinguishable"
        return "leads" if self.mean > 0 else "trails"


@dataclass(frozen=True)
class Comparison:
    """Two methods side by side: mIoU over seeds, and their differences, on every combination and in the mean over them."""

    first: str
    second: str
    seeds: tuple[int, ...]
    """at which both were trained; none where one training of each is compared, whatever its seed"""
    blocks: int
    scores: dict[str, tuple[Estimate, Estimate]]
    differences: dict[str, Difference]


def weights(blocks: int, resamples: int = RESAMPLES) -> NDArray[np.float64]:
    """How often each block is drawn, the same for whatever is compared; first all of them once: [1 + R, blocks]."""
    rng = np.random.default_rng(0)
    return np.concatenate([np.ones((1, blocks)), rng.multinomial(blocks, np.full(blocks, 1 / blocks), resamples)])


def drawn(document: Document, weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mIoU of every combination, and their mean, for each row of block weights: [1 + R, N + 1]."""
    scores = [np.nanmean(iou, 1) for iou in by_class(document, weight)]
    return np.stack([*scores, np.mean(scores, 0)], 1)


def by_class(document: Document, weight: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """The IoU of every class on each combination in turn, for each row of block weights: [1 + R, K]; NaN where there is none."""
    blocks = document["blocks"]
    truth = weight @ np.array(blocks["truth"], float)  # [1 + R, K]
    for name in document["combinations"]:
        hit, predicted = (weight @ np.array(blocks[key][name], float) for key in ("hit", "predicted"))
        union = truth + predicted - hit
        yield np.divide(hit, union, out=np.full_like(hit, np.nan), where=union > 0)


def interval(point: NDArray[np.float64], resampled: NDArray[np.float64], blocks: int) -> Difference:
    """The difference of two methods from that at each seed [S], and from resampled blocks, the mean over seeds [R]."""
    mean, seeds = float(point.mean()), len(point)
    if blocks < 2:
        return Difference(mean)
    placed = float(np.var(resampled, ddof=1)) * blocks / (blocks - 1)
    trained = float(np.var(point, ddof=1)) / seeds if seeds > 1 else 0.0
    error = np.sqrt(placed + trained)
    if error < 1e-12:
        return Difference(mean, mean, mean, 1.0 if abs(mean) < 1e-12 else 0.0)
    freedom = (placed + trained) ** 2 / (placed**2 / (blocks - 1) + (trained**2 / (seeds - 1) if seeds > 1 else 0.0))
    half = float(stdtrit(freedom, (1 + LEVEL) / 2)) * error
    return Difference(mean, mean - half, mean + half, float(2 * stdtr(freedom, -abs(mean) / error)))


def holm(chances: Sequence[float]) -> list[float]:
    """Holm's step-down correction of several chances, in their order."""
    corrected, largest = [0.0] * len(chances), 0.0
    for rank, index in enumerate(sorted(range(len(chances)), key=chances.__getitem__)):
        largest = max(largest, min(1.0, (len(chances) - rank) * chances[index]))
        corrected[index] = largest
    return corrected


def compared(runs: Mapping[str, Runs], pairs: Sequence[tuple[str, str]]) -> list[Comparison]:
    """Every pair of methods, all on the same draws of blocks, corrected for how many comparisons there are."""
    runs = {name: runs[name] for pair in pairs for name in pair}
    documents = [document for seeds in runs.values() for document in seeds.values()]
    if not documents:
        return []
    blocks = _same_blocks(runs)
    weight = weights(blocks)
    found = {id(document): drawn(document, weight) for document in documents}
    names, raw = [*documents[0]["combinations"], MEAN], []
    for first, second in pairs:
        seeds, together = _paired(first, runs[first], second, runs[second])
        a, b = (np.stack([found[id(pair[side])] for pair in together]) for side in (0, 1))  # [S, 1 + R, N + 1]
        gap = a - b
        scores = {name: (_estimate(a[:, 0, i]), _estimate(b[:, 0, i])) for i, name in enumerate(names)}
        differences = {name: interval(gap[:, 0, i], gap[:, 1:, i].mean(0), blocks) for i, name in enumerate(names)}
        raw.append(Comparison(first, second, seeds, blocks, scores, differences))
    return _corrected(raw)


def check(runs: Mapping[str, Runs], first: str, second: str) -> None:
    """Refuses two methods that were not scored alike, in one line."""
    _same_blocks({name: runs[name] for name in (first, second)})
    _paired(first, runs[first], second, runs[second])


def _estimate(values: NDArray[np.float64]) -> Estimate:
    found = estimate(values.tolist())
    assert found is not None
    return found


def _same_blocks(runs: Mapping[str, Runs]) -> int:
    """How many blocks all evaluations were scored on, or the one line that says that they were not scored on the same."""
    told = [(named(name, seed), document) for name, seeds in runs.items() for seed, document in seeds.items()]
    for where, document in told:
        if not document.get("blocks", {}).get("places"):
            raise UserError(f"{where}: no blocks of pixels are in it; evaluate the model again")
    other, first = told[0]
    for where, document in told[1:]:
        for what in ALIKE:
            if document[what] != first[what]:
                raise UserError(f"{where}: {what}: {document[what]}, but {first[what]} in {other}; compare what is alike")
        if any(document["blocks"][key] != first["blocks"][key] for key in ("side", "places", "truth")):
            remedy = "evaluate both on the same tiles with the same evaluation settings"
            raise UserError(f"{where}: other pixels were scored than in {other}; {remedy}")
    return len(first["blocks"]["places"])


def _paired(first: str, a: Runs, second: str, b: Runs) -> tuple[tuple[int, ...], list[tuple[Document, Document]]]:
    """The evaluations of two methods at the same seeds; one of each is a pair anyway."""
    if seeds := tuple(sorted(a.keys() & b.keys())):
        return seeds, [(a[seed], b[seed]) for seed in seeds]
    if len(a) == len(b) == 1:
        return (), [(next(iter(a.values())), next(iter(b.values())))]
    listed = [", ".join(map(str, sorted(it))) for it in (a, b)]
    raise UserError(f"{first} has seeds {listed[0]}, {second} has {listed[1]}; train both at the same seeds")


def _corrected(comparisons: list[Comparison]) -> list[Comparison]:
    """The comparisons of means are one family, those of combinations another."""
    wanted = [(index, name) for index, it in enumerate(comparisons) for name in it.differences]
    corrected: dict[tuple[int, str], float] = {}
    for means in (True, False):
        family = [(i, name) for i, name in wanted if (name == MEAN) == means and comparisons[i].differences[name].p is not None]
        chances = [comparisons[i].differences[name].p or 0.0 for i, name in family]
        corrected |= dict(zip(family, holm(chances), strict=True))
    return [
        replace(it, differences={n: replace(d, holm=corrected.get((i, n))) for n, d in it.differences.items()})
        for i, it in enumerate(comparisons)
    ]


def said(it: Comparison) -> str:
    """A comparison in words, which claims no more than the intervals carry."""
    mean, singles = it.differences[MEAN], {name: d for name, d in it.differences.items() if name != MEAN}
    groups = {
        word: [name for name, d in singles.items() if d.verdict == word] for word in ("leads", "trails", "not distinguishable")
    }
    if mean.low is None:
        return f"{it.first} and {it.second} cannot be told apart: there is one block of pixels, so no interval."
    verb = "is not distinguishable from" if mean.verdict == "not distinguishable" else mean.verdict
    parts = [f"{it.first} {verb} {it.second} in mean mIoU ({span(mean)})"]
    for word, told in (("leads", "better"), ("trails", "worse")):
        if groups[word]:
            parts.append(f"{told} on {len(groups[word])} of {len(singles)} combinations{_few(groups[word], len(singles))}")
    if same := groups["not distinguishable"]:
        parts.append(f"not distinguishable on {'any' if len(same) == len(singles) else _names(same)}")
    return "; ".join(parts) + "."


def span(difference: Difference) -> str:
    """`+1.2 points, 95 % interval +0.3 to +2.1`."""
    assert difference.low is not None and difference.high is not None
    numbers = [f"{100 * value:+.1f}".replace("-", "−") for value in (difference.mean, difference.low, difference.high)]
    return "{} points, 95 % interval {} to {}".format(*numbers)


def _few(names: list[str], whole: int) -> str:
    return f" ({_names(names)})" if len(names) <= 3 and len(names) < whole else ""


def _names(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def compare(first: Path, second: Path | None, folds: Sequence[Path], as_json: bool) -> None:
    """Prints two results side by side, method by method; or, of one and the other folds of its study, its first method beside
    each other one."""
    if second and folds:
        raise UserError("--folds: takes the folds of one study, which is compared with no second one; leave B out")
    mine = pooled([first, *folds]) if folds else evaluations(first)
    comparisons = compared(*(_matched(mine, first, evaluations(second), second) if second else _among(mine, first)))
    if as_json:
        print(json.dumps([asdict(it) for it in comparisons], indent=1))
        return
    print("\n\n".join(f"{_head(it)}\n\n{aligned(_rows(it))}\n\n{said(it)}" for it in comparisons))
    if any(len(it.seeds) < 2 for it in comparisons):
        print(ONCE)


def _among(mine: Methods, first: Path) -> tuple[dict[str, Runs], list[tuple[str, str]]]:
    """The evaluations of one result by name, and which of them are compared."""
    if len(mine) < 2:
        raise UserError(f"{first}: there is only {next(iter(mine))}; name a second folder or file to compare it with")
    lead, *rivals = sorted(mine, key=lambda method: (method != "dis2", method))
    return dict(mine), [(lead, rival) for rival in rivals]


def _matched(mine: Methods, first: Path, other: Methods, second: Path) -> tuple[dict[str, Runs], list[tuple[str, str]]]:
    """The same of two results."""
    if len(mine) == len(other) == 1:
        methods = [(next(iter(mine)), next(iter(other)))]
    else:
        methods = [(method, method) for method in mine if method in other]
    if not methods:
        raise UserError(f"{first} has {', '.join(mine)}, {second} has {', '.join(other)}; compare folders that share a method")
    alike = any(a == b for a, b in methods)
    names = [(f"{a} (A)", f"{b} (B)") if alike else (a, b) for a, b in methods]
    runs: dict[str, Runs] = {name: mine[a] for (a, _), (name, _) in zip(methods, names, strict=True)}
    return runs | {name: other[b] for (_, b), (_, name) in zip(methods, names, strict=True)}, names


def _head(it: Comparison) -> str:
    where = f"{it.blocks} block{'s' * (it.blocks != 1)}"
    seeds = f"seed{'s' * (len(it.seeds) != 1)} {', '.join(map(str, it.seeds))}" if it.seeds else "one training of each"
    return f"{it.first} beside {it.second}: mIoU in percent points; {where}, {seeds}"


def _rows(it: Comparison) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("sensors", it.first, it.second, "difference", "95 % interval", "p (Holm)", "verdict")]
    for name, gap in it.differences.items():
        bounds = "" if gap.low is None or gap.high is None else f"{100 * gap.low:+.2f} to {100 * gap.high:+.2f}"
        chance = "" if gap.holm is None else f"{gap.holm:.3f}"
        a, b = (_points(score) for score in it.scores[name])
        rows.append((name, a, b, f"{100 * gap.mean:+.2f}", bounds, chance, gap.verdict))
    return rows


def _points(score: Estimate) -> str:
    return f"{100 * score.mean:.2f}" + ("" if score.half is None else f" ± {100 * score.half:.2f}")
