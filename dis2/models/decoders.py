"""From fused maps to the classes: one decoder for all combinations of sensors, or one for each."""

from __future__ import annotations

import copy
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
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
        return Prediction(logits, Features(scales, penultimate=penultimate, attention=scores))


class Decoders(nn.Module):
    """One decoder for all combinations, or one for each: then each pixel is decoded by the one of the sensors that it shows.

    In training a sample goes whole to the decoder of most of its pixels, and so do, always, pixels that no sensor measured.
    """

    def __init__(self, first: Decoder, own: bool = False):
        super().__init__()
        self.sensors = first.sensors
        others = combinations(first.sensors)[1:] if own else []
        self.own = nn.ModuleDict({name_of(first.sensors): first, **{name_of(it): first.copied_for(it) for it in others}})

    def of(self, combination: Combination) -> Decoder:
        """The one of a combination: that of all sensors where it has none of its own."""
        name = name_of(combination)
        return cast(Decoder, self.own[name if name in self.own else name_of(self.sensors)])

    def forward(self, fused: list[Tensor], encoded: Encoded, seen: Shown) -> Prediction:
        """Logits [V B, K, H, W] of all samples of all views, without what the image was padded by."""
        if len(self.own) == 1 or seen.whole == {*seen.there}:
            found = cast(Prediction, self.of(seen.there)(fused, encoded, seen))
        else:
            found = self._by_what_is_shown(fused, encoded, seen)
        height, width = encoded.size
        return Prediction(found.logits[..., :height, :width], found.features)

    def _by_what_is_shown(self, fused: list[Tensor], encoded: Encoded, seen: Shown) -> Prediction:
        codes = {sum(2 ** self.sensors.index(sensor) for sensor in it): it for it in [*combinations(self.sensors), ()]}
        pixels, samples, there = shown_by(seen, self.sensors)
        if self.training:
            found = samples.tolist()
            groups = {code: [row for row, own in enumerate(found) if own == code] for code in codes if code in found}
        elif encoded.told:  # nothing may depend on what the images hold
            groups = {code: [*range(len(samples))] for code, it in codes.items() if it and {*it} <= {*seen.there}}
        else:
            has = there.T.tolist()
            groups = {code: [row for row, own in enumerate(has[code]) if own] for code in codes if any(has[code])}
        predictions = [self._some(codes[code], rows, fused, encoded, seen) for code, rows in groups.items()]
        rows = [*groups.values()]
        return merged(predictions, sorted_by(rows) if self.training else chosen_by(rows, [pixels == code for code in groups]))

    def _some(self, combination: Combination, rows: Rows, fused: list[Tensor], encoded: Encoded, seen: Shown) -> Prediction:
        """Some samples by the decoder of a combination."""
        few = only(encoded, seen, rows, combination)
        return cast(Prediction, self.of(combination)([taken(x, rows) for x in fused], *few))


def shown_by(seen: Shown, sensors: Combination) -> tuple[Tensor, Tensor, Tensor]:
    """Combinations as numbers, a bit for each sensor: of each pixel [V B, 1, H, W], of most of a sample's [V B]; which there are.

    Pixels that show nothing are as most others of their sample.
    """
    bits = [2**index * (seen.shares[sensor][0] > 0) for index, sensor in enumerate(sensors)]
    pixels = torch.stack(bits).sum(0)  # [V B, 1, H, W]
    flat = pixels.flatten(1)
    counts = torch.zeros(len(flat), 2 ** len(sensors), device=flat.device)
    counts.scatter_add_(1, flat, torch.ones_like(flat, dtype=counts.dtype))
    counts[:, 0] = 0.5
    samples = counts.argmax(1)
    there = (counts >= 1) | F.one_hot(samples, counts.shape[1]).bool()  # [V B, 2^N]
    return torch.where(pixels == 0, samples.view(-1, 1, 1, 1), pixels), samples, there


def only(encoded: Encoded, seen: Shown, rows: Rows, there: Combination) -> tuple[Encoded, Shown]:
    """Some samples as their decoder reads them, besides fused maps: as if they showed these sensors alone."""
    samples = [row % encoded.batch for row in rows]
    stems = {sensor: taken(encoded.stems[sensor], samples) for sensor in there}
    valid = {sensor: [taken(share, samples) for share in encoded.valid[sensor]] for sensor in there}
    shares = {sensor: [taken(share, rows) for share in levels] for sensor, levels in seen.shares.items()}
    few = Encoded(stems, {}, valid, encoded.size, len(rows), encoded.complete & {*there})
    return few, Shown(1, shares, there, few.complete, {})
