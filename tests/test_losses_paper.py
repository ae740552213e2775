"""The authors' losses against numbers worked out by hand, with what is odd about them."""

import math

import pytest
import torch
import torch.nn.functional as F

from dis2.config.data import IGNORE
from dis2.losses_paper import (
    authors_cross_entropy,
    authors_dice,
    authors_distillation,
    authors_diversity,
    authors_segmentation,
)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def two(*first):
    """Probabilities of two classes in one row of pixels, by those of the first class: [1, 2, 1, W]."""
    p = torch.tensor(first)
    return torch.stack([p, 1 - p]).view(1, 2, 1, -1)


def about(value, **tolerance):
    return pytest.approx(float(value), **tolerance)


def test_cross_entropy_worked_out_by_hand():
    """Three pixels of four have the first class: it weighs 1/4, the second 3/4; a probability of 0.001 counts as 0.005."""
    p, labels = two(0.5, 0.8, 0.001, 0.6), torch.tensor([[[0, 0, 0, 1]]])
    by_hand = -(0.25 * (math.log(0.5) + math.log(0.8) + math.log(0.005)) + 0.75 * math.log(0.4)) / (2 * 4)
    assert authors_cross_entropy(p, labels) == about(by_hand)


def test_cross_entropy_weighs_the_classes_of_each_image_by_itself():
    p, labels = two(0.5, 0.8, 0.001, 0.6), torch.tensor([[[0, 0, 0, 1]]])
    turned = authors_cross_entropy(torch.cat([p, p]), torch.cat([labels, 1 - labels]))
    assert turned == about((authors_cross_entropy(p, labels) + authors_cross_entropy(p, 1 - labels)) / 2)


def test_cross_entropy_has_no_gradient_below_its_floor_and_is_0_for_a_tile_of_one_class():
    p, labels = two(0.004, 0.006, 0.5).requires_grad_(), torch.tensor([[[0, 0, 1]]])
    authors_cross_entropy(p, labels).backward()
    assert p.grad[0, 0, 0, 0] == 0 and p.grad[0, 0, 0, 1] < 0
    assert authors_cross_entropy(p, torch.zeros_like(labels)) == 0


def test_dice_worked_out_by_hand_over_the_pixels_of_the_whole_batch():
    """First class: overlap 0.5 + 0.8 + 0.3, sizes 2.2 and 3; second: overlap 0.4, sizes 1.8 and 1."""
    p, labels = torch.cat([two(0.5, 0.8), two(0.3, 0.6)]), torch.tensor([[[0, 0]], [[0, 1]]])
    assert authors_dice(p, labels) == about(1 - (2 * 1.6 / 5.2 + 2 * 0.4 / 2.8) / 2)


def test_a_perfect_prediction_of_one_class_in_five_has_a_dice_loss_of_four_fifths():
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    assert authors_dice(F.one_hot(labels, 5).movedim(-1, 1).float(), labels) == about(0.8)


@pytest.mark.parametrize("loss", [authors_cross_entropy, authors_dice])
def test_pixels_without_a_label_are_as_if_they_were_not_there(loss):
    p, labels = torch.softmax(torch.randn(2, 3, 6, 6), 1).requires_grad_(), torch.randint(3, (2, 6, 6))
    labels[:, 4:] = IGNORE
    torch.testing.assert_close(loss(p, labels), loss(p[:, :, :4], labels[:, :4]))
    loss(p, labels).backward()
    assert not p.grad[:, :, 4:].any() and p.grad[:, :, :4].any()
    assert loss(p, torch.full_like(labels, IGNORE)) == 0


def test_segmentation_is_cross_entropy_and_dice_of_the_softmax_of_logits_brought_to_full_size():
    logits, labels = torch.randn(2, 3, 4, 4), torch.randint(3, (2, 8, 8))
    p = torch.softmax(F.interpolate(logits, size=8, mode="bilinear", align_corners=True), 1)
    assert authors_segmentation(logits, labels) == about(authors_cross_entropy(p, labels) + authors_dice(p, labels))


def test_distillation_worked_out_by_hand():
    """(0.6, 0.8) and (1, 0) differ by 0.4 and 0.8, in the mean of squares 0.4; at twice the temperature logits of 2 count 1."""
    missing, full = torch.tensor([[3.0, 4.0]]), torch.tensor([[7.0, 0.0]])
    same, surer = torch.zeros(1, 2, 1, 1), torch.tensor([2.0, 0.0]).view(1, 2, 1, 1)
    p = 1 / (1 + math.exp(-1))
    divergence = 4 * (p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p))) / 2
    assert authors_distillation([missing], [full], same, surer) == about(0.4 + divergence)
    maps = [x.view(1, 2, 1, 1).repeat(1, 1, 3, 5) for x in (missing, full)]
    assert authors_distillation(maps[:1], maps[1:], same, same) == about(0.4)


def test_distillation_adds_up_what_it_compares_and_shrinks_with_the_channels():
    a, b, logits = torch.randn(2, 8), torch.randn(2, 8), torch.randn(2, 3, 4, 4)
    alone = authors_distillation([a], [b], logits, logits)
    assert authors_distillation([a, a], [b, b], logits, logits) == about(2 * alone)
    assert authors_distillation([torch.cat([a, a], 1)], [torch.cat([b, b], 1)], logits, logits) == about(alone / 2)


def test_distillation_does_not_move_the_full_branch():
    tensors = [torch.randn(2, 3, 4, 4, requires_grad=True) for _ in range(4)]
    missing, full, missing_logits, full_logits = tensors
    authors_distillation([missing], [full], missing_logits, full_logits).backward()
    assert missing.grad.any() and missing_logits.grad.any() and full.grad is None and full_logits.grad is None


def test_diversity_worked_out_by_hand():
    """Cosines of 0.6 and 0 at the first level, of -1 twice at the second."""
    compensatory, own = torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([[5.0, 0.0], [1.0, 0.0]])
    assert authors_diversity([compensatory, own], [own, -own]) == about(0.18 + 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_every_loss_is_finite_with_a_gradient_in_any_precision(dtype):
    x = (30 * torch.randn(2, 4, 8, 8)).to(dtype).requires_grad_()
    y, labels = (30 * torch.randn(2, 4, 8, 8)).to(dtype), torch.randint(4, (2, 8, 8))
    said = (
        authors_segmentation(x, labels),
        authors_distillation([x], [y], x, y),
        authors_diversity([x[..., 0, 0]], [y[..., 0, 0]]),
    )
    for loss in said:
        (gradient,) = torch.autograd.grad(loss, x)
        assert loss.dtype == torch.float32 and loss.isfinite() and gradient.isfinite().all() and gradient.any()
