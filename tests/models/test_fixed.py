"""A network for one combination: the graph that is exported or compiled gives what the network gives."""

import pytest
import torch

from dis2.models.fixed import Fixed
from tests.models.tester import assert_close, complete, fresh, sample

CASES = [(("eye", "echo"), False), (("echo",), True)]


def fixed(combination, holes, method="dis2"):
    """A network with its inputs and what it gives by itself."""
    network = fresh(method)
    images, valid = sample(combination)
    valid = valid if holes else complete(images)
    tensors = (*images.values(), *(valid.values() if holes else ()))
    return Fixed(network, combination, holes), tensors, network(images, valid).logits


@torch.no_grad()
@pytest.mark.parametrize(("combination", "holes"), [*CASES, (("eye", "echo", "relief"), False)])
@pytest.mark.parametrize("method", ["teacher", "dis2"])
def test_it_gives_the_bits_of_the_network(method, combination, holes):
    network, tensors, expected = fixed(combination, holes, method)
    assert torch.equal(network(*tensors), expected)


@torch.no_grad()
@pytest.mark.parametrize(("combination", "holes"), CASES)
def test_it_can_be_exported(combination, holes):
    network, tensors, expected = fixed(combination, holes)
    program = torch.export.export(network, tensors).module()
    assert_close(program(*tensors), expected)
    others = tuple(x.flip(-1) for x in tensors)
    assert_close(program(*others), network(*others))


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize(("combination", "holes"), CASES)
def test_it_can_be_compiled_as_one_graph(combination, holes):
    network, tensors, expected = fixed(combination, holes)
    assert_close(torch.compile(network, fullgraph=True)(*tensors), expected)
