"""The losses of the method's authors, with all that is odd about them, for their form of the network only.

The one addition: pixels without a label, which theirs do not have, count neither in a sum nor in a mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dis2.config.data import IGNORE

FLOOR = 0.005
TEMPERATURE = 2.0


def authors_segmentation(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy and Dice of one prediction, brought to the size of the labels [B, H, W] where it is coarser."""
    if logits.shape[-2:] != labels.shape[-2:]:
        logits = F.interpolate(logits.float(), size=labels.shape[-2:], mode="bilinear", align_corners=True)
    probability = torch.softmax(logits.float(), 1)  # [B, K, H, W]
    return authors_cross_entropy(probability, labels) + authors_dice(probability, labels)


def authors_cross_entropy(probability: Tensor, labels: Tensor) -> Tensor:
    """-(1 - share of the class in its image) log p, without a gradient below p = 0.005; the mean over pixels and classes."""
    labelled = (labels != IGNORE).flatten(1)  # [B, H W]
    target = labels.flatten(1).masked_fill(~labelled, 0)
    count = _truth(labels, probability).flatten(2).sum(2)  # [B, K]
    weight = 1 - count / count.sum(1, keepdim=True).clamp_min(1)
    told = probability.flatten(2).gather(1, target.unsqueeze(1)).squeeze(1)  # [B, H W]
    surprise = -weight.gather(1, target) * told.clamp(FLOOR, 1).log() * labelled
    return surprise.sum() / (probability.shape[1] * labelled.sum()).clamp_min(1)


def authors_dice(probability: Tensor, labels: Tensor) -> Tensor:
    """1 - Dice over all pixels of the batch, the mean over all classes: one that the batch lacks counts as wholly missed."""
    seen = labels != IGNORE
    truth = _truth(labels, probability)
    said = probability * seen.unsqueeze(1)
    over = (0, 2, 3)
    score = 2 * (said * truth).sum(over) / (said.sum(over) + truth.sum(over) + 1e-7)  # [K]
    return (1 - score.mean()) * seen.any()


def authors_distillation(
    missing: Sequence[Tensor], full: Sequence[Tensor], missing_logits: Tensor, full_logits: Tensor
) -> Tensor:
    """How far the branch of a missing sensor is from the full one, which is not moved: features [B, C, ...] and logits.

    Features have length 1. The means are over all elements, so that C channels and K classes make them C and K times smaller.
    """
    features = [F.mse_loss(_unit(a), _unit(b.detach())) for a, b in zip(missing, full, strict=True)]
    said = F.log_softmax(missing_logits.float() / TEMPERATURE, 1)
    told = F.softmax(full_logits.detach().float() / TEMPERATURE, 1)
    divergence = F.kl_div(said, told, reduction="none").mean()
    return torch.stack([*features, TEMPERATURE**2 * divergence]).sum()


def authors_diversity(compensatory: Sequence[Tensor], own: Sequence[Tensor]) -> Tensor:
    """The squared cosine between pooled compensatory and own features [B, C], the mean over samples, the sum over levels."""
    cosines = [F.cosine_similarity(a.float(), b.float()) for a, b in zip(compensatory, own, strict=True)]  # [B] a level
    return torch.stack([cosine.square().mean() for cosine in cosines]).sum()


def _truth(labels: Tensor, like: Tensor) -> Tensor:
    """1 at the class of each labelled pixel, 0 elsewhere: [B, K, H, W]."""
    seen = (labels != IGNORE).unsqueeze(1)
    target = labels.unsqueeze(1).masked_fill(~seen, 0)
    return torch.zeros_like(like).scatter_(1, target, seen.to(like.dtype))


def _unit(x: Tensor) -> Tensor:
    return F.normalize(x.float(), dim=1, eps=1e-6)
