"""The authors' hierarchical fusion of two sensors: levels 1 to 3 by convolution, level 4 by attention between all positions."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dis2.models.layers import STRIDE, down, widths
from dis2.models.paper.encoder import SLOPE

DEPTH, HEADS, DROPOUT = 2, 8, 0.1


class PreNorm(nn.Module):
    """Normalised over channels and positions of a sample, leaky ReLU, convolution."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, padding: Literal["zeros", "reflect"]):
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, padding_mode=padding)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.conv(F.leaky_relu(F.group_norm(x, 1), SLOPE))
        return found


class Pool(nn.Module):
    """One vector of a map: its positions weighted by a learned score that is shared out among them."""

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.score = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)  # [B, h w, C]
        weight = torch.softmax(self.score(tokens), 1)  # [B, h w, 1]
        return (weight * tokens).sum(1)  # [B, C]


class Pools(nn.ModuleList):
    """A pool for each of levels 1 to 3: what distillation and diversity compare."""

    def __init__(self, width: int):
        super().__init__(Pool(c, 4 * width) for c in widths(width)[:3])

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        return [pool(x) for pool, x in zip(self, levels, strict=False)]


class Transformer(nn.Module):
    """A transformer layer that normalises behind each sum, with dropout in the attention too."""

    def __init__(self, channels: int):
        super().__init__()
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.widen, self.narrow = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.between, self.after = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.dropout = nn.Dropout(DROPOUT)
        nn.init.xavier_uniform_(self.qkv.weight)
        nn.init.zeros_(self.qkv.bias)
        nn.init.zeros_(self.out.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        q, k, v = (x.unflatten(-1, (HEADS, -1)).transpose(1, 2) for x in self.qkv(tokens).chunk(3, -1))
        # [B, heads, T, C / heads]
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout.p if self.training else 0.0)
        tokens = self.between(tokens + self.dropout(self.out(mixed.transpose(1, 2).flatten(2))))
        fed = self.narrow(self.dropout(F.relu(self.widen(tokens))))
        normed: Tensor = self.after(tokens + self.dropout(fed))
        return normed


class Fusion(nn.Module):
    """Both slots of each level made one map; each level adds the finer one, brought down. Positions are learned one by one."""

    def __init__(self, width: int, tile: int):
        super().__init__()
        *fine, coarse = widths(width)
        self.side = tile // STRIDE
        self.join = nn.ModuleList(
            [nn.Sequential(PreNorm(2 * c, c, 1, "zeros"), PreNorm(c, c, 3, "zeros"), PreNorm(c, c, 1, "zeros")) for c in fine]
        )
        self.bring = nn.ModuleList([nn.Sequential(down(a, b), nn.BatchNorm2d(b)) for a, b in zip(fine, fine[1:], strict=False)])
        self.pool, self.project = Pool(fine[-1], 4 * width), nn.Linear(fine[-1], coarse)
        self.token = nn.Parameter(torch.zeros(1, 1, coarse))
        self.positions = nn.Parameter(torch.zeros(2, self.side**2, coarse))
        self.layers = nn.ModuleList([Transformer(coarse) for _ in range(DEPTH)])
        self.unify = nn.Conv2d(2 * coarse, coarse, 1)

    def forward(self, first: list[Tensor], second: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Fused maps of levels 1 to 4 [B, C, h, w] and the scene's token [B, C]."""
        fused: list[Tensor] = []
        for level, join in enumerate(self.join):
            x = join(torch.cat([first[level], second[level]], 1))  # [B, C, h, w]
            fused.append(x + self.bring[level - 1](fused[-1]) if level else x)
        tokens = [x.flatten(2).transpose(1, 2) + table for x, table in zip((first[-1], second[-1]), self.positions, strict=True)]
        above = self.project(self.pool(fused[-1])).unsqueeze(1)  # [B, 1, C]
        sequence = torch.cat([self.token.expand(len(above), -1, -1), *tokens, above], 1)  # [B, 2 h w + 2, C]
        for layer in self.layers:
            sequence = layer(sequence)
        laid = sequence[:, 1:-1].unflatten(1, (2, self.side, self.side))  # [B, 2, h, w, C]
        fused.append(self.unify(laid.permute(0, 1, 4, 2, 3).flatten(1, 2)))
        return fused, sequence[:, 0]
