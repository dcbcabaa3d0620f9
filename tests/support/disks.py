"""A disk whose threads go to work when they are told to."""

from __future__ import annotations

from twisted.internet.task import Clock

from rtmptwist.disk.threads import Disk
from tests.support.threads import ImpatientClock


class StillDisk(Disk):
    """Does nothing until `pump`, and then everything, in the thread of the test."""

    def __init__(self, clock: Clock | None = None, threads: int = 4, bound: int = 1 << 20) -> None:
        self.clock = clock or ImpatientClock()
        self.began = 0
        super().__init__(self.clock, threads, bound)

    def _start(self) -> None:
        self.began += 1

    def pump(self) -> None:
        """Let it do all there is to do, and what follows from that."""
        while self._busy:
            self.clock.advance(0)
            self.work()
