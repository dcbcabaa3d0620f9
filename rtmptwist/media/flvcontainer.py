"""
FLV files as containers: whole or cut, with or without an index, however long.

No index of key frames is read, made or believed: a time is found by halving the file some fifteen
times, and its key frame by going back from there. Only files of writers that leave the sizes behind
their tags out are gone through once, from the beginning.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import islice
from typing import Final

from rtmptwist.amf.values import Value
from rtmptwist.media.container import SIZE, SPAN, Block, Fill, Place, Point, Source
from rtmptwist.media.errors import MediaError
from rtmptwist.media.flv import AUDIO, SCRIPT, VIDEO, FlvTag, header_size
from rtmptwist.media.flvhead import HEADERS, metadata_of
from rtmptwist.media.flvheaders import FlvHeaders
from rtmptwist.media.flvindex import KeyFrames, walk
from rtmptwist.media.flvtags import AROUND, BEHIND, MEDIA, WINDOW, Spot, Tags, what
from rtmptwist.media.tag import audio_tag, video_tag

BACK: Final = 1 << 25
"Bytes that a key frame is looked for before a time: ten seconds have 19 MB at 15 Mbit/s."

MOST_BACK: Final = 1 << 14
"Tags in which it is: two minutes of pictures and sound. Of tiny ones so much holds millions."

LOOK: Final = 1 << 18
"Bytes at the beginning in which headers stand, and the first frame of each kind."

METADATA: Final = 1 << 18
"Bytes of an onMetaData that is read: with an index of a day it has 130 KB."


class FlvContainer:
    """`Container` of an FLV file. A place is the position of a tag."""

    def __init__(
        self, source: Source, *, origin: int | None = None, headers: Sequence[int] | None = None
    ) -> None:
        """
        `origin`: the timestamp at which it begins, if that is known.

        `headers`: where its sequence headers stand; left out, that is what onMetaData says.

        Raises:
            MediaError: it is no FLV, or there is nothing in it.
        """
        self._source = source
        self._tags = Tags(source)
        self._tags.begin(header_size(source.read(0, 9)) + BEHIND)
        self._headers = FlvHeaders(source, self._tags)
        self._base = 0
        "The timestamp at which it begins."
        self._video = False
        self._index: KeyFrames | None = None
        self.metadata: dict[str, Value] = {}
        self._look(origin)
        if headers is not None:
            self._headers.tell(headers)
        self.duration = self._last() if self._tags.linked else self._told_duration()
        if self.duration:
            self.metadata["duration"] = self.duration / 1000

    # ----------------------------------------------------------- as a container

    def seek(self, time: int) -> Point:
        """As `Container`."""
        if time > 0:
            found = self._found(time)
            if found is not None and found[0] > self._tags.first:
                position, at = found
                return Point(position, at, self._headers.at(position, at))
        return Point(self._tags.first, 0)

    def read(self, place: Place, size: int = SIZE, span: int = SPAN) -> Block:
        """As `Container`."""
        assert isinstance(place, int)
        fill = Fill(size, span)
        tags: list[FlvTag] = []
        position = place
        for tag, end in self._tags.forward(position, size):
            time = self._time(tag.timestamp)
            if fill.full(time, len(tag.payload) + AROUND):
                break
            if tag.payload and not tag.encrypted:
                tag = FlvTag(tag.type, time, tag.payload)
                tags.append(tag)
                if position > self._tags.first:
                    self._headers.note(position, tag)
            position = end
        return Block(tags, position)

    def close(self) -> None:
        """Nothing is kept that would have to be given back."""

    # ---------------------------------------------------------------- beginning

    def _look(self, origin: int | None) -> None:
        """Learn what stands before the first frames, and where time begins."""
        frames: dict[int, int] = {}
        seen: set[int] = set()
        for tag, end in self._tags.forward(self._tags.first, WINDOW):
            size = len(tag.payload)
            if not seen and tag.type == SCRIPT:
                metadata = metadata_of(tag.payload) if size <= METADATA else {}
                if metadata is not None:
                    self._tags.begin(end)
                    metadata.pop("keyframes", None)
                    positions = _positions(metadata.pop(HEADERS, None))
                    if positions is not None:
                        self._headers.tell(positions)
                    self.metadata = metadata or self.metadata
            elif tag.type in MEDIA:
                seen.add(tag.type)
                header = what(tag.type, tag.payload).header
                if header and tag.type not in frames:
                    self._headers.begin(tag)
                elif size and not header:
                    frames.setdefault(tag.type, tag.timestamp)
            if len(frames) == len(MEDIA) or end - self._tags.first > LOOK:
                break
        if not seen:
            raise MediaError("an FLV without tags (expected sound or pictures)")
        self._video = VIDEO in seen
        if origin is not None:
            self._base = origin
        elif frames:
            one, *others = frames.values()
            self._base = min([one, *(one + _difference(other, one) for other in others)])

    def _told_duration(self) -> int:
        told = self.metadata.get("duration")
        return round(told * 1000) if isinstance(told, float) and 0 < told < 1e9 else 0

    def _last(self) -> int:
        """The greatest time of the last whole tags of sound or pictures."""
        size = self._source.size
        last = [spot for spot in self._tags.back(size, WINDOW) if spot.type in MEDIA]
        if last:
            return max(self._time(spot.timestamp) for spot in last)
        # it was cut: some tag before that was not
        start, length = size, WINDOW
        spot = None
        while spot is None and start > self._tags.first:
            start = max(self._tags.first, size - length)
            spot = self._tags.find(start, size)
            length *= 4
        rest = walk(self._source.read, size, self._tags.first if spot is None else spot.position)
        return max((self._time(place.timestamp) for place in rest), default=0)

    # --------------------------------------------------------------------- time

    def _time(self, timestamp: int) -> int:
        """Since the beginning. What is stamped earlier, as headers are, belongs to it."""
        return max(0, _difference(timestamp, self._base))

    def _found(self, time: int) -> tuple[int, int] | None:
        """Position and time of where to begin, to see what is shown at `time`."""
        if not self._tags.linked:
            return self._indexed(time)
        low, high = self._tags.first, self._source.size
        while high - low > WINDOW:
            middle = (low + high) // 2
            spot = self._tags.find(middle, high)
            if spot is None or self._time(spot.timestamp) > time:
                high = middle
            else:
                low = spot.position
        best: tuple[int, int] | None = None
        end = low
        for place in walk(self._source.read, self._source.size, low):
            at = self._time(place.timestamp)
            if place.position >= high or (place.type in MEDIA and at > time):
                break
            end = place.end
            if self._begins(place.type, place.start):
                best = place.position, at
        return self._with_headers(best or self._before(end))

    def _before(self, position: int) -> tuple[int, int] | None:
        """The last tag before a position that a player can begin with; None: none is near."""
        for spot in islice(self._tags.back(position, BACK), MOST_BACK):
            if spot.type in MEDIA and self._begins(spot.type, self._tags.payload(spot)):
                return spot.position, self._time(spot.timestamp)
        return None

    def _with_headers(self, found: tuple[int, int] | None) -> tuple[int, int] | None:
        """The same, or the first of the headers that stand right before it."""
        if found is None:
            return None
        position, time = found
        for spot in self._tags.back(position, WINDOW):
            if spot.type in MEDIA and not what(spot.type, self._tags.payload(spot)).header:
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
            for place in walk(self._source.read, self._source.size, self._tags.first, linked=False):
                if self._begins(place.type, place.start):
                    self._index.add(self._time(place.timestamp), place.position)
                elif place.type in MEDIA and what(place.type, place.start).header:
                    self._headers.look_at(Spot(place.position, place.end, place.type, 0))
        index = self._index
        number = bisect_right(index.times, time) - 1
        return (index.positions[number], index.times[number]) if number >= 0 else None


def _difference(timestamp: int, other: int) -> int:
    """From one timestamp to another, both of 32 bits that wrap."""
    return (timestamp - other + (1 << 31) & 0xFFFFFFFF) - (1 << 31)


def _positions(told: object) -> list[int] | None:
    """What a file says of where something is; None: it says nothing."""
    if not isinstance(told, list):
        return None
    return [int(each) for each in told if isinstance(each, float) and 0 < each < 1 << 53]
