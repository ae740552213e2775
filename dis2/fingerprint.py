"""A stage's code in one word: a hash of its module and of all that it imports from this package, with the data they read."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent
NAME = __package__ or "dis2"
CATALOGUES = (f"{NAME}.models.registry",)
"""Modules that only name others, which their user adds by hand: a new name in them changes no one else's code."""


def fingerprint(*modules: str) -> str:
    """The hash of the import closure of these modules; file times and places do not count."""
    digest = hashlib.sha256()
    for path in closure(*modules):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def closure(*modules: str) -> list[Path]:
    """All files that these modules run: what they import, the packages they lie in, and the data beside them."""
    seen: set[str] = set()
    todo = list(modules)
    for module in modules:
        if file_of(module) is None:
            raise ModuleNotFoundError(f"no module {module}")
    while todo:
        module = todo.pop()
        if module in seen or module in CATALOGUES:
            continue
        seen.add(module)
        todo += [*imports(module), *_parents(module)]
    files = [path for module in seen if (path := file_of(module))]
    return sorted({*files, *(data for path in files for data in _data_beside(path))})


def pins(constraints: Path, *packages: str) -> list[str]:
    """The pinned versions of the packages from outside that a stage's results depend on."""
    lines = constraints.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.split("==")[0] in packages]


@cache
def imports(module: str) -> tuple[str, ...]:
    """The modules of this package that a module imports anywhere in its source."""
    path = file_of(module)
    if path is None:
        return ()
    found = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module, path)
            found += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return tuple(name for name in found if name.split(".")[0] == NAME and file_of(name))


def file_of(module: str) -> Path | None:
    """The file of a module of this package."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file() and module.split(".")[0] == NAME:
            return candidate
    return None


def _absolute(node: ast.ImportFrom, module: str, path: Path) -> str:
    if not node.level:
        return node.module or ""
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    base = package[: len(package) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


def _data_beside(path: Path) -> list[Path]:
    """Templates and the like that lie in a module's folder."""
    if path.parent == PACKAGE:
        return []
    return [
        data
        for data in path.parent.rglob("*")
        if data.is_file() and data.suffix not in (".py", ".pyc") and not any(part.startswith((".", "__")) for part in data.parts)
    ]
