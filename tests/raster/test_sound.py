"""Which scenes are sound is told from their checks; a run that cannot do without the others is refused."""

import json

import pytest

from dis2.errors import UserError
from dis2.files import write_json
from dis2.raster.sound import faults_of, refuse_broken, sound
from tests.made import data_of

BOTH = {"thermal": "t.tif", "lidar": "l.tif"}
SCENES = {
    "bog": {"split": "train", "sensors": BOTH, "labels": "a.tif"},
    "fen": {"split": "train", "sensors": {"thermal": "t.tif"}, "labels": "a.tif"},
    "swamp": {"split": "train", "sensors": BOTH},
    "mire": {"split": "validation", "sensors": BOTH, "labels": "a.tif"},
    "moor": {"split": "test", "sensors": BOTH, "labels": "a.tif"},
    "carr": {"split": "test", "sensors": BOTH, "labels": "a.tif"},
}


@pytest.fixture
def told(tmp_path):
    """What is told of these scenes where some are broken."""

    def ask(*broken):
        for scene in SCENES:
            write_json(tmp_path / f"{scene}.json", {"scene": scene, "faults": ["a.tif: torn"] * (scene in broken), "rasters": {}})
        sound(data_of(SCENES), tmp_path, tmp_path / "out")
        return json.loads((tmp_path / "out").read_text())

    return ask


def test_sound_scenes_are_listed_in_order_and_the_others_with_what_is_wrong(told):
    found = told("fen", "carr")
    assert found["sound"] == ["bog", "swamp", "mire", "moor"] and found["broken"] == {
        "fen": ["a.tif: torn"],
        "carr": ["a.tif: torn"],
    }
    assert told()["broken"] == {}


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (("mire",), r"^no scene with split validation is sound \(mire\); mend one of them$"),
        (("moor", "carr"), r"^no scene with split test is sound \(moor, carr\)"),
        (("bog",), r"^no training scene with labels and every sensor is sound \(bog, fen, swamp\)"),
    ],
)
def test_a_run_that_cannot_do_without_them_is_refused(told, tmp_path, broken, said):
    with pytest.raises(UserError, match=said):
        told(*broken)
    assert not (tmp_path / "out").exists()


def test_a_scene_that_was_skipped_is_refused_where_none_are(tmp_path):
    write_json(tmp_path / "bog.json", {"scene": "bog", "faults": ["a.tif: torn", "b.tif: lost"]})
    with pytest.raises(UserError, match="^scene bog: a.tif: torn$"):
        refuse_broken(tmp_path / "bog.json", "bog")
    write_json(tmp_path / "fen.json", {"scene": "fen", "faults": []})
    refuse_broken(tmp_path / "fen.json", "fen")


@pytest.mark.parametrize("content", ["[]", "{}", '{"faults": "no"}'])
def test_what_is_no_result_of_a_check_is_one_line(tmp_path, content):
    (tmp_path / "bog.json").write_text(content)
    with pytest.raises(UserError, match=r"bog.json: holds no result of a check; delete it and run `dis2 check`"):
        faults_of(tmp_path / "bog.json")
