"""
The sequence headers of an FLV file: which are in force where one begins.

A publisher who comes back, perhaps with other pictures, writes others amid the file, once. Our own
recordings tell where they are (`media.flvhead`). Of other files one knows those that were read, and
looks for some near the place where somebody begins.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from rtmptwist.media.container import Source
from rtmptwist.media.flv import FlvTag
from rtmptwist.media.flvindex import BLOCK, MOST_HEADERS, walk
from rtmptwist.media.flvtags import MEDIA, Spot, Tags, what
from rtmptwist.media.tag import Slot

LARGEST: Final = 1 << 16
"Bytes of a header that is remembered; real ones have tens to hundreds."

BACK: Final = 1 << 21
"Bytes before a place in which headers are looked for: a quarter of a minute of 1 Mbit/s,"

MOST_BACK: Final = 1 << 13
"and tags: 12 ms."


class _Change(NamedTuple):
    """A header that a file has in its midst."""

    position: int
    slot: Slot
    tag: FlvTag


class FlvHeaders:
    """The headers of one file."""

    def __init__(self, source: Source, tags: Tags) -> None:
        self._source = source
        self._tags = tags
        self._opening: dict[Slot, FlvTag] = {}
        "At the beginning,"
        self._changes: list[_Change] = []
        "and amid the file, as far as they were read, in their order."
        self._told: deque[int] = deque()
        "Where there are some that have not been read yet,"
        self._all_told = False
        "and whether these are all of them."

    def tell(self, positions: Sequence[int]) -> None:
        """There are some here. Of more than there is room for only the first are told."""
        self._told = deque(sorted(positions)[:MOST_HEADERS])
        self._all_told = len(positions) < MOST_HEADERS

    def begin(self, tag: FlvTag) -> None:
        """This header stands before the first frame."""
        slot = what(tag.type, tag.payload).slot
        assert slot is not None
        self._opening[slot] = tag

    def note(self, position: int, tag: FlvTag) -> None:
        """A tag was read: what comes after it may need it, for whoever begins there."""
        found = what(tag.type, tag.payload) if tag.type in MEDIA else None
        if found is None or not found.header or found.slot is None or len(tag.payload) > LARGEST:
            return
        changes = self._changes
        number = bisect_right(changes, position, key=_position_of)
        earlier = (change.tag for change in reversed(changes[:number]) if change.slot == found.slot)
        before = next(earlier, self._opening.get(found.slot))
        if before is not None and before.payload == tag.payload:
            return  # some encoders say it again with every key frame
        if len(changes) < MOST_HEADERS:
            changes.insert(number, _Change(position, found.slot, tag))

    def look_at(self, spot: Spot) -> None:
        """Read a tag that is a header, it seems."""
        if spot.size <= LARGEST:
            self.note(spot.position, FlvTag(spot.type, 0, self._tags.payload(spot)))

    def at(self, position: int, time: int) -> tuple[FlvTag, ...]:
        """What is needed to begin at a position, as of that time (ms)."""
        while self._told and self._told[0] < position:
            spot = self._tags.at(self._told.popleft())
            if spot is not None:
                self.look_at(spot)
        if self._tags.linked and not self._all_told:
            self._look_back(position)
        headers = dict(self._opening)
        for change in self._changes:
            if change.position < position:
                headers[change.slot] = change.tag
        return tuple(FlvTag(tag.type, time, tag.payload) for tag in headers.values())

    def _look_back(self, end: int) -> None:
        """Look for headers before a position, as far as one may."""
        least, left = max(self._tags.first, end - BACK), MOST_BACK
        while end > least and left > 0:
            start = max(least, end - BLOCK)
            spot = self._tags.find(start, end)
            if spot is not None and spot.position < end:
                start = spot.position
                for place in walk(self._source.read, end, start):
                    left -= 1
                    if place.type in MEDIA and what(place.type, place.start).header:
                        self.look_at(Spot(place.position, place.end, place.type, 0))
            end = start


def _position_of(change: _Change) -> int:
    return change.position
