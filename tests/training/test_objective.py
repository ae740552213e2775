"""What the loop asks of every method."""

import numpy as np
import pytest
import torch

from dis2.combinations import name_of
from dis2.config.training import LossWeights
from dis2.models.registry import METHODS, method_of
from tests.models.tester import COMBINATIONS, SENSORS, batch_of, fresh, objective_of, sample, sensors_of, together

SCORES = {name_of(combination): place / 10 for place, combination in enumerate(COMBINATIONS)}


def everything(method="teacher"):
    shown = together([sample(combination, seed=seed) for seed, combination in enumerate(COMBINATIONS)])
    return [{sensor: tensors[sensor] for sensor in sensors_of(method)} for tensors in shown]


def test_what_is_there_is_what_has_any_valid_pixel():
    batch = batch_of(*everything())
    assert batch.there.tolist() == [[sensor in combination for sensor in SENSORS] for combination in COMBINATIONS]


def test_views_are_folded_view_by_view():
    views = np.array([[[1, 1, 1], [0, 1, 0]], [[1, 0, 0], [0, 1, 0]]], bool)
    assert batch_of(*everything()).tensor(views).int().tolist() == [[1, 1, 1], [0, 1, 0], [1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("method", ["teacher", *METHODS])
def test_the_same_batch_has_the_same_terms_and_the_views_are_drawn_from_its_own_generator(method):
    network, objective = fresh(method).train(), objective_of(method)
    first, second = (objective.terms(network, batch_of(*everything(method), seed=4)) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("method", sorted(METHODS.keys() - {"zero-filling", "specialist", "paper"}))
def test_methods_that_know_of_absence_see_three_views_or_as_many_as_are_asked_for(method):
    objective = objective_of(method)
    assert objective.views(batch_of(*everything())).shape == (3, len(COMBINATIONS), len(SENSORS))
    singles = method in ("singles", "sgma")
    many = objective.views(batch_of(*everything(), views=7))
    assert len(many) == (1 + len(SENSORS) if singles else 7)
    assert all(term.isfinite() for term in objective.terms(fresh(method).train(), batch_of(*everything(), views=7)).values())


@pytest.mark.parametrize("method", ["teacher", *METHODS])
def test_what_a_method_says_of_its_views_is_what_it_does(method):
    def shown(**settings):
        return [objective_of(method).views(batch_of(*everything(method), seed, scores=SCORES, **settings)) for seed in range(8)]

    known = {"views": {"views": 4}, "even_views": {"even": 1.0}}
    changed = [name for name, settings in known.items() if not all(map(np.array_equal, shown(), shown(**settings)))]
    assert tuple(changed) == method_of(method).views


@pytest.mark.parametrize("method", ["zero-filling", "specialist"])
def test_methods_that_know_of_none_see_all_that_is_there(method):
    assert (objective_of(method).views(batch_of(*everything())) == batch_of(*everything()).there).all()


def test_a_method_that_starts_from_the_teacher_starts_as_it():
    for method in ("singles+sd", "plain-distillation"):
        teacher, network = fresh("teacher", seed=1), fresh(method, seed=2)
        assert objective_of(method, teacher).start(network) == set(teacher.state_dict())
        assert all(torch.equal(network.state_dict()[name], told) for name, told in teacher.state_dict().items())


@pytest.mark.parametrize("method", ["teacher", *METHODS])
def test_all_that_a_method_compares_with_goes_where_the_network_is(method):
    objective = objective_of(method, fresh("teacher") if method != "paper" else None)
    objective.to(torch.device("meta"))
    held = [it for it in vars(objective).values() if isinstance(it, torch.Tensor)]
    held += objective.teacher.parameters() if objective.teacher else ()
    assert held and {it.device.type for it in held} == {"meta"}


def test_a_network_without_a_place_for_all_of_the_teacher_is_refused():
    class Other(torch.nn.Linear):
        inherited = staticmethod(dict)

    with pytest.raises(ValueError, match="no place for the teacher's encoders"):
        objective_of("singles+sd").start(Other(1, 1))


def test_a_method_that_starts_from_nothing_is_left_as_it_is():
    network = fresh("singles")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert objective_of("singles").start(network) == set()
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_self_distillation_adds_one_term_to_the_segmentation_of_the_student_s_views():
    network, batch = fresh("singles+sd").train(), batch_of(*everything(), step=1)
    objective = objective_of("singles+sd")
    assert set(objective.terms(network, batch)) - set(objective_of("singles").terms(network, batch)) == {"logits"}
    drawn = [objective_of(method).views(batch_of(*everything(), step=1)) for method in ("singles+sd", "dis2")]
    assert (drawn[0] == drawn[1]).all()
    objective.views = lambda batch: np.stack([batch.there] * 3)
    assert objective.terms(network, batch)["logits"].item() == pytest.approx(0, abs=1e-6)


def test_plain_distillation_teaches_features_and_logits_alone():
    terms = objective_of("plain-distillation").terms(fresh("plain-distillation").train(), batch_of(*everything()))
    assert terms["features"] > 0 and terms["logits"] > 0
    assert terms["compensation"] == terms["disentanglement"] == 0


def test_the_total_is_the_weighted_sum_and_a_term_of_weight_0_moves_nothing():
    objective = objective_of("teacher")
    objective.weights = LossWeights(cross_entropy=2.0, dice=0.0)
    a, b = torch.tensor(3.0, requires_grad=True), torch.tensor(5.0, requires_grad=True)
    total = objective.total({"cross_entropy": a, "dice": b})
    total.backward()
    assert (total, a.grad, b.grad) == (6, 2, 0)


def test_parameters_that_nothing_uses_take_part_with_zero_and_change_nothing():
    objective, a, unused = objective_of("teacher"), torch.tensor(3.0, requires_grad=True), torch.nn.Parameter(torch.ones(2, 2))
    total = objective.total({"dice": a}, [unused])
    total.backward()
    assert (total, a.grad, unused.grad.tolist()) == (3, 1, [[0, 0], [0, 0]])
