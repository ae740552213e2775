"""A training as a picture: the terms of its loss, and the validation of every combination."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

MOST = 10
"""So many combinations have colours of their own; names of more would also cover the curves."""


def draw(history: list[dict[str, Any]], title: str, path: Path) -> None:
    """The loss and its terms on the left, mIoU by combination on the right."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps = [line["step"] for line in history]
    for name in history[0]:
        if name not in ("step", "learning_rate", "validation", "mean_miou"):
            left.plot(steps, smooth([line[name] for line in history]), label=name, lw=2 if name == "loss" else 1)
    left.set(xlabel="step", title=f"{title}: loss and its terms (not weighted)", yscale="symlog")
    left.legend(fontsize=7, ncols=2)
    show_validation(right, [line for line in history if "validation" in line])
    figure.savefig(path, dpi=110)


def show_validation(axes: Any, validated: list[dict[str, Any]]) -> None:
    """mIoU by combination; of many, all sensors, the mean and, at each time, the worst stand out."""
    steps = [line["step"] for line in validated]
    scores = {
        name: [line["validation"][name] for line in validated] for name in (validated[0]["validation"] if validated else ())
    }
    if len(scores) > MOST:
        for each in scores.values():
            axes.plot(steps, np.multiply(100, each), color="0.85", lw=0.8)
        means = [line["mean_miou"] for line in validated]
        scores = {"all sensors": next(iter(scores.values())), "mean": means, "worst": np.min([*scores.values()], 0)}
    for name, each in scores.items():
        axes.plot(steps, np.multiply(100, each), "o-", ms=3, label=name)
    axes.set(xlabel="step", ylabel="mIoU (%)", title="validation")
    axes.legend(fontsize=7)


def smooth(values: list[float]) -> np.ndarray:
    """A running mean over a fiftieth of the steps, so that a trend shows."""
    width = max(1, len(values) // 50)
    padded = np.pad(np.asarray(values, float), (width - 1, 0), mode="edge")
    return np.convolve(padded, np.ones(width) / width, "valid")
