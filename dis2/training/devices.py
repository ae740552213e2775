"""What a training runs on: a GPU where there is one, or as many as the config asks for, or processes on the CPU."""

from __future__ import annotations

from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment
from torch import Tensor

from dis2.device import device, has_bf16
from dis2.errors import UserError


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


def mean_over(fabric: Fabric, values: Tensor) -> Tensor:
    """The mean over all devices."""
    return fabric.all_reduce(values, reduce_op="mean") if fabric.world_size > 1 else values  # type: ignore[return-value]


def any_of(fabric: Fabric, flag: bool) -> bool:
    """Does any device say so?"""
    return flag if fabric.world_size == 1 else bool(mean_over(fabric, torch.tensor(float(flag), device=fabric.device)) > 0)


def precision() -> Any:
    """bf16 on GPUs that have it, else full."""
    return "bf16-mixed" if has_bf16(device()) else "32-true"
