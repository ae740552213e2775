"""What every network has to hold, whatever its method: a class that each network's test inherits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dis2.combinations import availability, combinations
from dis2.config.data import IGNORE
from dis2.config.model import ModelSettings
from dis2.config.training import LossWeights
from dis2.models.files import build
from dis2.models.fixed import Fixed
from dis2.models.registry import method_of
from dis2.training.objective import Batch

SENSORS = {"eye": 4, "echo": 2, "relief": 1}
CLASSES = 3
TINY = ModelSettings(width=4, depth=1, heads=2, tile=32, classwise=True, certainty=True, own_decoders=True)
"""Every part is there, those too that are off by default."""
COMBINATIONS = combinations(tuple(SENSORS))

torch.set_num_threads(1)


def sensors_of(method):
    """The sensors that a method is tested with: all, or as many as it takes."""
    return dict(list(SENSORS.items())[: method_of(method).sensors])


def fresh(method, settings=TINY, seed=0, sensors=None):
    """A network whose zeros are no zeros, so that every part of it does something; in float64, so that equal means equal."""
    torch.manual_seed(seed)
    network = build(method, sensors or sensors_of(method), CLASSES, settings).eval().double()
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.1)
    return network


def sample(combination=tuple(SENSORS), size=(32, 32), seed=0):
    """One sample of some sensors, each with holes of its own: images and validity."""
    rng = torch.Generator().manual_seed(seed)
    images = {
        sensor: torch.randn(1, bands, *size, generator=rng).double() for sensor, bands in SENSORS.items() if sensor in combination
    }
    valid = {sensor: torch.rand(1, 1, *size, generator=rng) > 0.1 for sensor in images}
    return images, valid


def complete(images):
    """Validity of images that are measured everywhere."""
    return {sensor: torch.ones_like(image[:, :1], dtype=torch.bool) for sensor, image in images.items()}


def together(samples):
    """Samples as one batch; a sensor that some of them lack is NaN there."""
    size = next(iter(samples[0][0].values())).shape[-2:]
    images = {
        s: [i.get(s, torch.full((1, bands, *size), torch.nan).double()) for i, _ in samples] for s, bands in SENSORS.items()
    }
    valid = {s: [v.get(s, torch.zeros(1, 1, *size, dtype=torch.bool)) for _, v in samples] for s in SENSORS}
    return {s: torch.cat(x) for s, x in images.items()}, {s: torch.cat(x) for s, x in valid.items()}


def batch_of(images, valid, seed=0, step=0, progress=0.5, **changes):
    """A training batch with labels, a few of them missing."""
    size = next(iter(images.values()))
    labels = torch.randint(CLASSES, (len(size), *size.shape[-2:]), generator=torch.Generator().manual_seed(seed))
    labels[:, :3] = IGNORE
    rng = np.random.default_rng(seed)
    return Batch(images, valid, labels, step + np.arange(len(labels)), progress, rng, rng.spawn(len(labels)), **changes)


def objective_of(method, teacher=None, settings=TINY):
    way = method_of(method)
    teacher = teacher or (fresh("teacher", settings, seed=1).requires_grad_(False) if way.teacher else None)
    return way.objective_module().Objective(tuple(sensors_of(method)), torch.ones(CLASSES), LossWeights(), teacher)


def started(teacher, settings=TINY):
    """A student at step 0."""
    torch.manual_seed(5)
    student = build("dis2", SENSORS, CLASSES, settings).double()
    inherited = objective_of("dis2", teacher).start(student)
    return student.eval(), inherited


def is_new(name):
    """Is it a parameter that a student does not have of its teacher?"""
    return name.startswith(("compensation.", "slots.state.")) or name.endswith("attention.without")


def fixed(network, combination, holes):
    """The network for one combination, with its inputs and what the network gives by itself."""
    images, valid = sample(combination)
    valid = valid if holes else complete(images)
    tensors = (*images.values(), *(valid.values() if holes else ()))
    return Fixed(network, combination, holes), tensors, network(images, valid).logits


def assert_close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


class LearningTester:
    """How a method learns: all of this for one whose network is another's. Inherit, and name the method."""

    method: str
    settings = TINY

    @pytest.fixture(autouse=True)
    def its_sensors(self, monkeypatch):
        sensors = sensors_of(self.method)
        monkeypatch.setattr("tests.models.tester.SENSORS", sensors)
        monkeypatch.setattr("tests.models.tester.COMBINATIONS", combinations(tuple(sensors)))

    @pytest.mark.parametrize("size", [(32, 32), (23, 37)])
    def test_every_parameter_learns_from_a_batch_with_all_combinations(self, size):
        network = fresh(self.method, self.settings).train()
        objective = objective_of(self.method, settings=self.settings)
        images, valid = together([sample(combination, size, seed) for seed, combination in enumerate(COMBINATIONS)])
        objective.total(objective.terms(network, batch_of(images, valid))).backward()
        assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []
        assert all(p.grad.isfinite().all() for p in network.parameters())

    @pytest.mark.parametrize("gone", SENSORS)
    def test_a_batch_without_a_sensor_leaves_its_encoder_s_gradients_zero_and_not_missing(self, gone):
        network = fresh(self.method, self.settings).train()
        objective = objective_of(self.method, settings=self.settings)
        images, valid = together([sample(tuple(SENSORS.keys() - {gone}), seed=seed) for seed in range(2)])
        objective.total(objective.terms(network, batch_of(images, valid)), network.parameters()).backward()
        assert [name for name, p in network.named_parameters() if p.grad is None] == []
        encoder = [p for name, p in network.named_parameters() if name.startswith("encoders.") and f".{gone}." in name]
        assert not any(p.grad.any() for p in encoder)


class NetworkTester(LearningTester):
    """What a network computes, and how it learns. Inherit, and name the method."""

    @pytest.fixture
    def network(self):
        return fresh(self.method, self.settings)

    @torch.no_grad()
    @pytest.mark.parametrize("size", [(1, 1), (16, 48), (33, 45)])
    def test_the_map_has_the_size_of_the_image_whatever_it_is(self, network, size):
        assert network(*sample(size=size, seed=3)).logits.shape == (1, CLASSES, *size)

    @torch.no_grad()
    @pytest.mark.parametrize("size", [(32, 32), (23, 37)])
    def test_a_sample_does_not_depend_on_what_else_its_batch_holds(self, network, size):
        samples = [sample(combination, size, seed) for seed, combination in enumerate(COMBINATIONS)]
        samples.append((samples[0][0], complete(samples[0][0])))
        alone = torch.cat([network(*one).logits for one in samples])
        assert_close(network(*together(samples)).logits, alone)
        order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(0))
        assert_close(network(*together([samples[i] for i in order])).logits, alone[order])

    @torch.no_grad()
    @pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
    def test_what_stands_where_nothing_was_measured_changes_no_bit(self, network, value):
        images, valid = together([sample(combination, seed=seed) for seed, combination in enumerate(COMBINATIONS)])
        first, second = (
            network({s: torch.where(valid[s], x, there) for s, x in images.items()}, valid).logits for there in (value, 0.0)
        )
        assert first.isfinite().all() and torch.equal(first, second)

    @torch.no_grad()
    def test_views_folded_into_the_batch_are_those_decoded_one_by_one(self, network):
        encoded = network.encode(*together([sample(seed=0), sample(("echo", "relief"), seed=1)]))
        views = [torch.tensor([availability(combination, tuple(SENSORS))] * 2) for combination in COMBINATIONS]
        one_by_one = torch.cat([network.decode(encoded, view).logits for view in views])
        assert_close(network.decode(encoded, torch.cat(views)).logits, one_by_one)

    @torch.no_grad()
    def test_a_sensor_that_is_declared_unavailable_is_one_that_is_not_given(self, network):
        images, valid = sample()
        for combination in COMBINATIONS:
            told = network.decode(network.encode(images, valid), torch.tensor([availability(combination, tuple(SENSORS))])).logits
            given = network({s: images[s] for s in combination}, {s: valid[s] for s in combination}).logits
            assert_close(told, given)

    @torch.no_grad()
    def test_weights_that_were_saved_and_loaded_give_the_same_bits(self, network, tmp_path):
        save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, tmp_path / "weights")
        again = fresh(self.method, self.settings, seed=1)
        assert not torch.equal(again(*sample()).logits, network(*sample()).logits)
        again.load_state_dict(load_file(tmp_path / "weights"))
        assert torch.equal(again(*sample()).logits, network(*sample()).logits)

    @torch.no_grad()
    def test_bfloat16_changes_the_map_little(self, network):
        images, valid = sample()
        images = {sensor: image.float() for sensor, image in images.items()}
        exact = network.float()(images, valid).logits
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(images, valid).logits
        assert (rough.float() - exact).abs().mean() < 0.03 * exact.std()

    @torch.no_grad()
    @pytest.mark.parametrize(("place", "holes"), [(0, False), (1, True), (-1, True)])
    def test_fixed_to_a_combination_it_gives_the_bits_of_the_network(self, network, place, holes):
        it, tensors, expected = fixed(network, COMBINATIONS[place], holes)
        assert torch.equal(it(*tensors), expected)

    @pytest.mark.slow
    @torch.no_grad()
    def test_fixed_to_a_combination_it_can_be_exported(self, network):
        it, tensors, expected = fixed(network, COMBINATIONS[1], holes=True)
        program = torch.export.export(it, tensors).module()
        assert_close(program(*tensors), expected)
        others = tuple(x.flip(-1) for x in tensors)
        assert_close(program(*others), it(*others))

    @torch.no_grad()
    def test_the_same_input_gives_the_same_bits(self, network):
        assert torch.equal(network(*sample()).logits, network(*sample()).logits)

    @torch.no_grad()
    def test_classes_decoded_in_chunks_give_the_same_map(self, network):
        chunked = fresh(self.method, self.settings.model_copy(update={"class_chunk": 2}))
        chunked.load_state_dict(network.state_dict())
        assert_close(chunked(*sample()).logits, network(*sample()).logits)

    @torch.no_grad()
    def test_auxiliary_decoders_run_in_training_only(self, network):
        assert network(*sample()).features.auxiliary == {}

    def test_a_batch_without_any_measurement_is_refused(self, network):
        images, valid = sample()
        with pytest.raises(ValueError, match="no sensor has a valid pixel"):
            network(images, {sensor: torch.zeros_like(mask) for sensor, mask in valid.items()})

    def test_parameters_grow_with_sensors_and_not_with_their_pairs_or_combinations(self):
        settings = self.settings.model_copy(update={"own_decoders": False})
        counts = [
            sum(p.numel() for p in build(self.method, dict.fromkeys("abcde"[:n], 3), CLASSES, settings).parameters())
            for n in (2, 3, 4, 5)
        ]
        assert np.diff(counts, 2).tolist() == [0, 0]


class ClasswiseTester(NetworkTester):
    """What a network with class-wise attention has to hold besides."""

    @torch.no_grad()
    def test_class_attention_is_alive_at_the_start_whatever_the_size_of_the_image(self):
        torch.manual_seed(0)
        network, spread = build(self.method, SENSORS, 8, TINY).eval().double(), []
        for size in (64, 256, 512):
            images, _ = sample(size=(size, size))
            spread.append(float(network(images, complete(images)).features.attention.std(1).mean()))
        assert min(spread) >= 0.1 and max(spread) <= 1.1 * min(spread)

    @torch.no_grad()
    def test_an_absent_sensor_is_neither_computed_nor_read(self, network):
        images, valid = sample()
        images["echo"], valid["echo"] = torch.zeros(1, 2, 32, 32).as_subclass(Unreadable), torch.zeros_like(valid["echo"])
        network.encoders["echo"].register_forward_pre_hook(Unreadable.refuse)
        expected = network({s: images[s] for s in ("eye", "relief")}, {s: valid[s] for s in ("eye", "relief")}).logits
        assert torch.equal(network(images, valid).logits, expected)
        with pytest.raises(AssertionError, match="must not be read"):
            network(images, complete(sample()[0]))

    @torch.no_grad()
    def test_every_convolution_gets_its_input_with_channels_last(self):
        network, laid = build(self.method, SENSORS, CLASSES, self.settings).eval(), {}
        for name, layer in network.named_modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.register_forward_pre_hook(
                    lambda layer, given, name=name: laid.update({name: given[0].is_contiguous(memory_format=torch.channels_last)})
                )
        for combination in COMBINATIONS:
            images, valid = sample(combination)
            network({sensor: image.float() for sensor, image in images.items()}, valid)
        assert len(laid) > 20 and [name for name, last in laid.items() if not last] == []

    def test_nothing_is_changed_in_place_through_a_view_which_costs_the_backward_pass_two_copies(self):
        network = fresh(self.method, self.settings).train()
        images, valid = together([sample(combination, seed=seed) for seed, combination in enumerate(COMBINATIONS)])
        available = torch.ones(2 * len(COMBINATIONS), len(SENSORS), dtype=torch.bool)
        available[len(COMBINATIONS) :, 0] = False
        prediction = network.decode(network.encode(images, valid), available)
        todo, seen = [prediction.logits.grad_fn, *(x.grad_fn for x in prediction.features.scales)], set()
        while todo:
            node = todo.pop()
            if node is not None and node not in seen:
                seen.add(node)
                todo += [further for further, _ in node.next_functions]
        assert len(seen) > 100 and not any("CopySlices" in node.name() for node in seen)


class Unreadable(torch.Tensor):
    """An image that nothing may touch."""

    @classmethod
    def __torch_function__(cls, *told):
        raise AssertionError("must not be read")

    @staticmethod
    def refuse(*told):
        raise AssertionError("must not be computed")
