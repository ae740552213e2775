"""A config for a folder of rasters: sensors and scenes by how files are called, classes by what labels hold, with comments."""

from __future__ import annotations

import math
import sys
from collections import Counter
from pathlib import Path

import yaml
from rasterio.crs import CRS

from dis2.config.base import checked_name
from dis2.config.data import SPLITS
from dis2.config.plan import Plan
from dis2.config.run import read_run
from dis2.errors import UserError, first_of, printable
from dis2.files import whole
from dis2.models.registry import METHODS, method_of
from dis2.proposal.estimate import STEPS, estimate
from dis2.proposal.grouping import Group, Proposal, sorted_out
from dis2.proposal.kinds import is_height
from dis2.proposal.splits import blocks_of, splits_of
from dis2.proposal.table import with_table
from dis2.proposal.words import plain
from dis2.raster.check import LARGEST, UNTOLD, across, in_metres
from dis2.raster.grid import metres_of
from dis2.raster.scene import scene_grid
from dis2.raster.sources import allowing, refusal
from dis2.raster.survey import Seen, survey

FEW, SHOWN = 40, 12
"""Footprints without georeferencing are chips of larger scenes if there are more; and so many lines of one kind are printed."""
APART = 30
"""Heights in centimetres and metres of one place differ more than this many times."""
FIRST = 3
"""So many names are told in a line."""
HILLY, RELIEF = 100, 4
"""Metres between the lowest and the highest land from which on its slopes are told apart, and within how many pixels."""


def propose(folder: Path, out: Path, name: str | None) -> None:
    """Writes a config for a folder, and prints what it says and what to do next."""
    if out.exists():
        raise UserError(f"{out}: is there already; give another --out, or remove it")
    try:
        name = checked_name(name or plain(folder.resolve().name))
    except ValueError as error:
        raise UserError(f"--name: {error}") from None
    seen, others = survey(folder)
    found = with_table(sorted_out(seen, others, folder), folder)
    splits, why = splits_of(found)
    text = config_of(found, folder, name, splits, why)
    with whole(out) as part:
        part.write_text(text, encoding="utf-8")
        refused = _refused(part, out)
    print(f"{out}: {len(found.sensors)} sensors, {len(found.footprints)} footprints; {len(found.unused)} files not used")
    if why:
        print(printable(f"splits: {why}"))
    for file, why in list(found.unused.items())[:SHOWN]:
        print(printable(f"not used: {file}: {why}"))
    sys.stderr.write("".join(f"dis2 init: {printable(line)} (the next step refuses that)\n" for line in refused))
    for line in _lacking(found):
        print(printable(line))
    print(f"Read and mend it, then: snakemake --cores all --configfile {out}")


def _lacking(found: Proposal) -> list[str]:
    """Sensors, and labels, of which most footprints have a file, but not all: there may be one that was lost."""
    every = found.footprints
    lacking = {group.name: [key for key in every if key not in group.files] for group in (*found.sensors, found.labels)}
    told = {name: keys for name, keys in lacking.items() if 0 < 2 * len(keys) <= len(every)}
    return [f"{name}: {len(every) - len(keys)} of {len(every)} footprints, not {_listed(keys)}" for name, keys in told.items()]


def _refused(config: Path, out: Path) -> list[str]:
    """What the next step would refuse of a config that gets another name, as it would say it."""
    try:
        run = read_run([config], METHODS)
        plan = Plan(run, method_of)
        plan.check_files([str(out)])
    except UserError as error:
        return [line.replace(printable(str(config)), printable(str(out))) for line in error.lines]
    told: list[str] = []
    for scene in plan.prepared:
        try:
            scene_grid(run.data, run.grid, scene)
        except UserError as error:
            told.append(f"{out}: data.scenes.{scene}: {error}")
    return first_of(told, "scenes")


def config_of(found: Proposal, folder: Path, name: str, splits: dict[str, str], why: str) -> str:
    """The text of the config, with these splits and why so."""
    classes, ignore, colored = _classes(found.labels, found.test)
    lines = [
        printable(f"# Proposed by `dis2 init` from what lies in {folder}: read it, mend it, then"),
        "#   snakemake --cores all --configfile THIS_FILE",
        *(f"# {line}" for line in estimate(found, len(classes), _tile(found))),
        *(printable(f"# Not used: {file}: {why}") for file, why in list(found.unused.items())[:FEW]),
        *([f"# Not used: {len(found.unused) - FEW} more files"] if len(found.unused) > FEW else []),
        f"data_root: {_quoted(str(folder))}",
        "data:",
        f"  name: {_quoted(name)}",
        *_allowed(found, folder),
        "  sensors:                                # in the order in which combinations are written",
        *(f"    {line}" for group in found.sensors for line in _sensor(group)),
        "  classes:                                # give them names; share of the labelled pixels",
        *(f"    {label}: {{values: [{value}]}}    # {told}" for label, value, told in classes),
        f"  ignore: [{', '.join(ignore)}]" + ("                         # colours" if colored else ""),
        *([] if "train" in splits.values() else blocks_of(found, splits)),
        "  scenes:" + (printable(f"                                 # {why}") if why else ""),
        *(f"    {line}" for line in _scenes(found, splits)),
        "",
        "grid: pixels                              # no georeferencing: all rasters of a footprint share one pixel grid"
        if found.pixels
        else f"grid: {{reference: {_finest(found)}}}       # the finest sensor; the others are registered and warped to it",
        "",
        "training:                                 # a first run; for scores, more steps",
        f"  tile: {_tile(found)}",
        f"  teacher_steps: {STEPS['teacher']}",
        f"  student_steps: {STEPS['dis2']}",
        "  validate_every: 150",
        "  validation_tiles: 32",
        *_shown(found, splits),
    ]
    return "\n".join(lines) + "\n"


def _allowed(found: Proposal, folder: Path) -> list[str]:
    """The line that lets rasters be read that point to other files, if some are used."""
    used = [one for group in (*found.sensors, found.labels) for one in group.every] + ([found.test] if found.test else [])
    with allowing(["network"]):
        pointing = next((one.path for one in used if refusal(str(folder / one.path))), None)
    told = f"  allow: [vrt]                            # {pointing} points to other files: remove this unless you trust it"
    return [printable(told)] if pointing else []


def _sensor(group: Group) -> list[str]:
    """A sensor's lines: what is sure as options, what is likely as a comment."""
    files = group.typical
    every, bands = group.every, sum(one.bands for one in files)
    low, high = min(one.low for one in every), max(one.high for one in every)
    options, notes = [f"bands: {bands}"], [f"{files[0].dtype}, {low:g} to {high:g}"]
    if is_height(files[0]):
        options.append("kind: surface")
    nodata = next((one.nodata for one in every if one.nodata is not None), None)
    seldom = (*UNTOLD, *(value for value in (low, high) if abs(value) > LARGEST))
    untold = next((value for value in seldom if nodata is None and value in (low, high)), None)
    odd = max(one.untold for one in every)
    if untold is not None:
        options.append(f"nodata: {untold!r}")
        notes.append(f"{untold:g} is taken for no measurement")
    elif odd == "NaN" and nodata is None:
        options.append("nodata: .nan")
        notes.append("NaN is taken for no measurement")
    elif nodata is not None:
        notes.append(f"nodata {nodata:g}")
    elif (zeros := max(one.zeros for one in every)) > 0.01:
        notes.append(f"0 in all bands in up to {zeros:.0%} of a file: if that is no measurement, add nodata: 0, unmeasured: all")
    if len(every) > 1 and {(one.dtype, one.low, one.high) for one in every} == {("uint8", 0, 255)}:
        notes.append("every file spans 0 to 255: if each was stretched by itself, add relative: true")
    if is_height(files[0]):
        strange = [one for one in every if not _in_metres(one, 1, untold)]
        unit = next((unit for unit in (1, 0.01) if all(_in_metres(one, unit, untold) for one in every)), None)
        if plain_ones := _much_smaller(every, strange, untold):
            unit = 1
            low, high = min(one.low for one in plain_ones), max(one.high for one in plain_ones)
            notes.append(f"{_listed([one.path for one in strange])} not in metres, as others are: mend that")
        elif unit == 0.01:
            options.append("scaling: {factor: 0.01, unit: m}")
            notes.append("taken for centimetres")
        elif unit is None:
            notes.append("neither metres nor centimetres: tell what they are by scaling, or what is nodata")
        if untold is None and (high - low) * (unit or 1) > HILLY:
            options.append(f"relief: [0, {RELIEF}]")
            notes.append("slopes are small beside such heights: shown as a band of their own")
    if any(one.alpha for one in every):
        notes.append("its alpha band tells what is measured")
    if odd and "nodata: .nan" not in options:
        notes.append(f"{odd} stands where something should be measured: mend that")
    first = files[0]
    notes.append(f"{first.crs} at {first.resolution:g}" if first.crs else f"{first.height} x {first.width}")
    if len(files) > 1:
        notes.append(f"{len(files)} files a footprint")
    if (lacking := sum(len(one) != len(files) for one in group.files.values())) > 0:
        notes.append(f"{lacking} footprints have another number of files: mend that")
    return [f"{_key(group.name)}: {{{', '.join(options)}}}    # {'; '.join(notes)}"]


def _listed(names: list[str]) -> str:
    """The first of some names, and how many there are if that is more."""
    return ", ".join(names[:FIRST]) + (f" and {len(names) - FIRST} more" if len(names) > FIRST else "")


def _much_smaller(every: list[Seen], strange: list[Seen], untold: float | None) -> list[Seen]:
    """The files beside strange ones, if their heights are so much smaller that these are in another unit."""

    def size(one: Seen) -> float:
        return max((abs(value) for value in (one.low, one.high) if value != untold), default=0.0)

    others = [one for one in every if one not in strange]
    if not strange or not others:
        return []
    smallest, largest = (pick(map(size, some)) for pick, some in ((min, strange), (max, others)))
    return others if smallest > APART * largest else []


def _in_metres(one: Seen, unit: float, untold: float | None) -> bool:
    """Whether heights are metres once they are multiplied by the unit, as far as extremes tell that are measured."""
    low = one.high if one.low == untold else one.low
    high = low if one.high == untold else one.high
    return in_metres(low * unit, high * unit, across(one.bounds, CRS.from_user_input(one.crs) if one.crs else None))


def _classes(labels: Group, test: Seen | None) -> tuple[list[tuple[str, str, str]], list[str], bool]:
    """Classes by value with what is said of each, what is ignored, and whether values are colours."""
    every = labels.every + ([test] if test else [])
    counts: Counter[int] = sum((one.values for one in every), Counter())
    colored = labels.first.bands == 3
    nodata = {int(one.nodata) for one in every if one.nodata is not None and float(one.nodata).is_integer()}
    if colored:
        nodata = {value * 0x010101 for value in nodata if 0 <= value <= 255}
    left_out = {0} if (colored or test) and 0 in counts and len(counts) > 2 else set()
    if not colored and len(counts) > 2:
        left_out |= {value for value in (255, -1, *map(int, UNTOLD)) if value in counts}
    kept = {value: count for value, count in sorted(counts.items()) if value not in left_out | nodata}
    total = sum(kept.values())

    def text(value: int) -> str:
        return f'"#{value:06x}"' if colored else str(value)

    names = [f"class_{index}" if colored else plain(f"class_{value}") for index, value in enumerate(kept)]

    def told(value: int) -> str:
        files = [one.path for one in every if value in one.values]
        alone = f" of one file alone, {files[0]}: is it a class?" if len(files) == 1 and len(every) > FIRST else ""
        return f"{kept[value] / total:.1%}{alone}"

    classes = [(name, text(value), printable(told(value))) for name, value in zip(names, kept, strict=True)]
    return classes, [text(value) for value in sorted(left_out | nodata)], colored


def _scenes(found: Proposal, splits: dict[str, str]) -> list[str]:
    """A line for each footprint; without georeferencing they may be chips of the scenes that a table tells, or of one a split."""
    if not _are_chips(found, splits):
        lines = [f"{_quoted(key)}: {{{_head(splits.get(key))}{_files_of(found, key)}}}" for key in found.footprints]
        tested = found.labelled if found.test else []
        return lines + [f"{_quoted(f'{key}_test')}: {{{_head('test')}{_files_of(found, key, found.test)}}}" for key in tested]
    chips: dict[tuple[str, str], list[str]] = {}
    for key, split in splits.items():
        chips.setdefault((split, found.scenes.get(key, split)), []).append(key)
    lines = []
    for split, scene in sorted(chips, key=lambda it: SPLITS.index(it[0])):
        lines += [f"{_quoted(scene) if found.scenes else scene}:", f"  split: {split}", "  chips:"]
        lines += [f"    {_quoted(key)}: {{{_files_of(found, key)}}}" for key in chips[split, scene]]
    return lines + [f"{_quoted(name)}: {{{_files_of(found, key)}}}" for key, name in _mapped(found, splits).items()]


def _mapped(found: Proposal, splits: dict[str, str]) -> dict[str, str]:
    """The names, as scenes, of footprints without labels, which are there to be mapped; of many chips the first."""
    taken = {*splits.values(), *found.scenes.values()} if _are_chips(found, splits) else set()
    unlabelled = [key for key in found.footprints if key not in found.labels.files]
    some = unlabelled[:FEW] if taken else unlabelled
    return {key: f"{key}_unlabelled" if key in taken else key for key in some}


def _are_chips(found: Proposal, splits: dict[str, str]) -> bool:
    return found.pixels and (len(splits) > FEW or bool(found.scenes)) and "train" in splits.values()


def _shown(found: Proposal, splits: dict[str, str]) -> list[str]:
    """Places without labels are there to be mapped; one that tests is shown beside the first of them."""
    mapped = list(_mapped(found, splits).values())[:SHOWN]
    if not mapped:
        return []
    if not _are_chips(found, splits):
        mapped = [next((key for key, own in splits.items() if own == "test"), found.footprints[0]), *mapped]
    told = "what is mapped: add others, or list combinations of sensors"
    return ["", "report:", f"  scenes:                                 # {told}"] + [f"    {_quoted(key)}: []" for key in mapped]


def _head(split: str | None) -> str:
    return f"split: {split}, " if split else ""


def _files_of(found: Proposal, key: str, test: Seen | None = None) -> str:
    """Its sensors' files, and that of its labels, or of those for testing."""
    files = {_key(group.name): [one.path for one in group.files[key]] for group in found.sensors if key in group.files}
    listed = {name: ", ".join(map(_quoted, paths)) for name, paths in files.items()}
    told = ", ".join(f"{name}: {f'[{listed[name]}]' if len(paths) > 1 else listed[name]}" for name, paths in files.items())
    labels = [test] if test else found.labels.files.get(key)
    return f"sensors: {{{told}}}" + (f", labels: {_quoted(labels[0].path)}" if labels else "")


def _tile(found: Proposal) -> int:
    """A tile fits every footprint with labels."""
    finest = [
        max((group.files[key][0] for group in found.sensors if key in group.files), key=lambda one: one.height * one.width)
        for key in found.labelled
    ]
    side = min(min(one.height, one.width) for one in finest)
    return int(min(128, max(32, side // 16 * 16)))


def _finest(found: Proposal) -> str:
    every = [group for group in found.sensors if len(group.files) == max(len(it.files) for it in found.sensors)]

    def size(group: Group) -> tuple[float, int]:
        """Of a pixel; of several alike the one with most bands, by which others are found best, comes first."""
        return group.first.resolution * metres_of(CRS.from_user_input(group.first.crs)), -group.first.bands * len(group.typical)

    return _key(min(every, key=size).name)


def _quoted(text: str) -> str:
    """A text in quotes as YAML takes it in one line, whatever is in it."""
    return str(yaml.safe_dump(text, default_style='"', allow_unicode=True, width=math.inf)).strip()


def _key(sensor: str) -> str:
    """A sensor's name, in quotes where YAML would read something else than a name: 2019, no."""
    return sensor if isinstance(yaml.safe_load(sensor), str) else _quoted(sensor)
