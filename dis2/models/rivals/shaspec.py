"""ShaSpec-style fusion: what all sensors share stands in for a sensor that is missing.

After H. Wang et al., "Multi-modal learning with missing modality via shared-specific feature modelling", CVPR 2023. One encoder
is shared by all sensors and each has one of its own; a sensor's slot is its shared features plus a projection of shared and own
ones, and the slot of a missing sensor is the mean of the shared features of the others.

Different here: each sensor has its own stem before the shared encoder, since bands differ; slots are filled cell by cell, as
validity goes, at every level; the classifier that tells sensors apart reads the mean of the own features of level 4; slots are
joined for the decoder that all fusion rivals have, and trained on the views and with the recipe that all methods have.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn

from dis2.config.model import ModelSettings
from dis2.models.encoder import Encoders
from dis2.models.layers import joined, weighed
from dis2.models.prediction import Encoded, Images, Measured, Validity
from dis2.models.rivals.network import FusionNetwork, SharedEncoders, averaged, channels, maps, mean_where_valid, shares
from dis2.models.slots import Shown


@dataclass
class SharedAndOwn(Encoded):
    """The slots of the sensors that are there, with what they are made of."""

    shared: Encoded | None = None
    """by the shared encoder"""
    taken_for: dict[str, Tensor] = field(default_factory=dict)
    """which sensor a sensor's own features are taken for: logits [B, N]; in training only"""


class Network(FusionNetwork):
    """Slots of shared and own features, joined level by level."""

    def __init__(self, sensors: dict[str, int], classes: int, settings: ModelSettings):
        super().__init__(sensors, classes, settings, SharedEncoders(sensors, settings.width))
        sizes = channels(settings.width)
        self.own = Encoders(sensors, settings.width)
        self.project = nn.ModuleList([nn.Conv2d(2 * c, c, 1) for c in sizes])
        self.tell = nn.Linear(sizes[-1], len(sensors))
        self.join = nn.ModuleList([nn.Conv2d(len(sensors) * c, c, 1) for c in sizes])

    def encode(self, images: Images, valid: Validity, measured: Measured | None = None) -> SharedAndOwn:
        shared, own = super().encode(images, valid, measured), self.own(images, valid, measured)
        slots = [self._slots(maps(shared, level), maps(own, level), project) for level, project in enumerate(self.project)]
        stems, levels = slots[0], {sensor: [level[sensor] for level in slots[1:]] for sensor in slots[0]}
        taken_for = (
            {s: self.tell(mean_where_valid(x, own.valid[s][-1])) for s, x in maps(own, 4).items()} if self.training else {}
        )
        kept = shared.valid, shared.size, shared.batch, shared.complete
        return SharedAndOwn(stems, levels, *kept, shared=shared, taken_for=taken_for)

    def _slots(self, shared: dict[str, Tensor], own: dict[str, Tensor], project: nn.Module) -> dict[str, Tensor]:
        """A level's shared features, and what own ones add to them: [B, C, h, w]."""
        return {sensor: x + project(joined([x, own[sensor]])) for sensor, x in shared.items()}

    def fuse(self, encoded: Encoded, seen: Shown) -> tuple[list[Tensor], list[Tensor]]:
        assert isinstance(encoded, SharedAndOwn) and encoded.shared is not None
        fused = []
        for level, join in enumerate(self.join):
            slots, seen_share = maps(encoded, level), shares(seen, level)
            common = averaged(maps(encoded.shared, level), seen_share)  # [V B, C, h, w]
            filled = [
                weighed(slots[sensor], share) + (1 - share) * common if sensor in seen.there else common
                for sensor, share in seen_share.items()
            ]
            fused.append(join(joined(filled)))
        return fused, []
