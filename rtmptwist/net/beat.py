"""
Many publishers, read in beats: one turn over all of them instead of a trip through the reactor
for each.

A read costs about the same whatever it brings (kernel, reactor, session, fan-out: some 30 µs), and
an encoder sends a hundred times a second. So a server of many publishers lets the kernel gather
for a moment: beyond `FEW` publishers, they are taken out of the reactor and read together, the
less often the more there are, up to a bound. Where there are few, each is read at once.

Measured with 100 publishers of 1 Mbit/s and no viewer: FIGURE.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

FEW: Final = 40
"Publishers up to which each is read as soon as it sends."

SHARE: Final = 0.000_15
"Seconds of waiting for each publisher there is: with 100, a beat every 15 ms."

SLICE: Final = 128
"Publishers read in one turn of the reactor: about 3 ms, in which nobody else is heard."

READ_SIZE: Final = 65_536
"Bytes: as Twisted reads."


class Source(Protocol):
    """A transport whose reading can be taken over for a while."""

    def pauseProducing(self) -> None: ...
    def resumeProducing(self) -> None: ...
    def abortConnection(self) -> None: ...


class Reader:
    """One publisher's socket: read by the reactor, or by the beat."""

    log = Logger()

    __slots__ = ("_receive", "_recv", "_source")

    def __init__(
        self, source: Source, plain: socket.socket, receive: Callable[[bytes], None]
    ) -> None:
        """`receive` takes what was read; `plain` is the non-blocking socket under `source`."""
        self._source = source
        self._recv = plain.recv
        self._receive = receive

    def take_over(self) -> None:
        """The reactor looks away."""
        self._source.pauseProducing()

    def give_back(self) -> None:
        """The reactor looks again."""
        self._source.resumeProducing()

    def read(self) -> bool:
        """Read what is there; False: the end, or an error, which the reactor shall find itself."""
        try:
            data = self._recv(READ_SIZE)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data:
            return False
        try:
            self._receive(data)
        except Exception:  # a bug, and as in Twisted it ends one connection, not the beat
            self.log.failure("reading a publisher failed")
            self._source.abortConnection()
        return True


class Beat:
    """Reads publishers together while there are many. One for each server process."""

    def __init__(self, clock: IReactorTime, longest: float) -> None:
        """`longest`: seconds between two beats at most; 0: every publisher is read at once."""
        self._clock = clock
        self._longest = longest
        self._readers: dict[Reader, None] = {}
        self._beating = False
        self._round: list[Reader] = []
        "Those that this beat has still to read."
        self._timer: IDelayedCall | None = None

    def join(self, reader: Reader) -> None:
        """A publisher began."""
        self._readers[reader] = None
        if self._beating:
            reader.take_over()
        elif self._longest > 0 and len(self._readers) > FEW:
            self._beating = True
            for each in self._readers:
                each.take_over()
            self._wait()

    def leave(self, reader: Reader) -> None:
        """A publisher ended, or waits for a decision; harmless if it is not here."""
        if reader not in self._readers:
            return
        del self._readers[reader]
        if self._beating:
            reader.give_back()
            if len(self._readers) <= FEW // 2:
                self._stop()

    def _stop(self) -> None:
        self._beating = False
        self._round.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for each in self._readers:
            each.give_back()

    def _wait(self) -> None:
        delay = min(self._longest, SHARE * len(self._readers))
        self._timer = self._clock.callLater(delay, self._start)

    def _start(self) -> None:
        self._round = list(self._readers)
        self._go_on()

    def _go_on(self) -> None:
        self._timer = None
        now, self._round = self._round[:SLICE], self._round[SLICE:]
        readers = self._readers
        for reader in now:
            # one that is read may end others
            if reader in readers and self._beating and not reader.read():
                self.leave(reader)
        if not self._beating:
            return
        if self._round:
            self._timer = self._clock.callLater(0, self._go_on)
        else:
            self._wait()
