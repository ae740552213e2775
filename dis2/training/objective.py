"""What the loop asks of a method: which tiles it takes, which views it draws, and the terms of its loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from dis2.config.training import LossWeights
from dis2.losses import auxiliary_term, scales_term, segmentation_terms
from dis2.models.layers import fold
from dis2.models.prediction import Images, Prediction, Validity
from dis2.training.views import Draws, Turns


@dataclass
class Batch:
    """Tiles on the device, with all that decides how they are shown."""

    images: Images
    valid: Validity
    labels: Tensor
    """[B, H, W]; none where no sensor measured"""
    turns: Turns
    """The place of each sample among all of the training: [B]."""
    progress: float
    """How much of the training is done: 0 to 1."""
    rng: np.random.Generator
    """The step's own."""
    draws: Draws
    """Each sample's own."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """The last validation, by combination."""
    even: float = 0.5
    """How even combinations are drawn, whatever they score."""
    views: int = 3
    """With how many of them each sample is shown."""

    @property
    def there(self) -> np.ndarray:
        """Which sensors have any valid pixel in each sample: [B, N]."""
        return torch.stack([mask.flatten(1).any(1) for mask in self.valid.values()], 1).cpu().numpy()

    @property
    def measured(self) -> Tensor:
        """Where any sensor measured: [B, 1, H, W]."""
        return torch.cat(list(self.valid.values()), 1).any(1, keepdim=True)

    def tensor(self, availability: np.ndarray) -> Tensor:
        """Views [V, B, N] as decode takes them: [V B, N]."""
        return torch.from_numpy(np.ascontiguousarray(availability)).flatten(0, 1).to(self.labels.device)


class Objective:
    """Plain segmentation of every view; methods change what they need to."""

    whole_only = False
    """Does it train only on scenes that have every sensor?"""
    learns_unlabelled = False
    """Does it learn from tiles without labels, too?"""

    def __init__(self, sensors: tuple[str, ...], classes: Tensor, weights: LossWeights, teacher: nn.Module | None = None):
        self.sensors, self.classes, self.weights, self.teacher = sensors, classes, weights, teacher

    def to(self, device: torch.device) -> None:
        """Brings what it compares with to where the network is; its teacher is not trained."""
        self.classes = self.classes.to(device)
        if self.teacher is not None:
            self.teacher.to(device).eval().requires_grad_(False)

    @classmethod
    def undistilled(cls) -> type[Objective]:
        """The same without learning from a teacher: itself, where there is nothing to leave out."""
        return cls

    def views(self, batch: Batch) -> np.ndarray:
        """The availabilities [V, B, N] that a batch is shown with."""
        return batch.there[None]

    def terms(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        """Every term of the loss by name, not weighted."""
        views = self.views(batch)
        encoded = network.encode(batch.images, batch.valid)
        return self.segmentation(network.decode(encoded, batch.tensor(views)), batch, len(views))

    def segmentation(self, prediction: Prediction, batch: Batch, views: int) -> dict[str, Tensor]:
        """Segmentation of all views, and of deep supervision and each sensor's own decoder where the network has them."""
        labels, seen = fold(batch.labels, views), prediction.features
        terms = segmentation_terms(prediction.logits, labels, self.classes)
        if seen.scales:
            terms["scales"] = scales_term(seen.scales, labels, self.classes)
        if seen.auxiliary:
            terms["auxiliary"] = auxiliary_term(seen.auxiliary, batch.valid, batch.labels, self.classes)
        return terms

    def start(self, network: nn.Module) -> set[str]:
        """Copies the whole teacher, if there is one, into a fresh network; returns the names of what it inherits."""
        inherited = cast(Any, network).inherited(self.teacher.state_dict()) if self.teacher is not None else {}
        if lost := network.load_state_dict(inherited, strict=False).unexpected_keys:
            raise ValueError(f"the network has no place for the teacher's {lost[0]}")
        return set(inherited)

    def total(self, terms: dict[str, Tensor], parameters: Iterable[nn.Parameter] = ()) -> Tensor:
        """The weighted sum, in which all of these parameters take part, whether the batch used them or not."""
        loss = torch.stack([getattr(self.weights, name) * term for name, term in terms.items()]).sum()
        return TakingPart.apply(loss, *parameters)


class TakingPart(torch.autograd.Function):
    """A loss as it is, with a gradient of zero for every parameter that it is given.

    What a batch does not use, as the encoder of a sensor that none of its samples has, so gets a gradient of zero and not none:
    a training is then the same on several GPUs, which wait for each other's gradient of every parameter.
    """

    @staticmethod
    def forward(context: Any, loss: Tensor, *parameters: Tensor) -> Tensor:
        context.shapes = [parameter.shape for parameter in parameters]
        return loss.clone()

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        zero = torch.zeros_like(gradients[0])
        return *gradients, *(zero.expand(shape) for shape in context.shapes)
