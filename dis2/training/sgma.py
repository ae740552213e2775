"""SGMA-style training: everything that is there, and single sensors, the fragile ones more often."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dis2.training import objective
from dis2.training.objective import Batch
from dis2.training.views import FLOOR, Availability, Draws

SINGLES = 2
"""With the full view, as many views as all methods have."""

CONTRAST = 10.0
"""A sensor is drawn e^10 times as often per unit of cosine by which it agrees less with the prototypes of the classes."""


class Objective(objective.Objective):
    """Plain segmentation of the full view and of single sensors, drawn by how fragile they are now."""

    def views(self, batch: Batch, robustness: NDArray[np.floating] | None = None) -> Availability:
        there = batch.there
        fragile = np.zeros(there.shape) if robustness is None else -robustness
        return np.stack([there, *drawn_singles(there, fragile, batch.draws)])

    def terms(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        encoded = network.encode(batch.images, batch.valid)
        views = self.views(batch, encoded.robustness.cpu().numpy())
        return self.segmentation(network.decode(encoded, batch.tensor(views)), batch, len(views))


def drawn_singles(there: Availability, fragility: NDArray[np.floating], draws: Draws) -> Availability:
    """Single sensors of each sample, different ones if it has enough; none is drawn less often than by FLOOR: [2, B, N]."""
    drawn = np.zeros((SINGLES, *there.shape), bool)
    for sample, (row, fragile, rng) in enumerate(zip(there, fragility, draws, strict=True)):
        has = np.flatnonzero(row)
        if has.size:
            share = np.exp(CONTRAST * (fragile[has] - fragile[has].max()))
            chance = FLOOR / has.size + (1 - FLOOR) * share / share.sum()
            singles = rng.choice(has, min(SINGLES, has.size), replace=False, p=chance)
            drawn[np.arange(SINGLES), sample, np.resize(singles, SINGLES)] = True
    return drawn
