"""Losses against numbers worked out by hand, their gradients, and reductions that depend on no size."""

import math

import pytest
import torch
import torch.nn.functional as F

from dis2.config.data import IGNORE
from dis2.losses import (
    auxiliary_term,
    class_weights,
    coarse_labels,
    compensation_term,
    disentanglement_term,
    feature_terms,
    linear_cka,
    logits_term,
    normalised,
    own_view_term,
    scales_term,
    segmentation_terms,
    weighed_mean,
)
from dis2.models.prediction import Slot

THREE = torch.ones(3)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def sure(labels, classes=3, by=50.0):
    """Logits of a prediction that says these labels."""
    return by * F.one_hot(labels.clamp_max(classes - 1), classes).movedim(-1, 1).float()


def about(value, **tolerance):
    return pytest.approx(float(value), **tolerance)


def slots(log_variance, batch=2, channels=8, side=4):
    return [Slot(torch.randn(batch, channels, side, side), torch.full((batch, 1, side, side), log_variance))]


def test_the_weighed_mean_is_per_sample_and_0_where_nothing_weighs():
    values, weights = torch.tensor([[1.0, 2.0, 6.0], [4.0, 4.0, 4.0]]), torch.tensor([[1.0, 0.0, 3.0], [0.0, 0.0, 0.0]])
    assert weighed_mean(values, weights).tolist() == [19 / 4, 0]


def test_rare_classes_weigh_by_a_power_of_their_rarity_and_pixels_weigh_1_on_average():
    weights = class_weights([75, 25, 0], 0.5)
    assert weights[1] / weights[0] == about(math.sqrt(3)) and weights[2] == 0
    assert 0.75 * weights[0] + 0.25 * weights[1] == about(1)
    assert not class_weights([0, 0], 0.5).any()
    assert class_weights([75, 25, 0], 0).tolist() == [1, 1, 0]
    torch.testing.assert_close(class_weights([75, 25], 1), torch.tensor([2 / 3, 2.0]))  # both count as much


def test_cross_entropy_worked_out_by_hand():
    labels = torch.tensor([[[0, 1, IGNORE]]])
    logits = torch.tensor([[[[2.0, 0.0, 9.0]], [[0.0, 0.0, 0.0]]]])
    by_hand = (3 * math.log(1 + math.exp(-2)) + 0.5 * math.log(2)) / 2
    assert segmentation_terms(logits, labels, torch.tensor([3.0, 0.5]))["cross_entropy"] == about(by_hand)


def test_dice_worked_out_by_hand():
    """Class 0: overlap 0.5 + 0.8, sizes 1.3 + 0.6 and 2; class 1: overlap 0.4, sizes 1.1 and 1; class 2 is not there."""
    labels = torch.tensor([[[0, 0, 1]]])
    probability = torch.tensor([[[[0.5, 0.8, 0.6]], [[0.5, 0.2, 0.4]], [[1e-9, 1e-9, 1e-9]]]])
    by_hand = ((1 - 2 * 1.3 / 3.9) + (1 - 2 * 0.4 / 2.1)) / 2
    assert segmentation_terms(probability.log(), labels, THREE)["dice"] == about(by_hand, abs=1e-6)


def test_dice_of_a_perfect_prediction_is_zero_even_if_classes_are_absent():
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    assert segmentation_terms(sure(labels), labels, THREE)["dice"] == about(0, abs=1e-6)


def test_dice_falls_where_an_absent_class_takes_pixels():
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    said = labels.clone()
    said[:, 0] = 2
    assert segmentation_terms(sure(said), labels, THREE)["dice"] == about(1 - 2 * 12 / 28)


def test_pixels_without_a_label_change_no_bit_and_get_no_gradient():
    labels = torch.randint(3, (2, 6, 6))
    labels[:, 2:4] = IGNORE
    first = torch.randn(2, 3, 6, 6, requires_grad=True)
    second = torch.where(labels.unsqueeze(1) == IGNORE, -7.0, first.detach())
    terms, others = segmentation_terms(first, labels, THREE), segmentation_terms(second, labels, THREE)
    assert all(torch.equal(terms[name], others[name]) for name in terms)
    sum(terms.values()).backward()
    assert not first.grad[:, :, 2:4].any() and first.grad[:, :, :2].any()


def test_a_sample_without_labels_counts_0():
    labels = torch.randint(3, (1, 6, 6))
    logits = torch.randn(1, 3, 6, 6)
    alone = segmentation_terms(logits, labels, THREE)
    beside = segmentation_terms(torch.cat([logits, logits]), torch.cat([labels, torch.full_like(labels, IGNORE)]), THREE)
    assert all(beside[name] == about(alone[name] / 2) for name in alone)


@pytest.mark.parametrize("name", ["cross_entropy", "dice"])
def test_segmentation_does_not_depend_on_the_number_of_pixels_or_of_classes_that_are_not_there(name):
    labels, logits = torch.randint(3, (2, 6, 6)), torch.randn(2, 3, 6, 6)
    said = segmentation_terms(logits, labels, THREE)[name]
    assert segmentation_terms(logits.repeat(1, 1, 2, 3), labels.repeat(1, 2, 3), THREE)[name] == about(said, rel=1e-5)
    more = torch.cat([logits, torch.full((2, 4, 6, 6), -60.0)], 1)
    assert segmentation_terms(more, labels, torch.ones(7))[name] == about(said, rel=1e-5)


@pytest.mark.parametrize("size", [(64, 48), (50, 41), (17, 96), (1, 5)])
@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_coarse_labels_are_those_in_the_middle_of_the_cells_of_the_padded_image(size, level):
    labels, side = torch.randint(IGNORE, (1, *size)), 2**level
    rows, columns = (16 * -(-length // 16) // side for length in size)
    found = coarse_labels(labels, torch.empty(1, 3, rows, columns))
    for row in range(rows):
        for column in range(columns):
            y, x = row * side + side // 2, column * side + side // 2
            assert found[0, row, column] == (labels[0, y, x] if y < size[0] and x < size[1] else IGNORE)


def test_labels_at_full_resolution_are_kept():
    labels = torch.randint(3, (2, 32, 16))
    assert torch.equal(coarse_labels(labels, torch.empty(2, 3, 32, 16)), labels)


def test_deep_supervision_is_the_mean_over_the_levels():
    labels = torch.randint(3, (2, 32, 32))
    scales = [torch.randn(2, 3, side, side) for side in (2, 4, 8)]
    alone = [segmentation_terms(x, coarse_labels(labels, x), THREE)["cross_entropy"] for x in scales]
    assert scales_term(scales, labels, THREE) == about(sum(alone) / 3)


def test_a_sensors_own_decoder_learns_only_where_the_sensor_measured():
    labels, logits = torch.randint(3, (1, 16, 16)), torch.randn(1, 3, 8, 8, requires_grad=True)
    valid = torch.ones(1, 1, 16, 16, dtype=torch.bool)
    valid[..., 8:] = False
    auxiliary_term({"eye": logits}, {"eye": valid}, labels, THREE).backward()
    assert logits.grad[..., :4].any() and not logits.grad[..., 4:].any()
    assert auxiliary_term({}, {}, labels, THREE) == 0


def test_sensors_own_decoders_worked_out_by_hand():
    """One cell a sample: echo gives even odds, eye, which measured in the first sample alone, logits of 2 and 0."""
    labels, there = torch.zeros(2, 16, 16, dtype=torch.long), torch.tensor([True, False]).view(2, 1, 1, 1).expand(2, 1, 16, 16)
    valid, weights = {"eye": there, "echo": torch.ones_like(there)}, torch.tensor([1.0, 5.0])
    eye, echo = torch.tensor([2.0, 0.0]).view(1, 2, 1, 1).expand(2, 2, 1, 1), torch.zeros(2, 2, 1, 1)
    of_eye, of_echo = math.log(1 + math.exp(-2)) / 2, math.log(2)
    assert auxiliary_term({"eye": eye}, valid, labels, weights) == about(of_eye / 2)
    assert auxiliary_term({"eye": eye, "echo": echo}, valid, labels, weights) == about((of_eye + of_echo) / 2)


def test_sensors_own_decoders_do_not_depend_on_the_number_of_pixels():
    labels, logits, valid = torch.randint(3, (2, 16, 16)), torch.randn(2, 3, 16, 16), torch.rand(2, 1, 16, 16) > 0.3
    said = auxiliary_term({"eye": logits}, {"eye": valid}, labels, THREE)
    more = {"eye": logits.repeat(1, 1, 2, 3)}, {"eye": valid.repeat(1, 1, 2, 3)}, labels.repeat(1, 2, 3)
    assert auxiliary_term(*more, THREE) == about(said, rel=1e-5)


def test_compensation_worked_out_by_hand():
    """Two channels normalise to +-1, so that opposite features differ by 2 in each."""
    target, weight = torch.tensor([[[[5.0]], [[3.0]]]]), torch.ones(1, 1, 1, 1)
    for s in (0.0, 1.0):
        same, opposite = (Slot(sign * target, torch.full((1, 1, 1, 1), s)) for sign in (1, -1))
        assert compensation_term([same], [target], [weight]) == about(s, abs=1e-4)
        assert compensation_term([opposite], [target], [weight]) == about(4 * math.exp(-s) + s, abs=1e-3)


def test_the_best_certainty_of_a_compensation_is_its_error():
    target, offered = torch.randn(2, 1, 8, 4, 4)
    error = (normalised(offered) - normalised(target)).square().mean(1, keepdim=True)
    for factor, sign in ((0.5, -1), (1.0, 0), (2.0, 1)):
        s = (factor * error).log().requires_grad_()
        compensation_term([Slot(offered, s)], [target], [torch.ones(1, 1, 4, 4)]).backward()
        assert (s.grad.sign() == sign).all() if sign else s.grad.abs().max() < 1e-6


def test_compensation_counts_only_what_was_hidden_and_measured():
    (slot,), target, weight = slots(0.3), torch.randn(2, 8, 4, 4), torch.zeros(2, 1, 4, 4)
    weight[0, :, :2] = 1
    said = compensation_term([slot], [target], [weight])
    error = (normalised(slot.features) - normalised(target)).square().mean(1)[0, :2].mean()
    assert said == about((math.exp(-0.3) * error + 0.3) / 2)
    assert compensation_term([slot], [target], [0 * weight]) == 0


def test_compensation_is_the_mean_over_levels_whatever_their_size():
    """Two channels normalise to +-1; the second sample has nothing hidden at the coarser level, which counts 0 there."""
    cell, sure = torch.tensor([5.0, 3.0]).view(1, 2, 1, 1), torch.zeros(2, 1, 4, 4)
    fine, coarse = cell.expand(2, 2, 4, 4), cell.expand(2, 2, 2, 2)
    hidden = torch.ones(2, 1, 4, 4), torch.tensor([1.0, 0.0]).view(2, 1, 1, 1).expand(2, 1, 2, 2)
    offered = [Slot(-fine, sure), Slot(coarse, sure[..., :2, :2] + 1)]  # off by 4, and right but with a log-variance of 1
    assert compensation_term(offered, [fine, coarse], hidden) == about(((4 + 1) / 2 + (4 + 0) / 2) / 2, abs=1e-3)


def test_compensation_does_not_depend_on_the_number_of_channels_and_cells():
    (slot,), target, weight = slots(0.3), torch.randn(2, 8, 4, 4), torch.rand(2, 1, 4, 4)
    said = compensation_term([slot], [target], [weight])
    more = Slot(slot.features.repeat(1, 3, 2, 1), slot.log_variance.repeat(1, 1, 2, 1))
    assert compensation_term([more], [target.repeat(1, 3, 2, 1)], [weight.repeat(1, 1, 2, 1)]) == about(said, rel=1e-5)


@pytest.mark.parametrize("gain", [0.5, 20.0])
def test_features_are_compared_whatever_their_gain_offset_and_number_of_channels(gain):
    a, b, weight = torch.randn(2, 8, 4, 4), torch.randn(2, 8, 4, 4), torch.ones(2, 1, 4, 4)
    said = feature_terms([a], [b], [weight])
    assert said > 0 and feature_terms([a], [a], [weight]) == 0
    assert feature_terms([gain * a + 3], [b], [weight]) == about(said, rel=1e-3)
    assert feature_terms([a.repeat(1, 3, 2, 1)], [b.repeat(1, 3, 2, 1)], [weight.repeat(1, 1, 2, 1)]) == about(said, rel=1e-5)
    assert feature_terms([a], [b], [0 * weight]) == 0


def test_features_of_several_views_are_compared_with_the_one_of_the_teacher():
    first, second, b, weight = *torch.randn(3, 2, 8, 4, 4), torch.rand(2, 1, 4, 4)
    alone = [feature_terms([view], [b], [weight]) for view in (first, second)]
    assert feature_terms([torch.cat([first, second])], [b], [weight]) == about(sum(alone) / 2)


def test_features_worked_out_by_hand():
    """+-1 against -+1: smooth L1 of 2 is 1.5; a token has no cells; the mean is over levels, then samples."""
    a, weight = torch.tensor([[[[5.0]], [[3.0]]]]), torch.ones(1, 1, 1, 1)
    assert feature_terms([a, a[..., 0, 0]], [-a, a[..., 0, 0]], [weight, weight[..., 0, 0]]) == about(0.75, abs=1e-4)


def test_a_teacher_that_is_half_trusted_teaches_half():
    (a, b), trust = torch.randn(2, 2, 3, 4, 4), torch.rand(2, 1, 4, 4)
    for term in (lambda weight: feature_terms([a], [b], [weight]), lambda weight: logits_term(a, b, weight)):
        assert term(0.5 * trust) == about(0.5 * term(trust))
        assert term(trust) < term(torch.ones_like(trust))


def test_logits_worked_out_by_hand_and_zero_for_equal_ones():
    student, teacher = torch.tensor([[[[0.0]], [[0.0]]]]), torch.tensor([[[[2.0]], [[0.0]]]])
    p = 1 / (1 + math.exp(-1))
    by_hand = 4 * (p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p)))
    weight = torch.ones(1, 1, 1, 1)
    assert logits_term(student, teacher, weight) == about(by_hand)
    assert logits_term(teacher + 7, teacher, weight) == about(0, abs=1e-6)
    assert logits_term(student.repeat(3, 1, 4, 5), teacher.repeat(3, 1, 4, 5), weight.repeat(3, 1, 4, 5)) == about(by_hand)


def test_the_other_views_are_drawn_to_the_full_one_which_is_not_moved():
    """Three views of two samples, two classes; only the third view of the second sample says something else."""
    logits = torch.zeros(6, 2, 1, 1)
    logits[5, 0] = 2.0
    logits.requires_grad_()
    p = 1 / (1 + math.exp(-1))
    kl = 0.5 * math.log(0.5 / p) + 0.5 * math.log(0.5 / (1 - p))  # from even odds, both halved by the temperature
    measured = torch.ones(2, 1, 1, 1, dtype=torch.bool)
    term = own_view_term(logits, 3, measured)
    assert term.item() == about(4 * kl / 4)
    assert own_view_term(logits, 3, measured & torch.tensor([True, False]).view(2, 1, 1, 1)) == 0
    term.backward()
    assert [bool(grad.abs().max() > 1e-6) for grad in logits.grad] == [False] * 5 + [True]


def naive_cka(a, b):
    """The unbiased estimate from explicit kernels (Song et al. 2012, equation 5; Nguyen et al. 2021)."""
    n = len(a)
    one = torch.ones(n, dtype=torch.float64)

    def hsic(k, m):
        k, m = k - torch.diag(k.diagonal()), m - torch.diag(m.diagonal())
        return ((k @ m).trace() + (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ k @ m @ one)) / (
            n * (n - 3)
        )

    k, m = (x.double() @ x.double().T for x in (a, b))
    return hsic(k, m) / (hsic(k, k) * hsic(m, m)).sqrt()


def test_cka_is_that_of_explicit_kernels():
    a = torch.randn(3, 6, 5, 4) + 2
    b = torch.randn(3, 9, 5, 4) + 0.5 * a.mean(1, keepdim=True)
    naive = [naive_cka(x.flatten(1).T, y.flatten(1).T) for x, y in zip(a, b, strict=True)]
    torch.testing.assert_close(linear_cka(a, b).double(), torch.stack(naive), rtol=1e-4, atol=1e-5)


def test_cka_with_itself_turned_scaled_and_moved_is_1_and_with_noise_is_0_on_average():
    a = torch.randn(64, 6, 5, 5)
    turn = torch.linalg.qr(torch.randn(6, 6))[0]
    turned = 3 * torch.einsum("ij,bjhw->bihw", turn, a) + torch.randn(1, 6, 1, 1)
    for other in (a, turned):
        torch.testing.assert_close(linear_cka(a, other), torch.ones(64), rtol=1e-4, atol=1e-4)
    assert abs(linear_cka(a, torch.randn(64, 20, 5, 5)).mean()) < 0.05


def test_cka_keeps_float32_where_the_rest_runs_in_bfloat16():
    a, b = torch.randn(2, 16, 32, 32), torch.randn(2, 16, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        lowered = linear_cka(a, b)
    assert torch.equal(lowered, linear_cka(a, b))


def test_disentanglement_asks_only_for_what_exceeds_the_teachers_likeness():
    source, target, there = torch.randn(2, 6, 8, 8), torch.randn(2, 6, 8, 8), torch.ones(2, dtype=torch.bool)
    assert disentanglement_term(source, source, target, there) == about(1 - linear_cka(target, source).mean(), abs=1e-4)
    assert disentanglement_term(target, source, target, there) == 0
    assert disentanglement_term(torch.randn(2, 6, 8, 8), source, source, there) == 0


def test_disentanglement_does_not_depend_on_the_number_of_channels_and_little_on_that_of_cells():
    """The diagonal that the estimate leaves out tells a repeated cell from another; the fewer of all, the less it matters."""
    source, target, there = torch.randn(2, 6, 16, 16), torch.randn(2, 6, 16, 16), torch.ones(2, dtype=torch.bool)
    offer = source + torch.randn(2, 6, 16, 16)
    said = disentanglement_term(offer, source, target, there)
    channels = offer.repeat(1, 2, 1, 1), source.repeat(1, 3, 1, 1), target.repeat(1, 5, 1, 1)
    assert said > 0.2 and disentanglement_term(*channels, there) == about(said, rel=1e-4)
    cells = (x.repeat(1, 1, 2, 2) for x in (offer, source, target))
    assert disentanglement_term(*cells, there) == about(said, rel=0.05)


def test_disentanglement_moves_neither_source_nor_target_nor_samples_that_lack_a_sensor():
    source, target = torch.randn(2, 2, 6, 8, 8).requires_grad_().unbind()
    offer = source.detach() + 0.1 * torch.randn(2, 6, 8, 8)
    offer.requires_grad_()
    found = torch.autograd.grad(
        disentanglement_term(offer, source, target, torch.tensor([True, False])), (offer, source, target), allow_unused=True
    )
    assert found[1:] == (None, None) and found[0][0].any() and not found[0][1].any()


TERMS = {
    "cross_entropy": lambda x, y, labels: segmentation_terms(x, labels, torch.ones(4))["cross_entropy"],
    "dice": lambda x, y, labels: segmentation_terms(x, labels, torch.ones(4))["dice"],
    "scales": lambda x, y, labels: scales_term([x], labels, torch.ones(4)),
    "compensation": lambda x, y, labels: compensation_term([Slot(x, x[:, :1])], [y], [torch.ones_like(x[:, :1])]),
    "features": lambda x, y, labels: feature_terms([x], [y], [torch.ones_like(x[:, :1])]),
    "logits": lambda x, y, labels: logits_term(x, y, torch.ones_like(x[:, :1])),
    "disentanglement": lambda x, y, labels: disentanglement_term(x, x + y, y, torch.ones(2, dtype=torch.bool)),
}


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_every_term_is_finite_with_a_gradient_in_any_precision(term, dtype):
    """Half precision ends at 65,504: large features and logits must not leave it."""
    x = (30 * torch.randn(2, 4, 16, 16)).to(dtype).requires_grad_()
    x_ = x.clamp(-6, 6) if term == "compensation" else x
    said = TERMS[term](x_, (30 * torch.randn(2, 4, 16, 16)).to(dtype), torch.randint(4, (2, 16, 16)))
    said.backward()
    assert said.dtype == torch.float32 and said.isfinite() and x.grad.isfinite().all() and x.grad.any()
