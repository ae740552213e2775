"""Openings of the test split: each is counted, of whichever model."""

from dis2.evaluation.openings import NAME, Openings, opened, openings
from dis2.models.files import WEIGHTS


def test_every_opening_counts_and_models_are_told_apart_by_their_weights(tmp_path):
    assert openings(tmp_path) == Openings(0, 0)
    for folder, content in (("a", b"1"), ("b", b"2"), ("a/c", b"1")):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / WEIGHTS).write_bytes(content)
    for folder in ("b", "b", "a/c"):
        opened(tmp_path, tmp_path / folder, "dis2", 0)
    assert openings(tmp_path) == Openings(3, 2)
    with (tmp_path / NAME).open("a") as file:
        file.write('{"method": "di')
    assert openings(tmp_path) == Openings(4, 3)


def test_tiles_that_cannot_be_written_to_are_said_and_stop_nothing(tmp_path, capsys):
    (tmp_path / NAME).mkdir()
    opened(tmp_path, tmp_path, "dis2", 0)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith(f"{tmp_path / NAME}: cannot be written (") and "not counted" in said
