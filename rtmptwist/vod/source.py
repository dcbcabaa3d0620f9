"""Open files, as containers read them, and what tells one from another."""

from __future__ import annotations

import os
from typing import NamedTuple

from rtmptwist.media.container import Container, Opener
from rtmptwist.media.flv import flv_header


class Identity(NamedTuple):
    """What equal files have in common: one that was changed or replaced is another one."""

    device: int
    number: int
    skip: int
    size: int
    changed: int
    "Nanoseconds since the epoch."


class FileSource:
    """`media.container.Source` of an open file, or of an FLV file's later part."""

    def __init__(self, number: int, skip: int = 0) -> None:
        """
        The file is ours from now on.

        `skip`: of an FLV file, show nothing before the tag at that position; 0: show all.
        """
        self._number = number
        self._skip = skip
        self._head = flv_header(audio=True, video=True) if skip else b""
        self._shift = skip - len(self._head)

    def read(self, position: int, size: int) -> bytes:
        """As `Source`."""
        start = self._head[position : position + size]
        position += self._shift + len(start)
        return start + os.pread(self._number, size - len(start), position)

    @property
    def size(self) -> int:
        """As `Source`."""
        return os.fstat(self._number).st_size - self._shift

    @property
    def identity(self) -> Identity:
        """As it is now."""
        found = os.fstat(self._number)
        return Identity(found.st_dev, found.st_ino, self._skip, found.st_size, found.st_mtime_ns)

    def close(self) -> None:
        """It is not read any more."""
        os.close(self._number)


class ClosingContainer:
    """`media.container.Container`: another one, which closes its file with itself."""

    def __init__(self, opener: Opener, source: FileSource) -> None:
        """
        Open a file, which is closed if that fails.

        Raises:
            OSError: it cannot be read.
            MediaError: there is nothing in it that can be played.
        """
        self._source = source
        try:
            self._container: Container = opener(source)
        except BaseException:
            source.close()
            raise
        self.duration = self._container.duration
        self.metadata = self._container.metadata
        self.seek = self._container.seek
        self.read = self._container.read

    def close(self) -> None:
        """As `Container`."""
        self._container.close()
        self._source.close()
