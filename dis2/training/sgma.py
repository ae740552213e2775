"""SGMA-style training: everything that is there, and single sensors, the fragile ones more often.

As in the paper, a single sensor is drawn by the inverse of its robustness, and the full view weighs twice what is drawn.
Different here: several single sensors are drawn and not one, so that there are as many views as all methods have. Where there are
more views than sensors each sensor is shown alone, and none more often.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dis2.losses import auxiliary_term
from dis2.models.prediction import Features, Prediction
from dis2.training import objective
from dis2.training.objective import Batch
from dis2.training.views import Availability, Draws

FULL = 2 / 3
"""What the full view weighs; the single sensors weigh the rest."""

LEAST = 1e-3
"""A sensor that has no more than this share of the fusion is as fragile as can be."""


class Objective(objective.Objective):
    """Segmentation of the full view and of single sensors, drawn by how fragile they are now."""

    def views(self, batch: Batch, robustness: NDArray[np.floating] | None = None) -> Availability:
        there = batch.there
        robust = np.ones(there.shape) if robustness is None else robustness
        return np.stack([there, *drawn_singles(there, robust, batch.views - 1, batch.draws)])

    def terms(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        encoded = network.encode(batch.images, batch.valid)
        views = self.views(batch, encoded.robustness.cpu().numpy())
        prediction = network.decode(encoded, batch.tensor(views))
        full = self.segmentation(_rows(prediction, slice(encoded.batch)), batch, 1)
        single = self.segmentation(_rows(prediction, slice(encoded.batch, None)), batch, len(views) - 1)
        terms = {name: FULL * term + (1 - FULL) * single[name] for name, term in full.items()}
        return {**terms, "auxiliary": auxiliary_term(prediction.features.auxiliary, batch.valid, batch.labels, self.classes)}


def _rows(prediction: Prediction, rows: slice) -> Prediction:
    """The maps of some views."""
    return Prediction(prediction.logits[rows], Features([x[rows] for x in prediction.features.scales]))


def drawn_singles(there: Availability, robustness: NDArray[np.floating], count: int, draws: Draws) -> Availability:
    """So many single sensors of each sample, different ones if it has enough, as often as the inverse of their robustness.

    [V, B, N], where V is no more than there are sensors.
    """
    drawn = np.zeros((min(count, there.shape[1]), *there.shape), bool)
    for sample, (row, robust, rng) in enumerate(zip(there, robustness, draws, strict=True)):
        has = np.flatnonzero(row)
        if has.size:
            fragility = 1 / np.maximum(robust[has].astype(float), LEAST)
            singles = rng.choice(has, min(len(drawn), has.size), replace=False, p=fragility / fragility.sum())
            drawn[np.arange(len(drawn)), sample, np.resize(singles, len(drawn))] = True
    return drawn
