"""Hierarchical hybrid fusion: the fine levels by convolution, the coarsest one by attention between all slots."""

from __future__ import annotations

from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dis2.models.layers import AttentionPool, Residual, down, joined, widths

CELLS = 16
"""Cells a side of each map that attention looks at; with the finer ones too its cost would grow with the square of the image."""
LevelSlots = list[tuple[Tensor, Tensor]]
"""A level's slots: features [B, C, h, w] and certainty [B, 1, h, w] of each sensor."""


class LevelFusion(nn.Module):
    """The slots of one level made one map, to which the finer level is added."""

    def __init__(self, sensors: int, channels: int, finer: int | None):
        super().__init__()
        self.join = nn.Conv2d(sensors * (channels + 1), channels, 1)
        self.bring = down(finer, channels) if finer else None
        self.refine = Residual(channels)

    def forward(self, slots: LevelSlots, finer: Tensor | None) -> Tensor:
        x = self.join(joined(chain.from_iterable(slots)))  # [B, C, h, w]
        if self.bring is not None and finer is not None:
            x = x + self.bring(finer)
        return self.refine(x)


def coarsened(tokens: Tensor, maps: int, size: tuple[int, int]) -> Tensor:
    """What attention looks at: tokens [B, 1 + N h w + context, C], the maps among them averaged to at most `CELLS` a side."""
    factor = -(-max(size) // CELLS)
    if factor == 1:
        return tokens
    count = maps * size[0] * size[1]
    scene, laid, context = tokens.split([1, count, tokens.shape[1] - 1 - count], 1)
    cells = laid.unflatten(1, (maps, *size)).flatten(0, 1).movedim(-1, 1)  # [B N, C, h, w]
    few = F.avg_pool2d(cells, factor, ceil_mode=True).flatten(2).transpose(1, 2)  # [B N, S, C]
    return torch.cat([scene, few.unflatten(0, (-1, maps)).flatten(1, 2), context], 1)


class Attention(nn.Module):
    """A pre-norm transformer layer."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.feed = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))

    def forward(self, tokens: Tensor, maps: int = 0, size: tuple[int, int] = (1, 1)) -> Tensor:
        """Tokens [B, T, C]; if most of them are maps of that size, what is looked at of those is coarsened."""
        normed = self.before(tokens)
        asked = coarsened(normed, maps, size)  # [B, S, C]
        if asked is normed:
            q, k, v = self.qkv(normed).chunk(3, -1)  # [B, T, C]
        else:
            ask, tell = self.qkv.weight.split([normed.shape[-1], 2 * normed.shape[-1]])
            bias = self.qkv.bias.split([len(ask), len(tell)])
            q, (k, v) = F.linear(normed, ask, bias[0]), F.linear(asked, tell, bias[1]).chunk(2, -1)
        split = [x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (q, k, v)]
        mixed = F.scaled_dot_product_attention(*split)  # [B, heads, T, C / heads]
        tokens = tokens + self.out(mixed.transpose(1, 2).flatten(2))
        return tokens + self.feed(self.between(tokens))


class CoarseFusion(nn.Module):
    """Level 4 alone: a transformer over the tokens of all slots, a token of the scene, and whatever context it is given."""

    def __init__(self, sensors: int, width: int, depth: int, heads: int):
        super().__init__()
        channels = widths(width)[-1]
        self.enter = nn.Conv2d(channels + 1, channels, 1)
        self.position = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.token = nn.Parameter(0.02 * torch.randn(1, 1, channels))
        self.layers = nn.ModuleList([Attention(channels, heads) for _ in range(depth)])
        self.leave = nn.Conv2d(sensors * channels, channels, 1)

    def forward(self, slots: list[LevelSlots]) -> tuple[list[Tensor], Tensor]:
        """The fused map of level 4 [B, C, h, w] and the scene's token [B, C]."""
        fused, token = self.attend(slots[-1], [])
        return [fused], token

    def attend(self, slots: LevelSlots, context: list[Tensor]) -> tuple[Tensor, Tensor]:
        entered = [self.enter(joined(slot)) for slot in slots]  # [B, C, h, w] by sensor
        maps = [x + self.position(x) for x in entered]
        batch, _, height, width = maps[0].shape
        parts = [self.token.expand(batch, -1, -1), *(x.flatten(2).transpose(1, 2) for x in maps), *context]
        tokens = torch.cat(parts, 1)  # [B, 1 + N h w + context, C]
        for layer in self.layers:
            tokens = layer(tokens, len(maps), (height, width))
        laid = tokens[:, 1 : 1 + len(maps) * height * width].unflatten(1, (len(maps), height, width))  # [B, N, h, w, C]
        fused = self.leave(laid.permute(0, 2, 3, 1, 4).flatten(3).movedim(-1, 1))  # [B, C, h, w]
        return fused, tokens[:, 0]


class HierarchicalFusion(CoarseFusion):
    """Levels 1 to 3 by convolution with a residual cascade downwards; level 4 sees level 3 pooled by attention."""

    def __init__(self, sensors: int, width: int, depth: int, heads: int):
        super().__init__(sensors, width, depth, heads)
        *fine, coarse = widths(width)
        self.levels = nn.ModuleList([LevelFusion(sensors, c, fine[i - 1] if i else None) for i, c in enumerate(fine)])
        self.pool = AttentionPool(fine[-1], coarse)

    def forward(self, slots: list[LevelSlots]) -> tuple[list[Tensor], Tensor]:
        """Fused maps of levels 1 to 4 [B, C, h, w] and the scene's token [B, C]."""
        fused: list[Tensor] = []
        for level, fuse in enumerate(self.levels):
            fused.append(fuse(slots[level], fused[-1] if fused else None))
        coarse, token = self.attend(slots[-1], [self.pool(fused[-1]).unsqueeze(1)])
        return [*fused, coarse], token
