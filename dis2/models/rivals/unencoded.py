"""What rivals stand on whose every availability is computed by itself, from the images on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dis2.models import encoder
from dis2.models.layers import fold
from dis2.models.prediction import Encoded, Images, Measured, Prediction, Validity


class Unencoded(nn.Module):
    """Encoding leaves the batch as it is, but for zeros where nothing was measured: availabilities share no work."""

    def __init__(self, sensors: dict[str, int]):
        super().__init__()
        self.sensors, self.bands = tuple(sensors), sensors

    def forward(self, images: Images, valid: Validity) -> Prediction:
        return self.decode(self.encode(images, valid))

    def encode(self, images: Images, valid: Validity, measured: Measured | None = None) -> Encoded:
        """Images as stems [B, C, H, W] and masks of level 0 alone [B, 1, H, W], zeros of sensors that no sample has."""
        found = encoder.measured(images, valid) if measured is None else measured
        there = [sensor for sensor in self.sensors if sensor in found]
        if not there:
            raise ValueError("no sensor has a valid pixel in this batch")
        first = next(iter(images.values()))
        batch, _, height, width = first.shape
        stems = {s: first.new_zeros(batch, bands, height, width) for s, bands in self.bands.items()}
        masks = {s: [first.new_zeros(batch, 1, height, width)] for s in self.sensors}
        stems |= {s: torch.where(valid[s], images[s], 0.0) for s in there}
        masks |= {s: [valid[s].to(first.dtype)] for s in there}
        return Encoded(stems, {}, masks, (height, width), batch)

    def decode(self, encoded: Encoded, available: Tensor | None = None) -> Prediction:
        """The whole network, as if only some sensors were there: available [V B, N] holds V views of the batch."""
        raise NotImplementedError

    def shown(self, encoded: Encoded, available: Tensor | None) -> tuple[Images, dict[str, Tensor]]:
        """The batch once for each view: images [V B, C, H, W], and masks [V B, 1, H, W], both zero where a sensor is hidden."""
        images, masks = encoded.stems, {sensor: shares[0] for sensor, shares in encoded.valid.items()}
        if available is None:
            return images, masks
        views = len(available) // encoded.batch
        columns = zip(self.sensors, available.unbind(1), strict=True)
        masks = {sensor: fold(masks[sensor], views) * there.view(-1, 1, 1, 1) for sensor, there in columns}
        return {sensor: mask * fold(images[sensor], views) for sensor, mask in masks.items()}, masks
