"""What the workflow plans, and what it refuses to plan: dry runs without results."""

import pytest

MINE = """
data:
  name: mine
  sensors: {eye: {bands: 1}, echo: {bands: 2}}
  classes: [land, water]
  scenes:
    north: {split: train, sensors: {eye: in/n eye.tif, echo: in/n echo.tif}, labels: in/n.tif}
    east: {split: validation, sensors: {eye: in/e.tif, echo: in/ee.tif}, labels: in/el.tif}
    south: {split: test, sensors: {eye: in/s.tif}, labels: in/sl.tif}
    new: {sensors: {echo: in/new.tif}}
report: {scenes: {south: [eye], new: [echo]}}
"""


def test_a_config_of_one_s_own_is_planned_without_a_trace_of_the_built_in_one(source):
    source.path("mine.yaml").write_text(MINE)
    source.path("in").mkdir()
    for name in ("n eye", "n echo", "n", "e", "ee", "el", "s", "sl", "new"):
        source.path(f"in/{name}.tif").touch()
    jobs = source.planned(config="mine.yaml")
    scenes = ("north", "east", "south", "new")
    assert set(jobs) == {
        *(f"Checking the rasters of {scene}" for scene in scenes),
        *(f"Registering the sensors of {scene}" for scene in scenes),
        *(f"Tiling {scene}" for scene in scenes),
        "Taking the statistics of the training pixels",
        "Training teacher, seed 0",
        "Training sensor-dropout, seed 0",
        "Distilling the student, seed 0",
        *(f"Evaluating {method}, seed 0" for method in ("dis2", "sensor-dropout", "teacher-zeros")),
        "Explaining south with dis2",
        *(f"Mapping {scene} with {method}" for scene in ("south", "new") for method in ("dis2", "sensor-dropout")),
        "Writing the report",
    }
    everything = " ".join(jobs.values())
    assert "results/mine/" in everything and not any(name in everything for name in ("builtin", "optical", "maple"))


def test_without_a_config_file_the_built_in_one_is_planned_and_the_command_line_may_change_it(source):
    assert "Simulating maple" in source.planned(config=None)
    jobs = source.planned("--config", "seeds=[3,4]", "methods=[sensor-dropout]")
    assert "Training sensor-dropout, seed 3" in jobs and "Training sensor-dropout, seed 4" in jobs
    assert not any("teacher" in job or "student" in job for job in jobs)


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("teacher_steps: 6", "techer_steps: 6", ["mine.yaml: training.techer_steps: unknown key; did you mean teacher_steps?"]),
        (
            "validate_every: 6",
            "validate_every: 0\n  clip: -1",
            ["mine.yaml: training.clip: input should be greater", "mine.yaml: training.validate_every: input should be greater"],
        ),
        ("  seed: 3", "  seed: 3\n  seed: 4", ["mine.yaml: line 13: 'seed' is given twice"]),
    ],
)
def test_a_wrong_config_is_one_line_a_fault_and_nothing_else(source, old, new, lines):
    source.path("mine.yaml").write_text(source.path("config/tiny.yaml").read_text())
    source.edit("mine.yaml", old, new)
    done = source.run(config="mine.yaml")
    said = [line for line in done.stdout.splitlines() if not line.startswith("Using workflow specific profile")]
    assert done.returncode == 1 and len(said) == len(lines), done.stdout
    assert all(line.startswith(start) for line, start in zip(said, lines, strict=True)), said
    assert not source.path("results").exists()


def test_a_missing_raster_is_one_line(source):
    source.path("mine.yaml").write_text(MINE.replace("in/s.tif", "in/absent.tif"))
    source.path("in").mkdir()
    for name in ("n eye", "n echo", "n", "e", "ee", "el", "sl", "new"):
        source.path(f"in/{name}.tif").touch()
    done = source.run(config="mine.yaml")
    assert done.returncode == 1
    assert [line for line in done.stdout.splitlines() if line.startswith("mine.yaml")] == done.stdout.splitlines()[-1:]
    assert "mine.yaml: data.scenes.south: in/absent.tif: no such file; correct the path" in done.stdout
