"""Work with files that may take long and is in no hurry: one thing after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from rtmptwist.disk.threads import Disk

R = TypeVar("R")

PATIENCE: Final = 60.0
"Seconds after which others do not wait any longer for what has begun: its disk may hang."


class Chores:
    """Takes one of a disk's threads, as long as nothing hangs."""

    def __init__(self, disk: Disk, clock: IReactorTime) -> None:
        self._disk = disk
        self._clock = clock
        self._waiting: deque[Callable[[], Deferred[Any]]] = deque()
        self._timer: IDelayedCall | None = None
        "While something is done: begins with the next, come what may."

    def call(self, work: Callable[[], R], folder: Path) -> Deferred[R]:
        """Do some work in an operator's folder after all others."""
        result: Deferred[R] = Deferred()

        def begin() -> Deferred[Any]:
            return self._disk.lane(_unheard, folder).call(work).addBoth(result.callback)

        self._waiting.append(begin)
        if self._timer is None:
            self._next()
        return result

    def close(self) -> None:
        """Begin nothing more."""
        self._waiting.clear()
        self._stop()

    def _next(self) -> None:
        self._stop()
        if not self._waiting:
            return
        timer = self._timer = self._clock.callLater(PATIENCE, self._late)

        def done(_: object) -> None:
            if self._timer is timer:  # else somebody else is at work by now
                self._next()

        self._waiting.popleft()().addBoth(done)

    def _late(self) -> None:
        self._timer = None
        self._next()

    def _stop(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()


def _unheard(_: Exception) -> None:
    """`Lane.call` tells its caller."""
