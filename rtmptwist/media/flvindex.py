"""
What lies where in an FLV file: all its tags one by one, and the facts that make it seekable.

Files come through a function that reads a part of them: nothing here opens one, and none needs to
fit into memory.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from rtmptwist.media.flv import AUDIO, FLV_START, SCRIPT, SCRIPT_AMF3, VIDEO
from rtmptwist.media.tag import Slot, audio_tag, video_tag

Read = Callable[[int, int], bytes]
"Bytes of a file from a position on, so many at most: fewer only at its end."

CAPACITY: Final = 3600
"""
Key frames in an index, an even number: of two hours with one every two seconds. Of a longer file
every second, fourth … one is kept: a day is then sought with a precision of half a minute.
"""

MOST_HEADERS: Final = 256
"Sequence headers amid a file whose places are kept: a publisher who came back wrote two."

BLOCK: Final = 1 << 18
"Bytes read at once: some hundred tags."

_PEEK: Final = 16
"First bytes of a payload, which tell what it is,"

_WHOLE: Final = frozenset({0x86, 0x87, 0x95, 0x97})
"""
unless it has several tracks, or modifications before what it is (Enhanced RTMP): then all of it is
needed. The bits of the frame type, 0x70 of pictures, say nothing about that.
"""

_HEAD: Final = struct.Struct(">III3x")
"Size of the tag before; type and size of the data; timestamp, whose highest byte comes last."

_SIZE: Final = struct.Struct(">I")
_TAG: Final = 11
"Bytes before the data of a tag,"
_AROUND: Final = _TAG + 4
"and with the size behind it."

KNOWN: Final = frozenset({AUDIO, VIDEO, SCRIPT, SCRIPT_AMF3})
"Types of tags."


class Place(NamedTuple):
    """A whole tag in a file."""

    position: int
    "Of its first byte,"
    end: int
    "and of the first byte of the next one."
    type: int
    timestamp: int
    "Milliseconds, 0 to 2^32 - 1."
    start: bytes
    "So many bytes of its data, or all, that `media.tag` can tell what it is."


class KeyFrames:
    """An index of bounded size, however long the file."""

    __slots__ = ("_capacity", "_count", "_every", "last", "positions", "times")

    def __init__(self, capacity: int = CAPACITY) -> None:
        """`capacity` must be even."""
        self.times: list[int] = []
        "Milliseconds,"
        self.positions: list[int] = []
        "and the bytes of the file before the tag."
        self.last: tuple[int, int] | None = None
        "The same of the newest one, which may not be in the index."
        self._capacity = capacity
        self._count = 0
        self._every = 1

    def add(self, time: int, position: int) -> None:
        """The next one."""
        self.last = time, position
        if self._count % self._every == 0:
            if len(self.times) == self._capacity:
                del self.times[1::2], self.positions[1::2]
                self._every *= 2
            self.times.append(time)
            self.positions.append(position)
        self._count += 1


class HeaderIndex:
    """
    Where the sequence headers of a file stand, if they say anything new; of many, the first.

    Whoever begins amid the file needs those before that.
    """

    __slots__ = ("_known", "positions")

    def __init__(self) -> None:
        self.positions: list[int] = []
        "Ascending. Another thread may read it."
        self._known: dict[Slot, int] = {}

    def add(self, slot: Slot, digest: int, position: int) -> None:
        """Add a header. `digest`: Python's own hash of its payload."""
        if len(self.positions) < MOST_HEADERS and self._known.get(slot) != digest:
            self._known[slot] = digest
            self.positions.append(position)


@dataclass(slots=True)
class Facts:
    """What is known of a file when it is complete."""

    end: int = 0
    "Bytes, up to the end of the last whole tag."

    last: int = 0
    "The greatest timestamp of sound or pictures, in milliseconds."

    audio: bool = False
    video: bool = False
    keyframes: KeyFrames = field(default_factory=KeyFrames)
    headers: HeaderIndex = field(default_factory=HeaderIndex)


def walk(
    read: Read, size: int, position: int = FLV_START, *, linked: bool = True
) -> Iterator[Place]:
    """
    Go over all whole tags of a file of `size` bytes, from the one at `position` on: by default the
    first one of files that begin as we write them.

    Stops where the next tag is not whole, or what is there is no tag: each must be of a known type
    and have its size behind it, as in all files that are written tag by tag; unless not `linked`.
    """
    start, block = 0, b""
    while position + _AROUND <= size:
        offset = position - 4 - start
        if offset < 0 or offset + 4 + _TAG + _PEEK > len(block):
            start, offset = position - 4, 0
            block = read(start, BLOCK)
        if len(block) < offset + 4 + _TAG:
            return
        _, type_and_size, time = _HEAD.unpack_from(block, offset)
        kind, length = type_and_size >> 24, type_and_size & 0xFFFFFF
        end = position + _AROUND + length
        if kind not in KNOWN or end > size:
            return
        if linked and _behind(read, block, start, end) != _TAG + length:
            return
        data = offset + 4 + _TAG
        head = block[data : data + min(length, _PEEK)]
        if head and head[0] & (0x8F if kind == VIDEO else 0xFF) in _WHOLE:
            head = read(position + _TAG, length)
        yield Place(position, end, kind, (time & 0xFF) << 24 | time >> 8, head)
        position = end


def is_cut(read: Read, end: int, size: int) -> bool:
    """
    Whether a file of `size` bytes ends at `end`, where its last whole tag does, or in another tag.

    If not, something else is there.
    """
    rest = size - end
    if rest < _AROUND or end < FLV_START:
        return True
    (type_and_size,) = _SIZE.unpack(read(end, 4))
    return type_and_size >> 24 in KNOWN and (type_and_size & 0xFFFFFF) + _AROUND > rest


def _behind(read: Read, block: bytes, start: int, end: int) -> int:
    """The size that is written at the end of a tag."""
    if end - start <= len(block):
        return int(_SIZE.unpack_from(block, end - 4 - start)[0])
    written = read(end - 4, 4)
    return int(_SIZE.unpack(written)[0]) if len(written) == 4 else 0


def survey(read: Read, size: int) -> Facts:
    """Find out what a file has, up to the last tag that is whole."""
    facts = Facts(end=min(size, FLV_START))
    for place in walk(read, size):
        facts.end = place.end
        if place.type == VIDEO:
            facts.video = True
            tag = video_tag(place.start)
            if tag.keyframe:
                facts.keyframes.add(place.timestamp, place.position)
        elif place.type == AUDIO:
            facts.audio = True
            tag = audio_tag(place.start)
        else:
            continue
        facts.last = max(facts.last, place.timestamp)
        if tag.header and tag.slot is not None:
            payload = read(place.position + _TAG, place.end - place.position - _AROUND)
            facts.headers.add(tag.slot, hash(payload), place.position)
    return facts
