"""What fusion rivals stand on: encoders that run once, a fusion of their own for each availability, and the plain decoder."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial, reduce

import torch
from torch import Tensor, nn

from dis2.config.model import ModelSettings
from dis2.models.encoder import AuxiliaryDecoder, Trunk, encoded, masked, stem
from dis2.models.layers import weighed, widths
from dis2.models.prediction import Encoded, Features, Images, Measured, Prediction, Validity
from dis2.models.rivals.decoder import Decoder
from dis2.models.slots import Shown, shown

EPSILON = 1e-8
"""Less than anything that a sensor weighs where it is valid at all."""


class FusionNetwork(nn.Module):
    """A rival says what its encoders are and how it fuses. One auxiliary decoder serves all sensors."""

    def __init__(self, sensors: dict[str, int], classes: int, settings: ModelSettings, encoders: nn.Module):
        super().__init__()
        self.sensors = tuple(sensors)
        self.encoders = encoders
        self.auxiliary = AuxiliaryDecoder(settings.width, classes)
        self.decoder = Decoder(settings.width, classes)

    def forward(self, images: Images, valid: Validity) -> Prediction:
        return self.decode(self.encode(images, valid))

    def encode(self, images: Images, valid: Validity, measured: Measured | None = None) -> Encoded:
        """Each sensor by itself."""
        found: Encoded = self.encoders(images, valid, measured)
        if not found.levels:
            raise ValueError("no sensor has a valid pixel in this batch")
        return found

    def decode(self, encoded: Encoded, available: Tensor | None = None) -> Prediction:
        """Fusion and decoding as if only some sensors were there: available [V B, N] holds V views of the batch."""
        fused, guesses = self.fuse(encoded, shown(encoded, available, self.sensors))
        logits, scales, penultimate = self.decoder(fused)
        height, width = encoded.size
        auxiliary = {sensor: self.auxiliary(levels) for sensor, levels in encoded.levels.items()} if self.training else {}
        found = Features(scales=[*guesses, *scales], auxiliary=auxiliary, fused=fused[1:], penultimate=penultimate)
        return Prediction(logits[..., :height, :width], found)

    def fuse(self, encoded: Encoded, seen: Shown) -> tuple[list[Tensor], list[Tensor]]:
        """One map [V B, C, h, w] for each of levels 0 to 4, and guesses of the classes [V B, K, h, w] that fusion relies on."""
        raise NotImplementedError


class SharedEncoders(nn.Module):
    """A stem for each sensor's bands, and one trunk for all: little grows with the sensors."""

    def __init__(self, sensors: dict[str, int], width: int):
        super().__init__()
        self.stems = nn.ModuleDict({sensor: stem(bands, width // 2) for sensor, bands in sensors.items()})
        self.trunk = Trunk(width)

    def forward(self, images: Images, valid: Validity, measured: Measured | None = None) -> Encoded:
        return encoded(images, valid, {sensor: partial(self._one, first) for sensor, first in self.stems.items()}, measured)

    def _one(self, first: nn.Module, image: Tensor, valid: Tensor) -> list[Tensor]:
        return self.trunk.climb(first(masked(image, valid)))


def channels(width: int) -> list[int]:
    """Channels of levels 0 to 4."""
    return [width // 2, *widths(width)]


def maps(encoded: Encoded, level: int) -> dict[str, Tensor]:
    """What the sensors that were measured show at one of levels 0 to 4: [B, C, h, w]."""
    return encoded.stems if level == 0 else {sensor: levels[level - 1] for sensor, levels in encoded.levels.items()}


def shares(seen: Shown, level: int) -> dict[str, Tensor]:
    """What every sensor shows of a level: [V B, 1, h, w]."""
    return {sensor: levels[level] for sensor, levels in seen.shares.items()}


def averaged(features: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> Tensor:
    """The sensors' mean [V B, C, h, w] of features [B, C, h, w] by weight [V B, 1, h, w]; 0 where nothing has any."""
    total = reduce(torch.add, [weights[sensor] for sensor in features]).clamp_min(EPSILON)
    return reduce(torch.add, [weighed(x, weights[sensor] / total) for sensor, x in features.items()])


def mean_where_valid(x: Tensor, share: Tensor) -> Tensor:
    """The mean of a map over what is valid of it: [B, C]."""
    return (share * x).sum((2, 3)) / share.sum((2, 3)).clamp_min(EPSILON)


def side_by_side(found: Mapping[str, Tensor], sensors: tuple[str, ...]) -> Tensor:
    """A number of every sensor and sample [B], 0 for sensors that were not measured: [B, N]."""
    nothing = torch.zeros_like(next(iter(found.values())))
    return torch.stack([found.get(sensor, nothing) for sensor in sensors], 1)
