r"""The scores of a study: every method on every combination at every seed, and how far the first one is above each other.

    python benchmarks/scores.py results/benchmark
    python benchmarks/scores.py results/zion --folds results/zion-1 results/zion-2 results/zion-3 results/zion-4
    python benchmarks/scores.py results/benchmark/validation --out benchmarks/results/benchmark-validation.csv
    python benchmarks/scores.py results/benchmark/validation/dis2 --ablations no-hierarchy=results/no-hierarchy/validation \
      --out benchmarks/results/benchmark-ablation.csv

Writes benchmarks/results/NAME.csv, a line for each method, seed and combination: mIoU and IoU by class in percent points; and
NAME-leads.csv, a line for each rival and combination: the first method's lead with its 95 % interval and verdict, as
`dis2 compare` tells them. Prints both for people, with the seconds of each method's training.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dis2.config.plan import ZEROS
from dis2.evaluation.compare import MEAN, Comparison, by_class, compared, drawn, estimate
from dis2.evaluation.evaluations import Document, Runs, evaluations, pooled
from dis2.files import read_json, whole
from dis2.models.files import CARD

ROOT = Path(__file__).parents[1]
TEACHER = "teacher"
Row = dict[str, Any]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("results", type=Path, help="results/NAME, with the evaluations of several methods")
    arguments.add_argument("--folds", type=Path, nargs="+", default=[], help="the other folds of a cross-validation")
    arguments.add_argument("--first", default="dis2", help="the method that is compared with all others")
    arguments.add_argument(
        "--ablations",
        nargs="+",
        default=[],
        metavar="NAME=FOLDER[,FOLDER...]",
        help="evaluations of the first method (and of its other folds) with something changed",
    )
    arguments.add_argument("--out", type=Path, help="where the CSV goes (default: benchmarks/results/NAME.csv)")
    given = arguments.parse_args()
    folders = [given.results, *given.folds]
    runs = pooled(folders) if given.folds else evaluations(given.results)
    for name, _, changed in (it.partition("=") for it in given.ablations):
        runs[name] = pooled([Path(folder) for folder in changed.split(",")])[given.first]
    names = sorted(runs, key=lambda name: (name != given.first, -np.mean([miou_of(it)[-1] for it in runs[name].values()])))
    comparisons = compared(runs, [(given.first, name) for name in names[1:]])
    scores = [row for name in names for seed in sorted(runs[name]) for row in scores_of(name, seed, runs[name][seed])]
    leads = [row for it in comparisons for row in leads_of(it)]
    out = given.out or ROOT / "benchmarks" / "results" / f"{given.results.name}.csv"
    write(scores, out)
    write(leads, out.with_name(f"{out.stem}-leads.csv"))
    print(table(scores, leads, {name: seconds(folders, name, runs[name]) for name in names}))


def miou_of(document: Document) -> list[float]:
    """The mIoU of every combination, and their mean."""
    return [float(it) for it in drawn(document, _all(document))[0]]


def _all(document: Document) -> NDArray[np.float64]:
    """Every block once: [1, blocks]."""
    return np.ones((1, len(document["blocks"]["places"])))


def scores_of(method: str, seed: int, document: Document) -> list[Row]:
    """A line for each combination, and for the mean over them; calibration error as it is, and before temperatures."""
    columns = [f"iou {name}" for name in document["classes"]]
    classes = [dict(zip(columns, map(float, iou[0]), strict=True)) for iou in by_class(document, _all(document))]
    names, entries = [*document["combinations"], MEAN], document["combinations"].values()
    kinds = {"ece": "scores", "ece before": "untempered"}
    errors = [{column: it.get(key, {}).get("ece", np.nan) for column, key in kinds.items()} for it in entries]
    errors.append({column: float(np.mean([it[column] for it in errors])) for column in kinds})
    return [
        {"method": method, "seed": seed, "combination": name, "miou": miou} | told | error
        for name, miou, told, error in zip(names, miou_of(document), [*classes, dict.fromkeys(columns, "")], errors, strict=True)
    ]


def leads_of(it: Comparison) -> list[Row]:
    return [
        {"rival": it.second, "seeds": max(1, len(it.seeds)), "combination": name}
        | {"lead": gap.mean, "low": gap.low, "high": gap.high, "verdict": gap.verdict}
        for name, gap in it.differences.items()
    ]


def write(rows: Sequence[Row], out: Path) -> None:
    """Shares of one as percent points with two digits."""
    columns = list(rows[0])
    with whole(out) as part, part.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _written(it) for key, it in row.items()} for row in rows)


def _written(value: Any) -> Any:
    """A number of percent points, and nothing where there is none, as for a class that is not there."""
    if not isinstance(value, float):
        return value
    return "" if np.isnan(value) else f"{100 * value:.2f}"


def seconds(folders: Sequence[Path], method: str, runs: Runs) -> float | None:
    """The mean time of a training, with that of the teacher that it starts from; nothing where a model is not there."""
    trained = TEACHER if method == ZEROS else method
    models = [next((it / "models" for it in (folder, folder.parent) if (it / "models").is_dir()), folder) for folder in folders]
    cards = [folder / trained / str(seed) / CARD for folder in models for seed in runs]
    if not all(card.is_file() for card in cards):
        return None
    taken = []
    for path in cards:
        card = read_json(path)
        teacher = path.parents[2] / TEACHER / path.parent.name / CARD
        inherited = read_json(teacher)["training"]["seconds"] if card["provenance"].get("teacher") else 0
        taken.append(card["training"]["seconds"] + inherited)
    return float(np.mean(taken))


def table(scores: Sequence[Row], leads: Sequence[Row], taken: Mapping[str, float | None]) -> str:
    """The same in Markdown, a line for each method."""
    combinations = list(dict.fromkeys(row["combination"] for row in scores))
    head = ["method", *combinations, "lead in the mean", "leads on", "trails on", "training s"]
    lines = [head, ["---"] * len(head)]
    for method, seconds_taken in taken.items():
        mine = [[r["miou"] for r in scores if (r["method"], r["combination"]) == (method, name)] for name in combinations]
        told = {row["combination"]: row for row in leads if row["rival"] == method}
        won = [_count(told, verdict) for verdict in ("leads", "trails")]
        time = "" if seconds_taken is None else f"{seconds_taken:.0f}"
        lines.append([method, *map(_score, mine), lead(told), *won, time])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _score(seeds: Sequence[float]) -> str:
    it = estimate(seeds)
    assert it is not None
    return f"{100 * it.mean:.1f}" + (f" ± {100 * it.half:.1f}" if it.half is not None else "")


def _count(told: Mapping[str, Row], verdict: str) -> str:
    verdicts = [row["verdict"] for name, row in told.items() if name != MEAN]
    return f"{verdicts.count(verdict)} of {len(verdicts)}" if told else ""


def lead(told: Mapping[str, Row]) -> str:
    """The lead in the mean with its interval and verdict, for a cell."""
    row = told.get(MEAN)
    if not row or row["low"] is None:
        return ""
    return f"{100 * row['lead']:+.1f} ({100 * row['low']:.1f} to {100 * row['high']:.1f}), {row['verdict']}"


if __name__ == "__main__":
    main()
