"""The student: the whole teacher, plus compensation for what is missing."""

import torch

from dis2.models.slots import shown
from tests.models.tester import (
    ClasswiseTester,
    assert_close,
    batch_of,
    complete,
    fresh,
    is_new,
    objective_of,
    sample,
    started,
    together,
)


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
