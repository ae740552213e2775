"""Progress as a log file shows it."""

from dis2 import progress


def test_a_log_gets_whole_lines_and_not_one_for_every_step(capsys):
    assert list(progress.track(range(1000), "count")) == list(range(1000))
    said = capsys.readouterr().err
    assert "\r" not in said and 1 <= len(said.splitlines()) < 10
    assert said.splitlines()[-1].startswith("count: 100%") and "1000/1000" in said


def test_long_work_says_how_far_it_is(capsys, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS", 0)
    with progress.bar(4, "cut", "shard", initial=1) as shown:
        for _ in range(3):
            shown.update()
    shares = dict.fromkeys(line.split("|")[0] for line in capsys.readouterr().err.splitlines())
    assert list(shares) == ["cut:  25%", "cut:  50%", "cut:  75%", "cut: 100%"]
