"""What is still packed is told with the folder to unpack it to."""

from zipfile import ZipFile

import pytest

from dis2.config.packed import packed


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
