"""Attention at level 4: what it looks at, and what that costs."""

import torch

from dis2.evaluation.meter import operations
from dis2.models.fusion import CELLS, Attention, coarsened


def test_maps_as_large_as_in_training_are_looked_at_cell_by_cell():
    tokens = torch.randn(2, 1 + 3 * CELLS * CELLS + 1, 8)
    assert coarsened(tokens, 3, (CELLS, CELLS)) is tokens


def test_larger_maps_are_averaged_each_by_itself_and_other_tokens_stay():
    height, width = CELLS + 2, 2 * CELLS
    maps = torch.randn(2, 3, 8, height, width)
    scene, context = torch.randn(2, 1, 8), torch.randn(2, 1, 8)
    tokens = torch.cat([scene, maps.flatten(3).movedim(2, -1).flatten(1, 2), context], 1)
    found = coarsened(tokens, 3, (height, width))
    cells = found[:, 1:-1].unflatten(1, (3, height // 2, width // 2))
    assert torch.equal(found[:, 0], scene[:, 0]) and torch.equal(found[:, -1], context[:, 0])
    by_hand = maps.unflatten(3, (-1, 2)).unflatten(5, (-1, 2)).mean((4, 6))  # [B, N, C, h / 2, w / 2]
    torch.testing.assert_close(cells, by_hand.movedim(2, -1))


def test_a_rest_at_the_border_is_averaged_over_what_there_is():
    height, width = CELLS + 1, CELLS + 3
    maps = torch.ones(1, 2, 8, height, width)
    maps[..., -1, :], maps[..., -1] = 5, 3
    found = coarsened(torch.cat([torch.zeros(1, 1, 8), maps.flatten(3).movedim(2, -1).flatten(1, 2)], 1), 2, (height, width))
    cells = found[:, 1:].unflatten(1, (2, height // 2 + 1, width // 2 + 1))
    assert (cells[:, :, -1, 0] == 5).all() and (cells[:, :, 0, -1] == 3).all() and (cells[:, :, :-1, :-1] == 1).all()


def test_where_cells_of_a_block_are_alike_less_of_them_are_looked_at_with_nearly_the_same_result():
    torch.manual_seed(0)
    layer = Attention(8, 2).eval()
    blocks = torch.randn(1, 2, 8, CELLS, CELLS)
    maps = blocks.repeat_interleave(2, 3).repeat_interleave(2, 4)
    tokens = torch.cat([torch.zeros(1, 1, 8), maps.flatten(3).movedim(2, -1).flatten(1, 2)], 1)
    with torch.no_grad():
        few = layer(tokens, 2, (2 * CELLS, 2 * CELLS))
        every = layer(tokens)
    torch.testing.assert_close(few, every, atol=2e-3, rtol=0)  # but for the one token that stands for no block


def test_the_cost_of_attention_grows_with_the_pixels_and_not_with_their_square():
    layer = Attention(8, 2).eval()

    def cost(side: int) -> float:
        tokens = torch.randn(1, 1 + side * side, 8)
        return operations(lambda: layer(tokens, 1, (side, side)), True)

    small, large = cost(2 * CELLS), cost(4 * CELLS)
    assert 3.5 < large / small < 4.5
