"""One decoder for each combination: which one reads what, and what that depends on."""

import pytest
import torch

from tests.models.tester import (
    COMBINATIONS,
    TINY,
    assert_close,
    complete,
    fresh,
    sample,
    started,
    together,
)


@pytest.fixture
def network():
    return fresh("dis2")


def measured_everywhere(*wanted):
    """A batch with a sample of each combination, or of some, whose sensors have no holes."""
    shown = [sample(combination, seed=seed)[0] for seed, combination in enumerate(wanted or COMBINATIONS)]
    return together([(images, complete(images)) for images in shown])


@torch.no_grad()
def test_every_decoder_starts_as_one_for_all_would():
    teacher = fresh("teacher", seed=7)
    (own, _), (shared, _) = started(teacher), started(teacher, TINY.model_copy(update={"own_decoders": False}))
    shared.load_state_dict(own.state_dict(), strict=False)
    assert len(own.decoders.own) == 7 and len(shared.decoders.own) == 1
    assert_close(own(*measured_everywhere()).logits, shared(*measured_everywhere()).logits)


@torch.no_grad()
@pytest.mark.parametrize("combination", COMBINATIONS, ids="+".join)
def test_a_decoder_decides_for_its_own_combination_alone(network, combination):
    before = network(*measured_everywhere()).logits
    for parameter in network.decoders.of(combination).parameters():
        parameter.mul_(1.5)
    after = network(*measured_everywhere()).logits
    changed = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert changed == [it == combination for it in COMBINATIONS]


@torch.no_grad()
def test_what_a_sample_lacks_may_be_asked_for(network):
    images, valid = measured_everywhere(("eye", "echo"), ("eye",))
    asked = torch.tensor([[True, False, True], [True, True, True]])
    found = network.decode(network.encode(images, valid), asked).logits
    alone = [{sensor: x[1:] for sensor, x in tensors.items()} for tensors in (images, valid)]
    assert_close(found[1:], network(*alone).logits)


@torch.no_grad()
@pytest.mark.parametrize("size", [(32, 32), (8, 40), (5, 5)])
def test_each_pixel_is_decoded_by_what_it_shows_whatever_the_size_of_the_image(network, size):
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
def test_a_sample_that_shows_nothing_of_what_is_asked_for_is_decoded_as_when_it_is_alone(network, asked):
    images, valid = measured_everywhere(("eye",), ("echo",))
    found = network.decode(network.encode(images, valid), torch.tensor(asked)).logits
    first = [{"eye": tensors["eye"][:1]} for tensors in (images, valid)]
    assert_close(found[:1], network.decode(network.encode(*first), torch.tensor(asked[:1])).logits)


def test_a_speck_of_another_sensor_does_not_decide_by_what_a_sample_is_decoded_in_training(network):
    images, _ = sample()
    valid = complete(images)
    for sensor in ("echo", "relief"):
        valid[sensor][..., 1:] = False
    network.train()(images, valid).logits.sum().backward()
    used = [name for name, it in network.decoders.own.items() if any(p.grad is not None for p in it.parameters())]
    assert used == ["eye"]
