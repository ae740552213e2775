"""Class-wise features: where does each class show, given the sensors at hand, and a decoder that follows each class."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dis2.models.decoding import Edged, Finish, steps
from dis2.models.layers import NormReLU, doubled, finest, joined

MIXED = 4
"""Channels that each class brings to the mixing of all classes."""


class ClasswiseAttention(nn.Module):
    """One map of evidence per class; queries may change where a sensor is gone."""

    shares = staticmethod(torch.sigmoid)
    """Scores [B, K, h, w] as shares from 0 to 1: the gates of the classes."""

    def __init__(self, channels: int, classes: int, sensors: int, adaptive: bool):
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.queries = nn.Parameter(torch.randn(classes, channels) / channels**0.5)
        self.without = nn.Parameter(torch.zeros(sensors, classes, channels)) if adaptive else None

    def forward(self, features: Tensor, validity: Tensor) -> tuple[Tensor, Tensor]:
        """Scores [B, K, h, w] and the normalised features that they weigh [B, C, h, w]."""
        normed = self.norm(features.movedim(1, -1))  # [B, h, w, C]
        scores = torch.einsum("kc,bhwc->bkhw", self.queries, normed)
        if self.without is not None:
            change = torch.einsum("nkc,bhwc->bnkhw", self.without, normed)
            scores = scores + ((1 - validity).unsqueeze(2) * change).sum(1)  # [B, K, h, w]
        return scores, normed.movedim(-1, 1)


class ClasswiseDecoder(nn.Module):
    """Works up from level 4 for each class with shared weights, then mixes the classes.

    The 3 x 3 stands before the upsampling, and the skip half of each merge is computed once per image, not once per class.
    """

    def __init__(self, width: int, classes: int, chunk: int, skips: nn.Module):
        super().__init__()
        self.classes, self.chunk, self.skips = classes, chunk or classes, skips
        self.narrow = nn.ModuleList([nn.Conv2d(a, b, 3, padding=1) for a, b in steps(width)])
        self.norm = nn.ModuleList([NormReLU(b) for _, b in steps(width)])
        self.heads = nn.ParameterList([torch.randn(classes, b) / b**0.5 for _, b in steps(width)])
        self.to_mix = nn.Conv2d(finest(width), MIXED, 1)
        self.finish = Finish(MIXED * classes, width, classes)

    def forward(self, scores: Tensor, features: Tensor, fused: list[Tensor], edged: Edged) -> tuple[Tensor, list[Tensor], Tensor]:
        """Logits [B, K, H, W], in training those of the scales coarse to fine, penultimate features [B, F, H, W]."""
        skips = self.skips(fused)
        gates = ClasswiseAttention.shares(scores)  # [B, K, h, w]
        parts = [
            self._classes(gates[:, first : first + self.chunk], features, skips, first)
            for first in range(0, self.classes, self.chunk)
        ]
        scales = [scores, *(torch.cat(maps, 1) for maps in zip(*(part[1] for part in parts), strict=True))]
        logits, penultimate = self.finish(joined(part[0] for part in parts), edged)
        return logits, scales if self.training else [], penultimate

    def _classes(self, gates: Tensor, features: Tensor, skips: list[Tensor], first: int) -> tuple[Tensor, list[Tensor]]:
        """Some classes: what they bring to the mixing [B, k 4, H / 2, W / 2], and for training their maps [B, k, h, w]."""
        each = gates.shape[:2]
        x = (gates.unsqueeze(2) * features.unsqueeze(1)).flatten(0, 1)  # [B k, C, h, w]
        maps = []
        for narrow, skip, norm, heads in zip(self.narrow, skips, self.norm, self.heads, strict=True):
            x = doubled(narrow(x)).add_(skip.unsqueeze(1).expand(-1, each[1], -1, -1, -1).flatten(0, 1))
            x = norm(x)  # [B k, C / 2, 2 h, 2 w]
            if self.training:
                maps.append(_evidence(x, heads[first : first + gates.shape[1]]))
        mixed = self.to_mix(x).unflatten(0, each)  # [B, k, 4, H / 2, W / 2]
        return mixed.permute(0, 3, 4, 1, 2).flatten(3).movedim(-1, 1), maps


def _evidence(x: Tensor, heads: Tensor) -> Tensor:
    """Each class's features [B k, C, h, w] weighed by that class's head [k, C]: [B, k, h, w]."""
    height, width = x.shape[-2:]
    cells = x.permute(0, 2, 3, 1).flatten(1, 2).unflatten(0, (-1, len(heads)))  # [B, k, h w, C]
    return (cells @ heads.unsqueeze(-1)).view(*cells.shape[:2], height, width)
