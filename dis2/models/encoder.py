"""One sensor's encoder: what it measured, where it measured."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dis2.models.layers import PixelNorm, Residual, down, extended, padded, pooled, up, widths
from dis2.models.prediction import Encoded, Images, Validity


class Encoder(nn.Module):
    """A stem at full resolution, then four levels at strides 2, 4, 8 and 16. Validity is an input channel."""

    def __init__(self, bands: int, width: int):
        super().__init__()
        channels = [width // 2, *widths(width)]
        self.stem = nn.Sequential(nn.Conv2d(bands + 1, channels[0], 3, padding=1), PixelNorm(channels[0]), nn.ReLU())
        self.down = nn.ModuleList([down(a, b) for a, b in zip(channels, channels[1:], strict=False)])
        self.refine = nn.ModuleList([Residual(c) for c in channels[1:]])

    def forward(self, image: Tensor, valid: Tensor) -> list[Tensor]:
        x = torch.where(valid, image, torch.zeros((), dtype=image.dtype, device=image.device))
        x = self.stem(torch.cat([x, valid.to(x.dtype)], 1))  # [B, w / 2, H, W]
        found = [x]
        for halve, refine in zip(self.down, self.refine, strict=True):
            x = refine(halve(x))  # [B, 2^l w / 2, H / 2^l, W / 2^l]
            found.append(x)
        return found


class Encoders(nn.ModuleDict):
    """An encoder for each sensor; a sensor that no sample of the batch has is neither read nor computed."""

    def __init__(self, sensors: dict[str, int], width: int):
        super().__init__({sensor: Encoder(bands, width) for sensor, bands in sensors.items()})

    def forward(self, images: Images, valid: Validity) -> Encoded:
        stems, levels, shares, complete = {}, {}, {}, set()
        first = next(iter(images.values()))
        for sensor, encoder in self.items():
            if sensor not in images or not valid[sensor].any():
                continue
            if valid[sensor].all():
                complete.add(sensor)
            image = padded(images[sensor]).contiguous(memory_format=torch.channels_last)
            stems[sensor], *levels[sensor] = encoder(image, padded(valid[sensor]))
            shares[sensor] = pooled(extended(valid[sensor].to(image.dtype)))
        return Encoded(stems, levels, shares, tuple(first.shape[-2:]), len(first), frozenset(complete))  # type: ignore[arg-type]


class AuxiliaryDecoder(nn.Module):
    """What one sensor tells by itself, so that its encoder learns even where fusion could do without it. In training only."""

    def __init__(self, width: int, classes: int):
        super().__init__()
        self.heads = nn.ModuleList([nn.Conv2d(c, classes, 1) for c in widths(width)])

    def forward(self, levels: list[Tensor]) -> Tensor:
        logits = self.heads[-1](F.relu(levels[-1]))
        for head, x in zip(reversed(self.heads[:-1]), reversed(levels[:-1]), strict=True):
            logits = up(logits, x) + head(F.relu(x))
        return logits  # [B, K, H / 2, W / 2]
