"""DLKD: what the student is taught, when, and how far the teacher is trusted."""

import math

import numpy as np
import pytest
import torch

from dis2.config.data import IGNORE
from dis2.models.prediction import Encoded, Features, Prediction, Slot
from dis2.training import distill
from dis2.training.distill import ramp, trusted
from dis2.training.objective import Batch
from tests.models.tester import SENSORS, TINY, batch_of, complete, fresh, is_new, objective_of, sample, together

DISTILLED = {"compensation", "features", "logits", "disentanglement"}


@pytest.fixture
def teacher():
    return fresh("teacher", seed=1).requires_grad_(False)


def terms(teacher, samples, views=None, student=None, **changes):
    """The terms of a batch, by default of the teacher itself as a student."""
    objective = objective_of("dis2", teacher)
    if student is None:
        student = fresh("dis2", seed=2)
        objective.start(student)
    if views is not None:
        objective.views = lambda batch: np.array(views)
    found = objective.terms(student.train(), batch_of(*together(samples), **changes))
    return {name: term.item() for name, term in found.items()}


def whole(seed):
    images, _ = sample(seed=seed)
    return images, complete(images)


@pytest.mark.parametrize(("progress", "strength"), [(0, 0), (0.05, 0.5), (0.1, 1), (0.5, 1), (2 / 3, 1), (5 / 6, 0.5), (1, 0)])
def test_distillation_comes_in_over_a_tenth_and_leaves_over_the_last_third(progress, strength):
    assert ramp(progress) == pytest.approx(strength)


def test_the_teacher_is_trusted_by_its_probability_of_the_truth_or_of_its_choice_where_there_is_none():
    logits = torch.tensor([[0.7, 0.2, 0.1]]).log().view(1, 3, 1, 1).expand(1, 3, 1, 3)
    assert trusted(logits, torch.tensor([[[0, 2, IGNORE]]])).flatten().tolist() == pytest.approx([0.7, 0.1, 0.7])


@pytest.mark.parametrize("method", ["dis2", "singles+sd"])
def test_what_is_said_of_pixels_that_no_sensor_measured_is_not_compared(method, teacher, monkeypatch):
    """The same predictions: half as many measured pixels tell half as much, and none tell nothing."""
    student, found = fresh("dis2", seed=2).train(), []
    for rows in (range(0), range(16), range(16, 32), range(32)):
        measured = torch.tensor([row in rows for row in range(32)]).view(1, 1, 32, 1)
        monkeypatch.setattr(Batch, "measured", measured)
        found.append(objective_of(method, teacher).terms(student, batch_of(*together([whole(0)])))["logits"].item())
    assert found[0] == 0 < found[1] and found[1] + found[2] == pytest.approx(found[3], rel=1e-5)


def test_every_term_has_a_weight_in_the_config(teacher):
    found = terms(teacher, [whole(0), sample(("eye",), seed=1)])
    assert set(found) == set(type(objective_of("dis2", teacher).weights).model_fields)


def test_without_distillation_the_student_learns_from_the_labels_of_the_same_three_views(teacher):
    objective = objective_of("dis2", teacher)
    plain = objective.undistilled()(tuple(SENSORS), torch.ones(3), objective.weights, teacher)
    batches = [batch_of(*together([whole(0), sample(("eye",), seed=1)])) for _ in range(2)]
    assert np.array_equal(plain.views(batches[0]), objective.views(batches[1]))
    assert set(plain.terms(fresh("dis2").train(), batches[0])) == {"cross_entropy", "dice", "scales", "auxiliary"}
    student = fresh("dis2", seed=2)
    assert plain.start(student) == objective.start(fresh("dis2", seed=2)) == inherited_by(student)


def test_without_hierarchy_every_term_that_is_left_is_that_of_the_coarsest_level():
    settings = TINY.model_copy(update={"hierarchy": False})
    teacher = fresh("teacher", settings, seed=1).requires_grad_(False)
    found = terms(teacher, [whole(0), whole(1)], student=fresh("dis2", settings, seed=2))
    assert found["disentanglement"] == 0 != found["compensation"] and found["features"] > 0


def test_a_student_that_sees_everything_as_its_teacher_does_has_nothing_to_learn_from_it(teacher):
    """Except towards its own full view, which it is: all distillation terms are 0."""
    student = fresh("dis2", seed=2)
    with torch.no_grad():
        for name, parameter in student.named_parameters():
            if name.startswith(("slots.state", "attention.without")):
                parameter.zero_()
    objective_of("dis2", teacher).start(student)
    everything = np.ones((2, 2, 3), bool)
    found = terms(teacher, [whole(0), whole(1)], everything, student)
    assert {name: found[name] for name in DISTILLED} == dict.fromkeys(DISTILLED, pytest.approx(0, abs=1e-6))


def test_with_sensors_hidden_every_term_teaches(teacher):
    hidden = [[[True] * 3] * 2, [[True, False, False], [False, True, True]]]
    found = terms(teacher, [whole(0), whole(1)], hidden)
    assert all(abs(found[name]) > 1e-3 for name in DISTILLED - {"disentanglement"}) and found["disentanglement"] >= 0


def test_samples_that_lack_a_sensor_are_not_taught_features_or_logits_of_the_teacher(teacher):
    """Their teacher is no teacher of theirs: what it says of them changes nothing."""
    lacking = [sample(("eye",), seed=0), sample(("eye", "relief"), seed=1)]
    views = [np.array([[True, False, False], [True, False, True]])] * 2
    found = terms(teacher, lacking, views)
    assert found["features"] == 0 and found["logits"] == pytest.approx(0, abs=1e-6)


def test_only_what_was_hidden_and_measured_is_compensated(teacher):
    """A sensor that the scene lacks has no target, whatever the teacher makes of its absence."""
    lacking = [sample(("eye", "relief"), seed=0), sample(("eye", "relief"), seed=1)]
    seen = [np.array([[True, False, True]] * 2)] * 2
    assert terms(teacher, lacking, seen)["compensation"] == 0
    hidden = [seen[0], np.array([[True, False, False]] * 2)]
    assert terms(teacher, lacking, hidden)["compensation"] != 0


def test_without_certainty_compensation_is_the_squared_error_however_many_sensors_fill_a_slot(teacher):
    """Two channels of one cell normalise to +-1, so that opposite features differ by 4; in a hole of eye relief has no source."""
    objective = objective_of("dis2", teacher)
    features = torch.tensor([5.0, 3.0]).view(1, 2, 1, 1)
    slot = Slot(-features, torch.full((1, 1, 1, 1), -math.log(2)))
    prediction = Prediction(features, Features(compensated={"relief": [slot]}))

    def term(eye, certainty):
        valid = {sensor: [torch.ones(1, 1, 1, 1)] for sensor in SENSORS} | {"eye": [torch.full((1, 1, 1, 1), eye)]}
        encoded = Encoded({}, {sensor: [features] for sensor in SENSORS}, valid, (1, 1), 1)
        available = torch.tensor([[sensor == "eye" for sensor in SENSORS]])
        return len(SENSORS) * objective._compensation(prediction, encoded, encoded, available, certainty).item()

    assert term(1.0, False) == pytest.approx(4, abs=1e-3) and term(0.0, False) == 0
    assert term(1.0, True) == pytest.approx(8 - math.log(2), abs=1e-3)


def test_disentanglement_takes_only_samples_that_have_both_sensors_and_hide_the_target(teacher, monkeypatch):
    """The first sample has every sensor; `eye`, which has holes and so is compensated too, is hidden in no view."""
    measured = []
    monkeypatch.setattr(distill, "disentanglement_term", lambda offer, source, target, both: measured.append(both) or offer.sum())
    terms(teacher, [whole(0), sample(("eye",), seed=1)], [[[True] * 3] * 2, [[True, False, False]] * 2])
    assert {tuple(both.tolist()) for both in measured} == {(True, False), (False, False)}
    assert sum(both.any() for both in measured) == 4 * 3  # echo and relief as targets of two sources each, at three levels


def test_of_all_terms_only_features_come_in_and_leave_with_the_progress(teacher):
    samples, hidden = [whole(0), whole(1)], [[[True] * 3] * 2, [[True, False, False], [False, True, True]]]
    start, middle, end = (terms(teacher, samples, hidden, progress=progress) for progress in (0.0, 0.5, 1.0))
    assert start["features"] == end["features"] == 0 < middle["features"]
    assert all(start[name] == pytest.approx(middle[name]) == end[name] for name in DISTILLED - {"features"})


def inherited_by(student):
    return {name for name, _ in student.named_parameters() if not is_new(name)}


def test_the_student_starts_as_the_whole_teacher(teacher):
    student = fresh("dis2", seed=2)
    inherited = objective_of("dis2", teacher).start(student)
    assert inherited == inherited_by(student)
    assert all(torch.equal(student.state_dict()[name], tensor) for name, tensor in teacher.state_dict().items())
    assert set(student.sensors) == set(SENSORS)
