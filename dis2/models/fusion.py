"""Hierarchical hybrid fusion: the fine levels by convolution, the coarsest one by attention between all slots."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dis2.models.layers import AttentionPool, Residual, down, widths


class LevelFusion(nn.Module):
    """The slots of one level made one map, to which the finer level is added."""

    def __init__(self, sensors: int, channels: int, finer: int | None):
        super().__init__()
        self.join = nn.Conv2d(sensors * (channels + 1), channels, 1)
        self.bring = down(finer, channels) if finer else None
        self.refine = Residual(channels)

    def forward(self, slots: list[Tensor], finer: Tensor | None) -> Tensor:
        x = self.join(torch.cat(slots, 1))  # [B, C, h, w]
        if self.bring is not None and finer is not None:
            x = x + self.bring(finer)
        return self.refine(x)


class Attention(nn.Module):
    """A pre-norm transformer layer."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.feed = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))

    def forward(self, tokens: Tensor) -> Tensor:
        q, k, v = self.qkv(self.before(tokens)).chunk(3, -1)  # [B, T, C]
        split = [x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (q, k, v)]
        mixed = F.scaled_dot_product_attention(*split)  # [B, heads, T, C / heads]
        tokens = tokens + self.out(mixed.transpose(1, 2).flatten(2))
        return tokens + self.feed(self.between(tokens))


class HierarchicalFusion(nn.Module):
    """Levels 1 to 3 by convolution with a residual cascade downwards; level 4 by a transformer over the tokens of all slots."""

    def __init__(self, sensors: int, width: int, depth: int, heads: int):
        super().__init__()
        *fine, coarse = widths(width)
        self.levels = nn.ModuleList([LevelFusion(sensors, c, fine[i - 1] if i else None) for i, c in enumerate(fine)])
        self.enter = nn.Conv2d(coarse + 1, coarse, 1)
        self.position = nn.Conv2d(coarse, coarse, 3, padding=1, groups=coarse)
        self.token = nn.Parameter(0.02 * torch.randn(1, 1, coarse))
        self.pool = AttentionPool(fine[-1], coarse)
        self.layers = nn.ModuleList([Attention(coarse, heads) for _ in range(depth)])
        self.leave = nn.Conv2d(sensors * coarse, coarse, 1)

    def forward(self, slots: list[list[Tensor]]) -> tuple[list[Tensor], Tensor]:
        """Fused maps of levels 1 to 4 [B, C, h, w] and the scene's token [B, C]."""
        fused: list[Tensor] = []
        for level, fuse in enumerate(self.levels):
            fused.append(fuse(slots[level], fused[-1] if fused else None))
        entered = [self.enter(slot) for slot in slots[-1]]  # [B, C, h, w] by sensor
        maps = [x + self.position(x) for x in entered]
        batch, channels, height, width = maps[0].shape
        tokens = torch.cat([x.flatten(2).transpose(1, 2) for x in maps], 1)  # [B, N h w, C]
        tokens = torch.cat([self.token.expand(batch, -1, -1), tokens, self.pool(fused[-1]).unsqueeze(1)], 1)
        for layer in self.layers:
            tokens = layer(tokens)
        laid = tokens[:, 1:-1].transpose(1, 2).reshape(batch, channels, len(maps), height, width)
        fused.append(self.leave(laid.transpose(1, 2).flatten(1, 2)))  # [B, C, h, w]
        return fused, tokens[:, 0]
