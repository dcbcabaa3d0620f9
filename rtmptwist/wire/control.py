"""
Protocol control and user control messages (RTMP 1.0, sections 5.4 and 7.1.7).

Knows what they say, not what follows from it: `wire.chunk` obeys SetChunkSize and Abort,
`wire.session` the rest.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar, Final, Self

from rtmptwist.wire.errors import RemoteProtocolError
from rtmptwist.wire.message import Message, MessageType

MAX_CHUNK_SIZE: Final = 0x7FFFFFFF
"Beyond 0xFFFFFF, the longest message, all values mean the same: whole messages (5.4.1)."

_NUMBER: Final = struct.Struct(">I")
_PEER_BANDWIDTH: Final = struct.Struct(">IB")
_EVENT: Final = struct.Struct(">H")
_EVENT_NUMBER: Final = struct.Struct(">HI")
_EVENT_TWO_NUMBERS: Final = struct.Struct(">HII")
_SWF_RESPONSE: Final = struct.Struct(">HBBII32s")


@dataclass(frozen=True, slots=True)
class SetChunkSize:
    """Announces the size of all following chunks of the sender (5.4.1)."""

    TYPE: ClassVar = MessageType.SET_CHUNK_SIZE

    size: int
    "Bytes of payload in a chunk, 1 to `MAX_CHUNK_SIZE`."

    def pack(self) -> bytes:
        return _NUMBER.pack(self.size)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        size = _number(cls, payload)
        if not 0 < size <= MAX_CHUNK_SIZE:
            raise RemoteProtocolError(f"chunk size {size} (expected 1 to {MAX_CHUNK_SIZE})")
        return cls(size)


@dataclass(frozen=True, slots=True)
class Abort:
    """Says that the rest of a half-sent message never comes (5.4.2). We never send it."""

    TYPE: ClassVar = MessageType.ABORT

    chunk_stream_id: int

    def pack(self) -> bytes:
        return _NUMBER.pack(self.chunk_stream_id)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        return cls(_number(cls, payload))


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Says how much the sender has received (5.4.3)."""

    TYPE: ClassVar = MessageType.ACKNOWLEDGEMENT

    sequence: int
    "Bytes since the handshake; librtmp counts the handshake too. 32 bits, wrapping."

    def pack(self) -> bytes:
        return _NUMBER.pack(self.sequence)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        return cls(_number(cls, payload))


@dataclass(frozen=True, slots=True)
class WindowAcknowledgementSize:
    """Asks for an Acknowledgement at least every `size` bytes (5.4.4)."""

    TYPE: ClassVar = MessageType.WINDOW_ACKNOWLEDGEMENT_SIZE

    size: int

    def pack(self) -> bytes:
        return _NUMBER.pack(self.size)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        return cls(_number(cls, payload))


class BandwidthLimit(IntEnum):
    """How a SetPeerBandwidth is meant."""

    HARD = 0
    SOFT = 1
    DYNAMIC = 2


@dataclass(frozen=True, slots=True)
class SetPeerBandwidth:
    """Asks the peer to limit what it sends before an Acknowledgement (5.4.5)."""

    TYPE: ClassVar = MessageType.SET_PEER_BANDWIDTH

    size: int
    "Bytes. FFmpeg fails above 0x7FFFFFFF."

    kind: BandwidthLimit = BandwidthLimit.DYNAMIC

    def pack(self) -> bytes:
        return _PEER_BANDWIDTH.pack(self.size, self.kind)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        size = _number(cls, payload)
        if len(payload) == _NUMBER.size:  # old senders leave the kind out; every client accepts it
            return cls(size, BandwidthLimit.HARD)
        try:
            return cls(size, BandwidthLimit(payload[_NUMBER.size]))
        except ValueError as error:
            raise RemoteProtocolError(f"SetPeerBandwidth: {error} (expected 0 to 2)") from error


class UserControl(IntEnum):
    """User control event numbers (7.1.7; 26 to 32 are Adobe's, undocumented)."""

    STREAM_BEGIN = 0
    STREAM_EOF = 1
    STREAM_DRY = 2
    SET_BUFFER_LENGTH = 3
    STREAM_IS_RECORDED = 4
    PING_REQUEST = 6
    PING_RESPONSE = 7
    SWF_VERIFICATION_REQUEST = 26
    SWF_VERIFICATION_RESPONSE = 27
    BUFFER_EMPTY = 31
    BUFFER_READY = 32


@dataclass(frozen=True, slots=True)
class _StreamEvent:
    """A user control event that says only which message stream it is about."""

    TYPE: ClassVar = MessageType.USER_CONTROL
    EVENT: ClassVar[UserControl]

    stream_id: int

    def pack(self) -> bytes:
        return _EVENT_NUMBER.pack(self.EVENT, self.stream_id)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        return cls(_fields(cls, _EVENT_NUMBER, payload)[1])


class StreamBegin(_StreamEvent):
    """The stream can be used; with stream id 0, the connection can."""

    __slots__ = ()
    EVENT = UserControl.STREAM_BEGIN


class StreamEof(_StreamEvent):
    """Nothing more comes on the stream."""

    __slots__ = ()
    EVENT = UserControl.STREAM_EOF


class StreamDry(_StreamEvent):
    """Nothing came from the publisher for a while."""

    __slots__ = ()
    EVENT = UserControl.STREAM_DRY


class StreamIsRecorded(_StreamEvent):
    """The stream is a recording."""

    __slots__ = ()
    EVENT = UserControl.STREAM_IS_RECORDED


class BufferEmpty(_StreamEvent):
    """Adobe's servers: a whole client buffer of a recording was sent, more will follow."""

    __slots__ = ()
    EVENT = UserControl.BUFFER_EMPTY


class BufferReady(_StreamEvent):
    """Adobe's servers: the recording goes on."""

    __slots__ = ()
    EVENT = UserControl.BUFFER_READY


@dataclass(frozen=True, slots=True)
class SetBufferLength:
    """A player tells how much it buffers."""

    TYPE: ClassVar = MessageType.USER_CONTROL
    EVENT: ClassVar = UserControl.SET_BUFFER_LENGTH

    stream_id: int
    milliseconds: int

    def pack(self) -> bytes:
        return _EVENT_TWO_NUMBERS.pack(self.EVENT, self.stream_id, self.milliseconds)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        _, stream_id, milliseconds = _fields(cls, _EVENT_TWO_NUMBERS, payload)
        return cls(stream_id, milliseconds)


@dataclass(frozen=True, slots=True)
class _Ping:
    """A user control event that carries only the time of the side that asks."""

    TYPE: ClassVar = MessageType.USER_CONTROL
    EVENT: ClassVar[UserControl]

    timestamp: int
    "Milliseconds of the asking side's clock, 32 bits; the response repeats them."

    def pack(self) -> bytes:
        return _EVENT_NUMBER.pack(self.EVENT, self.timestamp)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        return cls(_fields(cls, _EVENT_NUMBER, payload)[1])


class PingRequest(_Ping):
    """Asks the peer for a sign of life."""

    __slots__ = ()
    EVENT = UserControl.PING_REQUEST


class PingResponse(_Ping):
    """The sign of life."""

    __slots__ = ()
    EVENT = UserControl.PING_RESPONSE


@dataclass(frozen=True, slots=True)
class SwfVerificationRequest:
    """A server asks a player to prove that it knows the SWF file."""

    TYPE: ClassVar = MessageType.USER_CONTROL
    EVENT: ClassVar = UserControl.SWF_VERIFICATION_REQUEST

    version: int = 1
    "librtmp answers 0 and 1; FFmpeg does not look."

    def pack(self) -> bytes:
        return _EVENT.pack(self.EVENT) + bytes([self.version])

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        # Some servers leave the version out.
        return cls(payload[_EVENT.size] if len(payload) > _EVENT.size else 0)


@dataclass(frozen=True, slots=True)
class SwfVerificationResponse:
    """The player's proof."""

    TYPE: ClassVar = MessageType.USER_CONTROL
    EVENT: ClassVar = UserControl.SWF_VERIFICATION_RESPONSE

    size: int
    "Bytes of the uncompressed SWF file."

    digest: bytes
    "32 bytes: HMAC-SHA256 of the file's hash, keyed with the last 32 bytes of S1."

    def pack(self) -> bytes:
        return _SWF_RESPONSE.pack(self.EVENT, 1, 1, self.size, self.size, self.digest)

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        _, _, _, size, _, digest = _fields(cls, _SWF_RESPONSE, payload)
        return cls(size, digest)


@dataclass(frozen=True, slots=True)
class UnknownUserControl:
    """An event that nobody documented, or a known one whose body is too short. To be ignored."""

    TYPE: ClassVar = MessageType.USER_CONTROL

    event: int
    data: bytes

    def pack(self) -> bytes:
        return _EVENT.pack(self.event) + self.data

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        return cls(_fields(cls, _EVENT, payload)[0], payload[_EVENT.size :])


ProtocolControl = (
    SetChunkSize | Abort | Acknowledgement | WindowAcknowledgementSize | SetPeerBandwidth
)

UserControlEvent = (
    StreamBegin
    | StreamEof
    | StreamDry
    | SetBufferLength
    | StreamIsRecorded
    | PingRequest
    | PingResponse
    | SwfVerificationRequest
    | SwfVerificationResponse
    | BufferEmpty
    | BufferReady
    | UnknownUserControl
)

ControlEvent = ProtocolControl | UserControlEvent

_PROTOCOL_CONTROL: Final[dict[int, type[ProtocolControl]]] = {
    kind.TYPE: kind
    for kind in (SetChunkSize, Abort, Acknowledgement, WindowAcknowledgementSize, SetPeerBandwidth)
}

_USER_CONTROL: Final[dict[int, type[UserControlEvent]]] = {
    kind.EVENT: kind
    for kind in (
        StreamBegin,
        StreamEof,
        StreamDry,
        SetBufferLength,
        StreamIsRecorded,
        PingRequest,
        PingResponse,
        SwfVerificationRequest,
        SwfVerificationResponse,
        BufferEmpty,
        BufferReady,
    )
}

TYPES: Final = frozenset({*_PROTOCOL_CONTROL, MessageType.USER_CONTROL})
"The message types that `parse` understands."


def parse(message: Message) -> ControlEvent:
    """
    Read a message of one of the `TYPES`. What follows the expected body is ignored.

    Raises:
        RemoteProtocolError: the body is too short or its values are impossible. A short user
            control event is an `UnknownUserControl` instead: clients send some without data.
    """
    if message.type != MessageType.USER_CONTROL:
        return _PROTOCOL_CONTROL[message.type].unpack(message.payload)
    unknown = UnknownUserControl.unpack(message.payload)
    kind = _USER_CONTROL.get(unknown.event)
    if kind is None:
        return unknown
    try:
        return kind.unpack(message.payload)
    except RemoteProtocolError:
        return unknown


def message(event: ControlEvent) -> Message:
    """Put an event into the message that carries it. It belongs on chunk stream 2."""
    return Message(event.TYPE, 0, 0, event.pack())


def _number(cls: type[object], payload: bytes) -> int:
    number: int = _fields(cls, _NUMBER, payload)[0]
    return number


def _fields(cls: type[object], layout: struct.Struct, payload: bytes) -> tuple[Any, ...]:
    if len(payload) < layout.size:
        raise RemoteProtocolError(
            f"{cls.__name__} of {len(payload)} bytes (expected {layout.size})"
        )
    return layout.unpack_from(payload)
