"""The instruments, on runs whose cost is known by hand."""

import weakref

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dis2.evaluation import meter

CPU, MIB = torch.device("cpu"), 2**20


class Book(nn.Module):
    """Parameters to be read in part."""

    def __init__(self):
        super().__init__()
        self.page = nn.Parameter(torch.ones(4, 3))
        self.cover = nn.Parameter(torch.ones(5, 2, 3, 3).contiguous(memory_format=torch.channels_last))
        self.spine = nn.Parameter(torch.ones(1, 7))


@pytest.mark.parametrize(
    ("run", "count"),
    [
        (lambda book: None, 0),
        (lambda book: (book.page.T, book.page[1], book.cover.shape, book.spine.expand(9, 7)), 0),
        (lambda book: book.page[1] + 1, 3),
        (lambda book: (book.page[1] + 1, book.page[1:3] * 2, book.page[1, 0].item()), 6),
        (lambda book: F.linear(torch.ones(2, 4), book.page.T), 12),
        (lambda book: F.conv2d(torch.ones(1, 1, 4, 4), book.cover[:, :1]), 45),
        (lambda book: book.spine.expand(9, 7).sum() + book.cover.sum(), 97),
    ],
)
def test_what_a_run_reads_is_counted_once_and_looking_at_it_is_not_reading(run, count):
    book = Book()
    assert meter.read(lambda: run(book), book) == count


def test_a_multiply_add_is_two_operations():
    x, q = torch.ones(1, 3, 16, 16), torch.ones(1, 2, 10, 4)
    assert meter.operations(lambda: F.conv2d(x, torch.ones(8, 3, 3, 3), padding=1)) == 2 * 8 * 256 * 27
    assert meter.operations(lambda: torch.ones(5, 6) @ torch.ones(6, 7)) == 2 * 5 * 6 * 7
    with torch.no_grad():
        assert meter.operations(lambda: F.scaled_dot_product_attention(q, q, q)) == 2 * (2 * 2 * 10 * 10 * 4)
        assert meter.operations(lambda: F.scaled_dot_product_attention(q @ q.mT @ q, q, q), attention=False) == 2 * (2 * 800)


def test_operations_are_told_by_part_and_add_up():
    network = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Sequential(nn.Linear(5, 6), nn.Linear(6, 2)))
    assert meter.operations_by_part(lambda: network(torch.ones(3, 4))) == {"0": 2 * 3 * 20, "2": 2 * 3 * (30 + 12)}


def test_the_peak_is_what_is_alive_at_once():
    def run():
        first = torch.ones(MIB // 4)
        second = first + 1
        del first
        return (second + 1).sum()

    assert meter.peak(run, CPU) == pytest.approx(2 * MIB, rel=0.01)


def test_what_is_kept_for_the_backward_pass_counts_once_and_without_what_is_there_anyway():
    weight, image = torch.ones(1000, requires_grad=True), torch.ones(1000)

    def loss():
        x = (weight * image).exp()  # keeps weight, image and what exp gives
        return (x.relu() * x[:500].sum()).sum()  # keeps what relu gives, what exp gave, and one number

    assert meter.saved(loss, [weight, image]) == 4 * (1000 + 1000 + 1)


def test_nothing_is_kept_once_it_is_measured():
    weight, kept = torch.ones(8, requires_grad=True), []

    def loss():
        x = weight.exp()
        kept.append(weakref.ref(x))
        return x.sum()

    meter.saved(loss, [])
    assert kept[0]() is None


def test_runs_take_turns_and_the_median_ignores_the_first_of_each():
    order, now = [], [0.0]

    def runs(name, seconds):
        def run():
            order.append(name)
            now[0] += seconds.pop(0)

        return run

    several = [runs("a", [100, 1, 9, 2]), runs("b", [100, 5, 4, 3])]
    assert meter.medians(several, 3, CPU, lambda: now[0]) == [2, 4]
    assert "".join(order) == "ab" + "ab" * 3
    assert meter.medians([runs("c", [7, 6, 8])], 3, CPU, lambda: now[0], warm=True) == [7]
