"""
Text to values and back: what all converters are, and those for words, files and programs.

A converter stands beside the type of a key in `schema`. `read` raises BadValue that says what was
found and what is allowed; `show` writes a value as the manual does: `read(show(value))` is the
value again.
"""

from __future__ import annotations

import difflib
import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from rtmptwist.config.ini import quoted

T = TypeVar("T")


class BadValue(ValueError):
    """A text is no value of its key. The message says what was found and what is allowed."""

    part = 0
    "Which line of the text."


class Converter(ABC, Generic[T]):
    """How the value of a key is read and shown."""

    @abstractmethod
    def read(self, text: str) -> T: ...

    @abstractmethod
    def show(self, value: T) -> str: ...


def wrong(found: str, allowed: str, known: Iterable[str] = ()) -> BadValue:
    """The error for a text; `known` are the words that might have been meant."""
    return BadValue(f"{quoted(found)}; expected {allowed}{meant(found, known)}")


def meant(word: str, known: Iterable[str]) -> str:
    """The question whether the nearest known word was meant, if one is near."""
    near = difflib.get_close_matches(word, known, n=1)
    return f'; did you mean "{near[0]}"?' if near else ""


def words_of(text: str) -> list[str]:
    """What stands between commas and blanks."""
    return [word for word in re.split(r"[,\s]+", text) if word]


def either(words: Sequence[str]) -> str:
    """All that is allowed, for a message."""
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


# --- what others are made of


class Or(Converter[T | None]):
    """What another converter reads, or a word that stands for None."""

    def __init__(self, word: str, other: Converter[T]) -> None:
        self._word = word
        self._other = other

    def read(self, text: str) -> T | None:
        if text == self._word:
            return None
        try:
            return self._other.read(text)
        except BadValue as error:
            raise BadValue(f"{error}, or {self._word}") from None

    def show(self, value: T | None) -> str:
        return self._word if value is None else self._other.show(value)


class Lines(Converter[tuple[T, ...]]):
    """One or more values, one on a line. `read` raises an ExceptionGroup of BadValue."""

    def __init__(self, item: Converter[T]) -> None:
        self.item = item

    def read(self, text: str) -> tuple[T, ...]:
        values: list[T] = []
        errors: list[BadValue] = []
        for part, line in enumerate(text.split("\n")):
            try:
                if line or not text:
                    values.append(self.item.read(line))
            except BadValue as error:
                error.part = part
                errors.append(error)
        if errors:
            raise ExceptionGroup("lines", errors)
        return tuple(values)

    def show(self, value: tuple[T, ...]) -> str:
        return "\n".join(self.item.show(item) for item in value)


# --- words


class Choice(Converter[str]):
    """One of some words."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def read(self, text: str) -> str:
        if text not in self.words:
            raise wrong(text, either(self.words), self.words)
        return text

    def show(self, value: str) -> str:
        return value


class Words(Converter[frozenset[str]]):
    """One or more of some words."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def read(self, text: str) -> frozenset[str]:
        found = words_of(text)
        bad = [word for word in found if word not in self.words]
        if bad or not found:
            raise wrong(", ".join(bad), either(self.words), self.words)
        return frozenset(found)

    def show(self, value: frozenset[str]) -> str:
        return ", ".join(word for word in self.words if word in value)


class Folder(Converter[Path]):
    """A path, seen from the folder of the file that names it."""

    def read(self, text: str) -> Path:
        if not text or "\0" in text:
            raise wrong(text, "a folder")
        return Path(text)

    def show(self, value: Path) -> str:
        return str(value)


class Place(Converter[Path | None]):
    """A file or folder, seen as `Folder` is, or a word that stands for None."""

    def __init__(self, word: str) -> None:
        self._word = word

    def read(self, text: str) -> Path | None:
        if text == self._word:
            return None
        if not text or "\0" in text:
            raise wrong(text, f"a path, or {self._word}")
        return Path(text)

    def show(self, value: Path | None) -> str:
        return self._word if value is None else str(value)


class Names(Converter[tuple[str, ...]]):
    """Names of sections, in an order that counts; `none` for no name."""

    def read(self, text: str) -> tuple[str, ...]:
        found = tuple(words_of(text))
        if not found or ("none" in found and len(found) > 1):
            raise wrong(text, "names, or none")
        if twice := [name for name in found if found.count(name) > 1]:
            raise wrong(text, f"{twice[0]} only once")
        return () if found == ("none",) else found

    def show(self, value: tuple[str, ...]) -> str:
        return ", ".join(value) or "none"


class Described(Converter[str]):
    """`kind:argument:key=value`, which the plugin of that kind understands."""

    def __init__(self, example: str) -> None:
        self._example = example

    def read(self, text: str) -> str:
        if not re.fullmatch(r"[a-z][a-z0-9_-]*(?::.+)?", text):
            raise wrong(text, f"a kind and what belongs to it, such as {self._example}")
        return text

    def show(self, value: str) -> str:
        return value


class Program(Converter[tuple[str, ...]]):
    """A program and its arguments, quoted as in a shell, which has no part in it."""

    def read(self, text: str) -> tuple[str, ...]:
        try:
            words = tuple(shlex.split(text))
        except ValueError as error:
            raise BadValue(
                f"{str(error).lower()}; expected a program and its arguments, quoted as in a shell"
                " (a ; after a blank begins a comment)"
            ) from None
        if not words or not words[0] or "\0" in text:
            raise wrong(text, "a program and its arguments")
        return words

    def show(self, value: tuple[str, ...]) -> str:
        return shlex.join(value)
