"""What stands in for a part that is taken out, so that its worth can be measured: see the switches of `model` in the config."""

from __future__ import annotations

from torch import Tensor, nn

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
