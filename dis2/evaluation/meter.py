"""Instruments: what a run reads, computes, keeps in memory, and how long it takes, on whatever device it runs."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

Run = Callable[[], object]


class Reads(TorchDispatchMode):
    """Marks what of some tensors is read: views read nothing, any other operation reads all that it is given."""

    def __init__(self, tensors: Iterable[Tensor]):
        super().__init__()
        self.marks = {
            x.untyped_storage().data_ptr(): torch.zeros(x.untyped_storage().nbytes() // x.element_size(), dtype=torch.bool)
            for x in tensors
        }

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not func.is_view:
            for x in tree_leaves((args, kwargs)):
                if isinstance(x, Tensor) and (mark := self.marks.get(x.untyped_storage().data_ptr())) is not None:
                    sides = [side if stride else 1 for side, stride in zip(x.shape, x.stride(), strict=True)]
                    mark.as_strided(sides, x.stride(), x.storage_offset()).fill_(True)
        return func(*args, **(kwargs or {}))

    @property
    def count(self) -> int:
        return sum(int(mark.sum()) for mark in self.marks.values())


def read(run: Run, network: nn.Module) -> int:
    """How many parameters of the network a run reads."""
    with Reads(network.parameters()) as reads:
        run()
    return reads.count


def operations(run: Run, attention: bool = True) -> int:
    """Floating-point operations of matrix products, convolutions and attention: two for every multiply-add.

    Without attention, of layers alone: the products within attention, of queries, keys and values, have no parameters.
    """
    return _sum(_counted(run)["Global"], attention)


def operations_by_part(run: Run) -> dict[str, int]:
    """Those of layers alone, of each part of the one network that a run calls."""
    parts = {name.split(".")[1]: counts for name, counts in _counted(run).items() if name.count(".") == 1}
    return {name: _sum(counts, attention=False) for name, counts in parts.items()}


def _counted(run: Run) -> dict[str, dict[Any, int]]:
    """Operations by module and kind."""
    unknown = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention}
    with FlopCounterMode(display=False, custom_mapping=unknown) as counter:
        run()
    return counter.get_flop_counts()


def _sum(counts: dict[Any, int], attention: bool) -> int:
    return sum(count for kind, count in counts.items() if attention or "attention" not in str(kind))


def _attention(query: torch.Size, key: torch.Size, value: torch.Size, *rest: object, **named: object) -> int:
    """Operations of attention between such shapes: what the counter does not know of the CPU."""
    return sdpa_flop_count(query, key, value)


def medians(
    runs: Sequence[Run], repeats: int, device: torch.device, clock: Callable[[], float], warm: bool = False
) -> list[float]:
    """Seconds by the clock of each of several runs, which take turns so that a busy moment meets all of them.

    Unless they are warm, each runs once before.
    """
    for run in () if warm else runs:
        run()
    taken: list[list[float]] = [[] for _ in runs]
    for _ in range(repeats):
        for run, seconds in zip(runs, taken, strict=True):
            _wait(device)
            started = clock()
            run()
            _wait(device)
            seconds.append(clock() - started)
    return [statistics.median(seconds) for seconds in taken]


def peak(run: Run, device: torch.device) -> int:
    """The most bytes that a run has allocated at once, beside what was there before it."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        run()
        return torch.cuda.max_memory_allocated(device) - before
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler else tells of its start and end
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        run()
    events = profile.profiler.kineto_results.events()
    most = held = 0
    for _, size in sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]"):
        held += size
        most = max(most, held)
    return most


def saved(run: Callable[[], Tensor], besides: Iterable[Tensor]) -> int:
    """Bytes that a forward pass keeps for its backward pass, besides some tensors that are there anyway."""
    known, kept = {x.untyped_storage().data_ptr() for x in besides}, dict[int, int]()

    def keep(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return x.detach()  # or the graph would hold itself, and nothing of it be freed

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        loss = run()
    del loss
    return sum(kept.values())


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
