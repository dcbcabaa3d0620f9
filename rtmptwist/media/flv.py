"""
FLV files and streams (FLV 10.1, Annex E), both ways. Knows no codec and does no I/O.

A tag's payload and timestamp are those of the RTMP message of the same type.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from rtmptwist.media.errors import MediaError

AUDIO: Final = 8
VIDEO: Final = 9
SCRIPT_AMF3: Final = 15
SCRIPT: Final = 18

FLV_START: Final = 13
"Where the first tag of a file begins that has a header as `flv_header` makes it."

_TYPES: Final = frozenset({AUDIO, VIDEO, SCRIPT_AMF3, SCRIPT})
_FILTERED: Final = 0x20
_HEADER: Final = struct.Struct(">3sBBI")
_TAG: Final = struct.Struct(">II3x")
"Type and data size; timestamp, whose highest byte comes last; stream id, always 0."

_U32: Final = struct.Struct(">I")
_LONGEST_HEADER: Final = 4096
"Bytes of header that we pass over at most; all write 9."


@dataclass(frozen=True, slots=True)
class FlvTag:
    """One tag."""

    type: int
    "8 audio, 9 video, 18 script data, 15 script data in AMF3 (Enhanced RTMP)."

    timestamp: int
    "Milliseconds of decoding, 0 to 2^32 - 1, wrapping."

    payload: bytes
    encrypted: bool = False
    "Annex F: to be passed on, the payload is not readable."


def flv_header(audio: bool, video: bool) -> bytes:
    """What comes before the first tag. Players take the flags for no more than a hint."""
    return _HEADER.pack(b"FLV", 1, audio << 2 | video, 9) + bytes(4)


def flv_tag(type: int, timestamp: int, payload: bytes) -> bytes:  # noqa: A002 - the format's word
    """
    Put one tag into bytes, with the size behind it that lets one go back. Timestamps wrap.

    Raises:
        MediaError: more than 16 MiB of payload.
    """
    size = len(payload)
    if size > 0xFFFFFF:
        raise MediaError(f"FLV tag of {size} bytes (expected 0 to {0xFFFFFF})")
    head = _TAG.pack(type << 24 | size, (timestamp & 0xFFFFFF) << 8 | timestamp >> 24 & 0xFF)
    return b"".join((head, payload, _U32.pack(size + _TAG.size)))


class FlvReader:
    """
    FLV bytes to tags, in whatever pieces they come.

    As tolerant as players are: the header's flags and PreviousTagSize are not looked at, a longer
    header, tags without data and tags of unknown type are passed over.
    """

    def __init__(self, tag_size: int = 0xFFFFFF) -> None:
        """`tag_size`: the most that one tag may make us hold, in bytes; FLV can say 16 MiB."""
        self._tag_size = tag_size
        self._waiting = bytearray()
        self._need = _HEADER.size
        self._in_header = True

    def feed(self, data: bytes) -> list[FlvTag]:
        """
        Take the next bytes; return the tags they completed.

        Any split of the same bytes gives the same tags.

        Raises:
            MediaError: not FLV, or a tag is too large; the reader is then dead.
        """
        self._waiting += data
        tags: list[FlvTag] = []
        if len(self._waiting) < self._need:
            return tags
        buffer = bytes(self._waiting)
        position = 0
        if self._in_header:
            position = header_size(buffer)
            if len(buffer) < position:
                self._need = position
                return tags
            self._in_header = False
        self._need = _U32.size + _TAG.size
        while len(buffer) - position >= _U32.size + _TAG.size:
            type_and_size, time = _TAG.unpack_from(buffer, position + _U32.size)
            size = type_and_size & 0xFFFFFF
            if size > self._tag_size:
                raise MediaError(f"FLV tag of {size} bytes (expected 0 to {self._tag_size})")
            start = position + _U32.size + _TAG.size
            if start + size > len(buffer):
                self._need = start + size - position
                break
            position = start + size
            kind = type_and_size >> 24 & 0x1F
            if size and kind in _TYPES:
                timestamp = (time & 0xFF) << 24 | time >> 8
                encrypted = bool(type_and_size >> 24 & _FILTERED)
                tags.append(FlvTag(kind, timestamp, buffer[start:position], encrypted))
        self._waiting = bytearray(buffer[position:])
        return tags


def header_size(start: bytes) -> int:
    """
    The size of a file's header, by its first nine bytes. The first tag's is four bytes behind.

    Raises:
        MediaError: it is none.
    """
    if len(start) < _HEADER.size:
        raise MediaError(f"{len(start)} bytes (expected an FLV header of 9)")
    signature, version, _, size = _HEADER.unpack_from(start)
    if signature != b"FLV" or version != 1:
        raise MediaError(f"{start[:4]!r} (expected FLV and version 1)")
    if not _HEADER.size <= size <= _LONGEST_HEADER:
        raise MediaError(f"FLV header of {size} bytes (expected 9 to {_LONGEST_HEADER})")
    return int(size)
