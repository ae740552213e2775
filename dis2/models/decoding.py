"""What every decoder shares: what the finer levels add on its way up, and the last steps to full resolution."""

from __future__ import annotations

from torch import Tensor, nn

from dis2.models.layers import NormReLU, Residual, doubled, finest, fold, weighed, widths
from dis2.models.prediction import Encoded
from dis2.models.slots import Shown


def steps(width: int) -> list[tuple[int, int]]:
    """Channels below and above each step from level 4 up to level 1, where as many suffice as at full resolution."""
    channels = [finest(width), *widths(width)[1:]]
    return list(zip(reversed(channels[1:]), reversed(channels[:-1]), strict=True))


class Skips(nn.Module):
    """What the fused levels 3 to 1 add: [B, C, h, w], coarse to fine."""

    def __init__(self, width: int):
        super().__init__()
        pairs = zip(reversed(widths(width)[:-1]), (above for _, above in steps(width)), strict=True)
        self.bring = nn.ModuleList([nn.Conv2d(fused, above, 1) for fused, above in pairs])

    def forward(self, fused: list[Tensor]) -> list[Tensor]:
        return [bring(x) for bring, x in zip(self.bring, reversed(fused[:-1]), strict=True)]


class Edges(nn.ModuleDict):
    """What the stems of the sensors that are shown add at full resolution, made once per image and not once per view."""

    def __init__(self, sensors: tuple[str, ...], width: int):
        super().__init__({sensor: nn.Conv2d(width // 2, finest(width), 1, bias=False) for sensor in sensors})

    def forward(self, encoded: Encoded, seen: Shown) -> list[Tensor]:
        """Of each of them: [V B, F, H, W]."""
        return [self._edge(encoded, seen, sensor) for sensor in seen.there]

    def _edge(self, encoded: Encoded, seen: Shown, sensor: str) -> Tensor:
        stem = encoded.stems[sensor]
        edge = self[sensor](stem if sensor in encoded.complete else encoded.valid[sensor][0] * stem)
        return weighed(edge, seen.hiding[sensor]) if sensor in seen.hiding else fold(edge, seen.views)


class Finish(nn.Module):
    """From level 1 to the logits."""

    def __init__(self, channels: int, width: int, classes: int):
        super().__init__()
        fine = finest(width)
        self.mix = nn.Sequential(nn.Conv2d(channels, fine, 3, padding=1), NormReLU(fine))
        self.last = Residual(fine)
        self.norm = NormReLU(fine)
        self.classify = nn.Conv2d(fine, classes, 1)

    def forward(self, x: Tensor, *edges: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [B, K, H, W] and penultimate features [B, F, H, W], given what is to be added at full resolution."""
        x = doubled(self.mix(x))  # [B, F, H, W]
        for edge in edges:
            x = x.add_(edge)
        penultimate = self.norm(self.last(x))
        return self.classify(penultimate), penultimate
