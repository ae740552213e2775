"""A network for one combination: what is exported or compiled gives what the network gives (rivals: in their tester)."""

import pytest
import torch

from tests.models.tester import assert_close, fixed, fresh

CASES = [(("eye", "echo"), False), (("echo",), True)]


@torch.no_grad()
@pytest.mark.parametrize(("combination", "holes"), CASES)
def test_the_student_can_be_exported(combination, holes):
    network, tensors, expected = fixed(fresh("dis2"), combination, holes)
    program = torch.export.export(network, tensors).module()
    assert_close(program(*tensors), expected)
    others = tuple(x.flip(-1) for x in tensors)
    assert_close(program(*others), network(*others))


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize(("combination", "holes"), CASES)
def test_the_student_can_be_compiled_as_one_graph(combination, holes):
    network, tensors, expected = fixed(fresh("dis2"), combination, holes)
    assert_close(torch.compile(network, fullgraph=True)(*tensors), expected)


@torch.no_grad()
def test_where_a_sensor_measured_nothing_the_student_is_fixed_to_what_it_gives_without():
    network = fresh("dis2")
    it, (eye, echo, seen, _), _ = fixed(network, ("eye", "echo"), True)
    assert_close(it(eye, echo, seen, torch.zeros_like(seen)), network({"eye": eye}, {"eye": seen}).logits)
