"""The one training loop. It knows no method: an objective draws the views and names the terms of the loss."""

from __future__ import annotations

import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from dis2.config.training import TrainingSettings
from dis2.device import device
from dis2.errors import UserError
from dis2.progress import bar
from dis2.tiles.dataset import Draw, Sample, Sampler
from dis2.tiles.loader import reading
from dis2.training.objective import Batch, Objective
from dis2.training.state import State, load_state, optimiser_tensors, restore_optimiser, save_state
from dis2.training.validate import prepared


class Interrupted(SystemExit):
    """Asked to stop: the state is saved, the exit code tells a scheduler to try again."""


@dataclass
class Loop:
    """Everything that a training is made of."""

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

    def run(self) -> State:
        """Trains from the beginning, or from where a killed run was; the network ends with its best weights."""
        fabric = Fabric(accelerator=device().type, devices=1, precision=precision())
        torch.manual_seed(self.seed)
        inherited = self.objective.start(self.network)
        if self.objective.teacher is not None:
            self.objective.teacher.to(fabric.device).eval().requires_grad_(False)
        optimiser = torch.optim.AdamW(self._groups(inherited), lr=self.settings.learning_rate)
        state = (self.state_folder and load_state(self.state_folder, self.key)) or State()
        if state.step:
            self.network.load_state_dict(state.tensors["network"])
            restore_optimiser(optimiser, state.tensors["optimiser"])
            print(f"going on from step {state.step}", file=sys.stderr)
        network, optimiser = fabric.setup(self.network, optimiser)
        for method in ("encode", "decode"):
            if hasattr(self.network, method):
                network.mark_forward_method(method)
        self._go(fabric, network, optimiser, state)
        self.network.load_state_dict(state.tensors["best"])
        return state

    def _go(self, fabric: Fabric, network: Any, optimiser: Any, state: State) -> None:
        again = "go on" if self.state_folder else "begin anew (nothing is kept without --state)"
        stop: list[int] = []
        before = signal.signal(signal.SIGTERM, lambda number, frame: stop.append(number))
        state.tensors.setdefault("average", {k: v.detach().clone().float() for k, v in self.network.state_dict().items()})
        try:
            with bar(self.steps, "train", "step", initial=state.step) as progress, self._tiles(state.step) as tiles:
                while state.step < self.steps:
                    started = time.monotonic()
                    try:
                        samples = next(tiles)
                    except UserError:
                        if not stop:  # the signal that asks to stop ends processes that read
                            raise
                    else:
                        self._step(fabric, network, optimiser, state, samples)
                        state.seconds += time.monotonic() - started
                        progress.update()
                        mean = state.best.get("mean_miou", math.nan)
                        progress.set_postfix({"loss": f"{state.history[-1]['loss']:.3f}", "mIoU": f"{mean:.3f}"}, refresh=False)
                    if stop or (state.step % self.settings.save_every == 0 and state.step < self.steps):
                        self._save(state, optimiser)
                    if stop:
                        print(f"stopped by signal {stop[0]} after step {state.step}; run again to {again}", file=sys.stderr)
                        raise Interrupted(143)
        finally:
            signal.signal(signal.SIGTERM, before)

    def _step(self, fabric: Fabric, network: Any, optimiser: Any, state: State, samples: Sequence[Sample]) -> None:
        """One step: forward, backward, the averaged weights, and now and then a validation."""
        rate = self._set_rate(optimiser, state.step)
        batch = self._batch(samples, fabric.device, state)
        with fabric.autocast():
            terms = self.objective.terms(network, batch)
        loss = self.objective.total(terms, self.network.parameters())
        fabric.backward(loss)
        norm = fabric.clip_gradients(network, optimiser, max_norm=self.settings.clip, error_if_nonfinite=False)
        if not torch.isfinite(loss) or not torch.isfinite(norm):  # type: ignore[arg-type]
            named = ", ".join(f"{name} {term.item():.3g}" for name, term in terms.items())
            raise UserError(
                f"the loss is not finite at step {state.step} ({named}); lower training.learning_rate, or check the rasters"
            )
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        state.step += 1
        self._average(state)
        line = {
            "step": state.step,
            "learning_rate": rate,
            "loss": loss.item(),
            **{name: term.item() for name, term in terms.items()},
        }
        state.history.append(line)
        if state.step % self.settings.validate_every == 0 or state.step == self.steps:
            self._validate(state, line)

    def _validate(self, state: State, line: dict[str, Any]) -> None:
        """Scores the averaged weights and keeps the best ones."""
        raw = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        averaged = state.tensors["average"] if self.settings.ema else raw
        self.network.load_state_dict(averaged)
        state.scores = self.validate(self.network)
        mean = float(np.mean(list(state.scores.values())))
        line |= {"validation": state.scores, "mean_miou": mean}
        if not state.best or mean > state.best["mean_miou"]:
            state.best = {"step": state.step, "mean_miou": mean, "validation": state.scores}
            state.tensors["best"] = {k: v.detach().clone() for k, v in averaged.items()}
        self.network.load_state_dict(raw)

    def _average(self, state: State) -> None:
        """Moves the averaged weights a little towards the current ones; faster at the beginning."""
        decay = min(self.settings.ema, (1 + state.step) / (10 + state.step))
        average = state.tensors["average"]
        for name, value in self.network.state_dict().items():
            average[name] = average[name].to(value.device).lerp(value.detach().float(), 1 - decay)

    def _save(self, state: State, optimiser: Any) -> None:
        if self.state_folder is None:
            return
        state.tensors["network"] = dict(self.network.state_dict())
        state.tensors["optimiser"] = optimiser_tensors(optimiser)
        save_state(self.state_folder, self.key, state)

    def _tiles(self, step: int) -> AbstractContextManager[Iterator[list[Sample]]]:
        """The tiles of this step and of all that follow, read ahead."""
        groups = (self._draws(step) for step in range(step, self.steps))
        return reading(self.sampler.scenes, groups, self.sampler.size, self.settings.workers)

    def _draws(self, step: int) -> list[Draw]:
        """Which tiles a step takes: the same whenever and wherever they are read."""
        rng = np.random.default_rng([self.seed, step, 0])
        return [self.sampler.place(rng) for _ in range(self.settings.batch)]

    def _batch(self, samples: Sequence[Sample], device: torch.device, state: State) -> Batch:
        images, valid, labels = prepared(samples, self.statistics, device)
        generator = torch.Generator().manual_seed(hash_seed(self.seed, state.step))
        images = {sensor: photometric(image, self.settings.photometric, generator) for sensor, image in images.items()}
        rng = np.random.default_rng([self.seed, state.step, 1])
        return Batch(images, valid, labels, state.step, state.step / self.steps, rng, state.scores)

    def _set_rate(self, optimiser: Any, step: int) -> float:
        """Linear warm-up, then a cosine to zero over all steps."""
        warm = max(1.0, self.settings.warmup * self.steps)
        factor = (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1.0, self.steps - warm)))
        for group in optimiser.param_groups:
            group["lr"] = self.settings.learning_rate * group["share"] * factor
        return self.settings.learning_rate * factor

    def _groups(self, inherited: set[str]) -> list[dict[str, Any]]:
        """Inherited parameters learn slower; biases, norms and embeddings do not decay."""
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in self.network.named_parameters():
            share = self.settings.inherited_rate if name in inherited else 1.0
            decay = self.settings.weight_decay if parameter.dim() > 1 else 0.0
            groups.setdefault((share, decay), []).append(parameter)
        return [{"params": members, "share": share, "weight_decay": decay} for (share, decay), members in groups.items()]


def photometric(image: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Gain and offset of each band and noise of each pixel, in standard deviations of the band: [B, C, H, W]."""
    if not strength:
        return image
    shape = (*image.shape[:2], 1, 1)
    gain, offset = (strength * torch.randn(shape, generator=generator) for _ in range(2))
    noise = strength * torch.randn(image.shape, generator=generator)
    return image * (1 + gain).to(image.device) + (offset + noise).to(image.device)


def hash_seed(*parts: int) -> int:
    """A 63-bit seed of several numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


def precision() -> Any:
    """bf16 on GPUs that have it, else full."""
    return "bf16-mixed" if device().type == "cuda" and torch.cuda.is_bf16_supported() else "32-true"
