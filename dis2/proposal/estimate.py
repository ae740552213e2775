"""What a proposed run takes, as a config says it in its first lines."""

from __future__ import annotations

import re

from dis2.proposal.grouping import Proposal

STEPS = {"teacher": 300, "dis2": 600, "sensor-dropout": 300 + 600}
"""Steps of each training of a first run: a rival's are those of teacher and student together."""


def estimate(found: Proposal, classes: int, tile: int) -> list[str]:
    """What a run takes in pixels, disk, memory and time: a step of each training is timed here."""
    firsts = {group.name: group.typical for group in found.sensors}
    bands = {name: sum(one.bands for one in files) for name, files in firsts.items()}
    bits = sum(one.bands * int(re.sub(r"\D", "", one.dtype) or 8) for files in firsts.values() for one in files)
    pixels = sum(found.area(key) for key in found.footprints) * (2 if found.test else 1)
    store = pixels * (bits / 8 + 1 + len(bands)) / 2**20
    seconds = seconds_a_step(bands, max(2, classes), tile)
    minutes = sum(STEPS[method] * each for method, each in seconds.items()) / 60
    size = [
        f"Estimate: {pixels / 1e6:.1f} million pixels, at most {store:,.0f} MiB of tiles on disk, as much in memory in training",
        "  (up to training.cache_mb) and 1 to 3 GiB beside.",
    ]
    if not seconds:
        return [
            *size,
            "  A step needs more memory than this machine has now, so none was timed; a smaller training.batch takes less.",
        ]
    return [
        *size,
        "  Timed now, on this machine: a step takes",
        f"  {', '.join(f'{each:.2g} s for {method}' for method, each in seconds.items())}, and all trainings with the steps",
        f"  below, one after another, {minutes:,.0f} minutes. Scoring comes on top.",
    ]


def seconds_a_step(bands: dict[str, int], classes: int, tile: int) -> dict[str, float]:
    """A step of each training that there is by default, as it is trained: with a whole batch, on as many threads.

    Nothing where memory is too small for that.
    """
    import torch

    from dis2.config.model import ModelSettings
    from dis2.config.training import TrainingSettings
    from dis2.device import lacks_memory
    from dis2.evaluation.cost import Subject

    settings, threads = TrainingSettings(), torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        return {method: Subject(method, bands, classes, tile, ModelSettings(), settings.batch).seconds(1) for method in STEPS}
    except RuntimeError as error:
        if not lacks_memory(error):
            raise
        return {}
    finally:
        torch.set_num_threads(threads)
