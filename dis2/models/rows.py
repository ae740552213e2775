"""Batches taken apart by what their samples show, and put together again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dis2.models.prediction import Features, Prediction

Rows = list[int]
"""Places in a batch."""
Put = Callable[[Sequence[Tensor]], Tensor]
"""Makes one tensor of those of several groups."""


def taken(x: Tensor, rows: Rows) -> Tensor:
    """Some samples of a batch, also several times; gradients are added in their order, so that threads change no bit."""
    if rows == [*range(len(x))]:
        return x
    parts = x.split(1)
    return torch.cat([parts[row] for row in rows])


def laid(parts: Iterable[tuple[Rows, Tensor]], count: int) -> Tensor:
    """Samples that were computed in groups at their places in the batch; zero at all others."""
    groups = [*parts]
    first = groups[0][1]
    if len(first) == count:
        return first
    whole = first.new_zeros(count, *first.shape[1:])
    for rows, x in groups:
        whole[rows] = x
    return whole


def sorted_by(groups: Sequence[Rows]) -> Put:
    """Puts groups together of which each sample of the batch is in one."""
    rows = [row for group in groups for row in group]
    back = sorted(range(len(rows)), key=rows.__getitem__)
    return lambda tensors: taken(torch.cat([*tensors]), back)


def chosen_by(groups: Sequence[Rows], where: Sequence[Tensor]) -> Put:
    """Puts groups together by the pixels [B, 1, H, W] where each counts; coarser cells are of the group with most of theirs."""

    def put(tensors: Sequence[Tensor]) -> Tensor:
        factor = where[0].shape[-1] // tensors[0].shape[-1]
        shares = torch.cat([F.avg_pool2d(mask.float(), factor) for mask in where], 1)
        best = shares.argmax(1, keepdim=True)  # [B, 1, h, w]
        whole = torch.zeros_like(tensors[0][:1])
        for group, (rows, x) in enumerate(zip(groups, tensors, strict=True)):
            whole = torch.where(best == group, laid([(rows, x)], len(best)), whole)
        return whole

    return put


def merged(predictions: Sequence[Prediction], put: Put) -> Prediction:
    """The predictions of several groups as one."""
    seen = [prediction.features for prediction in predictions]

    def each(tensors: Iterable[Tensor | None]) -> Tensor | None:
        found = [x for x in tensors if x is not None]
        return put(found) if len(found) == len(seen) else None

    features = Features(
        scales=[put(same) for same in zip(*(it.scales for it in seen), strict=True)],
        fused=[put(same) for same in zip(*(it.fused for it in seen), strict=True)],
        token=each(it.token for it in seen),
        penultimate=each(it.penultimate for it in seen),
        attention=each(it.attention for it in seen),
    )
    return Prediction(put([prediction.logits for prediction in predictions]), features)
