"""The report: one page that works offline, and its figures and tables as files beside it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dis2.config.data import Data
from dis2.config.outline import exemplified
from dis2.config.report import ReportSettings
from dis2.files import check_digest, whole
from dis2.report import figures, tables
from dis2.report.cells import Table
from dis2.report.charts import Figure, heat_map
from dis2.report.explained import (
    Explained,
    evidence_pictures,
    explained_figures,
    explained_tables,
    read_explained,
    told_of,
)
from dis2.report.findings import Findings, read_findings
from dis2.report.markup import render
from dis2.report.pictures import data_uri, smaller_png
from dis2.report.sentences import likeness, summary
from dis2.report.viewer import Shown, shown_scenes, viewer_data, within_budget

PICTURES = 3 * 2**20
"""Bytes of pictures of a kind in the page, beside those of the viewer; further ones are only files beside it."""

NAMES = {
    "openings": "openings of the test split",
    "blocks": "blocks that intervals are drawn from",
    "revision": "git revision",
    "code": "fingerprint of the code",
    "data": "digests of the tile stores",
}
"""How the protocol's less plain entries are called."""


@dataclass(frozen=True)
class Picture:
    """A picture of something: in the page, or only a file beside it."""

    of: str
    file: str
    uri: str | None


Drawn = tuple[str, bytes]
"""What a picture is of, and its bytes."""


def report(
    data: Data,
    settings: ReportSettings,
    results: Path,
    out: Path,
    only: Collection[str] | None = None,
    explained: Collection[str] | None = None,
) -> None:
    """Writes the page to `out`, and beside it `figures/` and `tables/` with each figure and table as a file."""
    findings = read_findings(data, results, only)
    wanted = tuple(scene for scene in settings.scenes if scene in findings.data.scenes)
    scenes, explanations = shown_scenes(findings, wanted), read_explained(findings, explained)
    made = {table.name: table for table in (*all_tables(findings), *explained_tables(explanations))}
    drawn = {figure.name: figure for figure in (*all_figures(findings, made), *explained_figures(explanations))}
    registered = registration_pictures(findings)
    looked = evidences(explanations)
    write_beside(out.parent, made.values(), drawn.values(), scenes, registered | looked)
    page = render(
        "page.html",
        title=settings.title or data.name,
        findings=findings,
        sentences=summary(findings),
        likeness=likeness(findings),
        tables=made,
        figures=drawn,
        partial=[name for name in drawn if name.startswith("partial-")],
        registered=embedded(registered),
        explained=explanations,
        told_of=told_of,
        looked=embedded(looked),
        viewer=viewer_data(findings, within_budget(findings, scenes)),
        colors=dict(zip(findings.classes, data.colors, strict=True)),
        protocol=protocol(findings, findings.data),
        cards=cards(findings),
    )
    with whole(out) as part:
        part.write_text(page, encoding="utf-8")
    print(f"mIoU in percent points on the {findings.split} split\n{made['miou'].text()}\n{out}")


def all_tables(findings: Findings) -> list[Table]:
    """Every table of the report."""
    drops = [tables.class_drop(findings, method) for method in findings.methods]
    losses = [tables.partial_loss(findings, kind) for kind in tables.LOSSES]
    whole_run = (
        tables.comparison,
        tables.beside,
        tables.expected,
        tables.overall_scores,
        tables.class_scores,
        tables.similarity,
        tables.calibration,
        tables.reliability,
        tables.cost,
        tables.registration,
    )
    return [*(table(findings) for table in whole_run), *losses, *drops]


def all_figures(findings: Findings, made: dict[str, Table]) -> list[Figure]:
    """Every drawn figure of the report."""
    drawn = [
        figures.combination_scores(findings),
        figures.differences(findings),
        figures.failure_curves(findings),
        *(figures.degradation(findings, kind) for kind in tables.LOSSES),
        figures.reliability_diagrams(findings),
        figures.quality(findings),
    ]
    heat = [heat_map(name, table) for name, table in made.items() if name.startswith("drop-")]
    return [*(figure for figure in drawn if figure), *heat, *figures.training_curves(findings)]


def registration_pictures(findings: Findings) -> dict[str, Drawn]:
    """The pictures that registration drew, made small, by file; each is of a scene."""
    found = {}
    for scene, told in findings.registered.items():
        if (path := findings.results / "registered" / f"{scene}.png").is_file():
            check_digest(path, told.get("picture"))
            found[f"figures/registration-{scene}.png"] = scene, smaller_png(path.read_bytes())
    return found


def evidences(explanations: Iterable[Explained]) -> dict[str, Drawn]:
    """Where each class is looked for, by file; each is of an explanation and a class."""
    found = {}
    for it in explanations:
        for name, png in evidence_pictures(it).items():
            found[f"figures/evidence-{it.name}/{name}.png"] = (f"{it.name}/{name}", png)
    return found


def embedded(pictures: dict[str, Drawn]) -> list[Picture]:
    """The first pictures in the page, as far as it can hold them."""
    held, found = 0, []
    for file, (of, png) in pictures.items():
        held += len(png)
        found.append(Picture(of, file, data_uri(png) if held <= PICTURES else None))
    return found


def protocol(findings: Findings, data: Data) -> dict[str, str]:
    """What makes the scores comparable, as the evaluations, the model cards and the config tell it."""
    first = next(iter(findings.evaluations[findings.lead].values()))
    told: dict[str, Any] = {"split": first.get("split"), "scenes": ", ".join(first.get("scenes") or [])}
    told |= first.get("protocol") or {}
    told["overlap"] = "of tiles: none counts; the last ones move inwards, and each pixel is scored once"
    told["classes"] = ", ".join(findings.classes)
    told["sensors"] = ", ".join(findings.sensors)
    told |= {f"{split} scenes": ", ".join(data.scenes_of(split)) for split in ("train", "validation")}
    told["sensors are read with"] = sensor_options(data)
    told |= files_used(data)
    told["seeds"] = "; ".join(f"{method}: {', '.join(map(str, seeds))}" for method, seeds in findings.evaluations.items())
    told["openings"] = f"{findings.openings.count}, of {findings.openings.models} models"
    told["blocks"] = f"squares of {side} pixels" if (side := first.get("blocks", {}).get("side")) else None
    provenance = next(iter(findings.cards.get(findings.lead, {}).values()), {}).get("provenance", {})
    told |= {key: provenance.get(key) for key in ("revision", "versions", "code", "data")}
    told["selection"] = "the checkpoint with the best mean mIoU over combinations on the validation split"
    return {NAMES.get(key, key.replace("_", " ")): worded(value) for key, value in told.items() if value is not None}


def sensor_options(data: Data) -> str | None:
    """What is set for sensors besides their bands, such as how heights become those above ground."""
    chosen = {
        name: it.model_dump(exclude_defaults=True, exclude_none=True, exclude={"bands"}) for name, it in data.sensors.items()
    }
    return "; ".join(f"{name}: {worded(options)}" for name, options in chosen.items() if options) or None


def files_used(data: Data) -> dict[str, str]:
    """The first file of each sensor, and of the labels of each split: their names tell which variant of a data set it is."""
    scenes = [exemplified(it) for it in reversed(data.scenes.values())]
    sensors = {sensor: files for it in scenes for sensor, files in it.sensors.items()}
    labels = {it.split or "all": it.labels.file for it in scenes if it.labels}
    meant = [f"{name} {' '.join(map(str, values))}" for name, values in data.values.items()]
    return {
        "files, such as": "; ".join(f"{sensor}: {' + '.join(sensors[sensor])}" for sensor in data.sensors if sensor in sensors),
        "labels, such as": "; ".join(f"{split}: {file}" for split, file in reversed(labels.items())),
        "label values": ", ".join(meant) + (f"; off by up to {data.tolerance}" if data.tolerance else ""),
    }


def worded(value: Any) -> str:
    """A value for people: thousands apart, lists joined."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f")
    if isinstance(value, (list, tuple)):
        return ", ".join(map(worded, value))
    return ", ".join(f"{key} {worded(item)}" for key, item in value.items()) if isinstance(value, dict) else str(value)


def cards(findings: Findings) -> dict[str, str]:
    """Each model's card as text: settings, versions, revision, cost."""
    return {
        f"{method}, seed {seed}": json.dumps(card, indent=1, ensure_ascii=False)
        for method, seeds in findings.cards.items()
        for seed, card in seeds.items()
    }


def write_beside(
    folder: Path, made: Iterable[Table], drawn: Iterable[Figure], scenes: Iterable[Shown], pictures: dict[str, Drawn]
) -> None:
    """Each table as CSV, each figure as SVG or PNG."""
    files: dict[str, bytes] = {f"tables/{table.name}.csv": table.csv().encode() for table in made}
    files |= {f"figures/{figure.name}.svg": figure.file().encode() for figure in drawn}
    files |= {file: png for file, (_, png) in pictures.items()}
    files |= {f"figures/{name}": png for shown in scenes for name, png in shown.pictures.items()}
    for name, content in files.items():
        with whole(folder / name) as part:
            part.write_bytes(content)
