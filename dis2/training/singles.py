"""Sampled single sensors: what is trained with one sensor alone holds with one sensor alone."""

import numpy as np

from dis2.training import objective
from dis2.training.objective import Batch
from dis2.training.views import single_views


class Objective(objective.Objective):
    """Plain segmentation of the full view and of single sensors."""

    def views(self, batch: Batch) -> np.ndarray:
        return single_views(batch.there, batch.turns, batch.views)
