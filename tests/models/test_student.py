"""The student: the whole teacher, plus compensation for what is missing."""

import pytest
import torch

from dis2.errors import UserError
from dis2.models.files import build
from dis2.models.slots import shown
from tests.models.tester import (
    CLASSES,
    COMBINATIONS,
    SENSORS,
    TINY,
    ClasswiseTester,
    assert_close,
    batch_of,
    complete,
    fresh,
    is_new,
    objective_of,
    sample,
    together,
)


def started(teacher, settings=TINY):
    """A student at step 0."""
    torch.manual_seed(5)
    student = build("dis2", SENSORS, CLASSES, settings).double()
    inherited = objective_of("dis2", teacher).start(student)
    return student.eval(), inherited


def measured_everywhere(*wanted):
    """A batch with a sample of each combination, or of some, whose sensors have no holes."""
    shown = [sample(combination, seed=seed)[0] for seed, combination in enumerate(wanted or COMBINATIONS)]
    return together([(images, complete(images)) for images in shown])


class TestStudent(ClasswiseTester):
    method = "dis2"

    test_fixed_to_a_combination_it_can_be_exported = None  # see test_fixed.py

    @torch.no_grad()
    def test_with_every_sensor_it_starts_as_its_teacher(self):
        teacher = fresh("teacher", seed=7)
        student, _ = started(teacher)
        for size in ((32, 32), (23, 37)):
            images, _ = sample(size=size)
            assert torch.equal(student(images, complete(images)).logits, teacher(images, complete(images)).logits)

    def test_it_inherits_all_of_its_teacher_and_nothing_else(self):
        student, inherited = started(fresh("teacher"))
        new = {name for name, _ in student.named_parameters()} - inherited
        assert new == {name for name, _ in student.named_parameters() if is_new(name)} != set()

    @torch.no_grad()
    def test_every_decoder_starts_as_one_for_all_would(self):
        teacher = fresh("teacher", seed=7)
        (own, _), (shared, _) = started(teacher), started(teacher, TINY.model_copy(update={"own_decoders": False}))
        shared.load_state_dict(own.state_dict(), strict=False)
        assert len(own.decoders.own) == 7 and len(shared.decoders.own) == 1
        assert_close(own(*measured_everywhere()).logits, shared(*measured_everywhere()).logits)

    @torch.no_grad()
    @pytest.mark.parametrize("combination", COMBINATIONS, ids="+".join)
    def test_a_decoder_decides_for_its_own_combination_alone(self, network, combination):
        before = network(*measured_everywhere()).logits
        for parameter in network.decoders.of(combination).parameters():
            parameter.mul_(1.5)
        after = network(*measured_everywhere()).logits
        changed = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
        assert changed == [it == combination for it in COMBINATIONS]

    @torch.no_grad()
    def test_what_a_sample_lacks_may_be_asked_for(self, network):
        images, valid = measured_everywhere(("eye", "echo"), ("eye",))
        asked = torch.tensor([[True, False, True], [True, True, True]])
        found = network.decode(network.encode(images, valid), asked).logits
        alone = [{sensor: x[1:] for sensor, x in tensors.items()} for tensors in (images, valid)]
        assert_close(found[1:], network(*alone).logits)

    @torch.no_grad()
    @pytest.mark.parametrize("size", [(32, 32), (8, 40), (5, 5)])
    def test_each_pixel_is_decoded_by_what_it_shows_whatever_the_size_of_the_image(self, network, size):
        images, _ = sample(size=size)
        valid = complete(images)
        valid["echo"][..., size[1] // 2 :] = False
        before = network(images, valid).logits
        for parameter in network.decoders.of(("eye", "relief")).parameters():
            parameter.mul_(1.5)
        changed = (network(images, valid).logits != before).any(1)
        assert not changed[..., : size[1] // 2].any() and changed[..., size[1] // 2 :].all()

    @torch.no_grad()
    @pytest.mark.parametrize("asked", [[[False, True, False]] * 2, [[False, True, False], [True, False, False]]])
    def test_a_sample_that_shows_nothing_of_what_is_asked_for_is_decoded_as_when_it_is_alone(self, network, asked):
        images, valid = measured_everywhere(("eye",), ("echo",))
        found = network.decode(network.encode(images, valid), torch.tensor(asked)).logits
        first = [{"eye": tensors["eye"][:1]} for tensors in (images, valid)]
        assert_close(found[:1], network.decode(network.encode(*first), torch.tensor(asked[:1])).logits)

    def test_a_speck_of_another_sensor_does_not_decide_by_what_a_sample_is_decoded_in_training(self, network):
        images, _ = sample()
        valid = complete(images)
        for sensor in ("echo", "relief"):
            valid[sensor][..., 1:] = False
        network.train()(images, valid).logits.sum().backward()
        used = [name for name, it in network.decoders.own.items() if any(p.grad is not None for p in it.parameters())]
        assert used == ["eye"]

    def test_more_sensors_than_may_have_their_own_decoders_are_refused(self):
        with pytest.raises(UserError, match="model.own_decoders: for up to 5 sensors, not 6"):
            build("dis2", dict.fromkeys("abcdef", 3), CLASSES, TINY)

    def test_threads_change_no_bit_of_the_gradients_of_a_sample_that_is_shown_alike_in_all_views(self):
        batch = [sample(("eye",), seed=seed) for seed in range(4)] + [sample(seed=9)]
        images, valid = together(batch)
        found = []
        torch.set_num_threads(2)
        try:
            for _ in range(6):
                network = fresh("dis2").float().train()
                objective = objective_of("dis2", fresh("teacher", seed=1).float().requires_grad_(False))
                objective.classes = objective.classes.float()
                shown = {sensor: image.float() for sensor, image in images.items()}
                objective.total(objective.terms(network, batch_of(shown, valid))).backward()
                found.append(torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]))
        finally:
            torch.set_num_threads(1)
        assert all(torch.equal(found[0], other) for other in found[1:])

    @torch.no_grad()
    def test_a_sensor_seen_on_one_half_is_observed_there_and_compensated_elsewhere(self, network):
        images, _ = sample(size=(64, 64))
        valid = complete(images)
        valid["echo"][..., 32:] = False
        encoded = network.encode(images, valid)
        seen = shown(encoded, None, network.sensors)
        compensated = network.decode(encoded).features.compensated
        slots = network.slots(encoded, seen, compensated)
        index, added = network.sensors.index("echo"), network.slots
        assert set(compensated) == {"echo"} and seen.shares["echo"][-1][0, 0, 0].tolist() == [1, 1, 0, 0]
        for level, size in enumerate((32, 16, 8, 4)):
            slot, certainty = slots[level][index]
            slot, half = slot[0] - added.sensor[level][index].view(-1, 1, 1), size // 2
            filled = compensated["echo"][level]
            trust = torch.exp(-filled.log_variance) / (1 + torch.exp(-filled.log_variance))
            missing = added.nothing[level][index].view(1, -1, 1, 1)
            filling = trust * filled.features + (1 - trust) * missing + added.state[level][index].view(1, -1, 1, 1)
            assert_close(slot[..., :half], encoded.levels["echo"][level][0, ..., :half])
            assert_close(slot[..., half:], filling[0, ..., half:])
            assert_close(certainty[0, 0], torch.where(torch.arange(size) < half, 1.0, trust[0, 0]))

    @torch.no_grad()
    def test_compensatory_features_are_told_by_target_and_source_and_mixed_by_target(self, network):
        found = network(*sample(("eye", "relief"))).features
        sizes = [(4, 16, 16), (8, 8, 8), (16, 4, 4), (32, 2, 2)]
        assert set(found.own) == {"eye", "relief"} and set(found.offers["echo"]) == {"eye", "relief"} == set(
            found.compensated
        ) - {"echo"}
        for levels in (found.offers["echo"]["eye"], found.compensated["echo"]):
            assert [tuple(slot.features.shape[1:]) for slot in levels] == sizes
            assert [tuple(slot.log_variance.shape[1:]) for slot in levels] == [(1, *size[1:]) for size in sizes]

    @torch.no_grad()
    def test_what_is_missing_on_one_half_is_seen_only_near_it(self, network):
        """The fine levels are local: far from the hole, the level 1 fusion knows nothing of it."""
        images, _ = sample(size=(128, 128))
        valid, holed = complete(images), complete(images)
        holed["echo"][..., 112:] = False
        first, second = (network(images, v).features.fused[0][..., :32] for v in (valid, holed))
        assert_close(first, second)

    def test_the_teacher_is_not_moved_and_gets_no_gradient(self):
        teacher = fresh("teacher", seed=1).requires_grad_(False)
        objective, student = objective_of("dis2", teacher), fresh("dis2").train()
        images, valid = together([sample(seed=0), sample(seed=1)])
        objective.total(objective.terms(student, batch_of(images, valid))).backward()
        assert all(p.grad is None for p in teacher.parameters())
