"""The one training loop. It knows no method: an objective draws the views and names the terms of the loss."""

from __future__ import annotations

import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from dis2.config.data import IGNORE
from dis2.config.training import TrainingSettings
from dis2.errors import UserError
from dis2.progress import bar
from dis2.tiles.augment import Draw, Sample
from dis2.tiles.dataset import Sampler
from dis2.tiles.loader import reading
from dis2.training.devices import any_of, first_alone, mean_over
from dis2.training.events import Events
from dis2.training.objective import Batch, Objective
from dis2.training.photometric import Speckle, photometric
from dis2.training.state import State, load_state, optimiser_tensors, restore_optimiser, save_state
from dis2.training.validate import prepared


class Interrupted(SystemExit):
    """Asked to stop: the state is saved, the exit code tells a scheduler to try again."""


@dataclass
class Loop:
    """Everything that a training is made of."""

    fabric: Fabric
    network: nn.Module
    objective: Objective
    sampler: Sampler
    statistics: dict[str, dict[str, Any]]
    settings: TrainingSettings
    steps: int
    seed: int
    validate: Callable[[nn.Module], dict[str, float]]
    state_folder: Path | None
    key: str
    speckle: Speckle = field(default_factory=dict)
    """looks by sensor, and are its values decibels?"""
    origin: Mapping[str, Tensor] | None = None
    """weights to begin with, instead of fresh ones or the teacher's"""
    events: Events = field(default_factory=Events)

    def run(self) -> State:
        """Trains from the beginning, or from where a killed run was; the network ends with its best weights."""
        torch.manual_seed(self.seed)
        inherited = self._start()
        self.objective.to(self.fabric.device)
        optimiser = torch.optim.AdamW(self._groups(inherited), lr=self.settings.learning_rate, fused=True)
        state = first_alone(self.fabric, lambda: (self.state_folder and load_state(self.state_folder, self.key)) or State())
        network, optimiser = self.fabric.setup(self.network, optimiser)
        if state.step:  # only now: an optimiser's state goes where the parameters are, and these have just moved
            self.network.load_state_dict(state.tensors["network"])
            restore_optimiser(optimiser, state.tensors["optimiser"])
            self._say(f"going on from step {state.step}")
        for method in ("encode", "decode"):
            if hasattr(self.network, method):
                network.mark_forward_method(method)
        self.events.first = state.step + 1
        with self.events:
            self._go(network, optimiser, state)
        self.network.load_state_dict(state.tensors["best"])
        return state

    def _start(self) -> set[str]:
        """The first weights; returns the names of those that are not fresh."""
        if self.origin is None:
            return self.objective.start(self.network)
        self.network.load_state_dict(self.origin)
        return set(self.origin)

    def _go(self, network: Any, optimiser: Any, state: State) -> None:
        again = "go on" if self.state_folder else "begin anew (nothing is kept without --state)"
        stop: list[int] = []
        before = signal.signal(signal.SIGTERM, lambda number, frame: stop.append(number))
        if self.settings.ema:
            state.tensors.setdefault("average", {k: v.detach().clone().float() for k, v in self.network.state_dict().items()})
        size, shown = self.settings.batch, self.fabric.is_global_zero
        try:
            with bar(self.steps * size, "train", "tile", state.step * size, shown) as progress, self._tiles(state.step) as tiles:
                while state.step < self.steps and not self._enough(state):
                    started = time.monotonic()
                    self._step(network, optimiser, state, tiles)
                    state.seconds += time.monotonic() - started
                    progress.update(size)
                    progress.set_postfix(self._told(state), refresh=False)
                    stopped = any_of(self.fabric, bool(stop))
                    if stopped or (state.step % self.settings.save_every == 0 and state.step < self.steps):
                        self._save(state, optimiser)
                    if stopped:
                        self.fabric.barrier()  # the first process to leave ends the others, which may be saving
                        self._say(f"stopped by signal {signal.SIGTERM:d} after step {state.step}; run again to {again}")
                        raise Interrupted(143)
        finally:
            signal.signal(signal.SIGTERM, before)

    def _told(self, state: State) -> dict[str, str]:
        """What the progress bar says beside the speed."""
        scored = {"mIoU": f"{state.best['mean_miou']:.3f}"} if state.best else {}
        return {"step": str(state.step), "loss": f"{state.history[-1]['loss']:.3f}", **scored}

    def _say(self, line: str) -> None:
        if self.fabric.is_global_zero:
            print(line, file=sys.stderr)

    def _enough(self, state: State) -> bool:
        """Were the last validations all no better than the best one? Devices may round scores otherwise, but stop together."""
        if not self.settings.patience:
            return False
        late = state.step - state.best.get("step", state.step)
        return any_of(self.fabric, late >= self.settings.patience * self.settings.validate_every)

    def _step(self, network: Any, optimiser: Any, state: State, tiles: Iterator[Batch]) -> None:
        """One step: forward, backward, the averaged weights if there are any, and now and then a validation."""
        rate = self._set_rate(optimiser, state.step)
        terms = self._gradients(network, state, tiles)
        norm = self.fabric.clip_gradients(network, optimiser, max_norm=self.settings.clip, error_if_nonfinite=False)
        if not math.isfinite(terms["loss"]) or not torch.isfinite(norm):  # type: ignore[arg-type]
            named = ", ".join(f"{name} {term:.3g}" for name, term in terms.items() if name != "loss")
            raise UserError(
                f"the loss is not finite at step {state.step} ({named}); lower training.learning_rate, or check the rasters"
            )
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        state.step += 1
        self._average(state)
        line = {"step": state.step, "learning_rate": rate, **terms}
        state.history.append(line)
        if state.step % self.settings.validate_every == 0 or state.step == self.steps:
            self._validate(state, line)
        self.events.write(line)

    def _gradients(self, network: Any, state: State, tiles: Iterator[Batch]) -> dict[str, float]:
        """Backward through this device's samples, in parts where memory asks for it; the loss and its terms of all devices."""
        names, found, parts = [], [], self.settings.accumulate
        for part in range(1, parts + 1):
            started = time.monotonic()
            batch = next(tiles)
            state.waited += time.monotonic() - started
            batch.scores = state.scores
            with self.fabric.no_backward_sync(network, enabled=part < parts):
                with self.fabric.autocast():
                    terms = self.objective.terms(network, batch)
                loss = self.objective.total(terms, self.network.parameters())
                self.fabric.backward(loss / parts)
            names = ["loss", *terms]
            found.append(torch.stack([loss.detach(), *(term.detach() for term in terms.values())]).float())
        mean = mean_over(self.fabric, torch.stack(found).mean(0))
        return dict(zip(names, mean.tolist(), strict=True))

    def _validate(self, state: State, line: dict[str, Any]) -> None:
        """Scores the averaged weights, or else the weights as they are, and keeps the best ones."""
        started = time.monotonic()
        raw = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        scored = state.tensors.get("average", raw)
        self.network.load_state_dict(scored)
        state.scores = self.validate(self.network)
        mean = float(np.mean(list(state.scores.values())))
        line |= {"validation": state.scores, "mean_miou": mean}
        if not state.best or mean > state.best["mean_miou"]:
            state.best = {"step": state.step, "mean_miou": mean, "validation": state.scores}
            state.tensors["best"] = {k: v.detach().clone() for k, v in scored.items()}
        self.network.load_state_dict(raw)
        state.scoring += time.monotonic() - started

    def _average(self, state: State) -> None:
        """Moves the averaged weights, if there are any, a little towards the current ones; faster at the beginning."""
        average = state.tensors.get("average")
        if average is None:
            return
        decay = min(self.settings.ema, (1 + state.step) / (10 + state.step))
        for name, value in self.network.state_dict().items():
            average[name] = average[name].to(value.device).lerp(value.detach().float(), 1 - decay)

    def _save(self, state: State, optimiser: Any) -> None:
        if self.state_folder is None or not self.fabric.is_global_zero:
            return
        state.tensors["network"] = dict(self.network.state_dict())
        state.tensors["optimiser"] = optimiser_tensors(optimiser)
        save_state(self.state_folder, self.key, state)

    def _tiles(self, step: int) -> AbstractContextManager[Iterator[Batch]]:
        """The parts of this step and of all that follow, each brought to the device while the one before is learned from."""
        size = self.settings.batch // self.fabric.world_size // self.settings.accumulate
        parts = [(now, at) for now in range(step, self.steps) for at in range(0, size * self.settings.accumulate, size)]
        coming = iter(parts)
        ready = lambda samples: self._batch(samples, *next(coming))  # noqa: E731
        groups = (self._draws(now)[at : at + size] for now, at in parts)
        return reading(self.sampler.scenes, groups, self.sampler.size, self.settings.workers, ready)

    def _draws(self, step: int) -> list[Draw]:
        """Which tiles this device takes of a step's: the same whenever and wherever they are read."""
        rng = np.random.default_rng([self.seed, step, 0])
        drawn = [self.sampler.place(rng) for _ in range(self.settings.batch)]
        mine = self.settings.batch // self.fabric.world_size
        return drawn[self.fabric.global_rank * mine :][:mine]

    def _batch(self, samples: Sequence[Sample], step: int, at: int) -> Batch:
        """Samples as they are shown; what is drawn for each depends on its place in the training, and not on its neighbours."""
        first = step * self.settings.batch + self.fabric.global_rank * (self.settings.batch // self.fabric.world_size) + at
        turns = np.arange(first, first + len(samples))
        seeds = [hash_seed(self.seed, int(turn)) for turn in turns]
        images, valid, labels = prepared(samples, self.statistics, self.fabric.device)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        images = photometric(images, self.settings.strength, self.speckle, self.statistics, generators)
        rng, draws = np.random.default_rng([self.seed, step, 1]), [np.random.default_rng(seed) for seed in seeds]
        batch = Batch(images, valid, labels, turns, step / self.steps, rng, draws)
        labels = labels.masked_fill(~batch.measured.squeeze(1), IGNORE)  # as they are scored
        return replace(batch, labels=labels, even=self.settings.even_views, views=self.settings.views)

    def _set_rate(self, optimiser: Any, step: int) -> float:
        """Linear warm-up, then a cosine to zero over all steps."""
        warm = max(1.0, self.settings.warmup * self.steps)
        fallen = (step - warm) / max(1.0, self.steps - warm)
        factor = min(1.0, (step + 1) / warm) if step < warm else 0.5 * (1 + math.cos(math.pi * fallen))
        for group in optimiser.param_groups:
            group["lr"] = self.settings.learning_rate * group["share"] * factor
        return self.settings.learning_rate * factor

    def _groups(self, inherited: set[str]) -> list[dict[str, Any]]:
        """Inherited parameters learn slower; vectors (biases and norms, mostly) do not decay."""
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in self.network.named_parameters():
            share = self.settings.inherited_rate if name in inherited else 1.0
            decay = self.settings.weight_decay if parameter.dim() > 1 else 0.0
            groups.setdefault((share, decay), []).append(parameter)
        return [{"params": members, "share": share, "weight_decay": decay} for (share, decay), members in groups.items()]


def hash_seed(*parts: int) -> int:
    """A 63-bit seed of several numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))
