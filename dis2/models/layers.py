"""The few layers that everything is built from. Nothing depends on the batch or on the size of the image."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = 4
STRIDE = 2**LEVELS
FINEST = 16
"""Channels that suffice at full resolution, where each costs most; with far fewer, a norm over them would leave little."""


def widths(width: int) -> list[int]:
    """Channels of levels 1 to 4."""
    return [width * 2**level for level in range(LEVELS)]


def finest(width: int) -> int:
    """Channels of a decoder's last steps, at level 1 and full resolution: F = w / 2, but 16 where w reaches that, and else w."""
    return max(width // 2, min(width, FINEST))


class PixelNorm(nn.Module):
    """Layer normalisation over the channels of each pixel."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.movedim(1, -1)).movedim(-1, 1)


class NormReLU(PixelNorm):
    """The same, then ReLU, in place: no gradient asks for what the norm gave."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(x.movedim(1, -1)), inplace=True).movedim(-1, 1)


class Residual(nn.Module):
    """x + conv(act(norm(x))): keeps what it is given and adds to it."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = NormReLU(channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.norm(x)).add_(x)


def down(channels_in: int, channels_out: int) -> nn.Conv2d:
    """Halves the resolution; kernel 4, stride 2, padding 1 keeps pixels aligned with 2 x 2 averages."""
    return nn.Conv2d(channels_in, channels_out, 4, 2, 1)


def up(x: Tensor, like: Tensor) -> Tensor:
    """Brought to the resolution of another map."""
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def doubled(x: Tensor) -> Tensor:
    """Brought to twice the resolution."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def padded(x: Tensor, stride: int = STRIDE) -> Tensor:
    """Filled up with zeros (or False) to the right and below to a multiple of the coarsest stride."""
    height, width = x.shape[-2:]
    pad = (0, -width % stride, 0, -height % stride)
    return F.pad(x, pad) if any(pad) else x


def extended(share: Tensor, stride: int = STRIDE) -> Tensor:
    """Filled up by its own edge to a multiple of the coarsest stride, so that what is complete stays complete."""
    height, width = share.shape[-2:]
    pad = (0, -width % stride, 0, -height % stride)
    return F.pad(share, pad, mode="replicate") if any(pad) else share


def pooled(valid: Tensor) -> list[Tensor]:
    """The share of valid pixels at levels 0 to 4: [B, 1, h, w]."""
    return [valid] + [F.avg_pool2d(valid, 2**level) for level in range(1, LEVELS + 1)]


def fold(x: Tensor, views: int) -> Tensor:
    """The batch once for each view: [B, ...] to [V * B, ...]."""
    return x if views == 1 else x.expand(views, *x.shape).flatten(0, 1)


def weighed(x: Tensor, weight: Tensor) -> Tensor:
    """A map [B, C, h, w] times the weight of every view [V B, 1, h, w]: [V B, C, h, w], the map never repeated."""
    return (weight.unflatten(0, (-1, len(x))) * x).flatten(0, 1)


def joined(maps: Iterable[Tensor]) -> Tensor:
    """Maps side by side, channels last even if one has a single channel, which hides its layout: [B, C1 + C2 + ..., h, w]."""
    return torch.cat([x.movedim(1, -1) for x in maps], -1).movedim(-1, 1)


class AttentionPool(nn.Module):
    """One vector of a map: its positions weighted by a learned score."""

    def __init__(self, channels: int, out: int):
        super().__init__()
        self.score = nn.Sequential(nn.Linear(channels, channels), nn.Tanh(), nn.Linear(channels, 1, bias=False))
        self.project = nn.Linear(channels, out)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)  # [B, hw, C]
        weight = torch.softmax(self.score(tokens), dim=1)  # [B, hw, 1]
        return self.project((weight * tokens).sum(1))  # [B, out]
