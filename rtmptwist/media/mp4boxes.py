"""
The boxes of an MP4 file (ISO/IEC 14496-12, 4.2), one by one: how much of a cut one is whole.

What is in them is for FFmpeg's libraries.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, TypeAlias

_HEAD: Final = struct.Struct(">I4s")
_LONG: Final = struct.Struct(">Q")
_FIRST: Final = b"ftyp"
_FRAGMENT: Final = b"moof"
"Of no use without the media behind it."


Read: TypeAlias = Callable[[int, int], bytes]
"Gives bytes of a file: from a position on, so many at most."


class Box(NamedTuple):
    """A box that is whole."""

    kind: bytes
    begin: int
    content: int
    "Where what is in it begins."
    end: int


def boxes(read: Read, size: int) -> Iterator[Box]:
    """The boxes in so many bytes, up to the first that is not whole."""
    position = 0
    while position + _HEAD.size <= size:
        head = read(position, _HEAD.size + _LONG.size)
        if len(head) < _HEAD.size:
            return
        length, kind = _HEAD.unpack_from(head)
        content = position + _HEAD.size
        if length == 1 and len(head) == _HEAD.size + _LONG.size:
            (length,) = _LONG.unpack_from(head, _HEAD.size)
            content += _LONG.size
        if position + length < content or position + length > size:
            return
        yield Box(kind, position, content, position + length)
        position += length


def whole(read: Read, size: int) -> tuple[int, bool] | None:
    """
    Where the last whole fragment of a file of `size` bytes ends, and whether there is any media.

    None: it is no MP4.
    """
    if read(4, 4) != _FIRST:
        return None if size >= _HEAD.size else (0, False)
    end = 0
    media = False
    for box in boxes(read, size):
        if box.kind != _FRAGMENT:
            end = box.end
            media = media or box.kind == b"mdat"
    return end, media
