"""DLKD: the student learns from the frozen teacher what missing sensors would have told, and from itself with every sensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from dis2.config.data import IGNORE
from dis2.losses import (
    compensation_term,
    disentanglement_term,
    feature_terms,
    logits_term,
    own_view_term,
)
from dis2.models.layers import fold
from dis2.models.prediction import Encoded, Offers, Prediction, Slot
from dis2.training import plain
from dis2.training.objective import Batch

RAMP_IN, RAMP_OUT = 0.1, 2 / 3
CELLS = 16


class Objective(plain.Objective):
    """Segmentation of the student's views, and every term of disentanglement learning with knowledge distillation."""

    learns_unlabelled = True

    @classmethod
    def undistilled(cls) -> type[plain.Objective]:
        return plain.Objective

    def terms(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        views, teacher = self.views(batch), cast(Any, self.teacher)
        available = batch.tensor(views)
        encoded = network.encode(batch.images, batch.valid)
        prediction = network.decode(encoded, available)
        whole = torch.from_numpy(batch.there.all(1)).to(batch.labels.device).float()
        with torch.no_grad():
            taught = teacher.encode(batch.images, batch.valid)
            told = teacher.decode(taught, available[: len(batch.labels)])
        strength = ramp(batch.progress)
        trust = trusted(told.logits, batch.labels) * whole.view(-1, 1, 1, 1) * batch.measured
        distilled = {
            "compensation": self._compensation(prediction, taught, encoded, available, network.certainty),
            "features": strength * _features(prediction, told, trust),
            "logits": logits_term(prediction.logits, fold(told.logits, len(views)), fold(trust, len(views)))
            + own_view_term(prediction.logits, len(views), batch.measured),
            "disentanglement": self._disentanglement(prediction.features.offers, encoded, taught, available),
        }
        return {**self.segmentation(prediction, batch, len(views)), **distilled}

    def _compensation(
        self, prediction: Prediction, taught: Encoded, encoded: Encoded, available: Tensor, certainty: bool
    ) -> Tensor:
        """Slots of sensors that were hidden but measured, against the teacher's features, at levels 2 to 4 as far as fused."""
        views, terms = len(available) // encoded.batch, []
        shown = dict(zip(self.sensors, available.float().view(len(available), -1, 1, 1, 1).unbind(1), strict=True))
        for sensor, slots in prediction.features.compensated.items():
            if sensor not in encoded.levels:
                continue
            slots = slots[-3:] if certainty else [as_certain(slot) for slot in slots[-3:]]
            levels = range(-len(slots), 0)
            shares = [{it: fold(found[level], views) for it, found in encoded.valid.items()} for level in levels]
            targets = [fold(taught.levels[sensor][level], views) for level in levels]
            terms.append(compensation_term(slots, targets, [hidden(sensor, share, shown) for share in shares]))
        return torch.stack(terms).sum() / len(self.sensors) if terms else prediction.logits.new_zeros(())

    def _disentanglement(self, offers: Offers, encoded: Encoded, taught: Encoded, available: Tensor) -> Tensor:
        """Every pair of measured sensors whose target is hidden, at an even choice of the cells of the fused levels below 4."""
        there = {sensor: shares[0].flatten(1).any(1) for sensor, shares in encoded.valid.items()}
        hidden = (~available).view(-1, encoded.batch, len(self.sensors)).any(0)  # [B, N]
        terms = [
            torch.stack(
                [
                    disentanglement_term(
                        thinned(slot.features),
                        thinned(encoded.levels[source][level]),
                        thinned(taught.levels[target][level]),
                        there[source] & there[target] & hidden[:, self.sensors.index(target)],
                    )
                    for level, slot in enumerate(slots[:-1])
                ]
            ).mean()
            for target, sources in offers.items()
            if target in encoded.levels
            for source, slots in sources.items()
            if len(slots) > 1
        ]
        pairs = len(self.sensors) * (len(self.sensors) - 1)
        return torch.stack(terms).sum() / pairs if terms else next(iter(encoded.stems.values())).new_zeros(())


def hidden(sensor: str, shares: Mapping[str, Tensor], shown: Mapping[str, Tensor]) -> Tensor:
    """Where a sensor measured but is not shown, and another one tells of it: nothing else can fill its slot. [V B, 1, h, w]"""
    others = [shown[it] * share for it, share in shares.items() if it != sensor]
    told = sum(others, torch.zeros_like(shares[sensor])) > 0
    return shares[sensor] * (1 - shown[sensor]) * told


def as_certain(slot: Slot) -> Slot:
    """A slot whose variance is the same everywhere, for networks that do not say how sure they are."""
    return Slot(slot.features, torch.zeros_like(slot.log_variance))


def thinned(x: Tensor) -> Tensor:
    """Every n-th row and column, so that about CELLS a side are left."""
    stride = max(1, min(x.shape[-2:]) // CELLS)
    return x[..., ::stride, ::stride]


def ramp(progress: float) -> float:
    """In over the first tenth of the steps, out over the last third."""
    return min(1.0, progress / RAMP_IN, max(0.0, (1 - progress) / (1 - RAMP_OUT)))


def trusted(logits: Tensor, labels: Tensor) -> Tensor:
    """How far to trust the teacher: its probability of the true label, or of its own choice where there is none: [B, 1, H, W]."""
    probability = torch.softmax(logits.float(), 1)
    truth = probability.gather(1, labels.masked_fill(labels == IGNORE, 0).unsqueeze(1))
    return torch.where((labels == IGNORE).unsqueeze(1), probability.amax(1, keepdim=True), truth)


def _features(student: Prediction, teacher: Prediction, trust: Tensor) -> Tensor:
    """Fused maps, token and penultimate features of every view, towards the teacher's."""
    mine, told = student.features, teacher.features
    assert mine.token is not None and told.token is not None and mine.penultimate is not None and told.penultimate is not None
    pairs = list(zip([*mine.fused, mine.penultimate], [*told.fused, told.penultimate], strict=True))
    weights = [F.adaptive_avg_pool2d(trust, (b.shape[-2], b.shape[-1])) for _, b in pairs]
    token = trust.mean((1, 2, 3)).view(-1, 1)
    return feature_terms([*(a for a, _ in pairs), mine.token], [*(b for _, b in pairs), told.token], [*weights, token])
