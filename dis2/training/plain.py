"""The student's views without its distillation, for networks whose point is how they fuse."""

import numpy as np

from dis2.training import objective
from dis2.training.objective import Batch
from dis2.training.views import student_views


class Objective(objective.Objective):
    """Plain segmentation of everything that is there, a single sensor and another subset."""

    def views(self, batch: Batch) -> np.ndarray:
        return student_views(batch.there, self.sensors, batch.turns, batch.scores, batch.even, batch.views, batch.draws)
