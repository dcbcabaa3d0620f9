"""What all tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from tests.support.logs import Logs, logs_of_test
from tests.support.tables import Cell, tables

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where to find what tests show."""
    parser.addoption(
        "--artefacts", metavar="FOLDER", help="keep screenshots of the status page there"
    )


@pytest.fixture
def logs() -> Iterator[Logs]:
    """What is logged; a failure that the test does not `forgive` is one of the test."""
    with logs_of_test() as these:
        yield these


@pytest.fixture
def cell(record_property: Callable[[str, object], None]) -> Cell:
    """The cell of a table that a test fills."""
    return Cell(record_property)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the tables that tests have filled."""
    stats = terminalreporter.stats
    reports = [report for name in ("passed", "failed", "skipped") for report in stats.get(name, ())]
    for table in tables(reports):
        terminalreporter.section(table.title)
        for line in table.lines():
            terminalreporter.write_line(line)
