"""What the subcommands of `rtmptwist` have in common: words, tables, taking lines out of files."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, Protocol, TypeVar

from rtmptwist.auth.files import BadFile, BadLine, entries, loose, rewrite
from rtmptwist.auth.options import read_time

T = TypeVar("T")

UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Named(Protocol):
    """What a line of a file says."""

    @property
    def id(self) -> str:
        """As people call it."""


E = TypeVar("E", bound=Named)


def word(read: Callable[[str], T]) -> Callable[[str], T]:
    """A reader that raises BadLine, as argparse wants one."""

    def converter(text: str) -> T:
        try:
            return read(text)
        except BadLine as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return converter


def span(text: str) -> int:
    """
    Seconds, from words such as 30m, 12h and 90d.

    Raises:
        BadLine: it is no span of time.
    """
    found = re.fullmatch(r"([1-9][0-9]{0,5})([smhd])", text)
    if not found:
        raise BadLine("expected seconds, minutes, hours or days such as 90s, 30m, 12h and 90d")
    return int(found[1]) * UNITS[found[2]]


def moment(text: str) -> float:
    """
    Seconds since the epoch, from a time or the span until then.

    Raises:
        BadLine: it is neither.
    """
    try:
        return read_time(text)
    except BadLine as no_time:
        try:
            return int(time.time()) + span(text)
        except BadLine:
            raise BadLine(f"{no_time}, or how long until then, such as 12h and 90d") from None


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows with their columns below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "".join(f"{line}\n" for line in lines)


def add_line(path: Path, header: str, make: Callable[[str], tuple[str, T]]) -> T:
    """
    Add the line that `make` makes when it has seen what is there; the second it made is returned.

    Raises:
        BadFile: the file cannot be used or written.
    """
    made: list[T] = []

    def add_to(text: str) -> str:
        line, result = make(text)
        made.append(result)
        return (text or header).rstrip("\n") + f"\n{line}\n"

    rewrite(path, add_to)
    mind_permissions(path)
    return made[0]


def take_lines(path: Path, ids: Iterable[str], what: str, read: Callable[[str], E]) -> list[E]:
    """
    Take the lines of some `what` out of a file, every other one stays as it is.

    Raises:
        BadFile: one is not there, or the file cannot be used or written; nothing is changed.
    """
    wanted = dict.fromkeys(ids)
    taken: dict[str, E] = {}

    def take_from(text: str) -> str:
        found = [(number, each) for number, each in entries(path, text, read) if each.id in wanted]
        taken.update((each.id, each) for _, each in found)
        unknown = [each for each in wanted if each not in taken]
        if unknown:
            raise BadFile(path, [(0, f"there is no {what} {each}") for each in unknown])
        gone = {number for number, _ in found}
        lines = enumerate(text.split("\n"), 1)
        return "\n".join(line for number, line in lines if number not in gone)

    rewrite(path, take_from)
    mind_permissions(path)
    return [taken[each] for each in wanted]


def mind_permissions(path: Path) -> None:
    """Warn whoever sits at the terminal."""
    warning = loose(path)
    if warning:
        sys.stderr.write(f"rtmptwist: {warning}\n")
