"""Early fusion: a U-Net of all sensors' bands and masks together, which begins at full resolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dis2.config.model import ModelSettings
from dis2.models.layers import padded, up
from dis2.models.prediction import Encoded, Features, Prediction
from dis2.models.rivals.unencoded import Unencoded

LEVELS, GROUPS = 4, 6


class Network(Unencoded):
    """Channels 1.5 w, 3 w, 6 w and 12 w: 24, 48, 96 and 192, which makes 1.1 million parameters, at the default width."""

    def __init__(self, sensors: dict[str, int], classes: int, settings: ModelSettings):
        super().__init__(sensors)
        channels = [settings.width * 3 // 2 * 2**level for level in range(LEVELS)]
        entered = [sum(sensors.values()) + len(sensors), *channels]
        self.down = nn.ModuleList([Block(a, b) for a, b in zip(entered, channels, strict=False)])
        self.up = nn.ModuleList([Block(a + b, a) for a, b in zip(channels, channels[1:], strict=False)])
        self.halve = nn.MaxPool2d(2)
        self.classify = nn.Conv2d(channels[0], classes, 1)

    def decode(self, encoded: Encoded, available: Tensor | None = None) -> Prediction:
        images, masks = self.shown(encoded, available)
        entered = padded(torch.cat([*images.values(), *masks.values()], 1), 2 ** (LEVELS - 1))
        levels = [self.down[0](entered)]  # [V B, 1.5 w, H, W]
        for block in self.down[1:]:
            levels.append(block(self.halve(levels[-1])))  # [V B, 2^l 1.5 w, H / 2^l, W / 2^l]
        x = levels.pop()
        for block, skip in zip(reversed(self.up), reversed(levels), strict=True):
            x = block(torch.cat([skip, up(x, skip)], 1))
        height, width = encoded.size
        return Prediction(self.classify(x)[..., :height, :width], Features(penultimate=x))


class Block(nn.Sequential):
    """Two convolutions, normalised within each sample."""

    def __init__(self, channels_in: int, channels: int):
        super().__init__(
            nn.Conv2d(channels_in, channels, 3, padding=1, bias=False),
            nn.GroupNorm(GROUPS, channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.GroupNorm(GROUPS, channels),
            nn.ReLU(),
        )
