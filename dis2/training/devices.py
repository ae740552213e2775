"""What a training runs on: a GPU where there is one, or as many as the config asks for, or processes on the CPU."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment
from torch import Tensor

from dis2.device import device, has_bf16
from dis2.errors import UserError

Made = TypeVar("Made")
LOST = re.compile("Connection (closed|reset) by peer|remote process exited")
"""How a lost connection between processes is told."""


def started(devices: int) -> Fabric:
    """The device of this process; with several, each but the first runs this command again and comes to here, too."""
    kind = device().type
    if kind == "cuda" and torch.cuda.device_count() < devices:
        raise UserError(f"training.devices: {devices} wanted, there are {torch.cuda.device_count()} GPUs; ask for fewer")
    fabric = Fabric(
        accelerator=kind,
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        precision=precision(),
        plugins=[LightningEnvironment()],  # one task of one node holds all devices, whatever the scheduler
    )
    fabric.launch()
    return fabric


def first_alone(fabric: Fabric, make: Callable[[], Made]) -> Made:
    """What each process makes, the others only when the first one has; what keeps that from it ends all, and is told once."""
    told: tuple[str, ...] = ()
    made = None
    with fabric.rank_zero_first():  # however long that takes: a broadcast is not waited for so long
        if fabric.is_global_zero:
            try:
                made = make()
            except UserError as error:
                told = error.lines
    if told := fabric.broadcast(told):
        raise UserError(*told) if fabric.is_global_zero else SystemExit(0)  # in silence: else the first one is killed for it
    return make() if made is None else made


@contextmanager
def together(fabric: Fabric) -> Iterator[None]:
    """Says in a line that another of several processes has ended, instead of what that does to a connection."""
    try:
        yield
    except RuntimeError as error:
        if fabric.world_size == 1 or not LOST.search(str(error)):
            raise
        told = "another process of this training has ended: what it says, or a kill for want of memory, is why"
        raise UserError(f"{told}; mend that and run again") from error


def mean_over(fabric: Fabric, values: Tensor) -> Tensor:
    """The mean over all devices."""
    return fabric.all_reduce(values, reduce_op="mean") if fabric.world_size > 1 else values  # type: ignore[return-value]


def any_of(fabric: Fabric, flag: bool) -> bool:
    """Does any device say so?"""
    return flag if fabric.world_size == 1 else bool(mean_over(fabric, torch.tensor(float(flag), device=fabric.device)) > 0)


def precision() -> Any:
    """bf16 on GPUs that have it, else full."""
    return "bf16-mixed" if has_bf16(device()) else "32-true"
