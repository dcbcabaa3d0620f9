"""Tables at the end of a run: one cell for each test, whichever of pytest's processes ran it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

_CELL: Final = "cell of a table"
"The property of a test's report: (title, row, column)."

_FOUND: Final = "found for that cell"
"The property of a test's report: (mark, note, …)."


class Cell:
    """
    What a test finds out for one cell; several tests may share one.

    Say where it is before anything can fail: a test that fails is a cell that says so.
    """

    def __init__(self, record: Callable[[str, object], None]) -> None:
        self._record = record

    def at(self, title: str, row: str, column: str) -> None:
        """Where it stands. What the test finds out is for this cell until the next one is named."""
        self._record(_CELL, (title, row, column))

    def found(self, mark: str, *notes: str) -> None:
        """A word or two for the cell, and sentences to stand below the table."""
        self._record(_FOUND, (mark, *notes))


@dataclass
class Table:
    """Cells in the order in which they came, and their notes."""

    title: str
    cells: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, row: str, column: str, mark: str, *notes: str) -> None:
        """Put something into a cell."""
        self.notes += [note for note in notes if note not in self.notes]
        numbers = "".join(f" [{self.notes.index(note) + 1}]" for note in notes)
        self.cells.setdefault((row, column), []).append(mark + numbers)

    def lines(self) -> list[str]:
        """The table as text, rows and columns in alphabetical order."""
        rows, columns = ([*sorted(set(names))] for names in zip(*self.cells, strict=True))
        grid = [["", *columns]]
        for row in rows:
            marks = (self.cells.get((row, column), ["-"]) for column in columns)
            grid.append([row, *(", ".join(sorted(set(mark))) for mark in marks)])
        widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
        return [
            *("  ".join(map(str.ljust, line, widths)).rstrip() for line in grid),
            *(f"[{number}] {note}" for number, note in enumerate(self.notes, 1)),
        ]


def tables(reports: Iterable[Any]) -> list[Table]:
    """The tables of pytest's reports about tests."""
    found: dict[str, Table] = {}
    for report in sorted(reports, key=lambda report: str(report.nodeid)):
        place: Sequence[str] = ()
        for name, value in report.user_properties:
            if name == _CELL:
                place = value
                if report.outcome != "passed":
                    _add(found, place, report.outcome.upper())
            elif name == _FOUND and report.outcome == "passed":
                _add(found, place, *value)
    return [found[title] for title in sorted(found)]


def _add(found: dict[str, Table], place: Sequence[str], mark: str, *notes: str) -> None:
    title, row, column = place
    found.setdefault(title, Table(title)).add(row, column, mark, *notes)
