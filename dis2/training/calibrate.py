"""After training: the temperature of every combination, fitted on validation pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dis2.combinations import parse
from dis2.models.prediction import Prediction
from dis2.models.temperature import fitted
from dis2.raster.grid import Window
from dis2.training.validate import Scored, Scorer

PIXELS = 50_000
"""No more than so many are looked at: a temperature is one number."""


class Seen:
    """Keeps the logits of pixels that lie evenly over all windows, by combination; those that all of its sensors measured."""

    def __init__(self, pixels: int):
        self.every = -(-pixels // PIXELS)
        self.logits: dict[str, list[Tensor]] = {}
        self.truth: dict[str, list[Tensor]] = {}

    def begin(self, batch: Scored) -> None:
        counted = batch.primary if batch.primary.any() else batch.labelled
        self.kept = np.flatnonzero(counted)[:: self.every]
        self.valid = {sensor: mask.cpu().numpy().ravel()[self.kept] for sensor, mask in batch.valid.items()}

    def see(self, batch: Scored, combination: str, prediction: Prediction, chosen: NDArray[np.integer]) -> None:
        known = self.kept[np.all([self.valid[sensor] for sensor in parse(combination, tuple(self.valid))], 0)]
        kept = torch.from_numpy(known)
        logits = prediction.logits.float().movedim(1, -1).flatten(0, 2)  # [B h w, K]
        self.logits.setdefault(combination, []).append(logits[kept.to(logits.device)].cpu())
        self.truth.setdefault(combination, []).append(torch.from_numpy(batch.truth.ravel()[known]))


def temperatures(scorer: Scorer, network: nn.Module, windows: Sequence[tuple[str, Window]]) -> dict[str, float]:
    """How sure the network should be of each combination that it is validated on."""
    seen = Seen(sum(window.height * window.width for _, window in windows))
    replace(scorer, observers=[seen]).score(network, windows)
    return {name: fitted(torch.cat(logits), torch.cat(seen.truth[name])) for name, logits in seen.logits.items()}
