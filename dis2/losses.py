"""Losses: functions of outputs and labels that return named terms.

Each reduces over the pixels, channels and classes of a sample first and over samples last, so that several devices equal one; a
sample without valid pixels counts 0. All are computed in float32.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dis2.config.data import IGNORE
from dis2.models.layers import STRIDE, fold
from dis2.models.prediction import Slot

TEMPERATURE = 2.0


def weighed_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean over everything but the first dimension, by weight; 0 for a sample without weight: [B]."""
    values, weights = values.flatten(1), weights.expand_as(values).flatten(1)
    return (values * weights).sum(1) / weights.sum(1).clamp_min(1e-6)


def trusted_mean(values: Tensor, trust: Tensor) -> Tensor:
    """Mean over everything but the first dimension of values times trust: little trust in a whole sample tells little: [B]."""
    return (values * trust).flatten(1).mean(1)


def class_weights(counts: Sequence[int], balance: float) -> Tensor:
    """Rare classes weigh more, by a power of their rarity; the mean over pixels is 1: [K]."""
    share = torch.tensor(counts, dtype=torch.float32) / max(sum(counts), 1)
    weight = torch.where(share > 0, share.clamp_min(1e-4) ** -balance, torch.zeros(()))
    return weight / (share * weight).sum().clamp_min(1e-6)


def segmentation_terms(logits: Tensor, labels: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Cross entropy per labelled pixel, weighted by class, and Dice over the classes that are there."""
    logits = logits.float()
    labelled = labels != IGNORE  # [B, H, W]
    target = labels.masked_fill(~labelled, 0)
    pixel = F.cross_entropy(logits, target, weights, reduction="none")  # [B, H, W]
    return {"cross_entropy": weighed_mean(pixel, labelled.float()).mean(), "dice": dice(logits, target, labelled).mean()}


def dice(logits: Tensor, target: Tensor, labelled: Tensor) -> Tensor:
    """1 - Dice of each sample, the mean over the classes that it has: [B]."""
    seen = labelled.unsqueeze(1)
    probability = torch.softmax(logits, 1) * seen  # [B, K, H, W]
    truth = torch.zeros_like(probability).scatter_(1, target.unsqueeze(1), 1.0) * seen
    there = truth.flatten(2).sum(2)  # [B, K]
    overlap = (probability * truth).flatten(2).sum(2)
    score = 2 * overlap / (probability.flatten(2).sum(2) + there).clamp_min(1e-6)
    present = (there > 0).float()
    return ((1 - score) * present).sum(1) / present.sum(1).clamp_min(1)


def scales_term(scales: Sequence[Tensor], labels: Tensor, weights: Tensor) -> Tensor:
    """Deep supervision: every level's cross entropy against the labels in the middle of its cells, the mean over levels."""
    terms = [segmentation_terms(scale, coarse_labels(labels, scale), weights)["cross_entropy"] for scale in scales]
    return torch.stack(terms).mean()


def auxiliary_term(auxiliary: dict[str, Tensor], valid: dict[str, Tensor], labels: Tensor, weights: Tensor) -> Tensor:
    """Each sensor's own decoder, where the sensor has measurements; the mean over all sensors, 0 for those that are not there."""
    if not auxiliary:
        return labels.new_zeros((), dtype=torch.float32)
    terms = []
    for sensor, logits in auxiliary.items():
        seen = labels.masked_fill(~valid[sensor].squeeze(1), IGNORE)
        terms.append(segmentation_terms(logits, coarse_labels(seen, logits), weights)["cross_entropy"])
    return torch.stack(terms).sum() / len(valid)


def coarse_labels(labels: Tensor, like: Tensor) -> Tensor:
    """The label in the middle of each cell of a coarser map of the padded image, whose padding has no class."""
    rows, columns = like.shape[-2:]
    stride = -(-labels.shape[-1] // STRIDE) * STRIDE // columns
    full = F.pad(labels, (0, columns * stride - labels.shape[-1], 0, rows * stride - labels.shape[-2]), value=IGNORE)
    return full[:, stride // 2 :: stride, stride // 2 :: stride]


def compensation_term(slots: Sequence[Slot], targets: Sequence[Tensor], hidden: Sequence[Tensor]) -> Tensor:
    """`exp(-s) (LN(c) - LN(E))^2 + s` where a sensor is hidden but was measured; what cannot be recovered raises s instead.

    One entry a level: the compensated slot, the teacher's features [B, C, h, w], the share of hidden measured pixels.
    """
    terms = []
    for slot, target, weight in zip(slots, targets, hidden, strict=True):
        error = (normalised(slot.features) - normalised(target)).square().mean(1, keepdim=True)
        s = slot.log_variance.float()
        terms.append(weighed_mean(torch.exp(-s) * error + s, weight.float()))
    return torch.stack(terms).mean(0).mean()


def feature_terms(student: Sequence[Tensor], teacher: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """Smooth L1 between channel-normalised features, cell by cell, weighted by how far the teacher can be trusted there.

    The student's batch may hold several views of the teacher's: [V B, ...] beside [B, ...].
    """
    terms = []
    for a, b, weight in zip(student, teacher, weights, strict=True):
        views = len(a) // len(b)
        distance = F.smooth_l1_loss(normalised(a), fold(normalised(b), views), reduction="none").mean(1, keepdim=True)
        terms.append(trusted_mean(distance, fold(weight, views)))
    return torch.stack(terms).mean(0).mean()


def logits_term(student: Tensor, teacher: Tensor, weight: Tensor) -> Tensor:
    """KL divergence from the teacher's softened probabilities, per pixel and nat: weight [B, 1, H, W]."""
    told = F.log_softmax(teacher.float() / TEMPERATURE, 1)
    said = F.log_softmax(student.float() / TEMPERATURE, 1)
    divergence = F.kl_div(said, told, log_target=True, reduction="none").sum(1, keepdim=True)
    return TEMPERATURE**2 * trusted_mean(divergence, weight).mean()


def own_view_term(logits: Tensor, views: int, measured: Tensor) -> Tensor:
    """KL divergence of the other views [V B, K, H, W] from the first one, the network's own full view, which is not moved.

    It counts where any sensor measured [B, 1, H, W]: elsewhere the full view only guesses, too.
    """
    full, *others = logits.chunk(views)
    return logits_term(torch.cat(others), fold(full.detach(), len(others)), fold(measured.float(), len(others)))


def disentanglement_term(offer: Tensor, source: Tensor, target: Tensor, measured: Tensor) -> Tensor:
    """What m offers for j should be no more like m's own features than the teacher's j is: all [B, C, h, w].

    Measured [B]: does the sample have both sensors, and is j hidden? Features of a sensor that it lacks are no target.
    """
    excess = linear_cka(offer, source.detach()) - linear_cka(target.detach(), source.detach())
    return torch.where(measured, F.relu(excess), 0.0).mean()


def linear_cka(a: Tensor, b: Tensor) -> Tensor:
    """Linear unbiased CKA per sample over cells: [B]. The cost is linear in the number of cells."""
    with torch.autocast(a.device.type, enabled=False):  # its differences of large sums need float32
        a, b = (x.float().flatten(2).transpose(1, 2) for x in (a, b))  # [B, n, C]
        a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
        return _hsic(a, b) / (_hsic(a, a).clamp_min(1e-12) * _hsic(b, b).clamp_min(1e-12)).sqrt()


def _hsic(a: Tensor, b: Tensor) -> Tensor:
    """The unbiased HSIC of linear kernels, whose diagonals are left out, without forming the kernels: [B]."""
    n = a.shape[1]
    own_a, own_b = a.square().sum(2), b.square().sum(2)  # [B, n] diagonals
    rows_a = torch.einsum("bnc,bc->bn", a, a.sum(1)) - own_a  # row sums without the diagonal
    rows_b = torch.einsum("bnc,bc->bn", b, b.sum(1)) - own_b
    trace = (a.transpose(1, 2) @ b).square().sum((1, 2)) - (own_a * own_b).sum(1)
    sums = rows_a.sum(1) * rows_b.sum(1) / ((n - 1) * (n - 2))
    return (trace + sums - 2 / (n - 2) * (rows_a * rows_b).sum(1)) / (n * (n - 3))


def normalised(x: Tensor) -> Tensor:
    """Zero mean and unit variance over the channels of each cell, whatever the number of dimensions behind them."""
    return F.layer_norm(x.float().movedim(1, -1), x.shape[1:2]).movedim(-1, 1)
