"""What a killed training needs to go on: everything, as tensors and JSON, under a key that only the same training has."""

from __future__ import annotations

import hashlib
import json
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from dis2.errors import UserError
from dis2.files import digest, read_json, whole, write_json

Tensors = dict[str, Tensor]


@dataclass
class State:
    """A training after some steps."""

    step: int = 0
    tensors: dict[str, Tensors] = field(default_factory=dict)
    """network, average (with `ema`), optimiser, best"""
    scores: dict[str, float] = field(default_factory=dict)
    """the last validation"""
    best: dict[str, Any] = field(default_factory=dict)
    """step and scores of the best validation"""
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    waited: float = 0.0
    """seconds of these in which no tiles were ready"""
    scoring: float = 0.0
    """seconds of these that validations took"""


TOLD = ("step", "scores", "best", "history", "seconds", "waited", "scoring")
"""What a state says in its JSON; the rest are tensors."""


def key_of(*parts: Any) -> str:
    """Settings, code and data in one word (as JSON, in which the order of keys does not count)."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def save_state(folder: Path, key: str, state: State) -> None:
    """Tensors first, then the JSON that names them: a state is there only when it is whole."""
    name = f"state-{state.step}.safetensors"
    with whole(folder / name) as part:
        save_file(
            {
                f"{group}/{k}": v.detach().cpu().contiguous().clone()
                for group, tensors in state.tensors.items()
                for k, v in tensors.items()
            },
            part,
        )
    said = {one: getattr(state, one) for one in TOLD}
    write_json(folder / "state.json", {"key": key, "tensors": name, "digest": digest(folder / name), **said})
    _remove(folder, keep=name)


def discard_state(folder: Path) -> None:
    """Removes a state and nothing else that a user may keep in its folder."""
    (folder / "state.json").unlink(missing_ok=True)
    _remove(folder)
    with suppress(OSError):
        folder.rmdir()


def _remove(folder: Path, keep: str = "") -> None:
    for old in (*folder.glob("state-*.safetensors"), *folder.glob(".state*.part.*")):
        if old.name != keep:
            old.unlink()


def load_state(folder: Path, key: str) -> State | None:
    """The state of the same training, or none; any other state is discarded and said."""
    if not (folder / "state.json").exists():
        return None
    said = read_json(folder / "state.json")
    if not isinstance(said, dict) or said.get("key") != key:
        print(f"{folder}: left by other settings, code or data: discarded, training starts anew", file=sys.stderr)
        discard_state(folder)
        return None
    try:
        if said["digest"] != digest(folder / str(said["tensors"])):
            raise SafetensorError("other bytes than were written")
        flat = load_file(folder / str(said["tensors"]))
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{folder / str(said['tensors'])}: damaged ({error}); delete the folder to train from the beginning"
        ) from None
    tensors: dict[str, Tensors] = {}
    for name, tensor in flat.items():
        group, _, inner = name.partition("/")
        tensors.setdefault(group, {})[inner] = tensor
    return State(tensors=tensors, **{one: said[one] for one in TOLD})


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> Tensors:
    """An optimiser's state as named tensors."""
    state = optimiser.state_dict()["state"]
    return {f"{index}.{name}": torch.as_tensor(value) for index, entry in state.items() for name, value in entry.items()}


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Tensors) -> None:
    """The inverse of `optimiser_tensors`; a fused step takes for granted that a parameter's state lies in memory as it does."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, Tensors] = {}
    for name, tensor in tensors.items():
        index, _, inner = name.partition(".")
        like = parameters[int(index)].detach()
        state.setdefault(int(index), {})[inner] = torch.empty_like(like).copy_(tensor) if tensor.shape == like.shape else tensor
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
