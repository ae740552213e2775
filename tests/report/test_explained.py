"""What explanations say is told in words, tables and pictures; of other data it is left out."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dis2.config.data import Data
from dis2.config.report import ReportSettings
from dis2.errors import UserError
from dis2.report.explained import evidence_pictures, explained_tables, read_explained, told_of
from dis2.report.findings import read_findings
from dis2.report.page import report

from .conftest import CLASSES, SENSORS, write, write_explanation
from .test_page import read_csv

FILE = "explained/dis2/maple/explanation.json"


def page_of(data: Data, results: Path, explained: list[str] | None = None) -> Path:
    report(data, ReportSettings(), results, results / "report/index.html", None, explained)
    return results / "report/index.html"


def changed(results: Path, **changes: object) -> None:
    write(results / FILE, json.loads((results / FILE).read_text()) | changes)


def test_tables_and_heat_maps_hold_what_the_explanation_says(data: Data, results: Path):
    page, told = page_of(data, results), json.loads((results / FILE).read_text())
    for kind, key, names in (
        ("sensors", "without_sensor", dict(zip(SENSORS, SENSORS, strict=True))),
        ("levels", "without_level", {str(level): f"{2**level} px" for level in range(1, 5)}),
    ):
        for row in read_csv(page, f"explained-{kind}-dis2-maple"):
            for taken, name in names.items():
                loss = told[key][taken][row["class"]]
                assert row[name] == "" if loss["iou"] is None else float(row[name]) == pytest.approx(100 * loss["iou"])
                assert float(row[f"margin: {name}"]) == loss["margin"]
            assert float(row["pixels"]) == told["pixels"][row["class"]]
        svg = (page.parent / f"figures/explained-{kind}-dis2-maple.svg").read_text()
        assert svg.count("<rect") == 1 + len(CLASSES) * len(names) and all(f">{name}</text>" in svg for name in names.values())


def test_the_sentence_names_what_costs_most_and_what_costs_nothing(data: Data, results: Path):
    (it,) = read_explained(read_findings(data, results))
    said = told_of(it)
    assert "loses most without dsm on building (20.0 points of IoU) and without sar on building (10.0 points of IoU)." in said
    assert "Without optical alone no class loses anything." in said
    assert "cells of 16 pixels matters most" in said and "lose 37.4 points on average, and 7.4 with cells of 2 pixels" in said
    assert said in page_of(data, results).read_text()


def test_what_stood_for_the_truth_and_what_was_left_out_is_said(data: Data, results: Path):
    changed(results, truth="the map of all sensors", without_level={}, left_out=["class evidence: unet has no such part"])
    np.save(results / FILE.replace("explanation.json", "evidence.npy"), np.empty((0, 6, 9), np.uint8))
    text = page_of(data, results).read_text()
    assert "has no labels, so its map of all sensors stands for the truth" in text
    assert "Left out: class evidence: unet has no such part." in text and "Of its resolutions" not in text
    assert not list((results / "report").glob("*/*levels*")) and "Where each class is looked for" not in text


def test_evidence_is_a_picture_a_class_brighter_where_there_is_more(data: Data, results: Path):
    (it,) = read_explained(read_findings(data, results))
    pictures = evidence_pictures(it)
    assert list(pictures) == list(CLASSES)
    drawn = np.asarray(Image.open(io.BytesIO(pictures["tree"])).convert("LA")).astype(int)
    known = it.evidence[3] != 255
    assert not drawn[~known, 1].any() and drawn[known, 1].all()
    order = np.argsort(it.evidence[3][known], kind="stable")
    assert (np.diff(drawn[known, 0][order]) >= 0).all()
    page = page_of(data, results)
    for name, png in pictures.items():
        assert (page.parent / f"figures/evidence-dis2-maple/{name}.png").read_bytes() == png
    assert page.read_text().count("the coarsest level of dis2 finds in maple") == len(CLASSES)


def test_only_what_is_asked_for_is_shown(data: Data, results: Path):
    write_explanation(results, "willow")
    text = page_of(data, results).read_text()
    assert "dis2, trained with seed 0, on willow." in text and text.count('id="figure-explained-sensors') == 2
    text = page_of(data, results, ["dis2/willow"]).read_text()
    assert "on willow." in text and "on maple." not in text
    text = page_of(data, results, []).read_text()
    assert not re.search(r'id="explained"|"#explained"', text)


def test_an_explanation_of_other_classes_is_left_out_and_it_is_said(data: Data, results: Path):
    changed(results, classes=["land", "water"])
    findings = read_findings(data, results)
    assert (
        read_explained(findings) == []
        and "explained/dis2/maple is of other sensors or classes and is left out." in findings.notes
    )


@pytest.mark.parametrize("content", [b"", b"no array"])
def test_damaged_evidence_is_one_clear_line(data: Data, results: Path, content: bytes):
    (results / "explained/dis2/maple/evidence.npy").write_bytes(content)
    with pytest.raises(UserError, match=r"evidence\.npy: cannot be read; run `dis2 explain` again"):
        page_of(data, results)


def test_a_number_that_rounds_to_zero_has_no_sign(data: Data, results: Path):
    told = json.loads((results / FILE).read_text())
    told["without_sensor"]["sar"]["tree"]["iou"] = -0.0001
    write(results / FILE, told)
    table = explained_tables(read_explained(read_findings(data, results)))[0]
    assert str(table.rows[3][4]) == "0.0"
