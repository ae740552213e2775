"""The student: the whole teacher, plus compensation for what is missing, for any combination of sensors."""

from __future__ import annotations

from torch import Tensor

from dis2.config.model import ModelSettings
from dis2.models import teacher
from dis2.models.compensation import Compensations
from dis2.models.prediction import Encoded, Offers, Slot


class Network(teacher.Network):
    """Slots are observed or compensated, queries know which sensors are gone; with every sensor it starts as its teacher."""

    adaptive = True

    def __init__(self, sensors: dict[str, int], classes: int, settings: ModelSettings):
        super().__init__(sensors, classes, settings)
        self.compensation = Compensations(self.sensors, settings.width)

    def offers(self, encoded: Encoded, available: Tensor) -> Offers:
        """What each sensor offers for each slot that is not wholly observed."""
        everywhere = available.all(0).tolist()
        wanted = [s for s, there in zip(self.sensors, everywhere, strict=True) if not there or s not in encoded.complete]
        return self.compensation.offers(encoded, wanted)

    def compensated(self, encoded: Encoded, available: Tensor, offers: Offers) -> dict[str, list[Slot]]:
        return self.compensation(encoded, available, offers)
