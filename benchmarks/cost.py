"""What each method costs: dis2 beside the published form and every rival of the registry, on the CPU or the GPU that is there.

    python benchmarks/cost.py [--part PART ...] [--sizes 256 512] [--methods METHOD ...] [--rounds 3] [--classwise] [--out FILE]

Two sensors of 3 and 1 bands, 5 classes, width 32, as published. Three parts: every combination's cost by method and size; the
parameters of dis2 by the number of sensors; and dis2 against the published form at equal width, measured in turns, without the
dropout of the published form. Time is the processor's (on a GPU the clock's), the median of so many rounds. What a figure is:
`dis2/evaluation/cost.py`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import nn

from dis2.combinations import combinations, name_of
from dis2.config.model import ModelSettings
from dis2.evaluation import meter
from dis2.evaluation.cost import MIB, Step, Subject, machine
from dis2.evaluation.printed import aligned
from dis2.models.registry import METHODS
from dis2.training import objective

SENSORS, CLASSES, WIDTH = {"rgb": 3, "dsm": 1}, 5, 32
PARTS: dict[str, bool] = {}
"""What is switched on of what is off by default."""
ORIGINAL = 107.1
"""GFLOP of full inference at 512 pixels of the authors' own code, of layers, branches that nothing reads included."""


def subject(method: str, size: int, rounds: int = 1) -> Subject:
    tile = size if METHODS[method].one_size else None
    it = Subject(method, SENSORS, CLASSES, size, ModelSettings(width=WIDTH, tile=tile, **PARTS))
    it.clock, it.rounds = time.process_time if it.device.type == "cpu" else time.perf_counter, rounds
    return it


def of_methods(methods: Sequence[str], sizes: Sequence[int], rounds: int) -> Iterator[str]:
    """A table a size; methods that share a network share its rows, and differ in what a step of their training costs."""
    for size in sizes:
        rows = [("network", "sensors", "stored", "used", "GFLOP", "inference ms", "MiB", "step ms", "MiB", "saved MiB")]
        steps = [("method", "own training step ms", "MiB", "saved MiB")]
        by_network: dict[str, list[str]] = {}
        for method in methods:
            by_network.setdefault(METHODS[method].network, []).append(method)
        for sharing in by_network.values():
            rows += _rows(", ".join(sharing), subject(sharing[0], size, rounds))
            steps += [(method, *_figures(subject(method, size, rounds).recipe())) for method in sharing]
            print(rows[-1], steps[-len(sharing) :], file=sys.stderr, flush=True)
        yield f"## {size} x {size} pixels\n\n{aligned(rows)}\n\n{aligned(steps)}"


def _rows(name: str, it: Subject) -> list[tuple[str, ...]]:
    """A network's combinations."""
    rows = []
    for combination in combinations(tuple(SENSORS)):
        inference, step = it.inference(combination), it.step(combination)
        count = f"{inference.used:,}"
        figures = f"{inference.gflops:.1f}", f"{inference.milliseconds:,.0f}", f"{inference.peak_mib:,.0f}"
        rows.append((name, name_of(combination), f"{it.stored:,}", count, *figures, *_figures(step)))
    return rows


def _figures(step: Step) -> tuple[str, ...]:
    return f"{step.milliseconds:,.0f}", f"{step.peak_mib:,.0f}", f"{step.saved_mib:,.0f}"


def of_sensors() -> str:
    """The parameters of dis2: linear in the number of sensors."""
    rows, before = [("sensors of 3 bands", "parameters", "more than before")], 0
    for count in (2, 3, 4, 5):
        stored = Subject("dis2", dict.fromkeys("abcde"[:count], 3), CLASSES, 16, ModelSettings(width=WIDTH, **PARTS)).stored
        rows.append((str(count), f"{stored:,}", f"{stored - before:,}" if before else ""))
        before = stored
    return f"## Parameters of dis2 by sensors\n\n{aligned(rows)}"


def arithmetic(size: int) -> str:
    """Inference with all sensors of the published form, as its authors' code was counted, and of dis2, part by part."""
    rows = [("inference, all sensors", "GFLOP of layers", "with the products within attention")]
    for method in ("paper", "dis2"):
        run = subject(method, size).forward(tuple(SENSORS))
        rows.append((method, *(f"{meter.operations(run, attention) / 1e9:.1f}" for attention in (False, True))))
    parts = meter.operations_by_part(run)
    rows += [(f"dis2: {name}", f"{parts[name] / 1e9:.1f}", "") for name in sorted(parts, key=lambda name: -parts[name])]
    told = f"The authors' own code: {ORIGINAL} GFLOP of layers at 512 pixels, with branches that nothing reads."
    return f"## Arithmetic, {size} x {size} pixels\n\n{aligned(rows)}\n\n{told}"


def comparison(size: int, rounds: int) -> str:
    """dis2 on one availability against the published form's full and missing branch; inference with all sensors."""
    ours, published = subject("dis2", size, rounds), subject("paper", size, rounds)
    for layer in published.network.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    every, authors = tuple(SENSORS), METHODS["paper"].objective_module().Objective
    alone = {name_of(c): c for c in combinations(every) if len(c) == 1}
    steps: dict[str, tuple[Subject, tuple[str, ...], type[objective.Objective]]] = {
        "paper: full and missing branch": (published, every, authors),
        **{f"dis2: {name}": (ours, c, objective.Objective) for name, c in alone.items()},
        "dis2: distillation, teacher and three views": (ours, every, METHODS["dis2"].objective_module().Objective),
    }
    seconds = _turns([it.backward(c, kind) for it, c, kind in steps.values()], ours)
    saved = [it.saved(c, kind) / MIB for it, c, kind in steps.values()]
    rows = [("forward and backward", "CPU s", "of paper's", "saved MiB", "of paper's")]
    for name, s, m in zip(steps, seconds, saved, strict=True):
        rows.append((name, f"{s:.2f}", f"1/{seconds[0] / s:.2f}", f"{m:,.0f}", f"1/{saved[0] / m:.2f}"))
    forward = [("inference", "CPU s", "of paper's")]
    for name, c in {"all sensors": every, **alone}.items():
        slow, fast = _turns([torch.inference_mode()(it.forward(c)) for it in (published, ours)], ours)
        forward += [(f"paper: {name}", f"{slow:.2f}", ""), (f"dis2: {name}", f"{fast:.2f}", f"1/{slow / fast:.2f}")]
    return f"## At equal width, {size} x {size} pixels\n\n{aligned(rows)}\n\n{aligned(forward)}"


def _turns(runs: Sequence[meter.Run], it: Subject) -> list[float]:
    return meter.medians(runs, it.rounds, it.device, it.clock)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parts = ["comparison", "arithmetic", "sensors", "methods"]
    parser.add_argument("--part", nargs="+", default=parts, choices=parts)
    parser.add_argument("--rounds", type=int, default=3, help="the runs that a time is the median of")
    parser.add_argument("--classwise", action="store_true", help="with class-wise features and certainty (default: without)")
    parser.add_argument("--out", type=Path, help="also write the tables to this file (Markdown)")
    arguments = parser.parse_args()
    PARTS.update(dict.fromkeys(("classwise", "certainty"), arguments.classwise))
    tables = {
        "comparison": lambda: (comparison(size, arguments.rounds) for size in arguments.sizes[-1:]),
        "arithmetic": lambda: (arithmetic(size) for size in arguments.sizes[-1:]),
        "sensors": lambda: iter([of_sensors()]),
        "methods": lambda: of_methods(arguments.methods, arguments.sizes, arguments.rounds),
    }
    told = [f"# Cost\n\n{', '.join(map(str, machine().values()))}; width {WIDTH}, {SENSORS}, {CLASSES} classes, batch 1"]
    print(told[0], flush=True)
    for part in arguments.part:
        for table in tables[part]():
            print(f"\n{table}", flush=True)
            told.append(table)
    if arguments.out:
        arguments.out.write_text("\n\n".join(told) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
