"""One sensor's encoder: what it measured, where it measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dis2.models.layers import Residual, doubled, down, extended, joined, padded, pooled, widths
from dis2.models.prediction import Encoded, Images, Measured, Validity


def masked(image: Tensor, valid: Tensor) -> Tensor:
    """Bands with zeros where nothing was measured, and validity as one more: [B, C + 1, H, W]."""
    x = torch.where(valid, image, torch.zeros((), dtype=image.dtype, device=image.device))
    return joined([x, valid.to(x.dtype)])


def stem(bands: int, channels: int) -> nn.Sequential:
    """What was measured, and where, to the first features at full resolution."""
    return nn.Sequential(nn.Conv2d(bands + 1, channels, 3, padding=1), nn.ReLU(inplace=True))


class Trunk(nn.Module):
    """Four levels at strides 2, 4, 8 and 16."""

    def __init__(self, width: int):
        super().__init__()
        channels = [width // 2, *widths(width)]
        self.down = nn.ModuleList([down(a, b) for a, b in zip(channels, channels[1:], strict=False)])
        self.refine = nn.ModuleList([Residual(c) for c in channels[1:]])

    def climb(self, x: Tensor) -> list[Tensor]:
        """The stem's features and the four levels above them."""
        found = [x]  # [B, w / 2, H, W]
        for halve, refine in zip(self.down, self.refine, strict=True):
            x = refine(halve(x))  # [B, 2^l w / 2, H / 2^l, W / 2^l]
            found.append(x)
        return found


class Encoder(Trunk):
    """A stem at full resolution, then four levels. Validity is an input channel."""

    def __init__(self, bands: int, width: int):
        super().__init__(width)
        self.stem = stem(bands, width // 2)

    def forward(self, image: Tensor, valid: Tensor) -> list[Tensor]:
        return self.climb(self.stem(masked(image, valid)))


class Encoders(nn.ModuleDict):
    """An encoder for each sensor."""

    def __init__(self, sensors: dict[str, int], width: int):
        super().__init__({sensor: Encoder(bands, width) for sensor, bands in sensors.items()})

    def forward(self, images: Images, valid: Validity, known: Measured | None = None) -> Encoded:
        return encoded(images, valid, dict(self.items()), known)


def encoded(
    images: Images,
    valid: Validity,
    encoders: Mapping[str, Callable[[Tensor, Tensor], list[Tensor]]],
    known: Measured | None = None,
) -> Encoded:
    """Each sensor by its encoder; one that no sample of the batch has is neither read nor computed.

    Which ones are measured is looked up, unless it is known.
    """
    found = measured(images, valid) if known is None else known
    stems, levels, shares = {}, {}, {}
    for sensor in (sensor for sensor in encoders if sensor in found):
        image = padded(images[sensor]).contiguous(memory_format=torch.channels_last)
        stems[sensor], *levels[sensor] = encoders[sensor](image, padded(valid[sensor]))
        shares[sensor] = pooled(extended(valid[sensor].to(image.dtype)))
    batch, _, height, width = next(iter(valid.values())).shape
    return Encoded(stems, levels, shares, (height, width), batch, frozenset(s for s in levels if found[s]), known is not None)


def measured(images: Images, valid: Validity) -> Measured:
    """The sensors with any valid pixel, and whether all their pixels are, in one look at the device."""
    looks = {sensor: torch.stack([valid[sensor].any(), valid[sensor].all()]) for sensor in images}
    told = torch.stack([*looks.values()]).tolist()
    return {sensor: every for sensor, (some, every) in zip(looks, told, strict=True) if some}


class AuxiliaryDecoder(nn.Module):
    """What one sensor tells by itself, so that its encoder learns even where fusion could do without it. In training only."""

    def __init__(self, width: int, classes: int):
        super().__init__()
        self.heads = nn.ModuleList([nn.Conv2d(c, classes, 1) for c in widths(width)])

    def forward(self, levels: list[Tensor]) -> Tensor:
        logits = self.heads[-1](F.relu(levels[-1]))
        for head, x in zip(reversed(self.heads[:-1]), reversed(levels[:-1]), strict=True):
            logits = doubled(logits) + head(F.relu(x))
        return logits  # [B, K, H / 2, W / 2]
