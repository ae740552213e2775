"""No sensor is special: the package works with any names, so it holds none."""

import ast
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
NAMES = set(yaml.safe_load((ROOT / "config/config.yaml").read_text())["data"]["sensors"])
SOURCES = sorted((ROOT / "dis2").rglob("*.py"))
TEMPLATES = sorted(path for path in (ROOT / "dis2/report/templates").iterdir() if path.is_file())


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_string_or_name_in_the_package_is_that_of_a_built_in_sensor(file):
    """Examples in docstrings and help are longer strings, and may name sensors."""
    for node in ast.walk(ast.parse(file.read_text())):
        found = {value for _, value in ast.iter_fields(node) if isinstance(value, str)} & NAMES
        assert not found, f"line {node.lineno}: {found}"


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.name)
def test_no_template_names_a_built_in_sensor(file):
    assert not re.search(rf"\b({'|'.join(NAMES)})\b", file.read_text())


@pytest.mark.parametrize("file", sorted((ROOT / "workflow/rules").glob("*.smk")), ids=lambda file: file.name)
def test_no_rule_names_a_built_in_sensor_scene_or_data_set(file):
    text = file.read_text()
    assert not re.search(rf"\b({'|'.join(NAMES)}|builtin|maple)\b", text)
