"""Traces: all messages of a connection in words, for a while, because an operator wants to see."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime

from rtmptwist.inspector.messages import Reader
from rtmptwist.net.connection import ServerConnection
from rtmptwist.net.tap import Tap
from rtmptwist.web.answers import Problem
from rtmptwist.wire.message import Message

TRACES: Final = 8
"At one time: each costs as much as some viewers."

LINES: Final = 2000
"Of one trace that are kept: ten seconds of a busy stream, 1 MB."

RATE: Final = 1000
"Messages in a second that are put into words; a stream has a hundred."

LONGEST: Final = 600.0
"Seconds."


@dataclass(slots=True)
class TraceLine:
    """One message."""

    number: int
    "From 1, each one more than the last."

    time: float
    received: bool
    message: Message | None
    "None: so many were left out."

    words: str
    kind: str = "note"
    frame: bool = False
    key: bool = False
    size: int = 0


class Trace:
    """Of one connection."""

    def __init__(self, connection: ServerConnection, clock: IReactorTime, seconds: float) -> None:
        self.connection = connection
        self.lines: deque[TraceLine] = deque(maxlen=LINES)
        self.newest = 0
        self.until = clock.seconds() + seconds
        self._clock = clock
        self._reader = Reader()
        self._second = 0
        self._spent = 0
        self._tap: Tap | None = Tap(connection, self._heard)
        self._end: Any = clock.callLater(seconds, self.stop)

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self._tap is not None

    def prolong(self, seconds: float) -> None:
        """It ends so many seconds from now."""
        self.until = self._clock.seconds() + seconds
        self._end.reset(seconds)

    def stop(self) -> None:
        """Hear no more."""
        if self._tap is not None:
            self._tap.remove()
            self._tap = None
            if self._end.active():
                self._end.cancel()

    def since(self, number: int) -> list[TraceLine]:
        """Lines after this one."""
        missing = self.newest - number
        return list(islice(self.lines, max(0, len(self.lines) - missing), None))

    def _heard(self, message: Message, received: bool) -> None:
        now = self._clock.seconds()
        if int(now) != self._second:
            if self._spent > RATE:
                self._add(now, received, None, f"{self._spent - RATE} messages were left out")
            self._second, self._spent = int(now), 0
        self._spent += 1
        if self._spent <= RATE:
            self._add(now, received, message)

    def _add(self, now: float, received: bool, message: Message | None, words: str = "") -> None:
        self.newest += 1
        line = TraceLine(self.newest, now, received, message, words)
        if message is not None:
            said = self._reader.read(message)
            line.words = said.words + (f" !!! {said.trouble}" if said.trouble else "")
            line.kind, line.frame, line.key = said.kind, said.frame, said.key
            line.size = len(message.payload)
            line.message = Message(message.type, message.timestamp, message.stream_id, b"")
        self.lines.append(line)


class Traces:
    """Those of all operators, by whichever port: a connection can have one."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._traces: dict[int, Trace] = {}

    def begin(self, connection: ServerConnection, seconds: float) -> Trace:
        """
        Trace a connection, or go on with it.

        Raises:
            Problem: there are too many, or nothing can be heard.
        """
        if connection.handshake is None:
            raise Problem(HTTPStatus.CONFLICT, "Its handshake is not done yet; try again.")
        trace = self._traces.get(connection.id)
        if trace is not None and trace.running:
            trace.prolong(seconds)
            return trace
        for number, other in tuple(self._traces.items()):
            if other.connection not in connection.registry.connections:
                other.stop()
            if not other.running and number != connection.id:
                del self._traces[number]
        if len(self._traces) >= TRACES and trace is None:
            raise Problem(HTTPStatus.CONFLICT, f"{TRACES} connections are traced already.")
        trace = self._traces[connection.id] = Trace(connection, self._clock, seconds)
        return trace

    def find(self, number: int) -> Trace | None:
        """A trace that runs or has run, even if its connection is gone."""
        return self._traces.get(number)
