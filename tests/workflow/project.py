"""A copy of the project in which the workflow is run."""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TINY = "config/tiny.yaml"
NOT_SOURCE = shutil.ignore_patterns(
    "results", ".snakemake", ".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "*.egg-info", "tests"
)


@dataclass(frozen=True)
class Project:
    """A copy of the project in which the workflow is run."""

    folder: Path

    def command(self, *words: str, config: str | None = TINY) -> list[str]:
        """Snakemake by the interpreter of the tests."""
        return [sys.executable, "-m", "snakemake", "--cores", "2", *(["--configfile", config] if config else []), *words]

    def run(self, *words: str, config: str | None = TINY) -> subprocess.CompletedProcess[str]:
        """Runs it to its end; what it says is in `stdout`."""
        command = self.command(*words, config=config)
        return subprocess.run(command, cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def planned(self, *words: str, config: str | None = TINY) -> dict[str, str]:
        """The jobs that a run would do, by their message, and why."""
        done = self.run("-n", *words, config=config)
        assert done.returncode == 0, done.stdout
        return dict(re.findall(r"^Job \d+: (.*)\nReason: (.*)$", done.stdout, re.M))

    def path(self, name: str) -> Path:
        """A file of the project."""
        return self.folder / name

    def edit(self, name: str, old: str = "", new: str = "\n# edited\n") -> None:
        """Replaces a text that is there, or adds to the end."""
        text = self.path(name).read_text()
        assert old in text
        self.path(name).write_text(text.replace(old, new, 1) if old else text + new)


def copied(source: Path, folder: Path, times: bool = True, everything: bool = True) -> Project:
    """A copy with results and Snakemake's memory, or of the source alone; with the files' times, or new ones."""
    shutil.copytree(
        source, folder, ignore=None if everything else NOT_SOURCE, copy_function=shutil.copy2 if times else shutil.copyfile
    )
    return Project(folder)
