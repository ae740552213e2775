"""Self-distillation: the student's views, each learning from what the same network says with every sensor."""

from typing import Any

import numpy as np
from torch import Tensor

from dis2.losses import own_view_term
from dis2.training import objective
from dis2.training.objective import Batch
from dis2.training.views import student_views


class Objective(objective.Objective):
    """Segmentation of every view, and KL from the network's own full view, which is not moved."""

    learns_unlabelled = True

    def views(self, batch: Batch) -> np.ndarray:
        return student_views(batch.there, self.sensors, batch.turns, batch.scores, batch.even, batch.views, batch.draws)

    def terms(self, network: Any, batch: Batch) -> dict[str, Tensor]:
        views = self.views(batch)
        encoded = network.encode(batch.images, batch.valid)
        prediction = network.decode(encoded, batch.tensor(views))
        agreement = own_view_term(prediction.logits, len(views), batch.measured)
        return {**self.segmentation(prediction, batch, len(views)), "logits": agreement}
