"""An estimate counts each training by its own steps, timed as it will run."""

import torch

from dis2.config.run import Run
from dis2.proposal.estimate import STEPS, estimate, seconds_a_step
from dis2.proposal.grouping import sorted_out
from dis2.raster.survey import survey
from tests.proposal.test_propose import pair


def test_each_training_is_estimated_by_its_own_steps(tmp_path, monkeypatch):
    pair(tmp_path)
    seconds = {"teacher": 1.0, "dis2": 2.0, "sensor-dropout": 3.0}
    monkeypatch.setattr("dis2.proposal.estimate.seconds_a_step", lambda *_: seconds)
    told = " ".join(estimate(sorted_out(*survey(tmp_path), tmp_path), 3, 64))
    assert "a step takes   1 s for teacher, 2 s for dis2, 3 s for sensor-dropout, and" in told
    assert f"one after another, {(300 * 1 + 600 * 2 + 900 * 3) / 60:.0f} minutes" in told


def test_a_machine_with_too_little_memory_for_a_step_is_told_and_gets_its_config(tmp_path, monkeypatch):
    def none(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    pair(tmp_path)
    monkeypatch.setattr("dis2.evaluation.cost.Subject", none)
    told = estimate(sorted_out(*survey(tmp_path), tmp_path), 3, 64)
    assert "million pixels" in told[0] and "more memory than this machine has now" in told[-1]


def test_the_trainings_that_are_estimated_are_those_of_a_run_by_default():
    assert {*STEPS} == {"teacher", *Run.model_fields["methods"].default}


def test_steps_are_timed_with_the_batch_tile_and_threads_of_a_training(monkeypatch):
    class Subject:
        def __init__(self, method, sensors, classes, size, settings, batch):
            self.told = sensors, classes, size, batch

        def seconds(self, rounds):
            return *self.told, torch.get_num_threads()

    monkeypatch.setattr("dis2.evaluation.cost.Subject", Subject)
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        told = dict.fromkeys(["teacher", "dis2", "sensor-dropout"], ({"opt": 3}, 4, 96, 8, 1))
        assert seconds_a_step({"opt": 3}, 4, 96) == told
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
