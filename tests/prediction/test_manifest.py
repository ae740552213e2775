"""Maps count as made only as they were written down."""

import pytest

from dis2.errors import UserError
from dis2.prediction.manifest import NAME, maps_made, seal


def test_what_was_made_is_known_and_what_has_changed_since_is_named(tmp_path):
    for name in ("a.tif", "b.tif", "c.tif"):
        (tmp_path / name).write_bytes(name.encode())
    assert maps_made(tmp_path) == set()
    seal(tmp_path, [tmp_path / "a.tif", tmp_path / "b.tif"])
    assert maps_made(tmp_path) == {"a.tif", "b.tif"}
    (tmp_path / "a.tif").unlink()
    assert maps_made(tmp_path) == {"b.tif"}
    (tmp_path / "b.tif").write_bytes(b"b.tiF")
    with pytest.raises(UserError, match=r"b.tif: damaged \(other bytes than were written\)"):
        maps_made(tmp_path)
    (tmp_path / NAME).write_text("{}")
    with pytest.raises(UserError, match="lists no files; delete it and run `dis2 predict` again"):
        maps_made(tmp_path)
