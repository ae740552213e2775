"""The picture of a training: whoever looks at it sees the curves, however many combinations there are."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from dis2.combinations import combinations, name_of
from dis2.training.curves import draw, show_validation


def history(sensors):
    """Four steps, of which the second and the last are validated; the first combination is best."""
    names = [name_of(it) for it in combinations([f"sensor{i}" for i in range(sensors)])]
    lines = [{"step": step, "learning_rate": 0.1, "loss": 1.0, "dice": 0.5} for step in range(1, 5)]
    for line, best in ((lines[1], 0.5), (lines[3], 0.7)):
        scores = {name: best - 0.001 * i for i, name in enumerate(names)}
        line |= {"validation": scores, "mean_miou": float(np.mean([*scores.values()]))}
    return lines


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("sensors", [1, 3, 6])
def test_the_curves_are_a_picture_with_room_for_them(tmp_path, sensors):
    draw(history(sensors), "a method", tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_legend_names_few_combinations_and_sums_up_many():
    def named(lines):
        axes = Figure().subplots()
        show_validation(axes, [line for line in lines if "validation" in line])
        assert len(axes.lines) >= len(lines[-1]["validation"])
        handles, names = axes.get_legend_handles_labels()
        return {name: list(it.get_ydata()) for name, it in zip(names, handles, strict=True)}

    few, many = history(3), history(6)
    assert list(named(few)) == list(few[-1]["validation"])
    found = named(many)
    assert list(found) == ["all sensors", "mean", "worst"]
    assert found["all sensors"] == [50, 70] and found["worst"] == pytest.approx([50 - 6.2, 70 - 6.2])
    assert found["mean"] == pytest.approx([50 - 3.1, 70 - 3.1])
