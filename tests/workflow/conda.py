"""What Snakemake asks of conda, answered by a real solver (rattler) on a channel of local files in place of conda-forge.

This proves Snakemake's side of `--use-conda` and what our pins ask for, not that the public channel has what they name.
Tests run it as a process of its own: rattler's threads now and then bring an interpreter down that ends with them."""

import asyncio
import io
import json
import os
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

import rattler
import yaml
from rattler.exceptions import SolverError
from rattler.index import index_fs

PLATFORM = "linux-64"
CHANNEL = "DIS2_TEST_CHANNEL"
"""The folder that stands for conda-forge."""
ROOT = "DIS2_TEST_CONDA"
"""The folder of this conda itself, with bin/activate."""


def make_channel(folder: Path, environments: Sequence[Path], python: str) -> None:
    """A channel that has what these environments name, a later version of it, and PyTorch also in the other build."""
    pins = dict(pin.split("=")[:2] for path in environments for pin in _pins(path) if "=" in pin)
    for name, version in pins.items():
        builds = {"cpu_0": [], "cuda_0": ["__cuda >=12"]} if name == "pytorch" else {"0": []}
        for build, needs in builds.items():
            files = {"bin/python": python} if name == "python" else {}
            _pack(folder / PLATFORM, name, f"{version}.1" if files else version, build, needs, files)
            _pack(folder / PLATFORM, name, "9999", build, needs, {})
    _pack(folder / PLATFORM, "pip", "25.0", "0", [], {})
    (folder / "noarch").mkdir()
    asyncio.run(index_fs(folder))


def solve(environment: Path, channel: Path, cuda: str | None = None) -> list[rattler.RepoDataRecord]:
    """The packages of an environment file; `cuda` is what CONDA_OVERRIDE_CUDA says that the machine has."""
    machine = [("__unix", "0"), ("__cuda", cuda)]
    virtual = [
        rattler.GenericVirtualPackage(rattler.PackageName(name), rattler.Version(version), rattler.BuildString("0"))
        for name, version in machine
        if version
    ]
    return asyncio.run(
        rattler.solve(
            [rattler.Channel(channel.as_uri())],
            [rattler.MatchSpec(pin) for pin in _pins(environment)],
            platforms=[PLATFORM, "noarch"],
            virtual_packages=virtual,
        )
    )


def _pins(environment: Path) -> list[str]:
    return [it for it in yaml.safe_load(environment.read_text())["dependencies"] if isinstance(it, str)]


def _pack(folder: Path, name: str, version: str, build: str, needs: list[str], files: dict[str, str]) -> None:
    """A package in conda's first format: its files, and what they are."""
    folder.mkdir(parents=True, exist_ok=True)
    index = {"name": name, "version": version, "build": build, "build_number": 0, "depends": needs, "subdir": PLATFORM}
    listed = [{"_path": path, "path_type": "hardlink"} for path in files]
    about = {"info/index.json": json.dumps(index), "info/paths.json": json.dumps({"paths": listed, "paths_version": 1})}
    with tarfile.open(folder / f"{name}-{version}-{build}.tar.bz2", "w:bz2") as archive:
        for path, text in {**about, "info/files": "\n".join(files), **files}.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(text.encode()), 0o755
            archive.addfile(entry, io.BytesIO(text.encode()))


def main(words: list[str]) -> None:
    """`conda WORDS`, as far as Snakemake uses it, and what tests want."""
    channel = Path(os.environ.get(CHANNEL, ""))
    cuda = os.environ.get("CONDA_OVERRIDE_CUDA")
    match words:
        case ["--version"]:
            print("conda 25.9.0")
        case ["info", "--json"]:
            print(json.dumps({"conda_prefix": os.environ[ROOT], "platform": PLATFORM}))
        case ["config", "--get", "channel_priority", "--json"]:
            print(json.dumps({"get": {"channel_priority": "strict"}}))
        case ["clean", *_]:
            pass  # nothing was downloaded
        case ["env", "create", "--quiet", "--no-default-packages", "--file", file, "--prefix", prefix]:
            asyncio.run(
                rattler.install(solve(Path(file), channel, cuda), prefix, cache_dir=channel / "cache", show_progress=False)
            )
        case ["solve", file]:
            print(json.dumps({it.name.normalized: (str(it.version), str(it.build)) for it in solve(Path(file), channel, cuda)}))
        case ["channel", python, *files]:
            make_channel(channel, [Path(file) for file in files], python)
        case _:
            raise ValueError(f"conda {' '.join(words)}: not something that Snakemake is known to ask for")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (SolverError, ValueError) as error:
        print(error, file=sys.stderr)
        failed = 1
    else:
        failed = 0
    sys.stdout.flush()
    os._exit(failed)
