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


@pytest.mark.parametrize("there", ["SET/labels/a.tif", "set/labels/labels/a.tif", "set/A.TIF", "set/more/labels/a.TIF"])
def test_a_missing_file_is_told_where_it_is_instead(tmp_path, there):
    (tmp_path / "set").mkdir()
    for file in (there, "set/other.tif"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("")
    told = missing(f"{tmp_path}/set/labels/a.tif")
    if there.startswith("SET"):
        assert elsewhere(f"{tmp_path}/gone/labels/a.tif") == tmp_path / there
    else:
        assert told == f"no such file, but {tmp_path / there} is there; correct the path, or move it"
    assert elsewhere(f"{tmp_path}/set/labels/b.tif") is None


def test_of_several_the_one_in_folders_of_that_name_is_told(tmp_path):
    for folder in ("test/labels", "test/images", "train/labels"):
        (tmp_path / "Set" / folder).mkdir(parents=True)
        (tmp_path / "Set" / folder / "a.tif").write_text("")
    assert elsewhere(f"{tmp_path}/set/train/labels/a.tif") == tmp_path / "Set/train/labels/a.tif"
    assert elsewhere(f"{tmp_path}/set/Test/images/a.tif") == tmp_path / "Set/test/images/a.tif"
