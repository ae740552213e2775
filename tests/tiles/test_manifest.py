"""A manifest fits the files it was written for and no others, however often and by whomever it is asked."""

import json

import pytest

from dis2.cli import main
from dis2.errors import UserError
from dis2.tiles import manifest
from dis2.tiles.manifest import digests, fit, manifest_of
from tests.made import store
from tests.tiles.test_store import add, delete, edit, made


def test_whole_stores_are_called_whole_and_the_files_of_others_are_named(tmp_path, capsys):
    whole, broken, lost = (made(tmp_path / name)[0] for name in "abc")
    named = [edit(broken), delete(broken), add(broken)]
    manifest_of(lost).unlink()
    assert main(["check", "--store", str(whole)]) == 0
    assert capsys.readouterr().out == f"{whole}: whole, {len(digests(whole))} files fit the manifest\n"
    assert main(["check", "--store", str(broken), str(whole), str(lost), str(tmp_path / "none.zarr")]) == 2
    out, err = capsys.readouterr()
    assert out.startswith(f"{whole}: whole") and len(err.splitlines()) == 5
    for file in named:
        told = f"dis2 check: {broken}: {file.relative_to(broken).as_posix()} does not fit the manifest; the store is damaged"
        assert told in err
    assert f"{lost}: not whole" in err and "none.zarr: no such store" in err


def test_a_refusal_names_the_first_file_and_counts_the_others(tmp_path):
    path, _ = made(tmp_path)
    edit(path), delete(path)
    with pytest.raises(UserError, match=r"does not fit the manifest \(nor do 1 more\); the store is damaged") as caught:
        fit(path)
    assert "\n" not in str(caught.value)


def test_a_store_is_read_once_in_a_process_and_again_after_a_change(tmp_path, monkeypatch):
    path, _ = made(tmp_path)
    read, real = [], manifest._digest
    monkeypatch.setattr(manifest, "_digest", lambda file: read.append(file) or real(file))
    fit(path)
    assert len(read) == len(json.loads(manifest_of(path).read_text())["files"])
    read.clear()
    fit(path)
    assert not read
    manifest_of(path).write_text(manifest_of(path).read_text().replace("lidar", "ladar"))
    with pytest.raises(UserError, match="ladar.* does not fit"):
        fit(path)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path, monkeypatch):
    path, _ = made(tmp_path)
    monkeypatch.setattr(manifest.hashlib, "file_digest", lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(UserError, match=r"cannot be read \(Input/output error\); check the disk"):
        fit(path)


def test_a_store_that_cannot_be_sealed_leaves_the_old_one(tmp_path, monkeypatch):
    path, _ = made(tmp_path)
    before = manifest_of(path).read_text()

    def full(part):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(manifest, "digests", full)
    with pytest.raises(UserError, match="cannot be written"):
        store(tmp_path, "bog", {"thermal": made(tmp_path / "other")[1]["thermal"]})
    monkeypatch.undo()
    fit(path)
    assert manifest_of(path).read_text() == before
