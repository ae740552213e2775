"""What every network returns, and the parts that methods share with it: typed tensors, no loss and no softmax."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

Images = dict[str, Tensor]
"""[B, C, H, W] by sensor, normalised; an absent sensor is simply not there."""
Validity = dict[str, Tensor]
"""[B, 1, H, W] bool by sensor."""


Measured = dict[str, bool]
"""The sensors that have any valid pixel in a batch; is all that they have valid?"""


@dataclass
class Slot:
    """A sensor's compensated features at one level, and how sure they are."""

    features: Tensor
    """[B, C, h, w]"""
    log_variance: Tensor
    """[B, 1, h, w]"""


Offers = dict[str, dict[str, list[Slot]]]
"""Slots by target and source."""


@dataclass
class Features:
    """What a network saw on its way to the logits."""

    scales: list[Tensor] = field(default_factory=list)
    """deep supervision: logits [B, K, h, w], coarse to fine; for training"""
    auxiliary: dict[str, Tensor] = field(default_factory=dict)
    """each sensor's own decoder: logits [B, K, h, w]; in training only"""
    fused: list[Tensor] = field(default_factory=list)
    """levels 1 to 4 (level 4 alone without hierarchy): [B, C, h, w]"""
    token: Tensor | None = None
    """the scene in one vector: [B, C]"""
    penultimate: Tensor | None = None
    """[B, C, H, W]"""
    attention: Tensor | None = None
    """class scores before the gate: [B, K, h, w] at level 4; of several decoders each cell is by that of most of its pixels"""
    offers: Offers = field(default_factory=dict)
    """what each sensor offers for each slot, by target and source: the levels that are fused, [B, C, h, w]"""
    compensated: dict[str, list[Slot]] = field(default_factory=dict)
    """the levels that are fused, of the sensors that are not shown whole"""
    own: dict[str, list[Tensor]] = field(default_factory=dict)
    """each sensor's own features: levels 1 to 4, [B, C, h, w] of the sensors that are there, before they are folded into views"""


@dataclass
class Prediction:
    """Logits of every pixel, and the features that distillation and explanations read."""

    logits: Tensor
    """[B, K, H, W]"""
    features: Features = field(default_factory=Features)


@dataclass
class Encoded:
    """A batch after its encoders, which run once however many availabilities are decoded from it."""

    stems: dict[str, Tensor]
    """full resolution: [B, w / 2, H, W] of the sensors that are there"""
    levels: dict[str, list[Tensor]]
    """levels 1 to 4: [B, C, h, w] of the sensors that are there"""
    valid: dict[str, list[Tensor]]
    """shares of valid pixels at levels 0 to 4: [B, 1, h, w] of the sensors that are there"""
    size: tuple[int, int]
    """the image before it was padded"""
    batch: int
    complete: frozenset[str] = frozenset()
    """the sensors that are valid everywhere in every sample"""
    told: bool = False
    """Was it told which sensors are measured, so that nothing depends on what they hold?"""
    offers: Offers = field(default_factory=dict)
    """what was already made of it for missing sensors"""
