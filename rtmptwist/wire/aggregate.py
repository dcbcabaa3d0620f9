"""
Aggregate messages (RTMP 1.0, section 7.1.6): several media messages in one.

Adobe's servers send them; we take them apart and send none, because they save nothing. The body is
FLV tags, the timestamp's upper byte last (the specification draws it otherwise).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from rtmptwist.wire.chunk import message_sizes
from rtmptwist.wire.errors import LimitExceeded, LocalProtocolError, RemoteProtocolError
from rtmptwist.wire.limits import Limits
from rtmptwist.wire.message import Message, MessageType

_PARTS: Final = frozenset(
    {MessageType.AUDIO, MessageType.VIDEO, MessageType.DATA, MessageType.DATA_AMF3}
)
"What may be inside. Another aggregate could go on for ever, a SetChunkSize would come too late."

_HEADER: Final = struct.Struct(">II3s")
"Type 8 and size 24 bits; lower 24 and upper 8 bits of the timestamp; stream id 24 bits."

_BACK_POINTER: Final = struct.Struct(">I")
"Behind each part: the size of its header and payload."

_WRAP: Final = 0xFFFFFFFF


def split(message: Message, limits: Limits) -> list[Message]:
    """
    Take an aggregate apart. Its stream id and timestamp hold for the parts.

    Raises:
        RemoteProtocolError: the parts do not fill the body, lack their back pointers, or are
            something else than audio, video and data.
        LimitExceeded: there are too many parts, or one is too large for its type.
    """
    payload = message.payload
    end = len(payload)
    sizes = message_sizes(limits)
    parts: list[Message] = []
    offset = shift = 0
    while offset < end:
        if len(parts) == limits.aggregate_parts:
            raise LimitExceeded(f"more than {limits.aggregate_parts} messages in an aggregate")
        start = offset + _HEADER.size
        if start > end:
            raise RemoteProtocolError(f"aggregate ends in a header: {end - offset} bytes left")
        size, time, _ = _HEADER.unpack_from(payload, offset)
        kind = size >> 24
        size &= 0xFFFFFF
        timestamp = time >> 8 | (time & 0xFF) << 24
        if kind not in _PARTS:
            raise RemoteProtocolError(
                f"message of type {kind} in an aggregate (expected audio, video or data)"
            )
        if size > sizes[kind]:
            raise LimitExceeded(
                f"message of type {kind} with {size} bytes in an aggregate (at most {sizes[kind]})"
            )
        stop = start + size
        if stop + _BACK_POINTER.size > end:
            raise RemoteProtocolError(
                f"message of {size} bytes in an aggregate that has {end - start} left"
                f" (expected {size + _BACK_POINTER.size})"
            )
        (back,) = _BACK_POINTER.unpack_from(payload, stop)
        if back != stop - offset:
            raise RemoteProtocolError(
                f"back pointer {back} in an aggregate (expected {stop - offset})"
            )
        if not parts:
            shift = message.timestamp - timestamp
        parts.append(
            Message(kind, (timestamp + shift) & _WRAP, message.stream_id, payload[start:stop])
        )
        offset = stop + _BACK_POINTER.size
    return parts


def join(messages: Sequence[Message]) -> Message:
    """
    Make an aggregate of media messages; stream id and timestamp are the first one's.

    Raises:
        LocalProtocolError: there is no message, or one of a type that cannot be in an aggregate.
    """
    if not messages:
        raise LocalProtocolError("an aggregate of no messages")
    body: list[bytes] = []
    for message in messages:
        if message.type not in _PARTS:
            raise LocalProtocolError(
                f"message of type {message.type} in an aggregate (expected audio, video or data)"
            )
        time = message.timestamp & _WRAP
        size = len(message.payload)
        body += (
            _HEADER.pack(message.type << 24 | size, (time & 0xFFFFFF) << 8 | time >> 24, bytes(3)),
            message.payload,
            _BACK_POINTER.pack(_HEADER.size + size),
        )
    first = messages[0]
    return Message(MessageType.AGGREGATE, first.timestamp, first.stream_id, b"".join(body))
