"""
The trail of a connection: its last protocol events, in words, for whoever asks why it broke.

Kept as bytes of one line for each event, because every connection has one: an idle viewer's takes
some 300 bytes, and no work when it is not looked at. Stream keys, queries, the values of other
commands, and names of commands that nobody knows, are never in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from rtmptwist.amf.values import Value
from rtmptwist.live.names import redacted, redacted_command
from rtmptwist.wire.command import NAMED, Command
from rtmptwist.wire.control import (
    Abort,
    SetBufferLength,
    SetChunkSize,
    SetPeerBandwidth,
    SwfVerificationResponse,
    UnknownUserControl,
    WindowAcknowledgementSize,
)
from rtmptwist.wire.events import Handshaken
from rtmptwist.wire.session import Said
from rtmptwist.wire.status import Status

KEPT: Final = 32
"Events."

RECEIVED: Final = "<"
SENT: Final = ">"
HERE: Final = "="
"What neither side said: the end of the handshake, the reason of an end."

_WORDS: Final = 120
"Characters of one event."

_SHORT: Final = 8
"Characters of a name that `redacted` leaves as it is."

_BEFORE: Final = 6
"Events that a line of the log repeats."

_QUERY: Final = re.compile(r"\?\S+")


@dataclass(frozen=True, slots=True)
class Step:
    """One event."""

    number: int
    "From 1, each one more than the last."

    seconds: float
    "Since the connection began."

    way: str
    "`RECEIVED`, `SENT` or `HERE`."

    words: str


def longer(trail: bytes, seconds: float, events: Iterable[Said | str]) -> bytes:
    """The trail with further events, which all happened about now; a text is a word of ours."""
    last = trail.rfind(b"\n", 0, -1) + 1
    number = int(trail[last : trail.index(b" ", last)]) if trail else 0
    moment = round(seconds * 1000)
    lines = ""
    for event in events:
        number += 1
        way, words_of = _EVENTS.get(type(event), (RECEIVED, _named_so))
        words = words_of(event)
        if len(words) > _WORDS or not words.isprintable():
            words = _clean(words)
        lines += f"{number} {moment} {way} {words}\n"
    trail += lines.encode(errors="replace")
    surplus = trail.count(b"\n") - KEPT
    return trail.split(b"\n", surplus)[surplus] if surplus > 0 else trail


def steps(trail: bytes) -> list[Step]:
    """All events, the oldest first."""
    found = []
    for line in trail.decode().split("\n")[:-1]:
        number, moment, way, words = line.split(" ", 3)
        found.append(Step(int(number), int(moment) / 1000, way, words))
    return found


def in_short(trail: bytes) -> str:
    """The last events, for a line of the log."""
    return ", ".join(
        f"sent {step.words}" if step.way == SENT else step.words for step in steps(trail)[-_BEFORE:]
    )


def _handshaken(event: Handshaken) -> str:
    return f"handshake {event.kind.value}"


def _command(event: Command) -> str:
    name = event.name
    if name == "connect":
        properties = event.object if isinstance(event.object, dict) else {}
        agent = properties.get("flashVer")
        by = f" by {redacted(agent[:64], key=False)}" if isinstance(agent, str) else ""
        return f"connect {_name(properties.get('app'))}{by}"
    if name in NAMED:
        return f"{name} {_name(event.argument(0))}"
    name = redacted_command(name)
    count = len(event.arguments)
    return f"{name} with {count} value{'s' if count > 1 else ''}" if count else name


def _status(event: Status) -> str:
    if event.level == "status":
        return event.code.value
    return f"{event.code}: {_QUERY.sub('?…', event.description)}"


def _set_chunk_size(event: SetChunkSize) -> str:
    return f"set chunk size {event.size}"


def _abort(event: Abort) -> str:
    return f"abort of chunk stream {event.chunk_stream_id}"


def _window(event: WindowAcknowledgementSize) -> str:
    return f"window acknowledgement size {event.size}"


def _bandwidth(event: SetPeerBandwidth) -> str:
    return f"set peer bandwidth {event.size} {event.kind.name.lower()}"


def _buffer_length(event: SetBufferLength) -> str:
    return f"set buffer length {event.milliseconds} ms"


def _swf(event: SwfVerificationResponse) -> str:
    return f"swf verification response for {event.size} bytes"


def _unknown(event: UnknownUserControl) -> str:
    return f"user control {event.event} of {len(event.data)} bytes"


def _name(value: Value) -> str:
    if isinstance(value, str):
        plain = len(value) <= _SHORT and value.isalnum()  # most are, and 3 µs are saved
        return value if plain else redacted(value)
    return f"{value:g}" if isinstance(value, float) else "nothing"


def _named_so(event: object) -> str:
    """`StreamBegin`: stream begin."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(event).__name__).lower()


def _clean(words: str) -> str:
    words = words if len(words) <= _WORDS else words[: _WORDS - 1] + "…"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in words)


_EVENTS: Final[dict[type, tuple[str, Callable[[Any], str]]]] = {
    str: (HERE, str),
    Handshaken: (HERE, _handshaken),
    Status: (SENT, _status),
    Command: (RECEIVED, _command),
    SetChunkSize: (RECEIVED, _set_chunk_size),
    Abort: (RECEIVED, _abort),
    WindowAcknowledgementSize: (RECEIVED, _window),
    SetPeerBandwidth: (RECEIVED, _bandwidth),
    SetBufferLength: (RECEIVED, _buffer_length),
    SwfVerificationResponse: (RECEIVED, _swf),
    UnknownUserControl: (RECEIVED, _unknown),
}
"Which way it went, and what happened. What others wrote is cut to what a log may show."
