"""ShaSpec-style training: shared features are to be alike, and a sensor's own ones are to tell whose they are."""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dis2.config.training import LossWeights
from dis2.losses import normalised, weighed_mean
from dis2.models.layers import LEVELS
from dis2.models.rivals.network import maps
from dis2.training import plain
from dis2.training.objective import Batch


class Weights(LossWeights):
    """Those of all methods, and what the paper's two terms weigh beside them: as little as there."""

    alignment: float = 0.1
    domain: float = 0.02


class Objective(plain.Objective):
    """Segmentation of the student's views, alignment of what is shared, and telling the sensors apart by what is not."""

    def __init__(self, sensors: tuple[str, ...], classes: Tensor, weights: LossWeights, teacher: nn.Module | None = None):
        super().__init__(sensors, classes, Weights(**weights.model_dump()), teacher)

    def terms(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        views = self.views(batch)
        encoded = network.encode(batch.images, batch.valid)
        prediction = network.decode(encoded, batch.tensor(views))
        valid = {sensor: shares[LEVELS] for sensor, shares in encoded.valid.items()}
        return {
            **self.segmentation(prediction, batch, len(views)),
            "alignment": alignment_term(maps(encoded.shared, LEVELS), valid, self.sensors),
            "domain": domain_term(encoded.taken_for, valid, self.sensors),
        }


def alignment_term(shared: dict[str, Tensor], valid: dict[str, Tensor], sensors: tuple[str, ...]) -> Tensor:
    """L1 between the channel-normalised shared features [B, C, h, w] of two sensors where both are valid, the mean over pairs.

    A pair or sensor that a sample lacks counts 0, so that a term does not depend on what the other samples have.
    """
    zero = next(iter(shared.values())).new_zeros((), dtype=torch.float32)
    pairs = [
        weighed_mean((normalised(shared[a]) - normalised(shared[b])).abs(), valid[a] * valid[b]).mean()
        for a, b in combinations(shared, 2)
    ]
    return torch.stack(pairs).sum() / comb(len(sensors), 2) if pairs else zero


def domain_term(taken_for: dict[str, Tensor], valid: dict[str, Tensor], sensors: tuple[str, ...]) -> Tensor:
    """Cross entropy of whose a sensor's own features are taken for [B, N], the mean over sensors; 0 where it was not measured."""
    terms = []
    for sensor, logits in taken_for.items():
        whose = torch.full((len(logits),), sensors.index(sensor), device=logits.device)
        measured = valid[sensor].flatten(1).any(1)
        terms.append((measured * F.cross_entropy(logits.float(), whose, reduction="none")).mean())
    return torch.stack(terms).sum() / len(sensors)
