"""What is still packed is told with the folder to unpack it to."""

from zipfile import ZipFile

import pytest

from dis2.config.packed import elsewhere, missing, packed


@pytest.mark.parametrize(
    ("archive", "members", "told"),
    [
        ("set/labels.zip", ["a.tif"], "set/labels.zip has it; unpack that to {root}/set/labels"),
        ("set/labels.zip", ["labels/a.tif"], "set/labels.zip has it; unpack that to {root}/set"),
        (
            "set/everything of 2015.zip",
            ["labels/b.tif", "labels/a.tif", "images/a.tif"],
            "2015.zip has it; unpack that to {root}/set",
        ),
        ("set.zip", ["labels.zip"], "set.zip is there; unpack it, and what is packed in it"),
        ("set/other.zip", ["labels/b.tif"], None),
        ("set/labels.zip", None, "labels.zip is there; unpack it"),
        ("set/Labels.ZIP", ["A.tif"], "set/Labels.ZIP has it; unpack that to {root}/set/labels, and rename A.tif to a.tif"),
        ("Set.zip", ["Set/Labels/a.tif"], "unpack that to {root}, and rename Set/Labels/a.tif to set/labels/a.tif"),
        ("Set.zip", ["Set/Labels.zip"], "Set.zip is there; unpack it, and what is packed in it"),
        ("set/labels.rar", None, "labels.rar is there; unpack it"),
        ("set/others.rar", None, None),
    ],
)
def test_a_missing_file_is_told_with_the_archive_that_has_it(tmp_path, archive, members, told):
    (tmp_path / "set").mkdir()
    if members is None:
        (tmp_path / archive).write_bytes(b"no archive")
    else:
        with ZipFile(tmp_path / archive, "w") as opened:
            for member in members:
                opened.writestr(member, "")
    found = packed(f"{tmp_path}/set/labels/a.tif")
    assert found is None if told is None else told.format(root=tmp_path) in found


@pytest.mark.parametrize(
    ("there", "found"),
    [
        (["set/labels/A.TIF"], "set/labels/A.TIF"),
        (["set/Labels/a.tif"], "set/Labels/a.tif"),
        (["set/labels/labels/a.tif"], "set/labels/labels/a.tif"),
        (["set/more/labels/a.tif"], "set/more/labels/a.tif"),
        (["set/images/a.tif"], None),
        (["set/a.tif"], None),
        (["set/more/labels/a.tif", "set/most/labels/a.tif"], None),
        (["set/.hidden/labels/a.tif"], None),
        ([], None),
    ],
)
def test_a_missing_file_is_told_where_it_is_instead(tmp_path, there, found):
    (tmp_path / "set").mkdir()
    for file in (*there, "set/labels.tif"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("")
    told = missing(f"{tmp_path}/set/labels/a.tif")
    assert elsewhere(f"{tmp_path}/set/labels/a.tif") == (tmp_path / found if found else None)
    assert (
        (told == f"no such file, but {tmp_path / found} is there; correct the path, or move it") if found else "but" not in told
    )


def test_what_another_scene_has_is_not_offered_and_nothing_is_looked_for_everywhere(tmp_path, monkeypatch):
    for file in ("north/s2.tif", "b/a.tif"):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert elsewhere(f"{tmp_path}/west/s2.tif") is None and elsewhere(f"{tmp_path}/B/a.tif") == tmp_path / "b/a.tif"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert elsewhere(f"{tmp_path}/B/a.tif") is None and elsewhere("/mine/hosts") is None
