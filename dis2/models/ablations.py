"""What stands in for a part that is taken out, so that its worth can be measured: see the switches of `model` in the config."""

from __future__ import annotations

from torch import Tensor, nn

from dis2.models.decoding import Edged, Finish, steps
from dis2.models.layers import NormReLU, PixelNorm, doubled, finest
from dis2.models.prediction import Encoded, Offers, Slot
from dis2.models.slots import Shown


class NoSkips(nn.Module):
    """Without hierarchy no finer level is fused, and so none helps the decoder."""

    def forward(self, fused: list[Tensor]) -> list[Tensor]:
        return [fused[-1].new_zeros(len(fused[-1]), 1, 1, 1)] * 3


class NoCompensation(nn.Module):
    """No sensor tells about another: slots of missing sensors stay empty."""

    def offers(self, encoded: Encoded, seen: Shown) -> Offers:
        return {}

    def forward(self, offers: Offers, seen: Shown) -> dict[str, list[Slot]]:
        return {}


class PlainScores(nn.Module):
    """Each cell's classes by a linear layer, whatever sensors are gone."""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.norm = PixelNorm(channels)
        self.classify = nn.Conv2d(channels, classes, 1)

    def forward(self, features: Tensor, validity: Tensor) -> tuple[Tensor, Tensor]:
        """Scores [B, K, h, w] and the normalised features [B, C, h, w]."""
        normed = self.norm(features)
        return self.classify(normed), normed


class PlainDecoder(nn.Module):
    """Works up from level 4 once for all classes."""

    def __init__(self, width: int, classes: int, skips: nn.Module):
        super().__init__()
        self.skips = skips
        self.narrow = nn.ModuleList([nn.Conv2d(a, b, 3, padding=1) for a, b in steps(width)])
        self.norm = nn.ModuleList([NormReLU(b) for _, b in steps(width)])
        self.heads = nn.ModuleList([nn.Conv2d(b, classes, 1) for _, b in steps(width)])
        self.finish = Finish(finest(width), width, classes)

    def forward(self, scores: Tensor, features: Tensor, fused: list[Tensor], edged: Edged) -> tuple[Tensor, list[Tensor], Tensor]:
        """Logits [B, K, H, W], in training those of the scales coarse to fine, penultimate features [B, F, H, W]."""
        x, scales = features, [scores]
        for narrow, skip, norm, head in zip(self.narrow, self.skips(fused), self.norm, self.heads, strict=True):
            x = norm(doubled(narrow(x)).add_(skip))  # [B, C / 2, 2 h, 2 w]
            if self.training:
                scales.append(head(x))
        logits, penultimate = self.finish(x, edged)
        return logits, scales if self.training else [], penultimate
