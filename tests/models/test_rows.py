"""Samples in groups: taken apart and put together, with gradients of the same bits however many threads add them."""

import torch

from dis2.models.rows import chosen_by, laid, sorted_by, taken


def test_gradients_of_a_sample_that_is_taken_several_times_are_the_same_bits_on_two_threads():
    def gradient():
        x = torch.randn(6, 16, 64, 64, generator=torch.Generator().manual_seed(0)).requires_grad_()
        weights = torch.randn(12, 16, 64, 64, generator=torch.Generator().manual_seed(1))
        (taken(x, [0, 3] * 6) * weights).sum().backward()
        return x.grad

    torch.set_num_threads(2)
    try:
        found = [gradient() for _ in range(10)]
    finally:
        torch.set_num_threads(1)
    assert all(torch.equal(found[0], other) for other in found[1:])


def test_groups_are_put_together_in_the_order_of_their_samples():
    x = torch.arange(4.0).view(4, 1)
    groups = [[2], [0, 3], [1]]
    parts = [taken(x, rows) for rows in groups]
    assert torch.equal(sorted_by(groups)(parts), x) and torch.equal(laid(zip(groups, parts, strict=True), 4), x)
    assert laid([([2], x[2:3])], 4).flatten().tolist() == [0, 0, 2, 0]


def test_each_pixel_is_of_the_group_that_counts_there_and_each_cell_of_the_one_with_most_of_its_pixels():
    left = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    left[..., :1] = True
    put = chosen_by([[0], [0]], [left, ~left])
    assert put([torch.ones(1, 1, 4, 4), torch.full((1, 1, 4, 4), 2.0)])[0, 0, 0].tolist() == [1, 2, 2, 2]
    assert put([torch.ones(1, 1, 1, 1), torch.full((1, 1, 1, 1), 2.0)]).item() == 2
