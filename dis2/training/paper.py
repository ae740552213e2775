"""The authors' training of their form: the full branch and that of one missing sensor together, from the first step on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dis2.config.data import IGNORE
from dis2.config.training import LossWeights
from dis2.losses_paper import authors_distillation, authors_diversity, authors_segmentation
from dis2.models.prediction import Prediction
from dis2.training import objective
from dis2.training.objective import Batch

MISSING = (0.6, 0.4)
"""How often the first and the second sensor is taken away: one of them in each batch."""

WARM_UP = 0.1
"""The share of the training without distillation: the authors wait for six epochs of a number that they do not tell."""


class Weights(LossWeights):
    """The authors', as published and so not in the config."""

    full: float = 1.0
    missing: float = 1.0
    auxiliary: float = 1.0
    full_scales: float = 1.0
    missing_scales: float = 1.0
    distillation: float = 5.0
    diversity: float = 1.0


class Objective(objective.Objective):
    """Every tile is shown whole and with one sensor missing; a sample that lacks a sensor trains the branch that it can."""

    def __init__(self, sensors: tuple[str, ...], classes: Tensor, weights: LossWeights, teacher: nn.Module | None = None):
        super().__init__(sensors, classes, Weights(), teacher)

    def views(self, batch: Batch) -> np.ndarray:
        """The samples that have both sensors, and then all with one sensor: [2, B, 2]."""
        there = batch.there
        whole = there.all(1, keepdims=True)
        missing = batch.rng.choice(2, p=MISSING)
        return np.stack([there & whole, np.where(whole, np.arange(2) != missing, there)])

    def terms(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        torch.manual_seed(int(batch.rng.integers(2**63)))  # dropout is the step's own, so that a training can be resumed
        views = self.views(batch)
        encoded = network.encode(batch.images, batch.valid)
        full, missing = (network.decode(encoded, batch.tensor(view[None])) for view in views)
        labels, whole = batch.labels, torch.from_numpy(views[0].all(1)).to(batch.labels.device)
        seen = {s: _only(labels, mask.flatten(1).any(1)) for s, mask in batch.valid.items()}
        nothing = labels.new_zeros((), dtype=torch.float32)
        return {
            "full": authors_segmentation(full.logits, _only(labels, whole)),
            "missing": authors_segmentation(missing.logits, labels),
            "auxiliary": sum((authors_segmentation(logits, seen[s]) for s, logits in encoded.auxiliary.items()), nothing),
            "full_scales": sum((authors_segmentation(x, _only(labels, whole)) for x in full.features.scales), nothing),
            "missing_scales": sum((authors_segmentation(x, labels) for x in missing.features.scales), nothing),
            "distillation": _distillation(missing, full, whole) * (batch.progress >= WARM_UP),
            "diversity": authors_diversity(missing.features.pooled_compensatory, missing.features.pooled_own),
        }


def _distillation(missing: Prediction, full: Prediction, whole: Tensor) -> Tensor:
    """Of the samples that both branches saw: pooled levels, the scene's token, the last features and the logits."""
    if not whole.any():
        return missing.logits.new_zeros(())
    mine, told = ([x[whole] for x in _compared(it)] for it in (missing, full))
    return authors_distillation(mine, told, missing.logits[whole], full.logits[whole])


def _compared(prediction: Any) -> list[Tensor]:
    return [*prediction.features.pooled, prediction.features.token, prediction.features.penultimate]


def _only(labels: Tensor, samples: Tensor) -> Tensor:
    """The labels of some samples of the batch."""
    return labels.masked_fill(~samples.view(-1, 1, 1), IGNORE)
