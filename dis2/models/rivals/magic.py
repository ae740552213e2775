"""MAGIC-style fusion: one encoder for all sensors, their mean, and training on the sensors that are most and least like it.

After X. Zheng et al., "Centering the value of every modality: towards efficient and resilient modality-agnostic semantic
segmentation", ECCV 2024. All sensors pass one encoder and an aggregation with parallel pooling, and any number of them is
averaged; in training, sensors are ranked by their cosine similarity to the aggregate, and the most similar (robust) and the most
different one (fragile) are aggregated once more, to predict the same.

Different here: each sensor has its own stem, since bands differ; aggregation pools each sensor's features before the mean is
taken, so that it runs once for all availabilities; means go cell by cell, as validity does; decoder, views and recipe are those
of all fusion rivals.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dis2.config.model import ModelSettings
from dis2.models.layers import LEVELS, NormReLU, widths
from dis2.models.prediction import Encoded, Images, Measured, Validity
from dis2.models.rivals.network import FusionNetwork, SharedEncoders, averaged, maps, mean_where_valid, shares, side_by_side
from dis2.models.slots import Shown

POOLS = (3, 5, 7)


class ParallelPooling(nn.Module):
    """x + mixed means of the neighbourhoods of each cell."""

    def __init__(self, channels: int):
        super().__init__()
        self.enter = nn.Sequential(NormReLU(channels), nn.Conv2d(channels, channels, 1))
        self.leave = nn.Sequential(nn.ReLU(), nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.enter(x)
        pooled = [F.avg_pool2d(y, size, 1, size // 2, count_include_pad=False) for size in POOLS]
        return x + self.leave(torch.stack([y, *pooled]).sum(0))


class Network(FusionNetwork):
    """The mean of whatever sensors there are."""

    def __init__(self, sensors: dict[str, int], classes: int, settings: ModelSettings):
        super().__init__(sensors, classes, settings, SharedEncoders(sensors, settings.width))
        self.pooling = nn.ModuleList([ParallelPooling(c) for c in widths(settings.width)])

    def encode(self, images: Images, valid: Validity, measured: Measured | None = None) -> Encoded:
        encoded = super().encode(images, valid, measured)
        for sensor, levels in encoded.levels.items():
            encoded.levels[sensor] = [pool(x) for pool, x in zip(self.pooling, levels, strict=True)]
        return encoded

    def fuse(self, encoded: Encoded, seen: Shown) -> tuple[list[Tensor], list[Tensor]]:
        return [averaged(maps(encoded, level), shares(seen, level)) for level in range(LEVELS + 1)], []


@torch.no_grad()
def similarities(encoded: Encoded, sensors: tuple[str, ...]) -> Tensor:
    """How like the mean of all sensors each one is: its mean cosine over the valid cells of level 4, [B, N]."""
    coarse, valid = maps(encoded, LEVELS), {sensor: shares[LEVELS] for sensor, shares in encoded.valid.items()}
    aggregate = averaged(coarse, valid)  # [B, C, h, w]
    cosines = {sensor: F.cosine_similarity(x, aggregate, dim=1).unsqueeze(1) for sensor, x in coarse.items()}
    return side_by_side({s: mean_where_valid(x, valid[s]).squeeze(1) for s, x in cosines.items()}, sensors)
