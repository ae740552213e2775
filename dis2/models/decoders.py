"""From fused maps to the classes: one decoder for all combinations of sensors, or one for each."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from functools import partial, reduce
from itertools import compress
from typing import cast

import torch
from torch import Tensor, nn

from dis2.combinations import Combination, combinations, name_of
from dis2.config.model import ModelSettings
from dis2.models.ablations import NoSkips
from dis2.models.classwise import ClasswiseAttention, ClasswiseDecoder
from dis2.models.decoding import Edges, PlainDecoder, PlainScores, Skips
from dis2.models.layers import widths
from dis2.models.prediction import Encoded, Features, Prediction
from dis2.models.rows import Rows, chosen_by, merged, sorted_by, taken
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

    def copied_for(self, combination: Combination) -> Decoder:
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


class Decoders(nn.Module):
    """The decoder of all sensors, and one for each other combination that has its own; the others share the first one.

    In training a sample goes to the decoder of the sensors that it shows anywhere; else each pixel is decoded by what it shows.
    """

    def __init__(self, first: Decoder, own: Iterable[Combination] = ()):
        super().__init__()
        self.sensors = first.sensors
        others = {name_of(it): first.copied_for(it) for it in own if it != first.sensors}
        self.own = nn.ModuleDict({name_of(first.sensors): first, **others})

    def of(self, combination: Combination) -> Decoder:
        """The one of a combination."""
        name = name_of(combination)
        return cast(Decoder, self.own[name if name in self.own else name_of(self.sensors)])

    def forward(self, fused: list[Tensor], encoded: Encoded, seen: Shown) -> Prediction:
        """Every sample of all views, or every pixel, by its decoder."""
        if len(self.own) == 1 or seen.whole == {*seen.there}:
            return cast(Prediction, self.of(seen.there)(fused, encoded, seen))
        if self.training:
            return self._by_sample(fused, encoded, seen)
        return self._by_pixel(fused, encoded, seen)

    def _by_sample(self, fused: list[Tensor], encoded: Encoded, seen: Shown) -> Prediction:
        shows = torch.cat([seen.shares[sensor][0].flatten(1).amax(1, keepdim=True) > 0 for sensor in self.sensors], 1)  # [V B, N]
        groups: dict[Combination, Rows] = {}
        for row, found in enumerate(shows.tolist()):
            groups.setdefault(tuple(compress(self.sensors, found)), []).append(row)
        predictions = [self._some(it, rows, fused, encoded, seen) for it, rows in groups.items()]
        return merged(predictions, sorted_by([*groups.values()]))

    def _by_pixel(self, fused: list[Tensor], encoded: Encoded, seen: Shown) -> Prediction:
        """What no sensor measured is decoded by what its sample shows elsewhere."""
        masks = {sensor: seen.shares[sensor][0] > 0 for sensor in seen.there}  # [V B, 1, H, W]
        somewhere = {sensor: mask.flatten(1).any(1).view(-1, 1, 1, 1) for sensor, mask in masks.items()}
        nothing = ~torch.cat([*masks.values()], 1).any(1, keepdim=True)
        groups, places, predictions = [], [], []
        for it in combinations(seen.there):
            where = _exactly(masks, it) | nothing & _exactly(somewhere, it)
            rows = [*range(len(where))] if encoded.told else where.flatten(1).any(1).nonzero().flatten().tolist()
            if rows:
                groups.append(rows)
                places.append(where)
                predictions.append(self._some(it, rows, fused, encoded, seen))
        return merged(predictions, chosen_by(groups, places))

    def _some(self, combination: Combination, rows: Rows, fused: list[Tensor], encoded: Encoded, seen: Shown) -> Prediction:
        """Some samples by the decoder of a combination."""
        few = only(encoded, seen, rows, combination)
        return cast(Prediction, self.of(combination)([taken(x, rows) for x in fused], *few))


def _exactly(found: Mapping[str, Tensor], combination: Combination) -> Tensor:
    """Where all of these sensors are found, and no other."""
    return reduce(torch.logical_and, (x if sensor in combination else ~x for sensor, x in found.items()))


def only(encoded: Encoded, seen: Shown, rows: Rows, there: Combination) -> tuple[Encoded, Shown]:
    """Some samples as their decoder reads them, besides fused maps: as if they showed these sensors alone."""
    samples = [row % encoded.batch for row in rows]
    stems = {sensor: taken(encoded.stems[sensor], samples) for sensor in there}
    valid = {sensor: [taken(share, samples) for share in encoded.valid[sensor]] for sensor in there}
    shares = {sensor: [taken(share, rows) for share in levels] for sensor, levels in seen.shares.items()}
    few = Encoded(stems, {}, valid, encoded.size, len(rows), encoded.complete & {*there})
    return few, Shown(1, shares, there, few.complete, {})
