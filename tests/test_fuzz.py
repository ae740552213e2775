"""Whatever a user's files hold, a stage ends well or with a line that says what is wrong: never with a traceback."""

import copy
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dis2.cli import main
from dis2.config.run import read_run, read_yaml
from dis2.errors import UserError
from dis2.models.registry import METHODS
from tests.made import CLASSES, SENSORS, raster, scene

TINY = yaml.safe_load((Path(__file__).parents[1] / "config/tiny.yaml").read_text())
FEW = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=6
)


def places(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """The paths to everything in nested mappings and lists."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in items for place in places(inner, (*path, key)))]


@FEW
@given(st.lists(st.tuples(st.sampled_from(places(TINY)[1:]), VALUES), min_size=1, max_size=3))
def test_any_value_anywhere_in_a_config_is_taken_or_told_in_lines(changes):
    config = copy.deepcopy(TINY)
    for place, value in changes:
        inner = config
        try:
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = value
        except (KeyError, IndexError, TypeError):  # an earlier change has taken it away
            continue
    try:
        run = read_run([], METHODS, merged=config)
    except UserError as error:
        assert all(line.startswith("--config: ") for line in str(error).splitlines())
    else:
        assert run.folder.parts[0] == "results" and len(run.folder.parts) == 2


@FEW
@given(st.binary(max_size=40) | st.text(alphabet="{}[]:-,&*!|>%@`'\"# \n\tab1", max_size=40).map(str.encode))
def test_any_bytes_are_a_config_or_told_in_a_line(tmp_path, content):
    file = tmp_path / "any.yaml"
    file.write_bytes(content)
    try:
        assert isinstance(read_yaml(file), dict)
    except UserError as error:
        assert str(error).startswith(f"{file}: ") and "\n" not in str(error)


@pytest.mark.parametrize("tag", ["python/object/apply:os.system", "python/object/new:os.system", "python/name:os.system"])
def test_a_config_runs_no_code(tmp_path, tag):
    file = tmp_path / "bad.yaml"
    file.write_text(f"data: !!{tag} ['touch {tmp_path}/ran']\n")
    with pytest.raises(UserError, match=rf"^{file}: line 1: not YAML \(could not determine a constructor"):
        read_yaml(file)
    assert not (tmp_path / "ran").exists()


NAMES = ["../up", "a/b", "/abs", "..", ".", "", "a b", "<script>", "$(touch it)", "a\nb", 'a"b', "a'b", "a;b", "a{b}", "x" * 81]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_could_leave_its_folder_or_its_quotes_is_refused(name):
    scenes = {**TINY["simulate"]["scenes"], name: {"split": "test"}}
    for changed in ({"simulate": TINY["simulate"] | {"scenes": scenes}}, {"data": TINY["data"] | {"name": name}}):
        with pytest.raises(UserError, match="is not a name: use letters, digits"):
            read_run([], METHODS, merged=TINY | changed)


@FEW
@given(
    cut=st.integers(0, 3000),
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), max_size=8),
    header=st.booleans(),
)
def test_a_raster_with_any_bytes_changed_is_checked_or_told_in_lines(tmp_path, capfd, cut, flips, header):
    made = scene(tmp_path, 32)
    (tmp_path / "bad.tif").unlink(missing_ok=True)
    file = Path(raster(tmp_path / "bad.tif", np.ones((1, 32, 32), "uint8")))
    content = bytearray(file.read_bytes())
    for where, bits in flips:
        content[int(where * (min(len(content), 400) if header else len(content)))] ^= bits
    file.write_bytes(content[: len(content) - cut] if len(content) > cut else b"")
    sensors = {name: list(files) for name, files in made["sensors"].items()} | {"lidar": [str(file)]}
    config = {"data": {"name": "bog", "sensors": SENSORS, "classes": CLASSES, "split": {"by": "block"}}}
    config["data"]["scenes"] = {"pond": {"sensors": sensors, "labels": made["labels"]}}
    (tmp_path / "bog.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    capfd.readouterr()
    words = ["check", "--config", tmp_path / "bog.yaml", "--scene", "pond", "--out", tmp_path / "out.json"]
    code, said = main([str(word) for word in words]), capfd.readouterr().err
    assert code in (0, 2) and "Traceback" not in said and (code == 0) == ("dis2 check: " not in said), said
