"""The methods by name: each has a network and an objective, imported on demand."""

import subprocess
import sys

import pytest

from dis2.models.registry import METHODS, TEACHER, method_of
from dis2.training.objective import Objective


@pytest.mark.parametrize("name", ["teacher", *METHODS])
def test_every_method_has_a_network_and_an_objective(name):
    way = method_of(name)
    assert callable(way.network_module().Network.decode) and issubclass(way.objective_module().Objective, Objective)


def test_the_teacher_starts_from_nothing():
    assert method_of("teacher") is TEACHER and not TEACHER.teacher


def test_naming_the_methods_imports_none_of_them():
    code = "import sys, dis2.models.registry; assert not {m for m in sys.modules if m.startswith(('torch', 'dis2.training'))}"
    subprocess.run([sys.executable, "-c", code], check=True)
