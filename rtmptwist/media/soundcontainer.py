"""
MP3 files, and AAC with headers of its own (ADTS), as containers: sound, frame by frame.

All frames are of the same length, so that a place is where a frame lies and the how manieth it is:
libav is told the one, and the other tells the time. A time is found by libav, which must read as
far as that in files without an index of any use.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from rtmptwist.amf.values import Value
from rtmptwist.media.avtrack import Track, choose
from rtmptwist.media.container import SIZE, SPAN, Block, Fill, Place, Point, Source
from rtmptwist.media.errors import MediaError
from rtmptwist.media.flv import AUDIO, FlvTag
from rtmptwist.media.pyav import Input

if TYPE_CHECKING:
    from av.packet import Packet


class _Spot(NamedTuple):
    """A place: a frame, by its position in the file and the number of those before it."""

    position: int
    number: int


class SoundContainer:
    """`Container` of a file that has nothing but frames of one track."""

    def __init__(self, source: Source, kind: str) -> None:
        """
        `kind`: `mp3` or `aac`.

        Raises:
            MediaError: it is nothing that can be played, or PyAV is missing; says which.
            OSError: it cannot be read.
        """
        self._input = Input(source, kind)
        try:
            self._track: Track
            (self._track,) = choose(self._input)
            self._packets = self._demux()
            self._next = next(self._packets, None)
            if self._next is None or not self._next.duration:
                raise MediaError(f"no frames of {kind.upper()} in it")
            self._track.learn(self._next)
        except BaseException:
            self.close()
            raise
        self._base = self._track.milliseconds(0)
        self._length = self._next.duration
        "Of a frame, as libav has it."
        self._first = self._spot = _Spot(self._next.pos or 0, 0)
        self.duration = self._input.duration
        self.metadata: dict[str, Value] = {**self._input.words, **self._track.described}
        if self.duration:
            self.metadata["duration"] = self.duration / 1000

    # ----------------------------------------------------------- as a container

    def seek(self, time: int) -> Point:
        """As `Container`."""
        if time <= 0:
            return Point(self._first, 0)
        track, length = self._track, self._length
        self._input.seek(track.latest(time + self._base), track.stream)
        self._packets = self._demux()
        packet = next(self._packets, None)
        if packet is None:
            return Point(self._first, 0)
        number = max(0, round((packet.dts or 0) / length))
        # libav's index has not every frame
        while self._time(number + 1) <= time and (after := next(self._packets, None)) is not None:
            packet, number = after, number + 1
        self._next = packet
        self._spot = _Spot(packet.pos or 0, number)
        at = self._time(number)
        return Point(self._spot, at, self._headers(at))

    def read(self, place: Place, size: int = SIZE, span: int = SPAN) -> Block:
        """As `Container`."""
        assert isinstance(place, _Spot)
        if place != self._spot:
            self._input.seek_byte(place.position)
            self._packets = self._demux()
            # at the end of a file libav goes back a little
            here = (packet for packet in self._packets if (packet.pos or 0) >= place.position)
            self._next = next(here, None)
        position, number = place
        fill = Fill(size, span)
        tags = list(self._headers(0)) if place == self._first else []
        packet = self._next
        while packet is not None:
            time = self._time(number)
            if fill.full(time, packet.size):
                break
            payloads = self._track.payloads(packet, time)
            tags += [FlvTag(AUDIO, time & 0xFFFFFFFF, payload) for payload in payloads]
            position, number = position + packet.size, number + 1
            packet = next(self._packets, None)
            if packet is not None and packet.pos is not None:
                position = packet.pos
        self._next = packet
        self._spot = _Spot(position, number)
        return Block(tags, self._spot)

    def close(self) -> None:
        """As `Container`."""
        self._input.close()

    # -------------------------------------------------------------------------

    def _demux(self) -> Iterator[Packet[Any]]:
        return self._input.packets([self._track.stream])

    def _time(self, number: int) -> int:
        """Milliseconds since the beginning."""
        return self._track.milliseconds(number * self._length) - self._base

    def _headers(self, time: int) -> tuple[FlvTag, ...]:
        header = self._track.header
        return (FlvTag(AUDIO, time & 0xFFFFFFFF, header),) if header else ()
