"""
What a client hears when it is let in, and when it begins to watch: nearly the same for all.

So the bytes are kept for whoever comes next. A connect is answered in 1 µs instead of 36, a play in
2 instead of 20.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from rtmptwist.amf import amf0
from rtmptwist.amf.values import Value
from rtmptwist.wire.chunk import DEFAULT_CHUNK_SIZE, encode_full
from rtmptwist.wire.command import Command
from rtmptwist.wire.control import (
    BandwidthLimit,
    ControlEvent,
    SetChunkSize,
    SetPeerBandwidth,
    StreamBegin,
    WindowAcknowledgementSize,
    message,
)
from rtmptwist.wire.message import Message, MessageType
from rtmptwist.wire.session import COMMAND_CHUNKS, CONTROL_CHUNKS, DEFAULT_WINDOW, STREAM_CHUNKS
from rtmptwist.wire.status import Status, StatusCode

SERVER_VERSION: Final = "FMS/3,5,7,7009"
"Some Flash players and encoders parse this form, and choose features by its numbers."

_CAPS_EX: Final = 2 | 4 | 8
"Multitrack, ModEx and nanosecond offsets are relayed (Enhanced RTMP v2, capsEx)."

_FORWARD: Final = 4
"Any FourCC can be forwarded (Enhanced RTMP v2, FourCcInfoMask)."


CONNECTED: Final = Status(StatusCode.CONNECT_SUCCESS, "Connected.")
RESET: Final = Status(StatusCode.PLAY_RESET, "Playlist cleared.")
STARTED: Final = Status(StatusCode.PLAY_START, "Playing.")
"What the answers say, but for what belongs to one client."


@lru_cache(maxsize=64)
def connected(transaction_id: float, encoding: float, chunk_size: int | None) -> bytes:
    """
    The answer to a connect, in the order that every client was seen to take.

    `encoding`: of objects, as wished; `chunk_size`: to be announced; None: it stays as it is.
    """
    events: list[ControlEvent] = [
        WindowAcknowledgementSize(DEFAULT_WINDOW),
        SetPeerBandwidth(DEFAULT_WINDOW, BandwidthLimit.DYNAMIC),
        StreamBegin(0),
    ]
    if chunk_size is not None:
        events.insert(2, SetChunkSize(chunk_size))
    # Enhanced RTMP v2 wants its fields "within an Object as one of the parameters" and does not
    # say which: they stand in both.
    properties = {"fmsVer": SERVER_VERSION, "capabilities": 31.0, "mode": 1.0, **_enhanced()}
    success = {**CONNECTED.info(), "objectEncoding": encoding, **_enhanced()}
    answer = Command("_result", transaction_id, properties, (success,)).message()
    return b"".join(
        (
            *(encode_full(message(event), CONTROL_CHUNKS, DEFAULT_CHUNK_SIZE) for event in events),
            encode_full(answer, COMMAND_CHUNKS, chunk_size or DEFAULT_CHUNK_SIZE),
        )
    )


def playing(stream_id: int, name: str, reset: bool, chunk_size: int) -> bytes:
    """The answer to a play, before its media. `chunk_size`: of what we send."""
    # what stands behind the name is for one viewer, and may be a secret that is not ours to keep
    make = _playing.__wrapped__ if "?" in name else _playing
    return make(stream_id, name, reset, chunk_size)


@lru_cache(maxsize=64)
def _playing(stream_id: int, name: str, reset: bool, chunk_size: int) -> bytes:
    statuses = (RESET, STARTED) if reset else (STARTED,)
    infos = [{**status.info(), "details": name} for status in statuses]
    commands = [Command("onStatus", 0.0, None, (info,), stream_id) for info in infos]
    access = amf0.encode("|RtmpSampleAccess", True, True)
    messages = [
        *(command.message() for command in commands),
        Message(MessageType.DATA, 0, stream_id, access),
    ]
    begin = encode_full(message(StreamBegin(stream_id)), CONTROL_CHUNKS, chunk_size)
    return begin + b"".join(encode_full(each, STREAM_CHUNKS, chunk_size) for each in messages)


def _enhanced() -> dict[str, Value]:
    """What we do for Enhanced RTMP. Fresh objects each time: librtmp cannot read references."""
    return {
        "videoFourCcInfoMap": {"*": float(_FORWARD)},
        "audioFourCcInfoMap": {"*": float(_FORWARD)},
        "capsEx": float(_CAPS_EX),
    }
