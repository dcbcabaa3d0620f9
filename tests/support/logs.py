"""What was logged while a test ran."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from twisted.logger import LogEvent, capturedLogs, formatEvent


class Logs:
    """The events of one test."""

    def __init__(self, events: Sequence[LogEvent]) -> None:
        self._events = events
        self._forgiven = 0

    def lines(self, level: str = "info") -> list[str]:
        """All lines of one level, as an operator reads them."""
        return [formatEvent(e) for e in self._events if e["log_level"].name == level]

    def about(self, text: str) -> list[str]:
        """The lines of any level with `text` in them."""
        return [line for line in map(formatEvent, self._events) if text in line]

    @property
    def failures(self) -> list[Any]:
        """Exceptions that were logged, unhandled ones of Deferreds included."""
        return [e["log_failure"].value for e in self._events if "log_failure" in e]

    def forgive(self) -> list[Any]:
        """The failures that a test expects."""
        failures = self.failures[self._forgiven :]
        self._forgiven += len(failures)
        return failures


@contextmanager
def logs_of_test() -> Iterator[Logs]:
    """Capture; a failure that the test did not expect is one of the test."""
    with capturedLogs() as events:
        logs = Logs(events)
        yield logs
        gc.collect(1)  # a Deferred says that nobody heard its failure when it is freed
    assert logs.forgive() == []
