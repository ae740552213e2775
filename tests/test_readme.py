"""What README tells a stranger to type is what continuous integration types."""

import re
from pathlib import Path

import pytest
import yaml

from dis2.config.run import Run

ROOT = Path(__file__).parents[1]
COMMANDS = (
    "python3 -m venv .venv && . .venv/bin/activate",
    'pip install -c constraints.txt -e ".[dev]"',
    "snakemake --cores all",
    "pytest -n auto --dist loadfile",
)


@pytest.mark.parametrize("file", ["README.md", ".ci/run"])
def test_the_commands_stand_there_word_by_word_and_in_order(file):
    lines = [line.strip() for line in (ROOT / file).read_text().splitlines()]
    places = [lines.index(command) for command in COMMANDS]
    assert places == sorted(places)


def test_the_tests_are_the_last_thing_that_continuous_integration_does():
    assert (ROOT / ".ci/run").read_text().splitlines()[-1] == COMMANDS[-1]


def test_the_example_of_ones_own_data_is_a_config():
    example = re.search(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert example
    run = Run.model_validate(yaml.safe_load(example[1]))
    assert len(run.data.sensors) == 2 and run.maps == {"west": ("s2+s1", "s2", "s1")}
