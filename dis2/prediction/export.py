"""A model as one file for one combination of sensors, which runs without this package: numbers of files in, probabilities out."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from dis2.combinations import name_of, parse
from dis2.config.data import Sensor
from dis2.errors import UserError
from dis2.files import whole
from dis2.models.files import Card, Model, load
from dis2.models.fixed import Fixed
from dis2.models.layers import STRIDE
from dis2.models.temperature import tempered
from dis2.prediction.arrays import Predictor
from dis2.raster.scaling import DECADE

CARD = "dis2.json"
"""What travels in the file: names of sensors, bands and classes, and what goes in and comes out."""

MOST = 256
"""Times the coarsest stride: no side of an image is longer."""

SIZES = ((64, 96), (48, 32))
"""Of the images on which the file is compared to the model: that with which it is made, and another one."""

CLOSE = 1e-4
"""By how much a probability may differ, for rounding."""


class Prepared(nn.Module):
    """One sensor's numbers, as its files hold them, to what the network takes: scaled, standardised, and where they are any."""

    mean: Tensor
    std: Tensor

    def __init__(self, spec: Sensor, statistics: dict[str, Any]):
        super().__init__()
        self.scaling, self.relative, self.radii = spec.scaling, spec.relative, tuple(statistics["relief"])
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(statistics[name], dtype=torch.float32).view(-1, 1, 1))

    def forward(self, image: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Bands [B, C, H, W] and validity [B, 1, H, W]."""
        x, scaling = image, self.scaling
        if scaling.linear:
            x = x * (1.0 if scaling.factor is None else scaling.factor) + (scaling.offset or 0.0)
        x = torch.where(x.isinf(), torch.nan, x)
        if scaling.decibels:
            x = DECADE[scaling.decibels] * torch.log10(x)
        if scaling.clip:
            x = x.clamp(*scaling.clip)
        valid = valid & x.isfinite().all(1, keepdim=True)
        if self.relative:
            x = relative(x, valid)
        x = torch.cat([relief(x, valid, radius) if radius else x for radius in self.radii], 1)
        return (x - self.mean) / self.std, valid


def relative(x: Tensor, valid: Tensor) -> Tensor:
    """Bands in deviations from the mean of the image, as `dis2.raster.relative` has it: [B, C, H, W]."""
    filled, count = torch.where(valid, x, 0.0).double(), valid.sum((2, 3), keepdim=True).clamp_min(1)
    apart = torch.where(valid, filled - filled.sum((2, 3), keepdim=True) / count, 0.0)
    spread = (apart.square().sum((2, 3), keepdim=True) / count).sqrt()
    return (apart / torch.where(spread > 0, spread, 1.0)).to(x.dtype)


def relief(x: Tensor, valid: Tensor, radius: int) -> Tensor:
    """Bands less the mean of the valid pixels within a radius, as `dis2.raster.relief` has it: [B, C, H, W]."""

    def around(y: Tensor) -> Tensor:
        size = 2 * radius + 1
        return F.avg_pool2d(F.avg_pool2d(y, (size, 1), 1, (radius, 0)), (1, size), 1, (0, radius))

    filled = torch.where(valid, x, 0.0)
    return torch.where(valid, x - around(filled) / around(valid.to(x.dtype)).clamp_min(1e-6), 0.0)


class Exported(nn.Module):
    """Images [1, C, H, W] and then validity [1, 1, H, W], each in the combination's order, to probabilities [1, K, H, W]."""

    def __init__(self, network: nn.Module, card: Card, combination: tuple[str, ...]):
        super().__init__()
        self.prepared = nn.ModuleList([Prepared(card.rasters[sensor], card.statistics[sensor]) for sensor in combination])
        self.network = Fixed(network, combination, holes=True)
        self.combination, self.temperatures = combination, card.temperatures

    def forward(self, *tensors: Tensor) -> Tensor:
        count = len(self.prepared)
        ready = [prepare(x, v) for prepare, x, v in zip(self.prepared, tensors[:count], tensors[count:], strict=True)]
        logits: Tensor = self.network(*(x for x, _ in ready), *(v for _, v in ready))
        masks = {sensor: v for sensor, (_, v) in zip(self.combination, ready, strict=True)}
        return torch.softmax(tempered(logits, masks, self.combination, self.temperatures), 1)


def export(folder: Path, name: str, out: Path) -> None:
    """Writes `out`, if what is read back from it says what the model says."""
    if out.suffix != ".pt2":
        raise UserError(f"{out}: an exported program ends in .pt2; give such a name")
    model = load(folder)
    try:
        combination = parse(name, tuple(model.card.sensors))
    except ValueError as error:
        raise UserError(f"--combination {name}: {error}") from None
    if above := [sensor for sensor in combination if model.card.rasters[sensor].ground]:
        raise UserError(f"{folder}: {above[0]} is told above its ground, which a program does not find; use dis2 predict")
    network = network_of(model, folder, combination)
    with whole(out) as part:
        made = program(network, model.card, combination)
        packed = io.BytesIO()  # torch ends Python where it cannot write a file
        torch.export.save(made, packed, extra_files={CARD: json.dumps(told(model.card, combination))})
        part.write_bytes(packed.getbuffer())
        worst = max(disagreement(part, Predictor(model, torch.device("cpu")), combination, size) for size in SIZES)
        if not worst <= CLOSE:
            raise UserError(f"{out}: differs from the model by {worst:.1g} in a probability and is not written; use dis2 predict")
    print(f"{out}: agrees with the model to {worst:.1g} in every probability")


def network_of(model: Model, folder: Path, combination: tuple[str, ...]) -> nn.Module:
    """What is exported: of specialists, the one of the combination."""
    if model.card.method == "paper":
        raise UserError(f"{folder}: paper chooses its parts by what an image holds, and so cannot be exported; use dis2 predict")
    specialists: Any = getattr(model.network, "of", None)
    network: nn.Module = model.network if specialists is None else specialists[name_of(combination)]
    return network.to("cpu")


@torch.no_grad()
def program(network: nn.Module, card: Card, combination: tuple[str, ...]) -> ExportedProgram:
    """The graph of one image, whose sides are any multiples of the coarsest stride."""
    height, width = (STRIDE * Dim(side, min=2, max=MOST) for side in ("rows", "columns"))
    tensors = made_up(card, combination, SIZES[0])
    sides = tuple({2: height, 3: width} for _ in tensors)
    return torch.export.export(Exported(network, card, combination), tensors, dynamic_shapes=(sides,))


@torch.no_grad()
def disagreement(file: Path, model: Predictor, combination: tuple[str, ...], size: tuple[int, int]) -> float:
    """The most by which a probability differs between a file and the model, where anything is measured."""
    tensors = made_up(model.model.card, combination, size)
    found = torch.export.load(file).module()(*tensors)[0].numpy()
    images, masks = (
        {sensor: x[0].numpy() for sensor, x in zip(combination, part, strict=True)}
        for part in (tensors[: len(combination)], tensors[len(combination) :])
    )
    with warnings.catch_warnings(action="ignore"):  # of numbers that are made up
        expected = model.predict(images, {sensor: mask[0] for sensor, mask in masks.items()}).probabilities
    return float(np.nanmax(np.abs(found - expected)))


def made_up(card: Card, combination: Sequence[str], size: tuple[int, int]) -> tuple[Tensor, ...]:
    """Numbers like those of each sensor's files, with holes: images, then validity."""
    rng = torch.Generator().manual_seed(0)
    images, masks = [], []
    for sensor in combination:
        mean, std = (torch.tensor(card.statistics[sensor][key]).view(1, -1, 1, 1) for key in ("mean", "std"))
        values = (mean + std * torch.randn(1, card.channels[sensor], *size, generator=rng))[:, : card.sensors[sensor]]
        scaling = card.rasters[sensor].scaling
        if scaling.decibels:
            values = 10 ** (values / DECADE[scaling.decibels])
        images.append((values - (scaling.offset or 0.0)) / (1.0 if scaling.factor is None else scaling.factor))
        masks.append(torch.rand(1, 1, *size, generator=rng) > 0.1)
    return *images, *masks


def told(card: Card, combination: tuple[str, ...]) -> dict[str, Any]:
    """What the file says of itself."""
    return {
        "method": card.method,
        "sensors": {sensor: card.sensors[sensor] for sensor in combination},
        "classes": list(card.classes),
        "inputs": "float32 images [1, bands, H, W] of each sensor, then bool validity [1, 1, H, W] of each; H, W multiples of 16",
        "numbers": "those of files, after a factor and an offset that files tell of themselves",
        "output": "float32 probabilities [1, classes, H, W]",
        "resolution": card.resolution,
    }
