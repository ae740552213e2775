"""Availability drawn per sample: any combination of sensors, as many views as the student sees."""

import numpy as np

from dis2.training import objective
from dis2.training.objective import Batch
from dis2.training.views import drawn_views


class Objective(objective.Objective):
    """Plain segmentation of whatever is drawn."""

    def views(self, batch: Batch) -> np.ndarray:
        return drawn_views(batch.there, self.sensors, batch.views, batch.draws)
