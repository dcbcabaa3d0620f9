"""
Many publishers, read in beats: one turn over all of them instead of a trip through the reactor
for each.

A read costs about the same whatever it brings (kernel, reactor, session, fan-out: some 30 µs), and
an encoder sends a hundred times a second. So a server of many publishers lets the kernel gather
for a moment, in two cases:

- A publisher whose stream gathers messages anyway (`merge`) is read once in that time, just before
  what it sent goes out. That costs its viewers nothing.
- Beyond `FEW` publishers all others are read together too, the less often the more there are, up
  to a bound. Where there are few, each is read at once.

100 publishers of 1 Mbit/s and no viewer: 14 instead of 41 ms of CPU for 1000 messages, with beats
25 ms apart; nginx-rtmp 20.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final, Protocol, cast

from twisted.internet.interfaces import IDelayedCall, IReactorTime, ITransport
from twisted.logger import Logger

from rtmptwist.net.writer import plain_socket

FEW: Final = 40
"Publishers up to which each is read as soon as it sends."

SHARE: Final = 0.000_15
"Seconds of waiting for each publisher there is: with 100, a beat every 15 ms."

MERGE: Final = 0.1
"""
Seconds between two reads of a publisher whose stream gathers for longer: what a socket's buffer
holds of even the fastest stream.
"""

SLICE: Final = 128
"Publishers read in one turn of the reactor: about 3 ms, in which nobody else is heard."

TURN: Final = 0.01
"Seconds after which a turn ends, however few were read: what they send may be costly."

READ_SIZE: Final = 65_536
"Bytes: as Twisted reads."

READS: Final = 16
"Of one publisher in one beat at most: one of 80 Mbit/s is still read whole in every `MERGE`."


class Source(Protocol):
    """A transport whose reading can be taken over for a while."""

    def pauseProducing(self) -> None: ...
    def resumeProducing(self) -> None: ...
    def abortConnection(self) -> None: ...


class Reader:
    """One publisher's socket: read by the reactor, or by the beat."""

    log = Logger()

    __slots__ = ("_mine", "_receive", "_recv", "_source")

    def __init__(
        self, source: Source, plain: socket.socket, receive: Callable[[bytes], None]
    ) -> None:
        """`receive` takes what was read; `plain` is the non-blocking socket under `source`."""
        self._source = source
        self._recv = plain.recv
        self._receive = receive
        self._mine = False

    def take_over(self) -> None:
        """The reactor looks away."""
        self._mine = True
        self._source.pauseProducing()

    def give_back(self) -> None:
        """The reactor looks again."""
        self._mine = False
        self._source.resumeProducing()

    def read(self) -> bool:
        """Read what is there; False: the end, or an error, which the reactor shall find itself."""
        for _ in range(READS):
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
            if len(data) < READ_SIZE or not self._mine:
                break
        return True


def reader_for(transport: object, receive: Callable[[bytes], None]) -> Reader | None:
    """
    Make the reader of a connection; None where nothing but the reactor can read it.

    `receive` takes what comes out of `transport`. One that has a socket below, but not for plain
    bytes, has a method `make_reader`.
    """
    make_reader = getattr(type(transport), "make_reader", None)  # its own, of no wrapped one
    if make_reader is not None:
        return cast("Reader | None", make_reader(transport))
    plain = plain_socket(cast("ITransport", transport))
    return Reader(cast("Source", transport), plain, receive) if plain is not None else None


class Beat:
    """Tells who is read when. One for each server process."""

    def __init__(self, clock: IReactorTime, longest: float) -> None:
        """`longest`: seconds between two reads of a crowd at most; 0: all are read at once."""
        self._clock = clock
        self._longest = longest
        self._alone: dict[Reader, None] = {}
        "Those that the reactor reads."
        self._crowd = _Round(clock, lambda count: min(longest, SHARE * count))
        self._merging: dict[float, _Round] = {}
        "By the time between two reads."

    def join(self, reader: Reader, merge: float = 0.0) -> None:
        """A publisher began; `merge`: seconds that its stream gathers messages."""
        if self._longest <= 0:
            return
        if merge > 0:
            self._merging_round(min(merge, MERGE)).add(reader)
        elif self._crowd.readers:
            self._crowd.add(reader)
        else:
            self._alone[reader] = None
            if len(self._alone) > FEW:
                for each in self._alone:
                    self._crowd.add(each)
                self._alone.clear()

    def leave(self, reader: Reader) -> None:
        """A publisher ended, or waits for a decision; harmless if it is not here."""
        self._alone.pop(reader, None)
        for merging in self._merging.values():
            merging.remove(reader)
        crowd = self._crowd
        if crowd.remove(reader) and len(crowd.readers) <= FEW // 2:
            for each in tuple(crowd.readers):
                crowd.remove(each)
                self._alone[each] = None

    def _merging_round(self, interval: float) -> _Round:
        found = self._merging.get(interval)
        if found is None:
            found = self._merging[interval] = _Round(self._clock, lambda _: interval)
        return found


class _Round:
    """Publishers that are read together."""

    def __init__(self, clock: IReactorTime, delay: Callable[[int], float]) -> None:
        """`delay`: seconds from one beat to the next, by the number of readers."""
        self.readers: dict[Reader, None] = {}
        self._clock = clock
        self._delay = delay
        self._due: list[Reader] = []
        "Those that this beat has still to read."
        self._timer: IDelayedCall | None = None

    def add(self, reader: Reader) -> None:
        """From now on it is read here."""
        self.readers[reader] = None
        reader.take_over()
        if self._timer is None:
            self._wait()

    def remove(self, reader: Reader) -> bool:
        """The reactor reads it again; False: it was not here."""
        if reader not in self.readers:
            return False
        del self.readers[reader]
        reader.give_back()
        if not self.readers and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return True

    def _wait(self) -> None:
        self._timer = self._clock.callLater(self._delay(len(self.readers)), self._start)

    def _start(self) -> None:
        self._due = list(self.readers)
        self._go_on()

    def _go_on(self) -> None:
        readers = self.readers
        now, self._due = self._due[:SLICE], self._due[SLICE:]
        self._timer = None
        seconds = self._clock.seconds
        until = seconds() + TURN
        for index, reader in enumerate(now, 1):
            # one that is read may end others
            if reader in readers and not reader.read():
                self.remove(reader)
            if seconds() > until:  # a flood of tiny messages
                self._due = now[index:] + self._due
                break
        if not readers or self._timer is not None:
            return
        if self._due:
            self._timer = self._clock.callLater(0, self._go_on)
        else:
            self._wait()
