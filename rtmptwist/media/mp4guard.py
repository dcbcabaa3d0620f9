"""
MP4 tables that would grow in memory: counts of a few bytes that stand for millions of samples.

libav keeps an entry of 24 bytes for each sample, and more with every edit that shows it again. So
the bytes that it reads are looked through for the few boxes that can say how many there are
(ISO/IEC 14496-12): this is no parser, and what it takes for such a box need not be one.
"""

from __future__ import annotations

import re
import struct
from typing import Final

from rtmptwist.media.errors import MediaError

MOST_SAMPLES: Final = 1 << 23
"Of all tracks: two days and a half of 30 pictures and 47 frames of AAC in a second are half of it."

MOST_IN_RUN: Final = 1 << 20
"In one fragment of a track."

MOST_ENTRIES: Final = 1 << 24
"Samples, as often as edits may show them: 400 MB."

# from t to t: 3 ms for the table of two hours, 9 MB; `find` of each of them takes 18
_TABLES: Final = re.compile(rb"t(?:run|(?<=st)(?:sz|z2)|(?<=elst))")
_RUNS: Final = re.compile(rb"trun")
"Types of boxes: what is looked for until a file is open, and then."

_VERSION: Final = 1
"The highest of any of them."

_HEAD: Final = 16
"Bytes from the type of a box to the end of its count,"

_REST: Final = _HEAD - 4
"and from the end of its type."

_SIZES: Final = struct.Struct(">4xII")


class Guard:
    """Looks at what is read of one file while it is opened and played."""

    def __init__(self) -> None:
        self._rest = b""
        self._end = 0
        self._samples = 0
        self._edits = 1
        self._types = _TABLES

    def opened(self) -> None:
        """All tables have been read."""
        self._types = _RUNS

    def look(self, position: int, data: bytes) -> None:
        """
        Look at some bytes before libav does.

        Raises:
            MediaError: they make too much of themselves.
        """
        if position != self._end:
            self._rest = b""
        self._end = position + len(data)
        window = self._rest + data
        for found in self._types.finditer(window, 0, max(0, len(window) - _REST)):
            end = found.end()
            if window[end] <= _VERSION:
                self._count(window[end - 4 : end], window[end : end + _REST])
        # none that has been looked at is looked at again
        self._rest = window[-_HEAD + 1 :]

    def _count(self, kind: bytes, head: bytes) -> None:
        first, second = _SIZES.unpack(head)
        if kind == b"elst":
            self._edits = max(self._edits, first)
        elif kind == b"trun":
            if first > MOST_IN_RUN:
                raise MediaError(f"a fragment of {first} samples (expected {MOST_IN_RUN} at most)")
        else:
            self._samples += second
        if self._samples > MOST_SAMPLES:
            raise MediaError(f"{self._samples} samples (expected {MOST_SAMPLES} at most)")
        if self._samples * self._edits > MOST_ENTRIES:
            raise MediaError(
                f"{self._samples} samples in {self._edits} edits"
                f" (expected {MOST_ENTRIES} at most, multiplied)"
            )
