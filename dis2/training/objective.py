"""What the loop asks of a method: which tiles it takes, which views it draws, and the terms of its loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dis2.config.training import LossWeights
from dis2.losses import auxiliary_term, scales_term, segmentation_terms
from dis2.models.layers import fold
from dis2.models.prediction import Images, Prediction, Validity


@dataclass
class Batch:
    """Tiles on the device, with all that decides how they are shown."""

    images: Images
    valid: Validity
    labels: Tensor
    """[B, H, W]"""
    step: int
    progress: float
    """How much of the training is done: 0 to 1."""
    rng: np.random.Generator
    scores: Mapping[str, float] = field(default_factory=dict)
    """The last validation, by combination."""

    @property
    def there(self) -> np.ndarray:
        """Which sensors have any valid pixel in each sample: [B, N]."""
        return torch.stack([mask.flatten(1).any(1) for mask in self.valid.values()], 1).cpu().numpy()

    def tensor(self, availability: np.ndarray) -> Tensor:
        """Views [V, B, N] as decode takes them: [V B, N]."""
        return torch.from_numpy(np.ascontiguousarray(availability)).flatten(0, 1).to(self.labels.device)


class Objective:
    """Plain segmentation of every view; methods change what they need to."""

    whole_only = False
    """Does it train only on scenes that have every sensor?"""

    def __init__(self, sensors: tuple[str, ...], classes: Tensor, weights: LossWeights, teacher: nn.Module | None = None):
        self.sensors, self.classes, self.weights, self.teacher = sensors, classes, weights, teacher

    def views(self, batch: Batch) -> np.ndarray:
        """The availabilities [V, B, N] that a batch is shown with."""
        return batch.there[None]

    def terms(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        """Every term of the loss by name, not weighted."""
        views = self.views(batch)
        encoded = network.encode(batch.images, batch.valid)
        return self.segmentation(network.decode(encoded, batch.tensor(views)), batch, len(views))

    def segmentation(self, prediction: Prediction, batch: Batch, views: int) -> dict[str, Tensor]:
        """Segmentation of all views, deep supervision, and each sensor's own decoder."""
        labels, seen = fold(batch.labels, views), prediction.features
        return {
            **segmentation_terms(prediction.logits, labels, self.classes),
            "scales": scales_term(seen.scales, labels, self.classes),
            "auxiliary": auxiliary_term(seen.auxiliary, batch.valid, batch.labels, self.classes),
        }

    def start(self, network: nn.Module) -> set[str]:
        """Fills a fresh network; returns the names of the parameters that it inherits."""
        return set()

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """The weighted sum."""
        return torch.stack([getattr(self.weights, name) * term for name, term in terms.items()]).sum()
