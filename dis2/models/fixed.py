"""A network for one combination of sensors, as `torch.compile` and `torch.export` want it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Fixed(nn.Module):
    """Plain tensors in, logits out, and nothing that is done depends on what the tensors hold.

    The sensors of the combination are measured everywhere, unless there are holes: then their validity follows the images.

        torch.export.export(Fixed(network, ("optical", "sar")), (optical, sar))
        torch.compile(Fixed(network, ("sar",), holes=True))(sar, valid)
    """

    def __init__(self, network: nn.Module, combination: tuple[str, ...], holes: bool = False):
        super().__init__()
        self.network: Any = network
        self.combination, self.holes = combination, holes

    def forward(self, *tensors: Tensor) -> Tensor:
        """Logits [B, K, H, W] of images [B, C, H, W] and, with holes, validity [B, 1, H, W], each in the combination's order."""
        count = len(self.combination)
        images = dict(zip(self.combination, tensors[:count], strict=True))
        masks = tensors[count:] if self.holes else [torch.ones_like(x[:, :1], dtype=torch.bool) for x in tensors]
        valid = dict(zip(self.combination, masks, strict=True))
        encoded = self.network.encode(images, valid, dict.fromkeys(self.combination, not self.holes))
        logits: Tensor = self.network.decode(encoded).logits
        return logits
