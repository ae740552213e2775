"""The teacher: encoders, hierarchical fusion of every sensor, and a decoder, plain or class-wise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from torch import Tensor, nn

from dis2.config.model import ModelSettings
from dis2.models.decoders import Decoder, Decoders
from dis2.models.encoder import AuxiliaryDecoder, Encoders
from dis2.models.fusion import CoarseFusion, HierarchicalFusion
from dis2.models.prediction import Encoded, Images, Measured, Offers, Prediction, Slot, Validity
from dis2.models.slots import Shown, Slots, shown


class Network(nn.Module):
    """Encoders once, then fusion and decoding for whatever availability is asked for. Here, what is missing stays empty."""

    adaptive = False
    """Do slots and class queries know that a sensor is gone?"""
    certainty = False
    """Does it say how sure it is of what fills a slot?"""

    def __init__(self, sensors: dict[str, int], classes: int, settings: ModelSettings):
        super().__init__()
        self.sensors = tuple(sensors)
        self.encoders = Encoders(sensors, settings.width)
        self.auxiliary = nn.ModuleDict({sensor: AuxiliaryDecoder(settings.width, classes) for sensor in sensors})
        self.slots = Slots(self.sensors, settings.width, self.adaptive, settings.fused_levels)
        fusion = HierarchicalFusion if settings.hierarchy else CoarseFusion
        self.fusion = fusion(len(sensors), settings.width, settings.depth, settings.heads)
        self.decoders = Decoders(Decoder(self.sensors, classes, settings, self.adaptive))

    def forward(self, images: Images, valid: Validity) -> Prediction:
        return self.decode(self.encode(images, valid))

    def encode(self, images: Images, valid: Validity, measured: Measured | None = None) -> Encoded:
        """Each sensor by itself."""
        encoded = self.encoders(images, valid, measured)
        if not encoded.levels:
            raise ValueError("no sensor has a valid pixel in this batch")
        return encoded

    def decode(self, encoded: Encoded, available: Tensor | None = None) -> Prediction:
        """Fusion and decoding as if only some sensors were there: available [V B, N] holds V views of the batch."""
        seen = shown(encoded, available, self.sensors)
        offers = self.offers(encoded, seen)
        compensated = self.compensated(offers, seen)
        fused, token = self.fusion(self.slots(encoded, seen, compensated))
        found = self.decoders(fused, encoded, seen)
        auxiliary = {sensor: self.auxiliary[sensor](levels) for sensor, levels in encoded.levels.items()} if self.training else {}
        besides = replace(found.features, auxiliary=auxiliary, fused=fused, token=token, own=encoded.levels)
        return Prediction(found.logits, replace(besides, offers=offers, compensated=compensated))

    def of_fused(self, fused: list[Tensor], encoded: Encoded, available: Tensor | None = None) -> Tensor:
        """Logits [V B, K, H, W] of other fused features than its own: what if a level told something else?"""
        return cast(Prediction, self.decoders(fused, encoded, shown(encoded, available, self.sensors))).logits

    def inherited(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """What it begins with of its teacher's weights: here all of them as they are."""
        return weights

    def evidence(self, scores: Tensor) -> Tensor:
        """Scores of classes [B, K, h, w] as shares from 0 to 1."""
        return cast(Tensor, cast(Any, self.decoders.of(self.sensors).attention).shares(scores))

    def offers(self, encoded: Encoded, seen: Shown) -> Offers:
        """What sensors tell about each other: here nothing."""
        return {}

    def compensated(self, offers: Offers, seen: Shown) -> dict[str, list[Slot]]:
        """What fills the slots of missing sensors: here nothing."""
        return {}
