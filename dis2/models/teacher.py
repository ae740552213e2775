"""The teacher: encoders and hierarchical fusion of every sensor, and a decoder, plain or class-wise."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from dis2.config.model import ModelSettings
from dis2.models.ablations import NoSkips
from dis2.models.classwise import ClasswiseAttention, ClasswiseDecoder
from dis2.models.decoding import Edges, PlainDecoder, PlainScores, Skips
from dis2.models.encoder import AuxiliaryDecoder, Encoders
from dis2.models.fusion import CoarseFusion, HierarchicalFusion
from dis2.models.layers import widths
from dis2.models.prediction import Encoded, Features, Images, Measured, Offers, Prediction, Slot, Validity
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
        count, width, coarse = len(sensors), settings.width, widths(settings.width)[-1]
        self.encoders = Encoders(sensors, width)
        self.auxiliary = nn.ModuleDict({sensor: AuxiliaryDecoder(width, classes) for sensor in sensors})
        self.slots = Slots(self.sensors, width, self.adaptive, settings.fused_levels)
        fusion = HierarchicalFusion if settings.hierarchy else CoarseFusion
        self.fusion = fusion(count, width, settings.depth, settings.heads)
        skips = Skips(width) if settings.hierarchy else NoSkips()
        if settings.classwise:
            self.attention: nn.Module = ClasswiseAttention(coarse, classes, count, self.adaptive)
            self.decoder: nn.Module = ClasswiseDecoder(width, classes, settings.class_chunk, skips)
        else:
            self.attention, self.decoder = PlainScores(coarse, classes), PlainDecoder(width, classes, skips)
        self.edges = Edges(self.sensors, width)

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
        logits, scales, penultimate, scores = self._decode_fused(fused, encoded, seen)
        auxiliary = {sensor: self.auxiliary[sensor](levels) for sensor, levels in encoded.levels.items()} if self.training else {}
        found = Features(scales, auxiliary, fused, token, penultimate, scores, offers, compensated, encoded.levels)
        return Prediction(logits, found)

    def of_fused(self, fused: list[Tensor], encoded: Encoded, available: Tensor | None = None) -> Tensor:
        """Logits [V B, K, H, W] of other fused features than its own: what if a level told something else?"""
        return self._decode_fused(fused, encoded, shown(encoded, available, self.sensors))[0]

    def _decode_fused(self, fused: list[Tensor], encoded: Encoded, seen: Shown) -> tuple[Tensor, list[Tensor], Tensor, Tensor]:
        """Logits [V B, K, H, W], in training those of the scales, penultimate features [V B, F, H, W], scores [V B, K, h, w]."""
        validity = torch.cat([seen.shares[sensor][-1] for sensor in self.sensors], 1)  # [V B, N, h, w]
        scores, features = self.attention(fused[-1], validity)
        logits, scales, penultimate = self.decoder(scores, features, fused, partial(self.edges, encoded, seen))
        height, width = encoded.size
        return logits[..., :height, :width], scales, penultimate, scores

    def offers(self, encoded: Encoded, seen: Shown) -> Offers:
        """What sensors tell about each other: here nothing."""
        return {}

    def compensated(self, offers: Offers, seen: Shown) -> dict[str, list[Slot]]:
        """What fills the slots of missing sensors: here nothing."""
        return {}
