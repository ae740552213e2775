"""MAGIC-style training: the most robust and the most fragile sensor together are to say what all sensors say."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dis2.config.training import LossWeights
from dis2.losses import own_view_term
from dis2.models.rivals.magic import similarities
from dis2.training import plain
from dis2.training.objective import Batch
from dis2.training.views import Availability


class Weights(LossWeights):
    """Those of all methods, and consistency as strong as self-distillation by default."""

    consistency: float = 0.2


class Objective(plain.Objective):
    """Segmentation of everything that is there, a single sensor and the selection, which is to agree with everything."""

    def __init__(self, sensors: tuple[str, ...], classes: Tensor, weights: LossWeights, teacher: nn.Module | None = None):
        super().__init__(sensors, classes, Weights(**weights.model_dump()), teacher)

    def terms(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        encoded = network.encode(batch.images, batch.valid)
        views = self.shown(batch, similarities(encoded, self.sensors))
        prediction = network.decode(encoded, batch.tensor(views))
        everything, _, kept, *_ = prediction.logits.chunk(len(views))
        consistency = own_view_term(torch.cat([everything, kept]), 2, batch.measured)
        return {**self.segmentation(prediction, batch, len(views)), "consistency": consistency}

    def shown(self, batch: Batch, similarity: Tensor) -> Availability:
        """The student's views, of which the third one is the selection where there is something to select: [V, B, N].

        If the selection is one of those that follow, they change places, so that none is lost.
        """
        views = self.views(batch)
        choice = views[0].sum(1, keepdims=True) > 2
        kept = np.where(choice, selected(similarity.detach().cpu().numpy(), views[0]), views[2])
        also = (views[3:] == kept).all(2, keepdims=True)
        return np.stack([*views[:2], kept, *np.where(also, views[2], views[3:])])


def selected(similarity: NDArray[np.floating], there: Availability) -> Availability:
    """Of the sensors that each sample has, the one most similar to their mean and the one least so: [B, N]."""
    rows = np.arange(len(there))
    found = np.zeros_like(there)
    found[rows, np.where(there, similarity, -np.inf).argmax(1)] = True
    found[rows, np.where(there, similarity, np.inf).argmin(1)] = True
    return found & there
