"""What may be done to a sensor's values in training, so that a network does not lean on their exact size.

Each sample has a generator of its own: what is done to it does not depend on how a batch is divided.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dis2.models.prediction import Images

Generators = Sequence[torch.Generator]
Speckle = dict[str, tuple[float, bool]]
"""The looks of each sensor that is seen through speckle, and are its values decibels?"""


def varied(image: Tensor, strength: float, generators: Generators) -> Tensor:
    """Gain and offset of each band and noise of each pixel, in standard deviations of the band: [B, C, H, W]."""
    if not strength:
        return image
    _, bands, height, width = image.shape
    gain, offset = (_normal((bands, 1, 1), generators) * strength for _ in range(2))
    noise = _normal((bands, height, width), generators) * strength
    return image * (1 + gain).to(image.device) + (offset + noise).to(image.device)


def speckled(image: Tensor, looks: float, decibels: bool, statistics: Mapping[str, Any], generators: Generators) -> Tensor:
    """Standardised bands as if seen through speckle: values times gamma noise of mean 1, or in decibels plus its logarithm."""
    seeds = [int(torch.randint(2**62, (), generator=generator)) for generator in generators]
    drawn = [np.random.default_rng(seed).gamma(looks, 1 / looks, image.shape[1:]).astype(np.float32) for seed in seeds]
    noise = torch.from_numpy(np.stack(drawn)).clamp_min(1e-6).to(image.device)  # [B, C, H, W]
    mean, std = (torch.tensor(statistics[key], dtype=image.dtype, device=image.device).view(-1, 1, 1) for key in ("mean", "std"))
    if decibels:
        return image + noise.log() * (10 / math.log(10)) / std
    return ((image * std + mean) * noise - mean) / std


def photometric(
    images: Images,
    strength: Callable[[str], float],
    speckle: Speckle,
    statistics: Mapping[str, Mapping[str, Any]],
    generators: Generators,
) -> Images:
    """All sensors varied, each by its strength; those with speckle speckled before."""
    found = dict(images)
    for sensor, (looks, decibels) in speckle.items():
        found[sensor] = speckled(found[sensor], looks, decibels, statistics[sensor], generators)
    return {sensor: varied(image, strength(sensor), generators) for sensor, image in found.items()}


def _normal(shape: tuple[int, ...], generators: Generators) -> Tensor:
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators])
