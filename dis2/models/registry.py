"""The methods by name. A method's modules are named here and imported on demand, so adding one re-trains no other."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType


@dataclass(frozen=True)
class Method:
    """One way to be robust: the module with its `Network`, and the one with the `Objective` that trains it."""

    network: str
    objective: str
    teacher: bool = False
    """Does it start from a trained teacher?"""

    @property
    def modules(self) -> tuple[str, str]:
        return self.network, self.objective

    def network_module(self) -> ModuleType:
        return importlib.import_module(self.network)

    def objective_module(self) -> ModuleType:
        return importlib.import_module(self.objective)


TEACHER = Method("dis2.models.teacher", "dis2.training.teacher")

METHODS = {
    "dis2": Method("dis2.models.student", "dis2.training.distill", teacher=True),
    "sensor-dropout": Method("dis2.models.rivals.dropout", "dis2.training.dropout"),
}


def method_of(name: str) -> Method:
    """The method of a name; `teacher` is one of them."""
    return TEACHER if name == "teacher" else METHODS[name]
