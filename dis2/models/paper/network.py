"""The method in its authors' form, two sensors and parts of its own for each scenario, so that what changes here can be measured.

Parameters for 3 + 1 bands, 5 classes and width 32:

    encoders, own and compensatory   2 x (690,528 + 689,504)
    auxiliary decoders               2 x 857,765
    fusion                           3 x 1,920,225 at 512 pixels, 3 x 1,527,009 at 256: two position tables of 256 (tile / 16)^2
    queries                          3 x 1,280
    class-wise decoders              3 x 790,929
    pools                            7 x 29,443
    together                         12,818,997 at 512 pixels, 11,639,349 at 256

It has no notion of a hole: what is invalid is zero, and a sensor with any valid pixel is there. Its position tables and the
softmax of its class attention hold for one size of image: others are cut into windows of that size, each with what is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from dis2.config.model import ModelSettings
from dis2.errors import UserError
from dis2.models import prediction
from dis2.models.layers import widths
from dis2.models.paper.classwise import ClasswiseAttention, ClasswiseDecoder
from dis2.models.paper.encoder import AuxiliaryDecoder, Encoder
from dis2.models.paper.fusion import Fusion, Pools
from dis2.models.paper.parts import cut, stitched
from dis2.models.prediction import Images, Prediction, Validity
from dis2.models.rows import Rows, laid, merged, taken
from dis2.raster.grid import Window, windows

SCENARIOS = ((True, True), (False, True), (True, False))
"""The full one, the first sensor missing, the second one missing."""


@dataclass
class Features(prediction.Features):
    """In training also one vector [B, C] for each of levels 1 to 3."""

    pooled: list[Tensor] = field(default_factory=list)
    """of the fused maps, by the pools of the scenario"""
    pooled_compensatory: list[Tensor] = field(default_factory=list)
    """of what stands in for the missing sensor, for those samples only that lack one"""
    pooled_own: list[Tensor] = field(default_factory=list)
    """of the other sensor in the same samples"""


@dataclass
class Encoded:
    """A batch of B images as B T windows of one size, with each sensor's own features."""

    images: Images
    """[B T, C, t, t], zero where nothing was measured"""
    present: Tensor
    """[B T, N]"""
    levels: dict[str, list[Tensor]]
    """levels 1 to 4: [B T, C, h, w], zero where the sensor is absent"""
    auxiliary: dict[str, Tensor]
    """in training: logits [B T, K, t, t]"""
    places: list[Window]
    size: tuple[int, int]
    batch: int


class Branch(nn.Module):
    """What belongs to one scenario."""

    def __init__(self, width: int, classes: int, tile: int, chunk: int):
        super().__init__()
        self.fusion = Fusion(width, tile)
        self.attention = ClasswiseAttention(widths(width)[-1], classes)
        self.decoder = ClasswiseDecoder(width, classes, chunk)
        self.pools = Pools(width)

    def forward(self, first: list[Tensor], second: list[Tensor]) -> Prediction:
        fused, token = self.fusion(first, second)
        scores = self.attention(fused[-1])
        logits, scales, penultimate = self.decoder(scores, fused[-1], fused)
        pooled = self.pools(fused) if self.training else []
        found = Features(scales=scales, fused=fused, token=token, penultimate=penultimate, attention=scores, pooled=pooled)
        return Prediction(logits, found)


class Network(nn.Module):
    """Each sensor's own encoder; for each scenario a fusion, queries and a decoder, of which those run that a batch needs."""

    def __init__(self, sensors: dict[str, int], classes: int, settings: ModelSettings):
        super().__init__()
        if len(sensors) != 2:
            raise UserError(f"paper: takes two sensors, not {len(sensors)} ({', '.join(sensors)}); leave it out of methods")
        if settings.tile is None:
            raise UserError("model.tile: missing; paper is built for one size of tile, so give its side")
        self.sensors, self.classes, self.tile = tuple(sensors), classes, settings.tile
        width = settings.width
        self.encoders = nn.ModuleDict({sensor: Encoder(bands, width) for sensor, bands in sensors.items()})
        self.compensatory = nn.ModuleDict({sensor: Encoder(bands, width) for sensor, bands in sensors.items()})
        self.auxiliary = nn.ModuleDict({sensor: AuxiliaryDecoder(width, classes) for sensor in sensors})
        self.branches = nn.ModuleList([Branch(width, classes, self.tile, settings.class_chunk) for _ in SCENARIOS])
        self.branches[0].pools.requires_grad_(False)  # only compared to, never moved, and so never learned
        self.own_pools = nn.ModuleDict({sensor: Pools(width) for sensor in sensors})
        self.compensatory_pools = nn.ModuleDict({sensor: Pools(width) for sensor in sensors})

    def forward(self, images: Images, valid: Validity) -> Prediction:
        encoded = self.encode(images, valid)
        return self.decode(encoded, torch.ones(encoded.batch, 2, dtype=torch.bool, device=encoded.present.device))

    def encode(self, images: Images, valid: Validity) -> Encoded:
        """Each sensor by itself, in the windows that it has measured."""
        first = next(iter(images.values()))
        height, width = first.shape[-2:]
        if self.training and (height, width) != (self.tile, self.tile):
            raise UserError(f"model.tile: {self.tile} is not training.tile; paper is built for one size of tile: leave it out")
        places = list(windows(max(height, self.tile), max(width, self.tile), self.tile))
        present = torch.zeros(len(first) * len(places), 2, dtype=torch.bool, device=first.device)
        encoded = Encoded({}, present, {}, {}, places, (height, width), len(first))
        for index, sensor in enumerate(self.sensors):
            if sensor in images:
                mask = cut(valid[sensor], places)
                present[:, index] = mask.flatten(1).any(1)
                encoded.images[sensor] = cut(torch.where(valid[sensor], images[sensor], 0.0), places)
                self._encode(encoded, sensor, present[:, index].nonzero().flatten().tolist())
        if not encoded.levels:
            raise ValueError("no sensor has a valid pixel in this batch")
        return encoded

    def _encode(self, encoded: Encoded, sensor: str, rows: Rows) -> None:
        if not rows:
            return
        levels = self.encoders[sensor](taken(encoded.images[sensor], rows))
        encoded.levels[sensor] = [laid([(rows, x)], len(encoded.present)) for x in levels]
        if self.training:
            encoded.auxiliary[sensor] = laid([(rows, self.auxiliary[sensor](levels))], len(encoded.present))

    def decode(self, encoded: Encoded, available: Tensor) -> Prediction:
        """As if only some sensors were there: available [V B, 2]. Where none is, every class is alike."""
        count, views = len(encoded.present), len(available) // encoded.batch
        there = available.repeat_interleave(len(encoded.places), 0) & encoded.present.repeat(views, 1)  # [V B T, 2]
        found = [tuple(row) for row in there.tolist()]
        parts = []
        for scenario, branch in zip(SCENARIOS, self.branches, strict=True):
            rows = [row for row, sensors in enumerate(found) if sensors == scenario]
            if rows:
                parts.append((rows, self._decode(branch, encoded, scenario, [row % count for row in rows])))
        if not parts:
            like = next(iter(encoded.images.values()))
            return Prediction(like.new_zeros(len(available), self.classes, *encoded.size))
        whole = _merged(parts, len(found))
        whole.features.auxiliary, whole.features.own = encoded.auxiliary, encoded.levels
        return Prediction(stitched(whole.logits, encoded.places, encoded.size), whole.features)

    def _decode(self, branch: Any, encoded: Encoded, scenario: tuple[bool, bool], rows: Rows) -> Prediction:
        """Some windows by the branch of their scenario; for a missing sensor, the other one's compensatory features."""
        if all(scenario):
            return cast(Prediction, branch(*(_levels(encoded, sensor, rows) for sensor in self.sensors)))
        there = scenario.index(True)
        sensor = self.sensors[there]
        own, other = _levels(encoded, sensor, rows), self.compensatory[sensor](taken(encoded.images[sensor], rows))
        prediction: Prediction = branch(own, other) if there == 0 else branch(other, own)
        if self.training:
            seen = cast(Features, prediction.features)
            seen.pooled_own, seen.pooled_compensatory = self.own_pools[sensor](own), self.compensatory_pools[sensor](other)
        return prediction


def _levels(encoded: Encoded, sensor: str, rows: Rows) -> list[Tensor]:
    return [taken(level, rows) for level in encoded.levels[sensor]]


def _merged(parts: Sequence[tuple[Rows, Prediction]], count: int) -> Prediction:
    """The predictions of all scenarios as one, each sample at its place."""
    rows, seen = [rows for rows, _ in parts], [cast(Features, prediction.features) for _, prediction in parts]

    def put(tensors: Sequence[Tensor]) -> Tensor:
        return laid(zip(rows, tensors, strict=True), count)

    whole = merged([prediction for _, prediction in parts], put)
    pooled = [put(same) for same in zip(*(it.pooled for it in seen), strict=True)]
    compensatory, own = (_side_by_side([getattr(it, name) for it in seen]) for name in ("pooled_compensatory", "pooled_own"))
    return Prediction(
        whole.logits, Features(**vars(whole.features), pooled=pooled, pooled_compensatory=compensatory, pooled_own=own)
    )


def _side_by_side(groups: Sequence[list[Tensor]]) -> list[Tensor]:
    """The vectors of all scenarios that have some, level by level."""
    return [torch.cat(same) for same in zip(*(group for group in groups if group), strict=True)]
