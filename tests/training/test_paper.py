"""The authors' training: full and missing branches together, with their weights, and the loop that all methods share."""

import shutil
import signal

import numpy as np
import pytest
import torch

from dis2.config.data import IGNORE
from dis2.errors import UserError
from dis2.losses_paper import authors_segmentation
from dis2.models.files import build, load, read_card
from dis2.tiles.statistics import statistics
from dis2.training.loop import Interrupted, hash_seed
from tests.models.test_paper import CANCELLED
from tests.models.tester import batch_of, fresh, objective_of, sample, together
from tests.training.tiny import MODEL, at_step, data, same, trained

BOTH = ("eye", "echo")
TWO = data().seen_by(BOTH)
STEPS = {"teacher_steps": 2, "student_steps": 4}


@pytest.fixture(scope="module")
def pairs(tiles, tmp_path_factory):
    """The tiles as those of two sensors, one of which a training scene lacks."""
    folder = shutil.copytree(tiles, tmp_path_factory.mktemp("pairs") / "tiles")
    statistics(TWO, folder, folder / "statistics.json")
    return folder


@pytest.fixture(scope="module")
def folder(pairs, tmp_path_factory):
    return trained(pairs, "paper", tmp_path_factory.mktemp("paper") / "model", data=TWO, **STEPS)


def mixed(*combinations, seed=0, **changes):
    """A batch of samples that have these sensors."""
    shown = together([sample(sensors, seed=number) for number, sensors in enumerate(combinations)])
    return batch_of(*({sensor: tensors[sensor] for sensor in BOTH} for tensors in shown), seed, **changes)


def terms(batch, network=None):
    return objective_of("paper").terms((network or fresh("paper")).train(), batch)


def test_a_batch_loses_the_first_sensor_in_six_of_ten_cases_and_the_second_in_the_others():
    batch, objective = mixed(BOTH, BOTH), objective_of("paper")
    views = [objective.views(batch) for _ in range(1000)]
    assert all(view[0].all() and (view[1] == view[1, 0]).all() and view[1, 0].sum() == 1 for view in views)
    assert np.mean([not view[1, 0, 0] for view in views]) == pytest.approx(0.6, abs=0.05)


def test_a_sample_that_lacks_a_sensor_trains_the_branch_that_it_can_and_no_other():
    views = objective_of("paper").views(mixed(("eye",), ("echo",), BOTH))
    assert views[0].tolist() == [[False, False], [False, False], [True, True]]
    assert views[1, :2].tolist() == [[True, False], [False, True]]


def test_labels_of_a_sample_that_lacks_a_sensor_are_none_of_the_full_branch_s():
    batch, other = mixed(BOTH, ("eye",)), mixed(BOTH, ("eye",))
    other.labels[1] = (other.labels[1] + 1) % 3
    first, second = terms(batch), terms(other)
    assert {name for name in first if first[name] != second[name]} == {"missing", "missing_scales", "auxiliary"}


def test_there_is_no_distillation_in_the_first_tenth_nor_without_a_whole_sample():
    assert terms(mixed(BOTH, progress=0.09))["distillation"] == 0 < terms(mixed(BOTH, progress=0.1))["distillation"]
    found = terms(mixed(("eye",), ("echo",)))
    assert found["distillation"] == found["full"] == found["full_scales"] == 0 < found["missing"]


def test_the_total_has_the_authors_weights_whatever_the_config_says():
    one = torch.ones(())
    names = ["full", "missing", "auxiliary", "full_scales", "missing_scales", "distillation", "diversity"]
    assert objective_of("paper").total(dict.fromkeys(names, one)) == 6 + 5
    assert set(terms(mixed(BOTH))) == set(names)


def test_each_sensor_s_own_decoder_learns_from_the_samples_that_have_it():
    batch = mixed(BOTH, ("eye",))
    network = fresh("paper").train()
    encoded = network.encode(batch.images, batch.valid)
    lacking = batch.labels.clone()
    lacking[1] = IGNORE
    by_hand = authors_segmentation(encoded.auxiliary["eye"], batch.labels) + authors_segmentation(
        encoded.auxiliary["echo"], lacking
    )
    torch.testing.assert_close(terms(batch)["auxiliary"], by_hand)


@pytest.mark.parametrize("lowered", [False, True])
def test_every_term_and_gradient_is_finite_in_full_and_in_half_precision(lowered):
    network, batch = fresh("paper").float().train(), mixed(BOTH, BOTH, ("eye",), ("echo",))
    batch.images = {sensor: 30 * image.float() for sensor, image in batch.images.items()}
    with torch.autocast("cpu", torch.bfloat16, enabled=lowered):
        found = terms(batch, network)
    objective_of("paper").total(found).backward()
    assert all(term.dtype == torch.float32 and term.isfinite() for term in found.values())
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


def test_it_trains_validates_and_comes_back_built_for_the_size_of_its_tiles(folder):
    card = read_card(folder)
    assert card.settings == MODEL.model_copy(update={"tile": 32}) and set(card.validation) == {"eye+echo", "eye", "echo"}
    assert card.training["steps"] == 6 and load(folder).network.tile == 32


def test_the_full_branch_s_pools_stay_as_they_were_drawn_and_all_else_is_trained(folder):
    card, trained_ones = read_card(folder), load(folder).network.named_parameters()
    torch.manual_seed(hash_seed(card.seed))
    drawn = dict(build("paper", card.sensors, len(card.classes), card.settings).named_parameters())
    moving = {name for name in drawn if not name.endswith(CANCELLED)}
    still = {name for name, parameter in trained_ones if torch.equal(parameter, drawn[name])}
    assert still & moving == {name for name in moving if name.startswith("branches.0.pools.")}


def test_dropout_and_all_goes_on_to_the_same_bits_after_a_stop(pairs, folder, tmp_path, monkeypatch):
    arguments = {"out": tmp_path / "out", "state": tmp_path / "state", "data": TWO, **STEPS}
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        at_step(patch, 4, lambda: signal.raise_signal(signal.SIGTERM))
        trained(pairs, "paper", **arguments)
    assert same(trained(pairs, "paper", **arguments), folder)


def test_a_model_for_another_size_than_that_of_the_tiles_is_refused(pairs, tmp_path):
    with pytest.raises(UserError, match="model.tile: 48 is not training.tile"):
        trained(pairs, "paper", tmp_path / "out", data=TWO, model=MODEL.model_copy(update={"tile": 48}))
