"""The RTMP message (RTMP 1.0, section 6): what flows everywhere. Knows no chunks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class MessageType(IntEnum):
    """Message type ids (RTMP 1.0, sections 5.4, 6.2 and 7.1)."""

    SET_CHUNK_SIZE = 1
    ABORT = 2
    ACKNOWLEDGEMENT = 3
    USER_CONTROL = 4
    WINDOW_ACKNOWLEDGEMENT_SIZE = 5
    SET_PEER_BANDWIDTH = 6
    AUDIO = 8
    VIDEO = 9
    DATA_AMF3 = 15
    SHARED_OBJECT_AMF3 = 16
    COMMAND_AMF3 = 17
    DATA = 18
    SHARED_OBJECT = 19
    COMMAND = 20
    AGGREGATE = 22


@dataclass(slots=True)
class Message:
    """
    One RTMP message, whole.

    Not frozen, because one is made for every frame and freezing costs more than the rest of it
    (0.50 against 0.14 µs); nobody changes one all the same.
    """

    type: int
    "A `MessageType`, or any other number from 0 to 255 that a peer sent."

    timestamp: int
    "Milliseconds. 32 bits, wrapping, on the wire; as many as it takes inside a live stream."

    stream_id: int
    "Message stream id; 0 is the connection itself."

    payload: bytes
