"""Rivals that are the teacher's network, so that what differs is how they are trained."""

import pytest

from dis2.models.registry import METHODS, TEACHER
from tests.models.tester import LearningTester


class TestZeroFilling(LearningTester):
    method = "zero-filling"


class TestSensorDropout(LearningTester):
    method = "sensor-dropout"


class TestSingles(LearningTester):
    method = "singles"


class TestSinglesWithSelfDistillation(LearningTester):
    method = "singles+sd"


class TestPlainDistillation(LearningTester):
    method = "plain-distillation"


@pytest.mark.parametrize("method", [it.method for it in LearningTester.__subclasses__() if it.__module__ == __name__])
def test_their_network_is_the_teacher_s(method):
    assert METHODS[method].network == TEACHER.network
