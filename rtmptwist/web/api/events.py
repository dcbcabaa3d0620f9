"""
What happens, as Server-Sent Events: each has its number as `id`, its kind as `event`, and one line
of JSON (`EventView`) as `data`.

Whoever comes back with `Last-Event-ID` reads on from there; what is not kept any more is told as an
event `gap`. What is told beside the journal, `statistics`, has no number.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final, TypedDict

from rtmptwist.live.journal import Event, EventKind
from rtmptwist.web.api.figures import when
from rtmptwist.web.api.route import Call, Route
from rtmptwist.web.house import House
from rtmptwist.web.parameters import Parameter
from rtmptwist.web.statistics import StatisticsView

QUERY: Final = {
    "kinds": Parameter(
        words="Only of these kinds, with commas between them; `gap` is always told.",
        choices=tuple(EventKind),
        many=True,
    ),
    "vhost": Parameter(words="Only of this virtual host; empty: of the one without a name."),
    "application": Parameter(words="Only of this application, or of none."),
    "statistics": Parameter(
        words="`true`: also, each second, an event `statistics`.",
        choices=("true", "false"),
        default="false",
    ),
}


class EventView(TypedDict):
    """Something that happened. Null: it has none, or is about none."""

    number: int
    time: str
    kind: str
    words: str
    connection: int | None
    peer: str | None
    variant: str | None
    vhost: str | None
    application: str | None
    stream: str | None
    name: str | None
    code: str | None
    turn: str | None


class GapView(TypedDict):
    """Events were missed, so many; null: those of before a restart, which nobody has counted."""

    missed: int | None


TELLS: Final = {
    ", ".join(EventKind): EventView,
    "gap": GapView,
    "statistics": StatisticsView,
}
"The data of each kind of event."


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events somebody wants. None: whatever it is."""

    kinds: frozenset[str] | None = None
    vhost: str | None = None
    application: str | None = None

    def wants(self, event: Event) -> bool:
        """What is about no application is about all of them."""
        return (self.kinds is None or event.kind in self.kinds) and (
            not event.application
            or (self.vhost in (None, event.vhost) and self.application in (None, event.application))
        )


async def events(call: Call) -> None:
    """What happens."""
    await call.house.events.serve(call.request, call.operator, call.query)


def event_view(house: House, event: Event) -> EventView:
    """One event."""
    where, stream = (event.vhost, event.application), event.stream
    return {
        "number": event.number,
        "time": when(event.time),
        "kind": event.kind.value,
        "words": event.words,
        "connection": event.connection,
        "peer": event.peer or None,
        "variant": event.variant or None,
        "vhost": event.vhost if event.application else None,
        "application": event.application or None,
        "stream": house.census.name_id(*where, stream) if stream else None,
        "name": event.shown or None,
        "code": event.code or None,
        "turn": event.turn or None,
    }


def frame(kind: str, value: object, number: int | None = None) -> bytes:
    """An event on the wire."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    numbered = "" if number is None else f"id: {number}\n"
    return f"event: {kind}\n{numbered}data: {text}\n\n".encode()


ROUTES: Final = (
    Route("GET", "events", "What happens, as it happens", events, tells=TELLS, query=QUERY),
)
