"""
The whole vocabulary that a Session speaks to its owner.

Media and data messages are not wrapped: the owner gets the `Message` itself. Control messages that
matter to an owner are those of `wire.control`.
An event marked *decision* stops the session until its owner answers with `accept`, `refuse` or
`result`: what the peer sent after it waits, so that nobody can overtake a slow login.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rtmptwist.amf.values import Value
from rtmptwist.wire.command import Command
from rtmptwist.wire.control import (
    BufferEmpty,
    BufferReady,
    PingResponse,
    SetBufferLength,
    StreamBegin,
    StreamDry,
    StreamEof,
    StreamIsRecorded,
    SwfVerificationRequest,
    SwfVerificationResponse,
)
from rtmptwist.wire.handshake import CipherPair, HandshakeKind
from rtmptwist.wire.message import Message


@dataclass(frozen=True, slots=True)
class Handshaken:
    """The handshake is over. With `ciphers`, all bytes from here on are encrypted (RTMPE)."""

    kind: HandshakeKind
    ciphers: CipherPair | None


# What a server hears from a client.


@dataclass(frozen=True, slots=True)
class Connect:
    """A client wants into an application (7.2.1.1). Decision."""

    transaction_id: float
    app: str
    tc_url: str
    properties: dict[str, Value] = field(repr=False)
    "The command object as sent."

    arguments: tuple[Value, ...] = field(default=(), repr=False)
    "What Flash applications and librtmp's `conn=` add."


@dataclass(frozen=True, slots=True)
class Publish:
    """A client wants to feed a stream (7.2.2.6). Decision."""

    stream_id: int
    name: str
    kind: str = "live"
    "`live`, `record`, `append` or whatever else the client says."


@dataclass(frozen=True, slots=True)
class Play:
    """A client wants to watch a stream (7.2.2.1). Decision."""

    stream_id: int
    name: str
    start: float = -2.0
    "Seconds, or -2: live, else recorded, else wait; -1: live only."

    duration: float = -1.0
    "Seconds; negative: to the end."

    reset: bool = True
    "Drop what is playing now; else append to the playlist."


@dataclass(frozen=True, slots=True)
class Play2:
    """A client wants to change over to another stream while playing (ActionScript 3). Decision."""

    stream_id: int
    name: str
    transition: str


@dataclass(frozen=True, slots=True)
class Call:
    """A remote method call by any name the session does not know itself. Decision."""

    name: str
    transaction_id: float
    object: Value
    arguments: tuple[Value, ...]
    stream_id: int


@dataclass(frozen=True, slots=True)
class Seek:
    """A client wants to go to `position`, in milliseconds (7.2.2.7). Decision."""

    stream_id: int
    position: float


@dataclass(frozen=True, slots=True)
class Pause:
    """A client pauses or goes on at `position`, in milliseconds (7.2.2.8). Decision."""

    stream_id: int
    paused: bool
    position: float


@dataclass(frozen=True, slots=True)
class Receive:
    """A client switches the sound or the picture it gets on or off (7.2.2.4, 7.2.2.5)."""

    stream_id: int
    audio: bool | None = None
    video: bool | None = None


@dataclass(frozen=True, slots=True)
class CloseStream:
    """A client ended what a NetStream did: closeStream, deleteStream or FCUnpublish."""

    stream_id: int


# What a client hears from a server.


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to a call: `_result`, or `_error` when not `ok`."""

    transaction_id: float
    ok: bool
    properties: Value
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class StatusChange:
    """An `onStatus` on a NetStream, or on the connection itself (`stream_id` 0)."""

    stream_id: int
    info: dict[str, Value]


Control = (
    StreamBegin
    | StreamEof
    | StreamDry
    | StreamIsRecorded
    | SetBufferLength
    | PingResponse
    | BufferEmpty
    | BufferReady
    | SwfVerificationRequest
    | SwfVerificationResponse
)

Decision = Connect | Publish | Play | Play2 | Call | Seek | Pause

Event = (
    Message
    | Handshaken
    | Decision
    | Receive
    | CloseStream
    | Result
    | StatusChange
    | Command
    | Control
)
