"""The table of a study: every method on every combination, and how far the first one is above each other.

    python benchmarks/tables.py results/benchmark
    python benchmarks/tables.py results/zion --folds results/zion-1 results/zion-2 results/zion-3 results/zion-4

Writes benchmarks/results/NAME.csv, a line for each method and combination: mIoU over seeds in percent points with half the width
of its 95 % interval (none for one seed), IoU by class, and the first method's lead with its interval and verdict, as
`dis2 compare` tells it. Prints the same for people, with the seconds of each method's training.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dis2.config.plan import ZEROS
from dis2.evaluation.compare import MEAN, Comparison, compared, drawn, estimate, weights
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
    arguments.add_argument("--out", type=Path, help="where the CSV goes (default: benchmarks/results/NAME.csv)")
    given = arguments.parse_args()
    folders = [given.results, *given.folds]
    runs = pooled(folders) if given.folds else evaluations(given.results)
    names = sorted(runs, key=lambda name: (name != given.first, -_mean(runs[name])))
    comparisons = {it.second: it for it in compared(runs, [(given.first, name) for name in names[1:]])}
    rows = [row for name in names for row in rows_of(name, runs[name], comparisons.get(name))]
    write(rows, given.out or ROOT / "benchmarks" / "results" / f"{given.results.name}.csv")
    print(table(rows, {name: seconds(folders, name, runs[name]) for name in names}))


def _mean(runs: Runs) -> float:
    return float(np.mean([drawn(document, weights(len(document["blocks"]["places"]), 0))[0, -1] for document in runs.values()]))


def rows_of(method: str, runs: Runs, comparison: Comparison | None) -> list[Row]:
    """A method's line for each combination, and for the mean over them."""
    rows, documents = [], list(runs.values())
    combinations = [*documents[0]["combinations"], MEAN]
    for index, combination in enumerate(combinations):
        point = [drawn(document, weights(len(document["blocks"]["places"]), 0))[0, index] for document in documents]
        score, gap = estimate(map(float, point)), comparison and comparison.differences[combination]
        assert score is not None
        row = {"method": method, "seeds": len(documents), "combination": combination, "miou": score.mean, "half": score.half}
        row |= {} if combination == MEAN else classes(documents, combination)
        row |= {"lead": gap.mean, "low": gap.low, "high": gap.high, "verdict": gap.verdict} if gap else {}
        rows.append(row)
    return rows


def classes(documents: Sequence[Document], combination: str) -> dict[str, float]:
    """The IoU of each class, the mean over seeds."""
    found = []
    for document in documents:
        blocks = document["blocks"]
        truth = np.sum(blocks["truth"], 0)  # [K]
        hit, predicted = (np.sum(blocks[key][combination], 0) for key in ("hit", "predicted"))
        found.append(hit / np.maximum(truth + predicted - hit, 1))
    return dict(zip((f"iou {name}" for name in documents[0]["classes"]), np.mean(found, 0).tolist(), strict=True))


def write(rows: Sequence[Row], out: Path) -> None:
    """Shares of one as percent points with two digits."""
    columns = list(dict.fromkeys(key for row in sorted(rows, key=len, reverse=True) for key in row))
    with whole(out) as part, part.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: f"{100 * it:.2f}" if isinstance(it, float) else it for key, it in row.items()} for row in rows)


def seconds(folders: Sequence[Path], method: str, runs: Runs) -> float | None:
    """The mean time of a training, with that of the teacher that it starts from; nothing where a model is not there."""
    trained = TEACHER if method == ZEROS else method
    cards = [folder / "models" / trained / str(seed) / CARD for folder in folders for seed in runs]
    if not all(card.is_file() for card in cards):
        return None
    taken = []
    for path in cards:
        card = read_json(path)
        teacher = path.parents[2] / TEACHER / path.parent.name / CARD
        inherited = read_json(teacher)["training"]["seconds"] if card["provenance"].get("teacher") else 0
        taken.append(card["training"]["seconds"] + inherited)
    return float(np.mean(taken))


def table(rows: Sequence[Row], taken: Mapping[str, float | None]) -> str:
    """The same in Markdown, a line for each method."""
    combinations = list(dict.fromkeys(row["combination"] for row in rows))
    head = ["method", *combinations, "worst", "lead in the mean", "leads on", "trails on", "training s"]
    lines = [head, ["---"] * len(head)]
    for method in taken:
        mine = {row["combination"]: row for row in rows if row["method"] == method}
        worst = min(row["miou"] for name, row in mine.items() if name != MEAN)
        cells = [_score(mine[name]["miou"], mine[name]["half"]) for name in combinations]
        won = [_count(mine, verdict) for verdict in ("leads", "trails")]
        lines.append([method, *cells, f"{100 * worst:.1f}", _lead(mine[MEAN]), *won, f"{taken[method] or 0:.0f}"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _score(mean: float, half: float | None) -> str:
    return f"{100 * mean:.1f}" + (f" ± {100 * half:.1f}" if half is not None else "")


def _count(mine: Mapping[str, Row], verdict: str) -> str:
    told = [row["verdict"] for name, row in mine.items() if name != MEAN and "verdict" in row]
    return f"{told.count(verdict)} of {len(told)}" if told else ""


def _lead(row: Row) -> str:
    if row.get("low") is None:
        return ""
    return f"{100 * row['lead']:+.1f} ({100 * row['low']:.1f} to {100 * row['high']:.1f}), {row['verdict']}"


if __name__ == "__main__":
    main()
