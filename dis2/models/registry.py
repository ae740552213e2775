"""The methods by name. A method's modules are named here and imported on demand, so adding one re-trains no other."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from dis2.config.training import VIEWS


@dataclass(frozen=True)
class Method:
    """One way to be robust: the module with its `Network`, and the one with the `Objective` that trains it."""

    network: str
    objective: str
    teacher: bool = False
    """Does it start from a trained teacher?"""
    views: tuple[str, ...] = VIEWS
    """The settings that decide in which combinations of sensors it is shown a tile."""
    choice: bool = False
    """Is distillation a choice here (`training.distillation`), and not what the method is?"""
    specialists: bool = False
    """Is it one network for each combination?"""
    sensors: int | None = None
    """The one number of sensors that it takes, if not any."""
    whole_batch: bool = False
    """Do its losses and norms look at all samples of a batch together, so that it cannot be divided?"""
    one_size: bool = False
    """Is it built for one size of image?"""

    @property
    def modules(self) -> tuple[str, str]:
        return self.network, self.objective

    def network_module(self) -> ModuleType:
        return importlib.import_module(self.network)

    def objective_module(self) -> ModuleType:
        return importlib.import_module(self.objective)

    def trained_by(self, distillation: bool) -> Any:
        """The objective: where distillation is a choice and not taken, that of labels alone."""
        full = self.objective_module().Objective
        return full if distillation or not self.choice else full.undistilled()


NETWORK = "dis2.models.teacher"
"""The teacher's network, in which a missing sensor is an empty slot: rivals that have it differ in how they are trained."""

TEACHER = Method(NETWORK, "dis2.training.teacher", views=())

METHODS = {
    "dis2": Method("dis2.models.student", "dis2.training.distill", teacher=True, choice=True),
    # what is missing is zeros and a mask that says so, where `teacher-zeros` is fed zeros that claim to be measured
    "zero-filling": Method(NETWORK, "dis2.training.objective", views=()),
    "sensor-dropout": Method(NETWORK, "dis2.training.dropout", views=("views",)),
    "singles": Method(NETWORK, "dis2.training.singles", views=("views",)),
    "singles+sd": Method(NETWORK, "dis2.training.self_distillation", teacher=True),
    # the student's terms but for those of compensation, which is not there
    "plain-distillation": Method(NETWORK, "dis2.training.distill", teacher=True),
    "unet": Method("dis2.models.rivals.unet", "dis2.training.subsets", views=("views",)),
    "shaspec": Method("dis2.models.rivals.shaspec", "dis2.training.shaspec"),
    "mmformer": Method("dis2.models.rivals.mmformer", "dis2.training.plain"),
    "magic": Method("dis2.models.rivals.magic", "dis2.training.magic"),
    "sgma": Method("dis2.models.rivals.sgma", "dis2.training.sgma", views=("views",)),
    "paper": Method("dis2.models.paper.network", "dis2.training.paper", views=(), sensors=2, whole_batch=True, one_size=True),
    "specialist": Method("dis2.models.rivals.specialist", "dis2.training.teacher", views=(), specialists=True),
}


def method_of(name: str) -> Method:
    """The method of a name; `teacher` is one of them."""
    return TEACHER if name == "teacher" else METHODS[name]
