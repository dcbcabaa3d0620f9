"""
What happens on the server, as it happens: a ring of the newest events, and who listens.

An event is noted whether anybody listens or not, so that whoever was away for a moment can read on.
That costs 1 µs, words included. The ring keeps facts, never connections or streams themselves.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from rtmptwist.live.names import redacted
from rtmptwist.live.recordings import RecordEvent, RecordTurn

KEPT: Final = 512
"Events: half a second of the worst storm, hours of most days; 300 KB at the most."


class EventKind(StrEnum):
    """What happened."""

    CONNECT = "connect"
    "Somebody was let into an application,"

    DISCONNECT = "disconnect"
    "and has left."

    PUBLISH = "publish"
    UNPUBLISH = "unpublish"
    PLAY = "play"
    STOP = "stop"
    "Somebody no longer plays."

    RECORD = "record"
    WARNING = "warning"
    RELOAD = "reload"
    DRAIN = "drain"
    "The server is about to stop."


@dataclass(slots=True, eq=False, weakref_slot=True)
class Event:
    """One of them. Nobody changes it; frozen it would take three times as long to make."""

    number: int
    "Each one more than the last."

    time: float
    "Seconds since the epoch."

    kind: EventKind
    words: str
    "What happened, for people. No secret."

    connection: int | None = None
    "The id of the connection that it is about,"

    peer: str = ""
    "and as logs call it."

    variant: str = ""

    vhost: str = ""
    application: str = ""
    "Empty: it is about no application, or about all."

    stream: str = field(default="", repr=False)
    "The name of the stream below its application. May be a secret: see `shown`."

    code: str = ""
    "Of a warning: `long_gop`. Programs tell them apart by it."

    turn: str = ""
    "Of a warning: `begin`, `end`, or empty for one that has no end. Of a record: a `RecordTurn`."

    @property
    def shown(self) -> str:
        """The stream's name, cut as in logs."""
        return redacted(self.stream)


class Journal:
    """The newest events of a server."""

    log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self.listeners: list[Callable[[Event], None]] = []
        "Each is called with every event, in the middle of what happens: it only takes note."

        self.begin = self.last = int(clock.seconds() * 1000)
        """
        Numbers of the newest event, and of none: the milliseconds of the epoch at the start. So
        those of one process are greater than all of the processes before it.
        """

        self.warnings: dict[str, int] = {}
        "How many there were by their codes, which are those of the program."

        self._clock = clock
        self._ring: deque[Event] = deque(maxlen=KEPT)

    def note(
        self,
        kind: EventKind,
        words: str,
        connection: int | None = None,
        peer: str = "",
        variant: str = "",
        vhost: str = "",
        application: str = "",
        stream: str = "",
        code: str = "",
        turn: str = "",
    ) -> None:
        """It happened now."""
        self.last = number = self.last + 1
        now = self._clock.seconds()
        # by position, which is done in two thirds of the time; the same goes for who calls often
        event = Event(
            number,
            now,
            kind,
            words,
            connection,
            peer,
            variant,
            vhost,
            application,
            stream,
            code,
            turn,
        )
        self._ring.append(event)
        if kind is EventKind.WARNING and turn != "end":
            self.warnings[code] = self.warnings.get(code, 0) + 1
        if self.listeners:
            self._tell(event)

    def recorded(self, application: str, vhost: str, event: RecordEvent) -> None:
        """A recorder tells of a file."""
        self.note(
            EventKind.RECORD,
            _words(event),
            vhost=vhost,
            application=application,
            stream=event.name,
            turn=event.turn,
        )

    def since(self, number: int) -> tuple[int, list[Event]]:
        """How many events after that one are not kept any more, and those that are, in order."""
        wanted = self.last - number
        if wanted <= 0:
            return 0, []
        ring = self._ring
        there = min(wanted, len(ring))
        return wanted - there, list(islice(ring, len(ring) - there, None))

    def _tell(self, event: Event) -> None:
        for listener in tuple(self.listeners):
            try:
                listener(event)
            except Exception:  # what happened has happened, whoever cannot hear of it
                self.log.failure("a listener failed to hear of {kind}", kind=event.kind.value)


def _words(event: RecordEvent) -> str:
    """Of a recording; without the path, which has the stream's name in it."""
    if event.turn is RecordTurn.START:
        return "the recording begins"
    if event.turn is RecordTurn.SEGMENT:
        held = f"{event.seconds:.1f} s, {event.size} bytes"
        return f"file {event.part} of the recording is complete: {held}"
    return f"the recording has failed: {event.error}" if event.error else "the recording is over"
