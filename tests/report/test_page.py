"""The report says what the results say, all of it, and nothing that it is fed can do harm."""

import base64
import csv
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from dis2.config.data import Data
from dis2.config.report import ReportSettings
from dis2.errors import UserError
from dis2.evaluation.compare import MEAN
from dis2.report.findings import read_findings
from dis2.report.page import files_used, protocol, report
from dis2.report.pictures import step_of
from dis2.report.sentences import summary

from .conftest import evaluation, places, write

SETTINGS = ReportSettings(title="Made & shown", scenes={"maple": ()})


@pytest.fixture
def page(data: Data, results: Path) -> Path:
    report(data, SETTINGS, results, results / "report/index.html")
    return results / "report/index.html"


def scores(results: Path, method: str = "dis2", seed: int = 0) -> dict:
    return json.loads((results / f"evaluation/{method}/{seed}.json").read_text())


def read_csv(page: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((page.parent / f"tables/{name}.csv").open(encoding="utf-8")))


def cells(page: Path, table: str) -> list[list[str]]:
    """The rows of a table of the page as texts."""
    body = re.search(rf'id="table-{table}".*?<tbody>(.*?)</tbody>', page.read_text(), re.S)
    assert body
    rows = re.findall(r"<tr>(.*?)</tr>", body[1], re.S)
    return [[re.sub(r"<.*?>", "", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)] for row in rows]


def viewer(page: Path) -> dict:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.S)
    assert found
    return json.loads(found[1])


def test_the_main_table_holds_every_method_and_combination_as_evaluated(page: Path, results: Path):
    rows = cells(page, "miou")
    assert [row[0] for row in rows] == ["dis2", "sensor-dropout", "teacher-zeros"]
    for row, csv_row in zip(rows, read_csv(page, "miou"), strict=True):
        document = scores(results, row[0])
        numbers = [entry["scores"]["miou"] for entry in document["combinations"].values()]
        numbers += [document["summary"]["mean_miou"], document["summary"]["worst"]["miou"]]
        assert row[1:] == [f"{100 * number:.1f}" for number in numbers]
        assert list(csv_row)[1:] == [*document["combinations"], "mean", "worst"]
        assert [float(value) for value in list(csv_row.values())[1:]] == pytest.approx([100 * n for n in numbers], abs=6e-5)


def test_a_run_ends_by_printing_its_main_table(data: Data, results: Path, capsys: pytest.CaptureFixture[str]):
    report(data, SETTINGS, results, results / "report/index.html")
    printed = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines() if line[:1] == "|"
    ]
    assert printed[0][1:-2] == list(scores(results)["combinations"])
    assert [row[0] for row in printed[2:]] == ["dis2", "sensor-dropout", "teacher-zeros"]
    for row in printed[2:]:
        numbers = [entry["scores"]["miou"] for entry in scores(results, row[0])["combinations"].values()]
        assert row[1 : 1 + len(numbers)] == [f"{100 * number:.1f}" for number in numbers]


def test_the_best_of_every_column_is_marked_and_only_that(page: Path):
    body = re.search(r'id="table-miou".*?<tbody>(.*?)</tbody>', page.read_text(), re.S)
    assert body
    first, *others = body[1].split("</tr>")
    assert first.count("best") == 9
    assert not any("best" in row for row in others)


def test_other_tables_hold_the_numbers_of_the_results(page: Path, results: Path):
    document = scores(results)
    full = document["combinations"]["optical+sar+dsm"]["scores"]["iou"]
    for row in read_csv(page, "drop-dis2"):
        for name, entry in list(document["combinations"].items())[1:]:
            assert float(row[name]) == pytest.approx(100 * (full[row["class"]] - entry["scores"]["iou"][row["class"]]), abs=1e-4)
    expected = [float(value) for value in list(read_csv(page, "expected")[0].values())[1:]]
    assert expected == pytest.approx([100 * value for value in document["summary"]["expected"].values()], abs=1e-4)
    worth = [f"{100 * document['summary']['mean_miou']:.1f}", "4.86", "1.00"]
    assert cells(page, "cost")[0] == ["dis2", *worth, "1.23", "800", "700", "251", "0"]
    assert (page.parent / "figures/quality.svg").read_text().count('class="mark"') == 2 * 3
    calibration = {row["method"]: row for row in read_csv(page, "calibration")}
    assert float(calibration["dis2"]["sar"]) == pytest.approx(100 * document["combinations"]["sar"]["scores"]["ece"], abs=1e-4)
    assert float(calibration["dis2, untempered"]["sar"]) == pytest.approx(2 * float(calibration["dis2"]["sar"]), abs=1e-4)
    assert "teacher-zeros" in calibration and "teacher-zeros, untempered" not in calibration


def test_registration_stands_beside_the_truth(page: Path, results: Path):
    found = json.loads((results / "registered/maple.json").read_text())["sensors"]["sar"]["shift"]
    true = json.loads((results / "scenes/maple/truth.json").read_text())["shifts"]["sar"]
    row = next(row for row in read_csv(page, "registration") if (row["scene"], row["sensor"]) == ("maple", "sar"))
    assert float(row["error"]) == pytest.approx(np.hypot(found["dx"] - true["dx"], found["dy"] - true["dy"]), abs=1e-4)
    refused = next(row for row in read_csv(page, "registration") if row["result"] == "refused")
    assert (refused["scene"], refused["error"], refused["reason"]) == ("hazel", "", "2 of 25 windows agree, 8 are needed")


def test_the_viewer_shows_each_map_as_it_is_and_knows_every_combination(page: Path, results: Path):
    shown, document = viewer(page), scores(results)
    assert list(shown["scores"]["dis2"]) == list(document["combinations"])
    assert shown["scores"]["dis2"]["sar"]["iou"][3] == pytest.approx(
        100 * document["combinations"]["sar"]["scores"]["iou"]["tree"]
    )
    maps = shown["scenes"]["maple"]["maps"]["dis2"]
    assert list(maps) == ["optical+sar+dsm", "optical+sar", "sar+dsm"]
    truth = picture(shown["scenes"]["maple"]["truth"])
    expected = np.array([one["rgb"] for one in shown["classes"]], np.uint8)
    labels = places(96)
    assert np.array_equal(truth[labels != 255, :3], expected[labels[labels != 255]])
    assert not truth[labels == 255, 3].any()
    predicted = picture(maps["sar+dsm"]["prediction"])
    assert (predicted == truth).all(-1)[labels != 255].mean() == pytest.approx(maps["sar+dsm"]["right"])


def picture(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGBA"))


def test_the_protocol_tells_the_files_and_label_values_by_which_variants_of_data_sets_differ(data: Data):
    scenes = {
        name: scene.model_copy(update={"labels": scene.labels.model_copy(update={"file": f"{name}_{scene.split}.tif"})})
        for name, scene in data.scenes.items()
        if scene.labels
    }
    classes = {"land": {"values": ["#ffffff"]}, "water": {"values": [3, 4]}}
    told = files_used(Data.model_validate({**data.model_dump(), "scenes": scenes, "classes": classes, "tolerance": 9}))
    first = {scene.split: scene.labels.file for scene in reversed(scenes.values())}
    assert all(f"{split}: {file}" in told["labels, such as"] for split, file in first.items()) and "test" in first
    assert told["label values"] == "land #ffffff, water 3 4; off by up to 9"
    assert [part.split(":")[0] for part in told["files, such as"].split("; ")] == list(data.sensors)


def test_the_protocol_tells_the_files_of_chips_by_folders_where_their_names_are_the_same(data: Data):
    chip = {"sensors": {"optical": ["in/before/7.png", "in/after/7.png"], "sar": "in/radar/7.png"}, "labels": "in/flood/7.png"}
    scenes = {"valley": {"split": "train", "chips": {"c7": chip}}}
    told = files_used(Data.model_validate({**data.model_dump(), "scenes": scenes}))
    assert told["files, such as"] == "optical: before/7.png + after/7.png; sar: radar/7.png"
    assert told["labels, such as"] == "train: flood/7.png"


def test_the_protocol_tells_the_scenes_of_each_split_and_how_sensors_are_read(data: Data, results: Path):
    heights = {"bands": 1, "kind": "surface", "ground": 9, "scaling": {"factor": 0.01, "unit": "m", "clip": [0, 30]}}
    sensors = {name: heights if name == list(data.sensors)[-1] else spec for name, spec in data.model_dump()["sensors"].items()}
    told = protocol(read_findings(data, results), Data.model_validate({**data.model_dump(), "sensors": sensors}))
    assert told["train scenes"] == ", ".join(data.scenes_of("train")) and told["validation scenes"]
    assert told["sensors are read with"] == "dsm: kind surface, ground 9, scaling factor 0.01, clip 0.0, 30.0, unit m"


def test_every_figure_and_table_is_a_file_too(page: Path):
    text = page.read_text()
    linked = re.findall(r'href="((?:tables|figures)/[^"]+)"', text)
    assert len(linked) >= 12
    assert all((page.parent / link).stat().st_size for link in linked)
    assert page.stat().st_size < 20 * 2**20


class Requests(HTMLParser):
    """Collects what a page would fetch, and checks that every picture has a text."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.silent: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.asked += [value or "" for key, value in attributes if key in ("src", "href", "srcset", "action", "data")]
        if tag == "img" and "alt" not in given:
            self.silent.append(str(attributes))


def test_the_page_fetches_nothing_and_every_picture_has_a_text(page: Path):
    seen = Requests()
    seen.feed(page.read_text())
    assert not [address for address in seen.asked if not address.startswith(("#", "data:", "tables/", "figures/"))]
    assert not seen.silent
    assert not re.search(r"url\(|@import", page.read_text())


def test_markup_in_names_and_reasons_is_shown_and_not_run(data: Data, results: Path):
    evil = "<script>alert('x')</script>"
    document = scores(results) | {"scenes": [evil]}
    write(results / "evaluation/dis2/0.json", document)
    registered = json.loads((results / "registered/maple.json").read_text())
    registered["sensors"]["sar"] |= {"accepted": False, "reason": evil}
    write(results / "registered/maple.json", registered)
    write(results / "models/dis2/0/model.json", {"settings": {evil: evil}})
    shutil.move(results / "evaluation/sensor-dropout", results / "evaluation/<script>alert(1)<!--")
    report(data, ReportSettings(title=evil), results, results / "report/index.html")
    text = (results / "report/index.html").read_text()
    assert "<script>alert" not in text
    assert text.count("<script") == 2
    assert text.count("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;") >= 4


def test_without_any_evaluation_one_line_names_the_folder(data: Data, tmp_path: Path):
    with pytest.raises(UserError, match="evaluation/<method>/<seed>.json: no evaluation.*run `dis2 evaluate`"):
        report(data, SETTINGS, tmp_path, tmp_path / "index.html")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("registered", "No registration result for alder, hazel, maple, willow."),
        ("models", "No model card for dis2, sensor-dropout."),
        ("maps", "No map of maple."),
        ("tiles", "The maps of maple are not shown: its tile store is missing."),
        ("evaluation/dis2", "Over all 7 combinations"),
        ("scenes", "7 were registered."),
        ("models/dis2/0/history.jsonl", "dis2 maps 6 classes"),
        ("maps/dis2/maple/sar+dsm.confidence.tif", "dis2 maps 6 classes"),
        ("maps/dis2/maple/manifest.json", "The maps of maple by dis2 are not shown: no manifest tells that they are whole."),
    ],
)
def test_what_is_missing_is_said_and_the_rest_is_shown(data: Data, results: Path, gone: str, said: str):
    path = results / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    report(data, SETTINGS, results, results / "report/index.html")
    text = (results / "report/index.html").read_text()
    assert said in text or said.replace("7 were registered.", "7 were registered;") in text


def test_a_scene_that_is_not_sound_is_named_with_what_is_wrong_and_nothing_of_it_is_shown(data: Data, results: Path):
    write(results / "checked/hazel.json", {"scene": "hazel", "faults": ["hazel/sar.tif: torn"]})
    write(results / "checked/maple.json", {"scene": "maple", "faults": []})
    report(data, SETTINGS, results, results / "report/index.html")
    text = (results / "report/index.html").read_text()
    assert "hazel is left out, for its rasters are not sound: hazel/sar.tif: torn." in text and text.count("hazel") == 2
    assert viewer(results / "report/index.html")["scenes"].keys() == {"maple"}


def test_specialists_are_one_method_whose_models_are_told_each_for_itself(data: Data, results: Path):
    write(results / "evaluation/specialist/0.json", scores(results) | {"method": "specialist"})
    for name in ("optical+sar", "sar"):
        write(results / f"models/specialist/0/{name}/model.json", {"method": "specialist", "training": {"steps": 7}})
    findings = read_findings(data, results)
    assert "specialist" in findings.methods and {"specialist optical+sar", "specialist sar"} <= set(findings.cards)
    assert not any("specialist" in note for note in findings.notes)
    report(data, SETTINGS, results, results / "report/index.html")
    rows = {row["method"]: row for row in read_csv(results / "report/index.html", "cost")}
    assert rows["specialist sar"]["steps"] == "7" and rows["specialist"]["steps"] == "800"


def test_a_method_may_have_a_plus_in_its_name(data: Data, results: Path):
    write(results / "evaluation/singles+sd/0.json", scores(results) | {"method": "singles+sd"})
    report(data, SETTINGS, results, results / "report/index.html")
    text = (results / "report/index.html").read_text()
    linked = [unquote(link) for link in re.findall(r'href="((?:tables|figures)/[^"]+)"', text) if "singles" in link]
    assert len(linked) == 1 and all((results / "report" / link).stat().st_size for link in linked)
    shown = viewer(results / "report/index.html")["scores"]
    assert shown["singles+sd"] == shown["dis2"]


def test_a_class_that_is_absent_has_no_number(data: Data, results: Path):
    document = scores(results)
    document["combinations"]["sar"]["scores"]["iou"]["tree"] = None
    write(results / "evaluation/dis2/0.json", document)
    report(data, SETTINGS, results, results / "report/index.html")
    row = next(row for row in read_csv(results / "report/index.html", "drop-dis2") if row["class"] == "tree")
    assert row["sar"] == "" != row["dsm"]
    assert viewer(results / "report/index.html")["scores"]["dis2"]["sar"]["iou"][3] is None


def test_evaluations_of_other_sensors_are_left_out_and_it_is_said(data: Data, results: Path):
    write(results / "evaluation/old/0.json", scores(results) | {"sensors": ["optical", "lidar"]})
    findings = read_findings(data, results)
    assert "old" not in findings.methods
    assert "evaluation/old/0.json is of other sensors or classes and is left out." in findings.notes


def test_one_seed_claims_nothing_and_several_give_intervals(data: Data, results: Path):
    assert any("no claim is made" in sentence for sentence in summary(read_findings(data, results)))
    for seed in (1, 2):
        for method, quality in {"dis2": 0.86, "sensor-dropout": 0.78, "teacher-zeros": 0.86}.items():
            write(results / f"evaluation/{method}/{seed}.json", evaluation(method, seed, quality))
    report(data, SETTINGS, results, results / "report/index.html")
    text = (results / "report/index.html").read_text()
    assert "no claim is made" not in text
    means = [scores(results, "dis2", seed)["summary"]["mean_miou"] for seed in range(3)]
    half = 4.302653 * np.std(means, ddof=1) / np.sqrt(3)
    assert f"{100 * np.mean(means):.1f} ± {100 * half:.1f}" in text
    assert "dis2 leads sensor-dropout in mean mIoU (+" in text
    assert "dis2 is not distinguishable from teacher-zeros in mean mIoU (" in text


def test_where_nothing_was_looked_for_nothing_is_said_to_be_refused(data, results):
    assert any("refused and left" in sentence for sentence in summary(read_findings(data, results)))
    for file in (results / "registered").glob("*.json"):
        told = json.loads(file.read_text())
        for sensor in told["sensors"].values():
            sensor |= {"method": "none", "accepted": False}
        file.write_text(json.dumps(told))
    assert not any("regist" in sentence or "refused" in sentence for sentence in summary(read_findings(data, results)))


def test_the_comparison_is_told_in_words_in_a_table_and_in_a_figure(data: Data, page: Path, results: Path):
    text, found = page.read_text(), read_findings(data, results).comparisons
    assert list(found) == ["sensor-dropout", "teacher-zeros"]
    rows = {row["combination"]: row for row in read_csv(page, "beside")}
    for rival, comparison in found.items():
        assert list(rows) == list(comparison.differences) and list(rows)[-1] == MEAN
        for name, gap in comparison.differences.items():
            assert float(rows[name][rival]) == pytest.approx(100 * gap.mean, abs=1e-4)
            assert float(rows[name][f"{rival} half-width of 95 % interval"]) == pytest.approx(50 * (gap.high - gap.low), abs=1e-4)
        gap = comparison.differences[MEAN]
        assert gap.verdict == "leads" and f"dis2 leads {rival} in mean mIoU (+{100 * gap.mean:.1f} points" in text
    assert (page.parent / "figures/beside.svg").read_text().count('class="span"') == 16
    assert "16 blocks of the scored pixels" in text and "after Holm&#39;s correction" in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"blocks": {}}, "dis2 and sensor-dropout are not compared: evaluation of sensor-dropout, seed 0: no blocks of pixels"),
        ({"split": "validation"}, "dis2 and sensor-dropout are not compared: evaluation of sensor-dropout, seed 0: split:"),
    ],
)
def test_a_rival_that_cannot_be_compared_is_shown_without_a_claim(data: Data, results: Path, change: dict, said: str):
    write(results / "evaluation/sensor-dropout/0.json", scores(results, "sensor-dropout") | change)
    findings = read_findings(data, results)
    assert any(note.startswith(said) for note in findings.notes) and list(findings.comparisons) == ["teacher-zeros"]
    report(data, SETTINGS, results, results / "report/index.html")
    assert "leads sensor-dropout" not in (results / "report/index.html").read_text()


def test_partial_loss_goes_from_whole_to_missing_in_table_and_figure(page: Path, results: Path):
    told = scores(results)["partial"]
    for kind, first in (("clouds", "25 %"), ("noise", "0.5 σ"), ("misregistration", "1 px")):
        row = next(row for row in read_csv(page, f"partial-{kind}") if (row["sensor"], row["method"]) == ("sar", "dis2"))
        assert list(row)[2:4] == ["whole", first] and list(row)[-1] == "missing" and len(row) == 7
        numbers = [told["whole"]["optical+sar+dsm"], *told[kind]["sar"].values(), told["whole"]["optical+dsm"]]
        assert [float(value) for value in list(row.values())[2:]] == pytest.approx([100 * it["miou"] for it in numbers], abs=1e-4)
        drawn = (page.parent / f"figures/partial-{kind}.svg").read_text()
        assert drawn.count('class="head"') == 3 and drawn.count('class="mark"') == 3 * 3 * (5 if kind == "clouds" else 4) + 3


def test_reliability_is_a_drawing_and_a_row_for_every_bin_with_pixels(page: Path, results: Path):
    told = scores(results, "sensor-dropout")["combinations"]["sar"]["reliability"]
    rows = [row for row in read_csv(page, "reliability") if (row["method"], row["combination"]) == ("sensor-dropout", "sar")]
    assert len(rows) == 6 and [float(row["pixels"]) for row in rows] == told["count"][3:]
    right = [100 * right / count for right, count in zip(told["right"][3:], told["count"][3:], strict=True)]
    assert [float(row["right"]) for row in rows] == pytest.approx(right, abs=1e-4)
    assert (page.parent / "figures/reliability.svg").read_text().count('class="diagonal"') == 7


def test_every_overall_score_is_told_on_both_sets_of_pixels(data: Data, results: Path):
    document = scores(results)
    document["combinations"]["sar"]["all_pixels"] = {"scores": {"miou": 0.125}}
    document["combinations"]["sar"]["scores"]["aa"] = 0.5
    write(results / "evaluation/dis2/0.json", document)
    report(data, SETTINGS, results, results / "report/index.html")
    told = read_csv(results / "report/index.html", "scores")
    row = next(row for row in told if (row["method"], row["combination"]) == ("dis2", "sar"))
    assert len(told) == 21 and float(row["mIoU, all labelled pixels"]) == 12.5 and float(row["average accuracy"]) == 50
    assert float(row["kappa"]) == pytest.approx(100 * document["combinations"]["sar"]["scores"]["kappa"], abs=1e-4)


def test_similarity_to_the_teacher_is_a_row_for_each_level(page: Path, results: Path):
    told = scores(results)["similarity"]
    rows = [row for row in read_csv(page, "similarity") if row["method"] == "dis2"]
    assert [row["level"] for row in rows] == ["1", "2", "3", "4"]
    assert all(float(row[name]) == pytest.approx(told[name][row["level"]], abs=1e-4) for row in rows for name in told)


def test_the_gap_to_the_teacher_is_told_in_words(page: Path):
    """0.4 + 0.05 l + 0.1 for each further sensor: over levels 1 to 4 and six combinations, three of two sensors."""
    (said,) = re.findall(r"likeness is (.*) for dis2, (.*) for sensor-dropout and (.*) for teacher-zeros\.", page.read_text())
    assert [float(value) for value in said] == pytest.approx([0.575] * 3, abs=0.006)


def test_what_was_not_measured_is_not_shown(data: Data, results: Path):
    for method in ("dis2", "sensor-dropout", "teacher-zeros"):
        document = scores(results, method)
        del document["partial"], document["similarity"]
        write(results / f"evaluation/{method}/0.json", document)
    report(data, SETTINGS, results, results / "report/index.html")
    text = (results / "report/index.html").read_text()
    assert 'id="partial"' not in text and "#partial" not in text and 'id="similarity"' not in text


def test_openings_of_the_test_split_are_told(data: Data, results: Path):
    lines = [{"weights": weights} for weights in ("a", "b", "a")]
    (results / "tiles/openings.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    report(data, SETTINGS, results, results / "report/index.html")
    assert "openings of the test split</dt><dd>3, of 2 models" in (results / "report/index.html").read_text()


def test_each_seed_is_a_dot(data: Data, results: Path):
    write(results / "evaluation/dis2/1.json", evaluation("dis2", 1, 0.86))
    report(data, SETTINGS, results, results / "report/index.html")
    assert (results / "report/figures/miou.svg").read_text().count('class="seed"') == 7 * 2


def test_pictures_of_the_viewer_have_a_palette_and_at_most_768_pixels_a_side(page: Path):
    pictures = [Image.open(path) for path in (page.parent / "figures/maple").rglob("*.png")]
    assert len(pictures) == 4 + 2 * 3 * 3 and all(picture.mode == "P" for picture in pictures)
    for height, width in ((1, 1), (768, 769), (20_000, 3), (3000, 1537)):
        step = step_of(height, width)
        assert -(-max(height, width) // step) <= 768 < max(height, width) / max(step - 1, 1e-9)


def test_quality_is_drawn_beside_cost_only_where_methods_differ_in_it(data: Data, results: Path):
    for method in ("dis2", "sensor-dropout", "teacher-zeros"):
        document = scores(results, method)
        document["cost"]["optical+sar+dsm"]["gflops"] = 3.0
        write(results / f"evaluation/{method}/0.json", document)
    report(data, SETTINGS, results, results / "report/index.html")
    assert not (results / "report/figures/quality.svg").exists()
    assert {row["GFLOP a window"] for row in read_csv(results / "report/index.html", "cost")} == {"3"}


def test_scenes_that_would_make_the_page_too_large_are_files_beside_it(data: Data, results: Path, monkeypatch):
    for kind in ("maps/dis2", "maps/sensor-dropout"):
        shutil.copytree(results / kind / "maple", results / kind / "willow")
    shutil.copytree(results / "tiles/maple.zarr", results / "tiles/willow.zarr")
    shutil.copyfile(results / "tiles/maple.manifest.json", results / "tiles/willow.manifest.json")
    report(data, SETTINGS, results, results / "report/index.html")
    assert list(viewer(results / "report/index.html")["scenes"]) == ["maple", "willow"]
    monkeypatch.setattr("dis2.report.viewer.BUDGET", 1)
    report(data, SETTINGS, results, results / "report/index.html")
    text = (results / "report/index.html").read_text()
    assert list(viewer(results / "report/index.html")["scenes"]) == ["maple"]
    assert "willow is not in the viewer, to keep the page small: its pictures are in figures/willow/." in text
    assert (results / "report/figures/willow/truth.png").stat().st_size
