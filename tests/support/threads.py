"""Threads that have done their work before anybody looks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure


class Impatient:
    """What `deferToThreadPool` needs of a reactor and of its threads."""

    def getThreadPool(self) -> Impatient:
        return self

    def callInThreadWithCallback(
        self, done: Callable[[bool, object], None], work: Callable[..., object], *arguments: object
    ) -> None:
        try:
            result = work(*arguments)
        except Exception:
            done(False, Failure())
        else:
            done(True, result)

    def callFromThread(self, call: Callable[..., object], *arguments: object) -> None:
        call(*arguments)


class ImpatientClock(Impatient, Clock):
    """A clock with such threads."""


class ImpatientReactor(Impatient, MemoryReactorClock):
    """A reactor without sockets with such threads."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's

    callFromThread: Any = Impatient.callFromThread
