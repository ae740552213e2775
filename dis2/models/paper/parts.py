"""Images as windows of one size, and how they are put together again."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dis2.raster.grid import Window


def cut(x: Tensor, places: Sequence[Window]) -> Tensor:
    """Windows of every image, filled up with zeros (or False) to the right and below: [B, ...] as [B T, ..., t, t]."""
    side = places[0].height
    height, width = x.shape[-2:]
    x = F.pad(x, (0, max(0, side - width), 0, max(0, side - height)))
    return torch.stack([x[(..., *place.slices)] for place in places], 1).flatten(0, 1)


def stitched(x: Tensor, places: Sequence[Window], size: tuple[int, int]) -> Tensor:
    """The inverse of `cut`; where windows overlap, their mean."""
    if len(places) == 1:
        return x[..., : size[0], : size[1]]
    height, width = places[-1].y + places[-1].height, places[-1].x + places[-1].width
    total, count = x.new_zeros(len(x) // len(places), x.shape[1], height, width), x.new_zeros(height, width)
    for index, place in enumerate(places):
        total[(..., *place.slices)] += x[index :: len(places)]
        count[place.slices] += 1
    return (total / count)[..., : size[0], : size[1]]
