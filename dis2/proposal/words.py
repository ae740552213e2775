"""What paths consist of, by which files are told apart, and the names that are made of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from unicodedata import combining, normalize

SPLIT_WORDS = {"train": r"train(ing)?", "validation": r"val(id|idation)?", "test": r"test(ing)?"}
"""What splits are called, in tables and in parts of names, mostly of folders."""


def words_of(path: str) -> list[str]:
    """A path's parts without its ending; a space parts nothing, since places are called so."""
    return [word for word in re.split(r"[/_\-.:]+", re.sub(r"\.\w+(?=$|:)", "", path)) if word]


def parts_of(path: str) -> list[str]:
    """Its words, and the words that capitals make of one: TRLabel is TR and Label."""
    return [part for word in words_of(path) for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", word)]


def letters_of(word: str) -> str:
    """A word without the number behind it: a year, a version."""
    return re.sub(r"\d+$", "", word) or word


def natural(text: str) -> list[tuple[int, str]]:
    """Sorts 2 before 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]


def plain(text: str) -> str:
    """A name of letters, digits, '_' and '-'."""
    bare = "".join(letter for letter in normalize("NFKD", text) if not combining(letter))
    return re.sub(r"[^A-Za-z0-9_-]+", "_", bare).strip("_-")[:60] or "data"


def footprint_of(words: list[str]) -> str:
    """The name of what these words tell; 03 is 3."""
    return plain("_".join(re.sub(r"\d+", lambda digits: digits[0].lstrip("0") or "0", word) for word in words))


def place_parts(words: Iterable[str]) -> set[str]:
    """What names of footprints consist of, if these words tell any."""
    return {part for word in words for part in footprint_of([word]).split("_")}


def splits_in(name: str) -> set[str]:
    """The splits that parts of a name are called as."""
    return {split for part in re.split(r"[\W_]+", name) if (split := split_called(part))}


def split_called(word: str) -> str | None:
    """The split that is called so."""
    return next((split for split, name in SPLIT_WORDS.items() if re.fullmatch(name, word, re.I)), None)
