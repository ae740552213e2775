"""Files are whole or not there, and what goes wrong is one line."""

import errno
import resource
from contextlib import contextmanager

import numpy as np
import pytest

from dis2.errors import UserError
from dis2.files import check_digest, check_folder, check_writable, digest, read_json, unchanged, whole, write_json


@contextmanager
def small_files_only():
    """For a moment the system refuses files of more than 4 KiB, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def left(folder):
    return sorted(path.name for path in folder.rglob("*"))


CHANGES = [lambda file: file.write_text("other"), lambda file: file.unlink(), lambda file: file.with_name("new").replace(file)]


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_while_it_is_read_is_said(tmp_path, change):
    file, other = tmp_path / "a.tif", tmp_path / "b.tif"
    for path in (file, other, tmp_path / "new"):
        path.write_text("some")
    with unchanged([str(other), str(file), "absent.tif"]):
        file.read_text()
    with pytest.raises(UserError, match=f"^{file}: changed while it was read"), unchanged([str(other), str(file)]):
        change(file)


@pytest.mark.parametrize("name", ["cube.mat", "CUBE.MAT"])
def test_a_file_that_changes_while_an_array_of_it_is_read_is_said(tmp_path, name):
    (tmp_path / name).write_text("some")
    file = f"{tmp_path}/{name}:HSI"
    with pytest.raises(UserError, match=f"^{file}: changed while it was read"), unchanged([file]):
        (tmp_path / name).write_text("other")


def test_what_is_written_is_read_again(tmp_path):
    write_json(tmp_path / "new" / "a.json", {"b": [1, None]})
    assert read_json(tmp_path / "new" / "a.json") == {"b": [1, None]}
    assert left(tmp_path) == ["a.json", "new"]


@pytest.mark.parametrize("fault", [ValueError("no number"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_a_failed_write_leaves_the_old_file_and_no_part(tmp_path, fault):
    (tmp_path / "a.json").write_text("old")
    with pytest.raises(type(fault)), whole(tmp_path / "a.json") as part:
        part.write_text("half")
        raise fault
    assert (tmp_path / "a.json").read_text() == "old" and left(tmp_path) == ["a.json"]


def test_a_full_disk_is_one_line_and_leaves_no_part(tmp_path):
    with (
        pytest.raises(UserError, match=r"a\.json: cannot be written \(No space left on device\)"),
        whole(tmp_path / "a.json") as part,
    ):
        part.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert left(tmp_path) == []


def test_a_file_that_the_system_refuses_is_one_line_and_leaves_no_part(tmp_path):
    fault = pytest.raises(UserError, match=r"a\.npy: cannot be written")
    with fault as caught, whole(tmp_path / "a.npy") as part, small_files_only():
        part.write_bytes(np.zeros(8192, np.uint8).tobytes())
    assert "\n" not in str(caught.value) and left(tmp_path) == []


@pytest.mark.parametrize("path", ["file/a.json", "file/b/a.json", "folder"])
def test_a_name_that_cannot_be_written_is_one_line(tmp_path, path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="cannot be written") as caught:
        write_json(tmp_path / path, {})
    assert "\n" not in str(caught.value) and left(tmp_path) == ["file", "folder"]


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "cannot be read"), (b'{"a": ', "not JSON"), (b"\xff\xfe{}", "not JSON")],
    ids=["missing", "cut", "bytes"],
)
def test_json_that_cannot_be_read_is_one_line(tmp_path, content, told):
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=told) as caught:
        read_json(tmp_path / "a.json")
    assert "a.json" in str(caught.value) and "\n" not in str(caught.value)


def test_not_a_digit_of_json_changes_unseen(tmp_path):
    """But in white space, which means nothing, and in the name of the seal, where all else is whole."""
    told = {"shift": {"dx": -0.25, "3": 1e-17}, "b": [1, None, True], "é": "ü"}
    write_json(tmp_path / "a.json", told)
    content = (tmp_path / "a.json").read_bytes()
    for place, byte in enumerate(content):
        (tmp_path / "a.json").write_bytes(content[:place] + bytes([byte ^ 1]) + content[place + 1 :])
        try:
            found = read_json(tmp_path / "a.json")
        except UserError as error:
            assert "a.json: damaged" in str(error) and "\n" not in str(error)
        else:
            assert {key: found[key] for key in told} == told
    for place in range(content.index(b"}"), len(content) - 2):
        (tmp_path / "a.json").write_bytes(content[:place])
        with pytest.raises(UserError, match="damaged"):
            read_json(tmp_path / "a.json")


def test_a_file_whose_digest_is_known_is_as_it_was_or_named(tmp_path):
    file = tmp_path / "a"
    file.write_text("some")
    told = digest(file)
    check_digest(file, told)
    file.write_text("other")
    check_digest(file, None)
    with pytest.raises(UserError, match="a: damaged .other bytes"):
        check_digest(file, told)
    file.unlink()
    with pytest.raises(UserError, match="a: cannot be read .No such file"):
        check_digest(file, told)


def test_a_place_that_can_be_written_is_left_as_it_was(tmp_path):
    (tmp_path / "old.tif").write_text("old")
    for path in (tmp_path / "old.tif", tmp_path / "new" / "deep" / "a.tif"):
        check_writable(path)
    assert left(tmp_path) == ["old.tif"] and (tmp_path / "old.tif").read_text() == "old"


def test_a_folder_into_which_nothing_can_be_written_is_told_by_its_name(tmp_path):
    (tmp_path / "file").write_text("")
    check_folder(tmp_path / "new" / "deep")
    for name in ("file", "file/deep"):
        with pytest.raises(UserError, match=rf"{name}: cannot be written \(.*\); check the disk"):
            check_folder(tmp_path / name)
    assert left(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["folder", "file/a.tif", "file/deep/a.tif"])
def test_a_place_that_cannot_be_written_is_told_before_the_work(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=rf"{name}: cannot be written \(.*\); check the disk"):
        check_writable(tmp_path / name)
    assert left(tmp_path) == ["file", "folder"]
