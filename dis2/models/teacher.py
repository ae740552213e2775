"""The teacher: encoders, hierarchical fusion and class-wise features of every sensor."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dis2.config.model import ModelSettings
from dis2.models.classwise import ClasswiseAttention, ClasswiseDecoder
from dis2.models.encoder import AuxiliaryDecoder, Encoders
from dis2.models.fusion import HierarchicalFusion
from dis2.models.layers import widths
from dis2.models.prediction import Encoded, Features, Images, Offers, Prediction, Slot, Validity
from dis2.models.slots import Slots


class Network(nn.Module):
    """Encoders once, then fusion and decoding for whatever availability is asked for. Here, what is missing stays empty."""

    adaptive = False
    """Do slots and class queries know that a sensor is gone?"""

    def __init__(self, sensors: dict[str, int], classes: int, settings: ModelSettings):
        super().__init__()
        self.sensors = tuple(sensors)
        count, width = len(sensors), settings.width
        self.encoders = Encoders(sensors, width)
        self.auxiliary = nn.ModuleDict({sensor: AuxiliaryDecoder(width, classes) for sensor in sensors})
        self.slots = Slots(self.sensors, width, self.adaptive)
        self.fusion = HierarchicalFusion(count, width, settings.depth, settings.heads)
        self.attention = ClasswiseAttention(widths(width)[-1], classes, count, self.adaptive)
        self.decoder = ClasswiseDecoder(count, width, classes, settings.class_chunk)

    def forward(self, images: Images, valid: Validity) -> Prediction:
        encoded = self.encode(images, valid)
        first = next(iter(images.values()))
        return self.decode(encoded, torch.ones(len(first), len(self.sensors), dtype=torch.bool, device=first.device))

    def encode(self, images: Images, valid: Validity) -> Encoded:
        """Each sensor by itself."""
        encoded = self.encoders(images, valid)
        if not encoded.levels:
            raise ValueError("no sensor has a valid pixel in this batch")
        return encoded

    def decode(self, encoded: Encoded, available: Tensor) -> Prediction:
        """Fusion and decoding as if only some sensors were there: available [V B, N] holds V views of the batch."""
        offers = self.offers(encoded, available)
        compensated = self.compensated(encoded, available, offers)
        stems, slots, validity = self.slots(encoded, available, compensated)
        fused, token = self.fusion(slots)
        scores, features = self.attention(fused[-1], validity)
        logits, scales, penultimate = self.decoder(scores, features, fused, stems)
        height, width = encoded.size
        auxiliary = {sensor: self.auxiliary[sensor](levels) for sensor, levels in encoded.levels.items()} if self.training else {}
        found = Features(scales, auxiliary, fused, token, penultimate, scores, offers, compensated)
        return Prediction(logits[..., :height, :width], found)

    def offers(self, encoded: Encoded, available: Tensor) -> Offers:
        """What sensors tell about each other: here nothing."""
        return {}

    def compensated(self, encoded: Encoded, available: Tensor, offers: Offers) -> dict[str, list[Slot]]:
        """What fills the slots of missing sensors: here nothing."""
        return {}
