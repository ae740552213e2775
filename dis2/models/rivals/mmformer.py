"""mmFormer-style fusion: missing sensors are zeros, and a transformer between the sensors makes up for them.

After Y. Zhang et al., "mmFormer: multimodal medical transformer for incomplete multimodal learning of brain tumor segmentation",
MICCAI 2022. Each sensor has a hybrid encoder, convolutions below a transformer over its own cells; the features of a missing
sensor are zero, but its tokens still take part in the transformer between sensors, whose positions tell it whose they are.

Different here: positions are a learned vector for each sensor and a depthwise convolution, so that any size of image will do (the
paper learns one for each cell of its one size); skips are joined by 1 x 1 convolutions into the decoder that all fusion rivals
have; the auxiliary decoder that sensors share is the light one of all methods; and the views of all methods replace Bernoulli
dropout.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dis2.config.model import ModelSettings
from dis2.models.encoder import Encoders
from dis2.models.fusion import Attention
from dis2.models.layers import joined, weighed
from dis2.models.prediction import Encoded, Images, Measured, Validity
from dis2.models.rivals.network import FusionNetwork, channels, maps, shares
from dis2.models.slots import Shown

WITHIN = 1
"""Transformer layers within each sensor, as in the paper; between sensors there are `model.depth`."""


class Transformer(nn.Module):
    """Attention between all cells of some maps."""

    def __init__(self, channels: int, depth: int, heads: int):
        super().__init__()
        self.position = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.layers = nn.ModuleList([Attention(channels, heads) for _ in range(depth)])

    def forward(self, entered: list[Tensor]) -> list[Tensor]:
        tokens = torch.cat([(x + self.position(x)).flatten(2).transpose(1, 2) for x in entered], 1)  # [B, N h w, C]
        for layer in self.layers:
            tokens = layer(tokens)
        height, width = entered[0].shape[-2:]
        laid = tokens.unflatten(1, (len(entered), height, width))  # [B, N, h, w, C]
        return list(laid.movedim(-1, 2).unbind(1))


class Network(FusionNetwork):
    """A transformer within each sensor once, and one between them for each availability."""

    def __init__(self, sensors: dict[str, int], classes: int, settings: ModelSettings):
        super().__init__(sensors, classes, settings, Encoders(sensors, settings.width))
        sizes = channels(settings.width)
        self.within = nn.ModuleDict({sensor: Transformer(sizes[-1], WITHIN, settings.heads) for sensor in sensors})
        self.between = Transformer(sizes[-1], settings.depth, settings.heads)
        self.sensor = nn.Parameter(0.02 * torch.randn(len(sensors), sizes[-1]))
        self.join = nn.ModuleList([nn.Conv2d(len(sensors) * c, c, 1) for c in sizes])

    def encode(self, images: Images, valid: Validity, measured: Measured | None = None) -> Encoded:
        encoded = super().encode(images, valid, measured)
        for sensor, (*fine, coarse) in encoded.levels.items():
            encoded.levels[sensor] = [*fine, *self.within[sensor]([coarse])]
        return encoded

    def fuse(self, encoded: Encoded, seen: Shown) -> tuple[list[Tensor], list[Tensor]]:
        *fine, coarse = (self._slots(encoded, seen, level) for level in range(len(self.join)))
        named = [x + embedding.view(1, -1, 1, 1) for x, embedding in zip(coarse, self.sensor, strict=True)]
        return [join(joined(slots)) for join, slots in zip(self.join, [*fine, self.between(named)], strict=True)], []

    def _slots(self, encoded: Encoded, seen: Shown, level: int) -> list[Tensor]:
        """Every sensor's features, zero where it is missing: [V B, C, h, w]."""
        found = maps(encoded, level)
        shape = next(iter(found.values())).shape[1:]
        return [
            weighed(found[sensor], share) if sensor in seen.there else share.new_zeros(len(share), *shape)
            for sensor, share in shares(seen, level).items()
        ]
