"""From fused maps to the classes: one decoder for all combinations of sensors, or one for each."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from dis2.combinations import name_of
from dis2.config.model import ModelSettings
from dis2.models.ablations import NoSkips
from dis2.models.classwise import ClasswiseAttention, ClasswiseDecoder
from dis2.models.decoding import Edges, PlainDecoder, PlainScores, Skips
from dis2.models.layers import widths
from dis2.models.prediction import Encoded, Features, Prediction
from dis2.models.rows import Rows, merged, taken
from dis2.models.slots import Shown


class Decoder(nn.Module):
    """Each class's evidence at the coarsest level, then up to full resolution, by class-wise features or plainly."""

    def __init__(self, sensors: tuple[str, ...], classes: int, settings: ModelSettings, adaptive: bool):
        super().__init__()
        self.sensors = sensors
        width, coarse = settings.width, widths(settings.width)[-1]
        skips = Skips(width) if settings.hierarchy else NoSkips()
        if settings.classwise:
            self.attention: nn.Module = ClasswiseAttention(coarse, classes, len(sensors), adaptive)
            self.rise: nn.Module = ClasswiseDecoder(width, classes, settings.class_chunk, skips)
        else:
            self.attention, self.rise = PlainScores(coarse, classes), PlainDecoder(width, classes, skips)
        self.edges = Edges(sensors, width)

    def of(self, combination: tuple[str, ...]) -> Decoder:
        """A copy for samples that show these sensors alone, and so no edges of others."""
        other = copy.deepcopy(self)
        for sensor in (sensor for sensor in self.sensors if sensor not in combination):
            del other.edges[sensor]
        return other

    def forward(self, fused: list[Tensor], encoded: Encoded, seen: Shown) -> Prediction:
        """Logits [V B, K, H, W] of fused maps, in training those of the scales, too."""
        validity = torch.cat([seen.shares[sensor][-1] for sensor in self.sensors], 1)  # [V B, N, h, w]
        scores, features = self.attention(fused[-1], validity)
        logits, scales, penultimate = self.rise(scores, features, fused, partial(self.edges, encoded, seen))
        height, width = encoded.size
        return Prediction(logits[..., :height, :width], Features(scales, penultimate=penultimate, attention=scores))


class Decoders(nn.ModuleDict):
    """The decoder of all sensors, and one for each other combination that has its own; the others share the first one."""

    def __init__(self, first: Decoder, own: Iterable[tuple[str, ...]] = ()):
        super().__init__({name_of(it): first if it == first.sensors else first.of(it) for it in (first.sensors, *own)})
        self.sensors = first.sensors

    def of(self, combination: tuple[str, ...]) -> Decoder:
        """The one of a combination."""
        name = name_of(combination)
        return cast(Decoder, self[name if name in self else name_of(self.sensors)])

    def forward(self, fused: list[Tensor], encoded: Encoded, seen: Shown) -> Prediction:
        """Each sample of all views by the decoder of the sensors that it shows."""
        if len(self) == 1:
            return cast(Prediction, self.of(self.sensors)(fused, encoded, seen))
        groups = alike(encoded, seen, self.sensors)
        if len(groups) == 1:
            return cast(Prediction, self.of(*groups)(fused, encoded, seen))
        some = ((it, rows, only(encoded, seen, rows, it)) for it, rows in groups.items())
        parts = [(rows, self.of(it)([taken(x, rows) for x in fused], *part)) for it, rows, part in some]
        return merged(parts, len(fused[-1]))


def alike(encoded: Encoded, seen: Shown, sensors: tuple[str, ...]) -> dict[tuple[str, ...], Rows]:
    """The samples of all views by the sensors of which they show anything; none are looked at where that is told."""
    if encoded.told and not seen.hiding:
        return {seen.there: [*range(seen.views * encoded.batch)]}
    shows = torch.stack([seen.shares[sensor][0].flatten(1).any(1) for sensor in sensors], 1).tolist()  # [V B][N]
    groups: dict[tuple[str, ...], Rows] = {}
    for row, found in enumerate(shows):
        groups.setdefault(tuple(sensor for sensor, any_of in zip(sensors, found, strict=True) if any_of), []).append(row)
    return groups


def only(encoded: Encoded, seen: Shown, rows: Rows, there: tuple[str, ...]) -> tuple[Encoded, Shown]:
    """What a decoder reads besides fused maps, of some samples that show the same sensors."""
    samples = [row % encoded.batch for row in rows]
    stems = {sensor: taken(encoded.stems[sensor], samples) for sensor in there}
    valid = {sensor: [taken(encoded.valid[sensor][0], samples)] for sensor in there}
    shares = {sensor: [taken(levels[-1], rows)] for sensor, levels in seen.shares.items()}
    few = Encoded(stems, {}, valid, encoded.size, len(rows), encoded.complete & {*there})
    return few, Shown(1, shares, there, few.complete, {})
