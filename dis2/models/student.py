"""The student: the whole teacher, plus compensation for what is missing, for any combination of sensors."""

from __future__ import annotations

from torch import Tensor

from dis2.combinations import name_of
from dis2.config.model import ModelSettings
from dis2.models import teacher
from dis2.models.ablations import NoCompensation
from dis2.models.compensation import Compensations
from dis2.models.decoders import Decoders
from dis2.models.prediction import Encoded, Offers, Slot
from dis2.models.slots import Shown


class Network(teacher.Network):
    """Slots are observed or compensated, queries know which sensors are gone; with every sensor it starts as its teacher."""

    adaptive = True

    def __init__(self, sensors: dict[str, int], classes: int, settings: ModelSettings):
        super().__init__(sensors, classes, settings)
        self.certainty = settings.certainty
        self.compensation: Compensations | NoCompensation = (
            Compensations(self.sensors, settings.width, settings.fused_levels, settings.certainty)
            if settings.compensation
            else NoCompensation()
        )
        self.decoders = Decoders(self.decoders.of(self.sensors), settings.own_decoders)

    def inherited(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """All of them; each decoder begins as the teacher's only one."""
        first = f"decoders.own.{name_of(self.sensors)}."
        copies = {
            f"decoders.own.{key}.{name}": weights[first + name]
            for key, decoder in self.decoders.own.items()
            for name in decoder.state_dict()
            if first + name in weights
        }
        return {**weights, **copies}

    def offers(self, encoded: Encoded, seen: Shown) -> Offers:
        """What each sensor offers for each slot that is not wholly observed."""
        return self.compensation.offers(encoded, seen)

    def compensated(self, offers: Offers, seen: Shown) -> dict[str, list[Slot]]:
        """Those slots, filled."""
        return self.compensation(offers, seen)
