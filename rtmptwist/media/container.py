"""
The port that containers fulfil: a recorded file as FLV tags, from any time on.

One container is made of one open file and serves all who play it, each at a place of his own: it
remembers nobody. A place says all about where reading goes on, and what is read from equal places
is equal, so that it can be kept and shared. Reading blocks: a container is used in threads, by one
at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Final, NamedTuple, Protocol, TypeAlias

from rtmptwist.amf.values import Value
from rtmptwist.media.flv import FlvTag

SIZE: Final = 1 << 17
"Bytes of a block, about: a second of 1 Mbit/s, and what a socket takes at once."

SPAN: Final = 1000
"Milliseconds, at whose multiples blocks end."

Place: TypeAlias = Hashable
"Where reading goes on; never None. What it is made of is its container's own affair."


class Source(Protocol):
    """An open file, which somebody else closes."""

    def read(self, position: int, size: int) -> bytes:
        """Bytes from a position on, so many at most: fewer only at its end."""

    @property
    def size(self) -> int:
        """Bytes that it has now. It may grow or shrink."""


class Point(NamedTuple):
    """Where one can begin to play."""

    place: Place

    time: int
    "Milliseconds of the first tag there."

    headers: tuple[FlvTag, ...] = ()
    """
    What is needed before that: sequence headers and their kin, at `time`. Empty where they stand
    among the tags that follow, as at the beginning.
    """


class Block(NamedTuple):
    """Some tags in a row."""

    tags: list[FlvTag]
    "None: this is the end, for now."

    next: Place
    "Where it goes on."


class Container(Protocol):
    """
    A file as a player sees it. Timestamps are of decoding, in milliseconds, and begin at 0.

    All of it raises `OSError` and `MediaError`.
    """

    @property
    def duration(self) -> int:
        """Milliseconds; 0: unknown."""

    @property
    def metadata(self) -> Mapping[str, Value]:
        """For onMetaData, which is not among the tags. No index: that is of use to nobody else."""

    def seek(self, time: int) -> Point:
        """
        The last key frame of the main pictures at or before `time`, or else the first one.

        Without pictures: the sound nearest before `time`. 0 and less: the beginning.
        """

    def read(self, place: Place, size: int = SIZE, span: int = SPAN) -> Block:
        """The tags from a place on. Where they end, `Fill` decides."""

    def close(self) -> None:
        """Give back what was taken. The file is somebody else's. May be called again."""


Opener: TypeAlias = Callable[[Source], Container]
"""
Makes a container of a file. It looks at little of it, however large it is.

Raises:
    MediaError: it is no such file, or nothing in it can be played.
"""


class Fill:
    """
    Where blocks end: by time, so that whoever began elsewhere soon reads the same ones, and by
    size, so that none is large.
    """

    __slots__ = ("_end", "_left", "_span")

    def __init__(self, size: int = SIZE, span: int = SPAN) -> None:
        self._left = size
        self._span = span
        self._end = -1

    def full(self, time: int, size: int) -> bool:
        """Whether a tag with so many bytes of data is the first of the next block; else take it."""
        if self._end < 0:
            self._end = (time // self._span + 1) * self._span
        elif time >= self._end or self._left <= 0:
            return True
        self._left -= size
        return False
