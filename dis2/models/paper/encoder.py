"""One sensor's encoder as its authors have it, and the decoder that only its training needs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dis2.models.layers import down, widths

SLOPE = 0.2
"""Of every leaky ReLU."""


class Encoder(nn.Module):
    """Four convolutions, each of which halves the resolution; the two in the middle are normalised over the batch."""

    def __init__(self, bands: int, width: int):
        super().__init__()
        channels = [bands, *widths(width)]
        self.down = nn.ModuleList([down(a, b) for a, b in zip(channels, channels[1:], strict=False)])
        self.norm = nn.ModuleList([nn.Identity(), *(nn.BatchNorm2d(c) for c in channels[2:4]), nn.Identity()])

    def forward(self, x: Tensor) -> list[Tensor]:
        """Levels 1 to 4: [B, C, h, w]."""
        levels: list[Tensor] = []
        for halve, norm in zip(self.down, self.norm, strict=True):
            levels.append(norm(halve(F.leaky_relu(levels[-1], SLOPE) if levels else x)))
        return levels


class AuxiliaryDecoder(nn.Module):
    """A sensor's own way back to full resolution, by transposed convolutions beside which the encoder's levels are laid."""

    def __init__(self, width: int, classes: int):
        super().__init__()
        first, second, third, fourth = widths(width)
        steps = [(fourth, third), (2 * third, second), (2 * second, first), (2 * first, classes)]
        self.up = nn.ModuleList([nn.ConvTranspose2d(a, b, 4, 2, 1) for a, b in steps])
        self.norm = nn.ModuleList([nn.BatchNorm2d(b) for _, b in steps[:-1]])

    def forward(self, levels: list[Tensor]) -> Tensor:
        """Logits [B, K, H, W]."""
        *skips, x = levels
        for rise, norm, skip in zip(self.up, self.norm, reversed(skips), strict=False):
            x = torch.cat([norm(rise(F.relu(x))), skip], 1)
        logits: Tensor = self.up[-1](F.relu(x))
        return logits
