"""The plain decoder, and what every decoder shares: what finer levels add on its way up, the last steps to full resolution."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dis2.models.layers import NormReLU, PixelNorm, Residual, doubled, finest, fold, weighed, widths
from dis2.models.prediction import Encoded
from dis2.models.slots import Shown

Edged = Callable[[Tensor], Tensor]
"""Adds to a map at full resolution [V B, F, H, W] what the stems tell."""


def steps(width: int) -> list[tuple[int, int]]:
    """Channels below and above each step from level 4 up to level 1, where as many suffice as at full resolution."""
    channels = [finest(width), *widths(width)[1:]]
    return list(zip(reversed(channels[1:]), reversed(channels[:-1]), strict=True))


class Skips(nn.Module):
    """What the fused levels 3 to 1 add: [B, C, h, w], coarse to fine."""

    def __init__(self, width: int):
        super().__init__()
        pairs = zip(reversed(widths(width)[:-1]), (above for _, above in steps(width)), strict=True)
        self.bring = nn.ModuleList([nn.Conv2d(fused, above, 1) for fused, above in pairs])

    def forward(self, fused: list[Tensor]) -> list[Tensor]:
        return [bring(x) for bring, x in zip(self.bring, reversed(fused[:-1]), strict=True)]


class Edges(nn.ModuleDict):
    """What the stems of the sensors that are shown add at full resolution, made once per image and not once per view.

    Where combinations have their own decoders, it is made once per image and decoder.
    """

    def __init__(self, sensors: tuple[str, ...], width: int):
        super().__init__({sensor: nn.Conv2d(width // 2, finest(width), 1, bias=False) for sensor in sensors})

    def forward(self, encoded: Encoded, seen: Shown, x: Tensor) -> Tensor:
        """x [V B, F, H, W] with all of it, in place where it lies channels last."""
        x = x.contiguous(memory_format=torch.channels_last)
        for sensor in seen.there:
            stem = encoded.stems[sensor]
            stem = stem if sensor in encoded.complete else encoded.valid[sensor][0] * stem
            if torch.is_grad_enabled() or seen.views > 1 or sensor in seen.hiding:
                edge = self[sensor](stem)
                x = x.add_(weighed(edge, seen.hiding[sensor]) if sensor in seen.hiding else fold(edge, seen.views))
            else:  # no map of what is added: at full resolution memory takes longer than arithmetic
                weight = self.get_parameter(f"{sensor}.weight").flatten(1)  # [F, w / 2]
                pixels = stem.movedim(1, -1).flatten(0, -2).to(x.dtype)  # [B H W, w / 2]
                x.movedim(1, -1).view(-1, len(weight)).addmm_(pixels, weight.t().to(x.dtype))
        return x


class Finish(nn.Module):
    """From level 1 to the logits."""

    def __init__(self, channels: int, width: int, classes: int):
        super().__init__()
        fine = finest(width)
        self.mix = nn.Sequential(nn.Conv2d(channels, fine, 3, padding=1), NormReLU(fine))
        self.last = Residual(fine)
        self.norm = NormReLU(fine)
        self.classify = nn.Conv2d(fine, classes, 1)

    def forward(self, x: Tensor, edged: Edged) -> tuple[Tensor, Tensor]:
        """Logits [B, K, H, W] and penultimate features [B, F, H, W]."""
        x = edged(doubled(self.mix(x)))  # [B, F, H, W]
        penultimate = self.norm(self.last(x))
        return self.classify(penultimate), penultimate


class PlainScores(nn.Module):
    """Each cell's classes by a linear layer, whatever sensors are gone."""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.norm = PixelNorm(channels)
        self.classify = nn.Conv2d(channels, classes, 1)

    def forward(self, features: Tensor, validity: Tensor) -> tuple[Tensor, Tensor]:
        """Scores [B, K, h, w] and the normalised features [B, C, h, w]."""
        normed = self.norm(features)
        return self.classify(normed), normed

    def shares(self, scores: Tensor) -> Tensor:
        """Scores [B, K, h, w] as shares from 0 to 1: the classes' probabilities."""
        return torch.softmax(scores, 1)


class PlainDecoder(nn.Module):
    """Works up from level 4 once for all classes."""

    def __init__(self, width: int, classes: int, skips: nn.Module):
        super().__init__()
        self.skips = skips
        self.narrow = nn.ModuleList([nn.Conv2d(a, b, 3, padding=1) for a, b in steps(width)])
        self.norm = nn.ModuleList([NormReLU(b) for _, b in steps(width)])
        self.heads = nn.ModuleList([nn.Conv2d(b, classes, 1) for _, b in steps(width)])
        self.finish = Finish(finest(width), width, classes)

    def forward(self, scores: Tensor, features: Tensor, fused: list[Tensor], edged: Edged) -> tuple[Tensor, list[Tensor], Tensor]:
        """Logits [B, K, H, W], in training those of the scales coarse to fine, penultimate features [B, F, H, W]."""
        x, scales = features, [scores]
        for narrow, skip, norm, head in zip(self.narrow, self.skips(fused), self.norm, self.heads, strict=True):
            x = norm(doubled(narrow(x)).add_(skip))  # [B, C / 2, 2 h, 2 w]
            if self.training:
                scales.append(head(x))
        logits, penultimate = self.finish(x, edged)
        return logits, scales if self.training else [], penultimate
