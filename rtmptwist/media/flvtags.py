"""
The tags of an FLV file, from anywhere in it: forwards, backwards, and where one begins.

Every tag has its size behind it, so that one can go back tag by tag, and tell in the midst of a
file where a tag begins. All of this blocks.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple

from rtmptwist.media.container import Source
from rtmptwist.media.flv import AUDIO, VIDEO, FlvTag
from rtmptwist.media.flvindex import KNOWN
from rtmptwist.media.tag import Tag, audio_tag, video_tag

WINDOW: Final = 1 << 16
"Bytes in which a tag is looked for at a time,"

LARGEST_TAG: Final = (1 << 24) + WINDOW
"and in all: there is one in so many, unless the file is broken there."

MOST_SEEMING: Final = 1 << 12
"""
Bytes in a row that look like the beginning of a tag and are none, until the search is given up:
pictures have next to none, but those of somebody who wants our time have one in every four.
"""

MEDIA: Final = (AUDIO, VIDEO)

_TAG: Final = struct.Struct(">II3s")
"Type and size of the data; timestamp, whose highest byte comes last; stream id, always 0."

_BEHIND: Final = struct.Struct(">I")
"Size of the tag before."

BEHIND: Final = _BEHIND.size
"Bytes of that: they stand before the first tag, too."

AROUND: Final = _TAG.size + BEHIND
"Bytes of a tag around its data."

_FILTERED: Final = 0x20
"Of the type: the data is encrypted (Annex F), which RTMP cannot tell a player."

_NO_STREAM: Final = bytes(3)
_BEGINNING: Final = re.compile(rb"(?=[\x08\x09][\0-\xff]{7}\0\0\0)")
"Of a tag of sound or pictures, perhaps: its size must stand behind it."


class Spot(NamedTuple):
    """A whole tag in the midst of a file."""

    position: int
    end: int
    type: int
    timestamp: int
    "Milliseconds, 0 to 2^32 - 1."

    @property
    def size(self) -> int:
        """Bytes of its data."""
        return self.end - self.position - AROUND


class Tags:
    """The tags of one file."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.first = 0
        "Position of the first one that counts: nobody goes back further."
        self.linked = False
        "Tags have their sizes behind them, as far as the first one tells."

    def begin(self, position: int) -> None:
        """What stands before does not count."""
        self.first = position
        self.linked = self.at(position) is not None

    def forward(self, position: int, size: int) -> Iterator[tuple[FlvTag, int]]:
        """
        The whole tags from a position on, with where the next one begins.

        `size`: bytes to be read at a time.
        """
        read = self._source.read
        size = max(size, _TAG.size)
        start, buffer = position, read(position, size)
        while True:
            offset = position - start
            if offset + _TAG.size > len(buffer):
                start, offset, buffer = position, 0, read(position, size)
                if len(buffer) < _TAG.size:
                    return
            type_and_size, time, stream = _TAG.unpack_from(buffer, offset)
            kind, length = type_and_size >> 24, type_and_size & 0xFFFFFF
            if kind & ~_FILTERED not in KNOWN or stream != _NO_STREAM:
                return
            if offset + _TAG.size + length > len(buffer):
                start, offset, buffer = position, 0, read(position, max(size, _TAG.size + length))
                if _TAG.size + length > len(buffer):
                    return
            offset += _TAG.size
            payload = buffer[offset : offset + length]
            timestamp = (time & 0xFF) << 24 | time >> 8
            position += AROUND + length
            yield FlvTag(kind & ~_FILTERED, timestamp, payload, bool(kind & _FILTERED)), position

    def at(self, position: int) -> Spot | None:
        """The tag at a position, if there is one with its size behind it."""
        head = self._source.read(position, _TAG.size)
        if len(head) < _TAG.size:
            return None
        type_and_size, time, stream = _TAG.unpack(head)
        kind, length = type_and_size >> 24, type_and_size & 0xFFFFFF
        if kind not in KNOWN or stream != _NO_STREAM:
            return None
        end = position + AROUND + length
        if self._source.read(end - _BEHIND.size, _BEHIND.size) != _BEHIND.pack(end - position - 4):
            return None
        return Spot(position, end, kind, (time & 0xFF) << 24 | time >> 8)

    def find(self, position: int, end: int) -> Spot | None:
        """The first tag of sound or pictures at a position or behind it, before `end`."""
        left = MOST_SEEMING
        for start in range(position, min(end, position + LARGEST_TAG), WINDOW):
            window = self._source.read(start, WINDOW + _TAG.size)
            for found in islice(_BEGINNING.finditer(window), left):
                left -= 1
                spot = self.at(start + found.start())
                if spot is not None:
                    return spot
        return None

    def back(self, position: int, most: int) -> Iterator[Spot]:
        """The tags before a position, the nearest first, in so many bytes at most."""
        least = max(self.first, position - most)
        while position > least:
            behind = self._source.read(position - _BEHIND.size, _BEHIND.size)
            if len(behind) < _BEHIND.size:
                return
            start = position - _BEHIND.size - _BEHIND.unpack(behind)[0]
            spot = self.at(start) if start >= self.first else None
            if spot is None or spot.end != position:
                return
            yield spot
            position = start

    def payload(self, spot: Spot) -> bytes:
        """The data of a tag."""
        return self._source.read(spot.position + _TAG.size, spot.size)


def what(kind: int, payload: bytes) -> Tag:
    """Tell what sound or a picture is."""
    return video_tag(payload) if kind == VIDEO else audio_tag(payload)
