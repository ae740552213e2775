"""Sensor dropout: random availabilities of each batch, as many views as the student sees."""

import numpy as np

from dis2.training import objective
from dis2.training.objective import Batch
from dis2.training.views import dropped_views


class Objective(objective.Objective):
    """Plain segmentation with sensors taken away at random."""

    def views(self, batch: Batch) -> np.ndarray:
        return dropped_views(batch.there, batch.views, batch.draws)
