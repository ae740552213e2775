"""From raw bands to what a network takes: the one place where values are scaled, in training and for maps alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dis2.models.prediction import Images, Validity
from dis2.raster.relief import heights

Array = NDArray[Any]


def inputs(
    images: Mapping[str, Array], valid: Mapping[str, Array], statistics: Mapping[str, Mapping[str, Any]], device: torch.device
) -> tuple[Images, Validity]:
    """Raw bands [B, C, H, W] and validity [B, H, W] by sensor as standardised tensors [B, C, H, W] and masks [B, 1, H, W]."""
    ready = {sensor: standardised(image, valid[sensor], statistics[sensor], device) for sensor, image in images.items()}
    return ready, {sensor: torch.from_numpy(mask.copy()).unsqueeze(1).to(device) for sensor, mask in valid.items()}


def standardised(image: Array, valid: Array, statistics: Mapping[str, Any], device: torch.device) -> Tensor:
    """Bands with zero mean and unit deviation over the training pixels, computed where the network is: [B, C, H, W]."""
    x = image.astype(np.float32)
    if (radii := statistics["relief"]) != [0]:
        x = np.stack([heights(bands, mask, radii) for bands, mask in zip(x, valid, strict=True)])
    mean, std = (torch.tensor(statistics[key], dtype=torch.float32, device=device)[:, None, None] for key in ("mean", "std"))
    return torch.from_numpy(np.ascontiguousarray(x)).to(device).sub_(mean).div_(std)
