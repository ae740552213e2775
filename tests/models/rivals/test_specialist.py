"""Specialists: each combination's own network, and all of them as one model."""

import pytest
import torch

from dis2.combinations import combinations, name_of
from dis2.errors import UserError
from dis2.models.files import build, load, save
from dis2.models.rivals.specialist import Specialists
from tests.models.test_files import card
from tests.models.tester import CLASSES, COMBINATIONS, SENSORS, TINY, NetworkTester, assert_close, fresh, sample, together


def specialist(names, seed=0, settings=TINY):
    """The network of a combination."""
    return fresh("specialist", settings, seed, {sensor: SENSORS[sensor] for sensor in names})


def all_of_them(settings=TINY):
    """The specialists of all combinations together."""
    networks = {name_of(names): specialist(names, seed, settings) for seed, names in enumerate(COMBINATIONS)}
    return Specialists(SENSORS, CLASSES, networks).eval()


class TestSpecialists(NetworkTester):
    """Learning is that of a single one."""

    method = "specialist"

    @pytest.fixture
    def network(self):
        return all_of_them()

    @torch.no_grad()
    def test_each_sample_is_judged_by_the_specialist_of_what_it_has(self, network):
        samples = [sample(names, seed=seed) for seed, names in enumerate(COMBINATIONS)]
        own = [specialist(names, seed)(*one).logits for seed, (names, one) in enumerate(zip(COMBINATIONS, samples, strict=True))]
        assert_close(network(*together(samples)).logits, torch.cat(own))

    @torch.no_grad()
    def test_where_nothing_is_measured_all_classes_are_as_likely(self, network):
        encoded = network.encode(*together([sample(), sample(("eye",), seed=1)]))
        logits = network.decode(encoded, torch.tensor([[False, True, True]] * 2)).logits
        assert logits[0].any() and not logits[1].any()

    @torch.no_grad()
    def test_classes_decoded_in_chunks_give_the_same_map(self, network):
        chunked = all_of_them(TINY.model_copy(update={"class_chunk": 2}))
        assert_close(chunked(*sample()).logits, network(*sample()).logits)

    @torch.no_grad()
    def test_weights_that_were_saved_and_loaded_give_the_same_bits(self, network, tmp_path):
        again = load(saved(tmp_path)).network.double()
        assert torch.equal(again(*sample()).logits, network.float().double()(*sample()).logits)

    test_fixed_to_a_combination_it_can_be_exported = None  # each by itself can: it is the teacher's network

    test_parameters_grow_with_sensors_and_not_with_their_pairs_or_combinations = None

    def test_parameters_grow_as_combinations_do(self):
        counts = [
            sum(
                sum(p.numel() for p in build("specialist", dict.fromkeys(names, 3), CLASSES, TINY).parameters())
                for names in combinations("abcde"[:n])
            )
            for n in (1, 2, 3, 4)
        ]
        assert all(more > 2 * fewer for fewer, more in zip(counts, counts[1:], strict=False))


def saved(folder, leave_out=(), **changes):
    """The folder of all specialists, one of which may be made of something else."""
    for seed, names in enumerate(COMBINATIONS):
        name = name_of(names)
        if name not in leave_out:
            sensors = {sensor: SENSORS[sensor] for sensor in names}
            told = {"sensors": sensors, "rasters": {s: {"bands": bands} for s, bands in sensors.items()}, "parameters": 10}
            told |= {"statistics": {s: card().statistics[s] for s in names}, "validation": {name: seed / 10}}
            told |= {"training": {"steps": 5, "seconds": 2.0, "best_step": 3, "device": "cpu"}}
            save(folder / name, specialist(names, seed).float(), card("specialist", **(told | changes.get(name, {}))))
    return folder


def test_the_card_of_all_specialists_adds_up_what_they_took(tmp_path):
    temperatures = {name_of(names): {name_of(names): 1 + i / 10} for i, names in enumerate(COMBINATIONS)}
    joined = load(saved(tmp_path, **{name: {"temperatures": one} for name, one in temperatures.items()})).card
    assert joined.method == "specialist" and joined.sensors == SENSORS and list(joined.sensors) == list(SENSORS)
    assert joined.parameters == 70 and joined.validation == {name_of(names): i / 10 for i, names in enumerate(COMBINATIONS)}
    assert joined.temperatures == {name: one for own in temperatures.values() for name, one in own.items()}
    assert joined.training == {"steps": 35, "seconds": 14.0, "best_step": None, "device": "cpu"}


def test_one_specialist_alone_is_a_model_too(tmp_path):
    alone = load(saved(tmp_path) / "eye+relief")
    assert alone.card.sensors == {"eye": 4, "relief": 1} and alone.network.sensors == ("eye", "relief")


def test_a_specialist_that_is_missing_is_one_clear_line(tmp_path):
    with pytest.raises(UserError, match="eye/model.json: cannot be read"):
        load(saved(tmp_path, leave_out=["eye"]))


@pytest.mark.parametrize(
    "changes",
    [{"classes": ("tree", "water", "soil")}, {"statistics": {"eye": {"mean": [0.0] * 4, "std": [2.0] * 4, "relief": [0]}}}],
)
def test_specialists_that_do_not_fit_together_are_refused(tmp_path, changes):
    with pytest.raises(UserError, match=r"eye: made of other classes or statistics than eye\+echo\+relief; train it again"):
        load(saved(tmp_path, eye=changes))


def test_seeds_are_not_specialists(tmp_path):
    save(tmp_path / "0", fresh("teacher").float(), card())
    with pytest.raises(UserError, match="model.json: cannot be read"):
        load(tmp_path)
