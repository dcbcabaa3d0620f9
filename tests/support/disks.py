"""A disk whose threads go to work when they are told to."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock

from rtmptwist.disk.threads import Disk


class _Reactor:
    """What a disk needs of a reactor."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def callLater(self, delay: float, call: Callable[..., object]) -> IDelayedCall:
        return self._clock.callLater(delay, call)

    def callFromThread(self, call: Callable[..., object], *arguments: object) -> None:
        call(*arguments)


class StillDisk(Disk):
    """Does nothing until `pump`, and then everything, in the thread of the test."""

    def __init__(self, clock: Clock | None = None, threads: int = 4, bound: int = 1 << 20) -> None:
        self.clock: Any = clock or Clock()
        self.began = 0
        super().__init__(_Reactor(self.clock), threads, bound)

    def _start(self) -> None:
        self.began += 1

    def do(self) -> None:
        """Let a thread do all that is ready."""
        self.work(SimpleQueue())

    def pump(self) -> None:
        """Let it do all there is to do, and what follows from that."""
        while self._busy:
            self.clock.advance(0)
            self.do()
