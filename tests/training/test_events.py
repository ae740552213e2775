"""Events: what a training tells while it runs, as TensorBoard reads it."""

import sys

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dis2.errors import UserError
from dis2.training.events import Events
from tests.training.tiny import at_step, history, trained


def test_without_a_folder_nothing_is_written():
    with Events() as events:
        events.write({"step": 1, "loss": 2.0})
    assert events.writer is None


def test_every_term_and_every_combination_is_told_by_step(tiles, tmp_path):
    out = trained(tiles, "teacher", tmp_path, tensorboard=True)
    told = EventAccumulator(str(out / "events"))
    told.Reload()
    lines = history(out)
    assert [(event.step, pytest.approx(event.value)) for event in told.Scalars("loss")] == [(x["step"], x["loss"]) for x in lines]
    assert [event.step for event in told.Scalars("validation/eye+echo+relief")] == [3, 6]


def test_a_training_that_goes_on_tells_every_step_once_and_one_that_begins_anew_nothing_of_the_one_before(tiles, tmp_path):
    def told():
        found = EventAccumulator(str(tmp_path / "out" / "events"))
        found.Reload()
        return [event.step for event in found.Scalars("loss")]

    arguments = tiles, "teacher", tmp_path / "out", None, tmp_path / "state"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(MemoryError):
        at_step(patch, 4, lambda: (_ for _ in ()).throw(MemoryError))
        trained(*arguments, tensorboard=True, save_every=2)
    trained(*arguments, tensorboard=True, save_every=3)
    assert told() == [1, 2, 3, 4, 5, 6]
    trained(*arguments, tensorboard=True, teacher_steps=2)
    assert told() == [1, 2]


def test_without_tensorboard_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    told = "training.tensorboard: true: tensorboard is not installed; `pip install tensorboard`"
    with pytest.raises(UserError, match=told), Events(tmp_path):
        pass
