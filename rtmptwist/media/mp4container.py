"""
MP4 files and their kin as containers: FFmpeg's libraries find the packets, here they get in line.

Timestamps are those that `ffmpeg -c copy -f flv` writes. Of several tracks of a kind one is played.
A file may have a second of pictures and then a second of sound: what comes is put in the order of
its times, so that a place is the time of a tag, which libav finds again by its own index.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rtmptwist.amf.values import Value
from rtmptwist.media.avtrack import Track, choose
from rtmptwist.media.container import SIZE, SPAN, Block, Fill, Place, Point, Source
from rtmptwist.media.errors import MediaError
from rtmptwist.media.flv import AUDIO, VIDEO, FlvTag
from rtmptwist.media.pyav import Input

if TYPE_CHECKING:
    from av.packet import Packet

MOST_AHEAD: Final = 1000
"Milliseconds that a track may be ahead of the other in the file, and still come in order."

MOST_WAITING: Final = 8 << 20
"Bytes that wait for the other track, or are passed over in search of a beginning,"

MOST_FRAMES: Final = 1 << 12
"and frames: ten times what a second has."

MOST_AT_ONE_TIME: Final = 1 << 11
"Frames of a kind: broken tables give all the same, and to go to the last one takes 30 ms."

BEFORE: Final = 200
"Milliseconds before a place where reading begins, to miss no frame of the other track."

MOST_BACK: Final = 60_000
"Milliseconds before a place in which fragments are looked through for a key frame,"

STEP: Final = 200
"at every so many: ours have a second, 0.2 ms for each."

AT_ONCE: Final = 1 << 14
"Bytes that are put in order together."

_END: Final = 1 << 62
_NEVER: Final = -_END


class _Spot(NamedTuple):
    """A place: a picture or sound of that time; if several have it, the one after so many."""

    time: int
    "Milliseconds since the beginning."

    sound: bool
    number: int = 0


_BEGINNING: Final = _Spot(0, sound=False)


class _Frame(NamedTuple):
    """A packet that waits for its turn."""

    time: int
    "Milliseconds on the timeline of the file."

    sound: bool
    key: bool
    payloads: list[bytes]
    "Of the frame, behind that of a header which changes with it."


_order = itemgetter(0, 1)
_time = itemgetter(0)


class Mp4Container:
    """`Container` of a file of several tracks."""

    _queue: list[_Frame]
    "What was read, in the order of the file,"
    _waiting: int
    "and its bytes."
    _tops: dict[bool, int]
    "The newest times of pictures and of sound."
    _floor: int
    "What comes from before that time is of no use."
    _line: Iterator[_Frame]
    "What is in order of its time,"
    _next: _Frame | None
    "the first of it,"
    _spot: _Spot | None
    "and its place, if that is known."

    def __init__(self, source: Source) -> None:
        """
        Raises:
            MediaError: it is nothing that can be played, or PyAV is missing; says which.
            OSError: it cannot be read.
        """
        self._input = Input(source, "mp4")
        try:
            self._tracks = {track.stream.index: track for track in choose(self._input)}
            self._first = next(iter(self._tracks.values()))
            "Of the pictures, if there are any."
            self._base = _NEVER
            "Milliseconds on the timeline of the file, where ours begins,"
            self._begin = _NEVER
            "and where the first track does."
            self._shift = 0
            "From decoding to presentation of its first picture, as libav has it."
            self._unknown = {*self._tracks}
            self._reset()
            self._look()
            self._opening = self._headers(0)
            self.duration = self._measure()
        except BaseException:
            self.close()
            raise
        self.metadata: dict[str, Value] = {**self._input.words}
        for track in self._tracks.values():
            self.metadata |= track.described
        if self.duration:
            self.metadata["duration"] = self.duration / 1000

    # ----------------------------------------------------------- as a container

    def seek(self, time: int) -> Point:
        """As `Container`."""
        target = self._base + (min(time, self.duration) if self.duration else time)
        at = self._first.latest(target)
        self._go_to(at + self._shift)  # what libav looks for is shown then
        found = self._found(target)
        if found is None or found.time > target:
            self._go_to(at)
            found = self._found(target)
        if found is None or not found.key or found.time <= self._begin:
            return Point(_BEGINNING, 0)
        self._floor = found.time
        self._queue = [frame for frame in self._queue if frame.time >= found.time]
        self._waiting = sum(map(_size, self._queue))
        at = found.time - self._base
        self._spot = _Spot(at, found.sound)
        return Point(self._spot, at, self._headers(at))

    def read(self, place: Place, size: int = SIZE, span: int = SPAN) -> Block:
        """As `Container`."""
        assert isinstance(place, _Spot)
        if place != self._spot:
            self._move(place)
        spot, self._spot = place, None
        fill = Fill(size, span)
        tags = list(self._opening) if place == _BEGINNING else []
        while (frame := self._peek()) is not None:
            time, sound = frame.time - self._base, frame.sound
            if (time, sound) != spot[:2]:
                spot = _Spot(time, sound)
            if fill.full(time, _size(frame)):
                break
            kind = AUDIO if sound else VIDEO
            tags += [FlvTag(kind, time & 0xFFFFFFFF, payload) for payload in frame.payloads]
            if spot.number >= MOST_AT_ONE_TIME:
                raise MediaError(
                    f"more than {MOST_AT_ONE_TIME} frames at {time} ms (expected times to go on)"
                )
            spot = _Spot(time, sound, spot.number + 1)
            self._next = None
        self._spot = spot
        return Block(tags, spot)

    def close(self) -> None:
        """As `Container`."""
        self._input.close()

    # ---------------------------------------------------------------- beginning

    def _look(self) -> None:
        """Find the first frame of each track, and with them where time begins."""
        while len(self._tops) < len(self._tracks) and self._waiting < MOST_WAITING:
            if not self._pull():
                break
        if not self._queue:
            raise MediaError("nothing in it that could be played")
        first = min(self._queue, key=_time)
        self._base = first.time
        self._begin = min(
            (frame.time for frame in self._queue if frame.sound == self._first.sound),
            default=first.time,
        )
        self._earliest = next(t for t in self._tracks.values() if t.sound == first.sound)

    def _measure(self) -> int:
        """Its duration in milliseconds."""
        if self._first.stream.frames:
            return self._input.duration
        # in fragments, which are not counted in what is told at the beginning
        self._input.seek(_END, self._first.stream, any_frame=True)
        self._reset()
        known = [(track, track.stream.index_entries) for track in self._tracks.values()]
        ends = [track.milliseconds(entries[-1].timestamp) for track, entries in known if entries]
        return max(ends, default=self._base) - self._base

    def _headers(self, time: int) -> tuple[FlvTag, ...]:
        headers = [(track.sound, track.header) for track in self._tracks.values()]
        return tuple(
            FlvTag(AUDIO if sound else VIDEO, time & 0xFFFFFFFF, payload)
            for sound, payload in headers
            if payload
        )

    # ------------------------------------------------------------------ seeking

    def _reset(self) -> None:
        """Read from where libav is now."""
        self._packets = self._input.packets(track.stream for track in self._tracks.values())
        self._ended = False
        self._queue = []
        self._waiting = 0
        self._tops = {}
        self._floor = self._base
        self._line = iter(())
        self._next = None
        self._spot = None

    def _go_to(self, time: int) -> None:
        """Read on from a key frame of the first track at or before a time, as libav has it."""
        self._jump(time)
        self._reset()

    def _jump(self, time: int, *, any_frame: bool = False) -> None:
        """
        Let libav go to a key frame or any frame of the first track at or before a time.

        Of a file with an index of fragments it knows what is in those it has been to: the last key
        frame that it knows may be the first of all. So it is led back, until it knows a near one.
        """
        track = self._first
        moment = track.milliseconds(time)
        before = 0 if track.stream.frames else min(moment - self._base + STEP, MOST_BACK)
        for back in range(0, before, STEP):
            self._input.seek(track.latest(moment - back), track.stream, any_frame=any_frame)
            entries = track.stream.index_entries
            at = entries.search_timestamp(time, any_frame=any_frame)
            if at >= 0 and track.milliseconds(entries[at].timestamp) > moment - back - STEP:
                break
        self._input.seek(time, track.stream, any_frame=any_frame)

    def _found(self, target: int) -> _Frame | None:
        """
        What one begins with, to be at a time: of the frames to come, the first of the first track.

        Or a later one that is nearer, where libav goes to fragments, or there is only sound.
        """
        sound = self._first.sound
        fine = sound or not self._first.stream.frames
        best: _Frame | None = None
        looked = 0
        while True:
            for frame in self._queue[looked:]:
                if frame.sound == sound and (best is None or (frame.key and frame.time <= target)):
                    best = frame
            looked = len(self._queue)
            beyond = fine and self._tops.get(sound, _NEVER) <= target
            if (best is not None and not beyond) or self._waiting >= MOST_WAITING:
                return best
            if not self._pull():
                return best

    def _move(self, place: _Spot) -> None:
        """Go to where somebody else reads."""
        time = self._base + place.time
        if place.time == 0:
            self._input.seek(self._earliest.latest(time), self._earliest.stream)
            self._reset()
        else:
            before = self._first.latest(time - BEFORE)
            self._jump(before, any_frame=True)
            self._reset()
            frame = self._peek()
            if frame is None or frame.time >= time:  # not exactly; then from a key frame on
                self._go_to(self._first.latest(time - 1))
        number = place.number
        while (frame := self._peek()) is not None:
            if (frame.time, frame.sound) == (time, place.sound):
                if not number:
                    return
                number -= 1
            elif (frame.time, frame.sound) > (time, place.sound):
                return
            self._next = None

    # ------------------------------------------------------------------ reading

    def _peek(self) -> _Frame | None:
        """The next frame in order; None: this is the end."""
        if self._next is None:
            self._next = next(self._line, None)
        aim = AT_ONCE
        while self._next is None and (self._queue or not self._ended):
            while self._waiting < aim and self._pull():
                pass
            aim = 2 * self._waiting + AT_ONCE  # or it is sorted again and again
            self._line = iter(self._taken())
            self._next = next(self._line, None)
        return self._next

    def _taken(self) -> list[_Frame]:
        """The frames before which nothing can come that is still to be read."""
        queue = self._queue
        queue.sort(key=_order)
        ready = len(queue)
        if not self._ended and self._waiting <= MOST_WAITING and ready <= MOST_FRAMES:
            tops = [self._tops.get(track.sound, _NEVER) for track in self._tracks.values()]
            ready = bisect_right(queue, max(min(tops), max(tops) - MOST_AHEAD) - 1, key=_time)
        taken, self._queue = queue[:ready], queue[ready:]
        self._waiting -= sum(map(_size, taken))
        return taken

    def _pull(self) -> bool:
        """Read one more packet; False: there is none."""
        packet = next(self._packets, None)
        if packet is None:
            self._ended = True
            return False
        track = self._tracks[packet.stream_index]
        if packet.stream_index in self._unknown:
            self._know(track, packet)
        # broken tables may go back in time
        time = max(track.milliseconds(packet.dts or 0), self._tops.get(track.sound, self._base))
        self._tops[track.sound] = time
        payloads = track.payloads(packet, time)
        if payloads and time >= self._floor:
            frame = _Frame(time, track.sound, packet.is_keyframe, payloads)
            self._queue.append(frame)
            self._waiting += _size(frame)
        return True

    def _know(self, track: Track, packet: Packet[Any]) -> None:
        """Of a track there is the first packet."""
        self._unknown.remove(packet.stream_index)
        track.learn(packet)
        if track is self._first and packet.pts is not None and packet.dts is not None:
            self._shift = max(0, packet.pts - packet.dts)


def _size(frame: _Frame) -> int:
    return sum(map(len, frame.payloads))
