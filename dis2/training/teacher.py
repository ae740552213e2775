"""The teacher learns from samples that have every sensor."""

from dis2.training import objective


class Objective(objective.Objective):
    """Plain segmentation, with every sensor."""

    whole_only = True
