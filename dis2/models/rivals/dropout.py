"""Sensor dropout: the teacher's network as it is, trained with sensors taken away at random."""

from dis2.models import teacher


class Network(teacher.Network):
    """Slots of missing sensors stay empty; the certainty channel tells the fusion which they are."""
