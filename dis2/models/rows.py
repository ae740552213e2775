"""Batches taken apart by what their samples show, and put together again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor

from dis2.models.prediction import Features, Prediction

Rows = list[int]
"""Places in a batch."""


def taken(x: Tensor, rows: Rows) -> Tensor:
    """Some samples of a batch."""
    return x if rows == [*range(len(x))] else x[rows]


def laid(parts: Sequence[tuple[Rows, Tensor]], count: int) -> Tensor:
    """Samples that were computed in groups at their places in the batch; zero at all others."""
    first = parts[0][1]
    if len(first) == count:
        return first
    whole = first.new_zeros(count, *first.shape[1:])
    for rows, x in parts:
        whole[rows] = x
    return whole


def merged(parts: Sequence[tuple[Rows, Prediction]], count: int) -> Prediction:
    """Predictions of groups of samples as one, each sample at its place."""
    rows, seen = [rows for rows, _ in parts], [prediction.features for _, prediction in parts]

    def each(tensors: Iterable[Tensor | None]) -> Tensor | None:
        found = [(at, x) for at, x in zip(rows, tensors, strict=True) if x is not None]
        return laid(found, count) if found else None

    features = Features(
        scales=[laid([*zip(rows, same, strict=True)], count) for same in zip(*(it.scales for it in seen), strict=True)],
        fused=[laid([*zip(rows, same, strict=True)], count) for same in zip(*(it.fused for it in seen), strict=True)],
        token=each(it.token for it in seen),
        penultimate=each(it.penultimate for it in seen),
        attention=each(it.attention for it in seen),
    )
    return Prediction(laid([(at, prediction.logits) for at, prediction in parts], count), features)
