"""
FLV files as containers: whole or cut, with or without an index, however long.

No index is read, made or believed. Every tag has its size behind it, so that one can go back tag by
tag, and tell in the midst of a file where a tag begins: a time is found by halving the file some
fifteen times, and its key frame by going back from there. Only files of writers that leave those
sizes out are gone through once, from the beginning.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple

from rtmptwist.amf.values import Value
from rtmptwist.media.container import SIZE, SPAN, Block, Fill, Place, Point, Source
from rtmptwist.media.errors import MediaError
from rtmptwist.media.flv import AUDIO, SCRIPT, VIDEO, FlvTag, header_size
from rtmptwist.media.flvhead import metadata_of
from rtmptwist.media.flvindex import KNOWN, KeyFrames, walk
from rtmptwist.media.tag import Slot, Tag, audio_tag, video_tag

WINDOW: Final = 1 << 16
"Bytes in which a tag is looked for at a time,"

LARGEST_TAG: Final = (1 << 24) + WINDOW
"and in all: there is one in so many, unless the file is broken there."

BACK: Final = 1 << 25
"Bytes that a key frame is looked for before a time: ten seconds have 19 MB at 15 Mbit/s."

MOST_BACK: Final = 1 << 14
"Tags in which it is: two minutes of pictures and sound. Of tiny ones so much holds millions."

MOST_SEEMING: Final = 1 << 12
"""
Bytes in a row that look like the beginning of a tag and are none, until the search is given up:
pictures have next to none, but those of somebody who wants our time have one in every four.
"""

LOOK: Final = 1 << 18
"Bytes at the beginning in which headers stand, and the first frame of each kind."

METADATA: Final = 1 << 18
"Bytes of an onMetaData that is read: with an index of a day it has 130 KB."

MAX_CHANGES: Final = 256
"Headers amid a file that are remembered: a publisher who came back wrote two."

_TAG: Final = struct.Struct(">II3s")
"Type and size of the data; timestamp, whose highest byte comes last; stream id, always 0."

_BEHIND: Final = struct.Struct(">I")
"Size of the tag before."

_AROUND: Final = _TAG.size + _BEHIND.size
_FILTERED: Final = 0x20
"Of the type: the data is encrypted (Annex F), which RTMP cannot tell a player."

_NO_STREAM: Final = bytes(3)
_BEGINNING: Final = re.compile(rb"(?=[\x08\x09][\0-\xff]{7}\0\0\0)")
"Of a tag of sound or pictures, perhaps: its size must stand behind it."

_MEDIA: Final = (AUDIO, VIDEO)


class _Change(NamedTuple):
    """A header that a file has in its midst."""

    position: int
    slot: Slot
    tag: FlvTag


class _Spot(NamedTuple):
    """A tag in the midst of a file."""

    position: int
    end: int
    type: int
    time: int


class FlvContainer:
    """`Container` of an FLV file. A place is the position of a tag."""

    def __init__(self, source: Source) -> None:
        """
        Raises:
            MediaError: it is no FLV, or there is nothing in it.
        """
        self._source = source
        self._first = header_size(source.read(0, 9)) + _BEHIND.size
        "Position of the first tag to be played."
        self._base = 0
        "The timestamp at which it begins."
        self._video = False
        self._headers: dict[Slot, FlvTag] = {}
        "At the beginning,"
        self._changes: list[_Change] = []
        "and since, as far as they were read, in their order."
        self._index: KeyFrames | None = None
        self.metadata: dict[str, Value] = {}
        self._look()
        self._linked = self._whole(self._first) is not None
        self.duration = self._last() if self._linked else self._told_duration()
        if self.duration:
            self.metadata["duration"] = self.duration / 1000

    # ----------------------------------------------------------- as a container

    def seek(self, time: int) -> Point:
        """As `Container`."""
        if time > 0:
            found = self._found(time)
            if found is not None and found[0] > self._first:
                position, at = found
                return Point(position, at, self._headers_at(position, at))
        return Point(self._first, 0)

    def read(self, place: Place, size: int = SIZE, span: int = SPAN) -> Block:
        """As `Container`."""
        assert isinstance(place, int)
        fill = Fill(size, span)
        tags: list[FlvTag] = []
        position = place
        for tag, end in self._tags(position, size):
            time = self._time(tag.timestamp)
            if fill.full(time, len(tag.payload) + _AROUND):
                break
            if tag.payload and not tag.encrypted:
                tag = FlvTag(tag.type, time, tag.payload)
                tags.append(tag)
                if position > self._first:
                    self._note(position, tag)
            position = end
        return Block(tags, position)

    def close(self) -> None:
        """Nothing is kept that would have to be given back."""

    # ---------------------------------------------------------------- beginning

    def _look(self) -> None:
        """Learn what stands before the first frames, and where time begins."""
        frames: dict[int, int] = {}
        told: set[int] = set()
        for tag, end in self._tags(self._first, WINDOW):
            size = len(tag.payload)
            if not told and tag.type == SCRIPT:
                metadata = metadata_of(tag.payload) if size <= METADATA else {}
                if metadata is not None:
                    self._first = end
                    metadata.pop("keyframes", None)
                    self.metadata = metadata or self.metadata
            elif tag.type in _MEDIA:
                told.add(tag.type)
                what = _what(tag.type, tag.payload)
                if what.header and what.slot is not None and tag.type not in frames:
                    self._headers[what.slot] = FlvTag(tag.type, 0, tag.payload)
                elif size and not what.header:
                    frames.setdefault(tag.type, tag.timestamp)
            if len(frames) == len(_MEDIA) or end - self._first > LOOK:
                break
        if not told:
            raise MediaError("an FLV without tags (expected sound or pictures)")
        self._video = VIDEO in told
        if frames:
            one, *others = frames.values()
            self._base = min([one, *(one + _difference(other, one) for other in others)])

    def _told_duration(self) -> int:
        told = self.metadata.get("duration")
        return round(told * 1000) if isinstance(told, float) and 0 < told < 1e9 else 0

    def _last(self) -> int:
        """The greatest time of the last whole tags of sound or pictures."""
        size = self._source.size
        times = [spot.time for spot in self._back(size, WINDOW) if spot.type in _MEDIA]
        if times:
            return max(times)
        # it was cut: some tag before that was not
        start, length = size, WINDOW
        spot = None
        while spot is None and start > self._first:
            start = max(self._first, size - length)
            spot = self._sync(start, size)
            length *= 4
        rest = walk(self._source.read, size, self._first if spot is None else spot.position)
        return max((self._time(place.timestamp) for place in rest), default=0)

    # --------------------------------------------------------------------- time

    def _time(self, timestamp: int) -> int:
        """Since the beginning. What is stamped earlier, as headers are, belongs to it."""
        return max(0, _difference(timestamp, self._base))

    def _found(self, time: int) -> tuple[int, int] | None:
        """Position and time of where to begin, to see what is shown at `time`."""
        if not self._linked:
            return self._indexed(time)
        low, high = self._first, self._source.size
        while high - low > WINDOW:
            middle = (low + high) // 2
            spot = self._sync(middle, high)
            if spot is None or spot.time > time:
                high = middle
            else:
                low = spot.position
        best: tuple[int, int] | None = None
        end = low
        for place in walk(self._source.read, self._source.size, low):
            at = self._time(place.timestamp)
            if place.position >= high or (place.type in _MEDIA and at > time):
                break
            end = place.end
            if self._begins(place.type, place.start):
                best = place.position, at
        return self._with_headers(best or self._before(end))

    def _before(self, position: int) -> tuple[int, int] | None:
        """The last tag before a position that a player can begin with; None: none is near."""
        for spot in islice(self._back(position, BACK), MOST_BACK):
            if spot.type in _MEDIA and self._begins(spot.type, self._payload(spot)):
                return spot.position, spot.time
        return None

    def _with_headers(self, found: tuple[int, int] | None) -> tuple[int, int] | None:
        """The same, or the first of the headers that stand right before it."""
        if found is None:
            return None
        position, time = found
        for spot in self._back(position, WINDOW):
            if spot.type in _MEDIA and not _what(spot.type, self._payload(spot)).header:
                break
            position = spot.position
        return position, time

    def _begins(self, kind: int, start: bytes) -> bool:
        """Whether a player can begin with a tag."""
        if self._video:
            return kind == VIDEO and video_tag(start).keyframe
        return kind == AUDIO and not audio_tag(start).header

    def _indexed(self, time: int) -> tuple[int, int] | None:
        """As `_found`, in a file that can only be gone through from the beginning."""
        if self._index is None:
            self._index = KeyFrames()
            for place in walk(self._source.read, self._source.size, self._first, linked=False):
                if self._begins(place.type, place.start):
                    self._index.add(self._time(place.timestamp), place.position)
        index = self._index
        number = bisect_right(index.times, time) - 1
        return (index.positions[number], index.times[number]) if number >= 0 else None

    # ------------------------------------------------------------------ headers

    def _note(self, position: int, tag: FlvTag) -> None:
        """What comes after it may need it, for whoever begins there."""
        what = _what(tag.type, tag.payload) if tag.type in _MEDIA else None
        if what is None or not what.header or what.slot is None:
            return
        changes = self._changes
        number = bisect_right(changes, position, key=_position_of)
        known = number and changes[number - 1].position == position
        if not known and len(changes) < MAX_CHANGES:
            changes.insert(number, _Change(position, what.slot, tag))

    def _headers_at(self, position: int, time: int) -> tuple[FlvTag, ...]:
        headers = dict(self._headers)
        for change in self._changes:
            if change.position < position:
                headers[change.slot] = change.tag
        return tuple(FlvTag(tag.type, time, tag.payload) for tag in headers.values())

    # --------------------------------------------------------------------- tags

    def _tags(self, position: int, size: int) -> Iterator[tuple[FlvTag, int]]:
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
            position += _AROUND + length
            yield FlvTag(kind & ~_FILTERED, timestamp, payload, bool(kind & _FILTERED)), position

    def _whole(self, position: int) -> _Spot | None:
        """The tag at a position, if there is one with its size behind it."""
        head = self._source.read(position, _TAG.size)
        if len(head) < _TAG.size:
            return None
        type_and_size, time, stream = _TAG.unpack(head)
        kind, length = type_and_size >> 24, type_and_size & 0xFFFFFF
        if kind not in KNOWN or stream != _NO_STREAM:
            return None
        end = position + _AROUND + length
        if self._source.read(end - _BEHIND.size, _BEHIND.size) != _BEHIND.pack(end - position - 4):
            return None
        return _Spot(position, end, kind, self._time((time & 0xFF) << 24 | time >> 8))

    def _sync(self, position: int, end: int) -> _Spot | None:
        """The first tag of sound or pictures at a position or behind it, before `end`."""
        left = MOST_SEEMING
        for start in range(position, min(end, position + LARGEST_TAG), WINDOW):
            window = self._source.read(start, WINDOW + _TAG.size)
            for found in islice(_BEGINNING.finditer(window), left):
                left -= 1
                spot = self._whole(start + found.start())
                if spot is not None:
                    return spot
        return None

    def _back(self, position: int, most: int) -> Iterator[_Spot]:
        """The tags before a position, the nearest first, in so many bytes at most."""
        least = max(self._first, position - most)
        while position > least:
            behind = self._source.read(position - _BEHIND.size, _BEHIND.size)
            if len(behind) < _BEHIND.size:
                return
            start = position - _BEHIND.size - _BEHIND.unpack(behind)[0]
            spot = self._whole(start) if start >= self._first else None
            if spot is None or spot.end != position:
                return
            yield spot
            position = start

    def _payload(self, spot: _Spot) -> bytes:
        position = spot.position + _TAG.size
        return self._source.read(position, spot.end - _BEHIND.size - position)


def _what(kind: int, payload: bytes) -> Tag:
    return video_tag(payload) if kind == VIDEO else audio_tag(payload)


def _difference(timestamp: int, other: int) -> int:
    """From one timestamp to another, both of 32 bits that wrap."""
    return (timestamp - other + (1 << 31) & 0xFFFFFFFF) - (1 << 31)


def _position_of(change: _Change) -> int:
    return change.position
