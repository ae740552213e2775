"""The authors' class-wise attention, which shares each class out among the positions, and the decoder that follows each class."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dis2.models.classwise import MIXED
from dis2.models.layers import joined, widths
from dis2.models.paper.fusion import PreNorm


class ClasswiseAttention(nn.Module):
    """Scores of each class at each position of level 4. Their softmax over positions leaves weights near 1 / (h w)."""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.queries = nn.Parameter(nn.init.xavier_uniform_(torch.empty(classes, channels)))

    def forward(self, features: Tensor) -> Tensor:
        return torch.einsum("kc,bchw->bkhw", self.queries, features) / features.shape[1] ** 0.5  # [B, K, h, w]


class Heads(nn.Module):
    """A 1 x 1 convolution of its own for each class."""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.conv = nn.Conv2d(classes * channels, classes, 1, groups=classes)

    def forward(self, x: Tensor, count: int, first: int) -> Tensor:
        """Features [B k, C, h, w] of k classes, from the first one on, as their maps [B, k, h, w]."""
        chosen = slice(first, first + count)
        weight, bias = self.conv.weight[chosen, :, 0, 0], self.conv.bias[chosen]  # type: ignore[index]
        return torch.einsum("bkchw,kc->bkhw", x.unflatten(0, (-1, count)), weight) + bias.view(-1, 1, 1)


class ClasswiseDecoder(nn.Module):
    """Works up from level 4 for each class with shared weights but for the heads, and mixes the classes at full resolution."""

    def __init__(self, width: int, classes: int, chunk: int):
        super().__init__()
        channels = widths(width)
        self.classes, self.chunk = classes, chunk or classes
        steps = list(zip(reversed(channels[1:]), reversed(channels[:-1]), strict=True))  # (8w, 4w), (4w, 2w), (2w, w)
        merged = [*(b for _, b in steps[:-1]), MIXED]
        self.rise = nn.ModuleList([PreNorm(a, b, 3, "reflect") for a, b in steps])
        self.merge = nn.ModuleList([PreNorm(2 * b, c, 3, "reflect") for (_, b), c in zip(steps, merged, strict=True)])
        self.heads = nn.ModuleList([Heads(c, classes) for c in (channels[-1], *merged)])
        self.mix = nn.Sequential(PreNorm(MIXED * classes, 2 * width, 3, "reflect"), PreNorm(2 * width, width, 3, "reflect"))
        self.classify = nn.Conv2d(width, classes, 1)

    def forward(self, scores: Tensor, features: Tensor, fused: list[Tensor]) -> tuple[Tensor, list[Tensor], Tensor]:
        """Logits [B, K, H, W], in training those of the scales coarse to fine, penultimate features [B, w, H, W]."""
        weight = torch.softmax(scores.flatten(2), 2).view_as(scores)  # [B, K, h, w]
        parts = [
            self._classes(weight[:, first : first + self.chunk], features, fused, first)
            for first in range(0, self.classes, self.chunk)
        ]
        scales = [torch.cat(maps, 1) for maps in zip(*(maps for _, maps in parts), strict=True)]
        penultimate = self.mix(torch.cat([brought for brought, _ in parts], 1))  # [B, w, H, W]
        return self.classify(penultimate), scales, penultimate

    def _classes(self, weight: Tensor, features: Tensor, fused: list[Tensor], first: int) -> tuple[Tensor, list[Tensor]]:
        """Some classes at once: what they bring to the mixing [B, 4 k, H, W] and, in training, their maps [B, k, h, w]."""
        count = weight.shape[1]
        x = (weight.unsqueeze(2) * features.unsqueeze(1)).flatten(0, 1)  # [B k, 8w, h, w]
        x = x.contiguous(memory_format=torch.channels_last)
        maps = [self.heads[0](x, count, first)] if self.training else []
        levels = zip(self.rise, self.merge, self.heads[1:], reversed(fused[:-1]), strict=True)
        for rise, merge, heads, skip in levels:
            x = merge(joined([skip.repeat_interleave(count, 0), rise(doubled(x))]))  # [B k, C, 2 h, 2 w]
            if self.training:
                maps.append(heads(x, count, first))
        return doubled(x.unflatten(0, (-1, count)).flatten(1, 2)), maps


def doubled(x: Tensor) -> Tensor:
    """Twice the resolution, with the outermost pixels where they were: half a pixel beside what the levels' strides mean."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
