"""What a method costs for a combination of sensors: parameters, arithmetic, memory and time, on the device that is there.

A GFLOP is 10^9 floating-point operations, two for every multiply-add, of matrix products, convolutions and attention. Memory is
what a run has allocated at its peak beside weights and images; what is saved is what its forward pass keeps for the backward one.
Time is the median of several runs after one that does not count. On a GPU that has bf16, arithmetic is in bf16, as in training.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from dis2.combinations import combinations, name_of, parse
from dis2.config.model import ModelSettings
from dis2.config.training import LossWeights, TrainingSettings
from dis2.device import device, has_bf16, lacks_memory
from dis2.errors import UserError
from dis2.evaluation import meter
from dis2.evaluation.printed import aligned
from dis2.models.files import build
from dis2.models.registry import METHODS, method_of
from dis2.training import objective
from dis2.training.objective import Batch, Objective

ROUNDS = 3
"""How many runs a time is the median of."""

MIB = 2**20


@dataclass(frozen=True)
class Inference:
    """A forward pass in evaluation."""

    used: int
    """parameters that it reads"""
    gflops: float
    milliseconds: float
    peak_mib: float


@dataclass(frozen=True)
class Step:
    """A forward and backward pass in training."""

    milliseconds: float
    peak_mib: float
    saved_mib: float


class Subject:
    """A method's fresh network, and made-up images of each sensor for it, on the device that is there."""

    def __init__(self, method: str, sensors: Mapping[str, int], classes: int, size: int, settings: ModelSettings, batch: int = 1):
        torch.manual_seed(0)
        self.way, self.device = method_of(method), device()
        arguments = dict(sensors), classes, settings
        self.network = _network(method, *arguments).to(self.device)
        self.teacher = build("teacher", *arguments).to(self.device).eval().requires_grad_(False) if self.way.teacher else None
        self.images = {sensor: torch.randn(batch, bands, size, size, device=self.device) for sensor, bands in sensors.items()}
        self.labels = torch.randint(classes, (batch, size, size), device=self.device)
        self.classes = torch.ones(classes, device=self.device)
        self.clock: Callable[[], float] = time.perf_counter
        self.rounds = ROUNDS

    @property
    def stored(self) -> int:
        """Parameters, whether a combination reads them or not."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def inference(self, combination: tuple[str, ...]) -> Inference:
        run = self.forward(combination)
        used, operations = meter.read(run, self.network), meter.operations(run)
        bare = torch.inference_mode()(run)
        peak = meter.peak(bare, self.device)
        (seconds,) = meter.medians([bare], self.rounds, self.device, self.clock, warm=True)
        return Inference(used, operations / 1e9, 1e3 * seconds, peak / MIB)

    def step(self, combination: tuple[str, ...]) -> Step:
        """Plain segmentation of one combination: the same loss for every method."""
        return self._step(combination, objective.Objective)

    def recipe(self) -> Step:
        """A step of the method's own training, with default settings, on a sample that has every sensor."""
        return self._step(tuple(self.images), self._own)

    def seconds(self, rounds: int) -> float:
        """The time alone of a step of the method's own training, the median of so many: less to find than all it costs."""
        run = self.backward(tuple(self.images), self._own)
        (seconds,) = meter.medians([run], rounds, self.device, self.clock)
        return seconds

    @property
    def _own(self) -> type[Objective]:
        """What the method is trained by with default settings."""
        kind: type[Objective] = self.way.trained_by(TrainingSettings().distillation)
        return kind

    def _step(self, combination: tuple[str, ...], kind: type[Objective]) -> Step:
        saved = self.saved(combination, kind)
        run = self.backward(combination, kind)
        peak = meter.peak(run, self.device)
        (seconds,) = meter.medians([run], self.rounds, self.device, self.clock, warm=True)
        return Step(1e3 * seconds, peak / MIB, saved / MIB)

    def forward(self, combination: tuple[str, ...]) -> meter.Run:
        """Logits of a combination."""
        images = {sensor: self.images[sensor] for sensor in combination}
        valid = {sensor: torch.ones_like(image[:, :1], dtype=torch.bool) for sensor, image in images.items()}

        def run() -> Tensor:
            self.network.eval()
            with self._autocast():
                logits: Tensor = self.network(images, valid).logits
            return logits

        return run

    def backward(self, combination: tuple[str, ...], kind: type[Objective]) -> meter.Run:
        """The loss of a combination and its gradients."""
        learner = self._learner(combination)

        def run() -> None:
            self._loss(learner, combination, kind).backward()
            learner.zero_grad(set_to_none=True)

        return run

    def saved(self, combination: tuple[str, ...], kind: type[Objective]) -> int:
        """Bytes that the backward pass of a loss needs, beside weights and images."""
        learner = self._learner(combination)
        besides = [*learner.parameters(), *learner.buffers(), *self.images.values()]
        return meter.saved(lambda: self._loss(learner, combination, kind), besides)

    def _loss(self, learner: nn.Module, combination: tuple[str, ...], kind: type[Objective]) -> Tensor:
        sensors = combination if self.way.specialists else tuple(self.images)
        images = {sensor: self.images[sensor] for sensor in sensors}
        valid = {s: torch.full_like(image[:, :1], s in combination, dtype=torch.bool) for s, image in images.items()}
        judge = kind(sensors, self.classes, LossWeights(), self.teacher)
        rng, count = np.random.default_rng(0), len(self.labels)
        with self._autocast():
            batch = Batch(images, valid, self.labels, np.arange(count), 0.5, rng, rng.spawn(count))
            terms = judge.terms(learner.train(), batch)
        return judge.total(terms)

    def _learner(self, combination: tuple[str, ...]) -> nn.Module:
        """What is trained: of specialists, the one of the combination."""
        return self.network.get_submodule(f"of.{name_of(combination)}") if self.way.specialists else self.network

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=has_bf16(self.device))


def _network(method: str, sensors: dict[str, int], classes: int, settings: ModelSettings) -> nn.Module:
    """One network for all combinations, even if it is made of one for each."""
    way = method_of(method)
    if not way.specialists:
        return build(method, sensors, classes, settings)
    parts = {name_of(one): build(method, {s: sensors[s] for s in one}, classes, settings) for one in combinations(tuple(sensors))}
    together: nn.Module = way.network_module().Specialists(sensors, classes, parts)
    return together


def cost(
    method: str, sensors: str, classes: int, size: int, wanted: Sequence[str] | None, widths: Sequence[int], as_json: bool
) -> None:
    """Prints the cost of combinations at several widths, as tables or as JSON."""
    if method != "teacher" and method not in METHODS:
        raise UserError(f"--method {method}: not a method; there are teacher, {', '.join(METHODS)}")
    bands = _bands(sensors)
    shown = [_combination(name, tuple(bands)) for name in wanted or [name_of(bands)]]
    if classes < 2:
        raise UserError(f"--classes {classes}: must be 2 or more")
    if size < 1:
        raise UserError(f"--size {size}: must be 1 or more")
    settings = [_settings(width, size if method_of(method).one_size else None) for width in widths]
    told = [_told(method, bands, classes, size, shown, one) for one in settings]
    head = {"method": method, "sensors": bands, "classes": classes, "size": size, "batch": 1, **machine()}
    if as_json:
        print(json.dumps({**head, "widths": told}, indent=1))
        return
    print(f"{method}, {sensors}, {classes} classes, {size} x {size} pixels, {head['device']}, {head['precision']}")
    for one in told:
        print(f"\nwidth {one['width']}: {one['stored']:,} parameters stored\n\n{_table(one)}")


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    if (where := device()).type == "cuda":
        return {"device": torch.cuda.get_device_name(), "precision": "bfloat16" if has_bf16(where) else "float32"}
    return {"device": f"CPU with {torch.get_num_threads()} threads", "precision": "float32"}


def _told(
    method: str, bands: dict[str, int], classes: int, size: int, shown: Sequence[tuple[str, ...]], settings: ModelSettings
) -> dict[str, Any]:
    """Everything that is measured at one width."""
    try:
        subject = Subject(method, bands, classes, size, settings)
        return {
            "width": settings.width,
            "stored": subject.stored,
            "combinations": {
                name_of(one): {"inference": asdict(subject.inference(one)), "step": asdict(subject.step(one))} for one in shown
            },
            "recipe": asdict(subject.recipe()),
        }
    except RuntimeError as error:
        if not lacks_memory(error):
            raise
        raise UserError(f"--size {size}: needs more memory than there is at width {settings.width}; take less of one") from None


def _table(told: dict[str, Any]) -> str:
    """One line a combination, and one for the method's own training step."""
    rows: list[tuple[str, ...]] = [("sensors", "used", "GFLOP", "inference ms", "MiB", "step ms", "MiB", "saved MiB")]
    for name, one in told["combinations"].items():
        used, *figures = one["inference"].values()
        rows.append((name, f"{used:,}", *(f"{x:,.1f}" for x in (*figures, *one["step"].values()))))
    rows.append(("its own training step", "", "", "", "", *(f"{x:,.1f}" for x in told["recipe"].values())))
    return aligned(rows)


def _bands(sensors: str) -> dict[str, int]:
    """Bands by sensor of `optical=4,sar=2`."""
    bands: dict[str, int] = {}
    for part in sensors.split(","):
        name, _, count = part.partition("=")
        if not name or not count.isdecimal() or not int(count) or name in bands:
            raise UserError(
                f"--sensors {sensors}: {part!r} is not understood; write each sensor once with its bands: optical=4,sar=2"
            )
        bands[name] = int(count)
    return bands


def _combination(name: str, sensors: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return parse(name, sensors)
    except ValueError as error:
        raise UserError(f"--combination {name}: {error}") from None


def _settings(width: int, tile: int | None) -> ModelSettings:
    try:
        return ModelSettings(width=width, tile=tile)
    except ValidationError as error:
        first = error.errors()[0]
        where, value = ("size", tile) if first["loc"] == ("tile",) else ("width", width)
        raise UserError(f"--{where} {value}: {first['msg'].removeprefix('Value error, ')}") from None
