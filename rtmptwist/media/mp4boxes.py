"""
The boxes of an MP4 file at its top level (ISO/IEC 14496-12, 4.2): how much of a cut one is whole.

What is in them is for FFmpeg's libraries.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

_HEAD: Final = struct.Struct(">I4s")
_LONG: Final = struct.Struct(">Q")
_FIRST: Final = b"ftyp"
_FRAGMENT: Final = b"moof"
"Of no use without the media behind it."


def whole(read: Callable[[int, int], bytes], size: int) -> tuple[int, bool] | None:
    """
    Where the last whole fragment of a file of `size` bytes ends, and whether there is any media.

    `read` gives bytes of the file from a position on. None: it is no MP4.
    """
    if read(4, 4) != _FIRST:
        return None if size >= _HEAD.size else (0, False)
    position = end = 0
    media = False
    while position + _HEAD.size <= size:
        head = read(position, _HEAD.size + _LONG.size)
        if len(head) < _HEAD.size:
            break
        length, kind = _HEAD.unpack_from(head)
        if length == 1 and len(head) == _HEAD.size + _LONG.size:
            (length,) = _LONG.unpack_from(head, _HEAD.size)
        if length < _HEAD.size:
            break
        position += length
        if position > size:
            break
        if kind != _FRAGMENT:
            end = position
            media = media or kind == b"mdat"
    return end, media
