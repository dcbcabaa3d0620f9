"""Small files that people edit while the server runs: read whole, and looked at for changes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path


class NotRegular(Exception):
    """No file that could be read again: a folder, a pipe, a device."""


class TooLarge(Exception):
    """Something else was meant."""


def read_small(path: Path, largest: int) -> bytes:
    """
    All of a file of `largest` bytes at most. Waits for nobody.

    Raises:
        OSError: it cannot be read.
        NotRegular: it is no regular file.
        TooLarge: it has more.
    """
    with open(path, "rb", opener=_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise NotRegular
        data = file.read(largest + 1)
    if len(data) > largest:
        raise TooLarge
    return data


def _at_once(path: str, flags: int) -> int:
    """Open; of a pipe nobody knows when its writer comes, and whoever waits cannot be stopped."""
    return os.open(path, flags | os.O_NONBLOCK)


class Changes:
    """
    Which files are not what they were.

    A change counts when it is seen a second time: a file may be half written, a key replaced
    before its certificate. All of it may block.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[Path, ...], object] = {}
        self._moving: dict[tuple[Path, ...], object] = {}

    def note(self, *files: Path) -> None:
        """Take `files`, which are used together, as they are now."""
        self._known[files] = _stamps(files)
        self._moving.pop(files, None)

    def look(self, *files: Path) -> bool:
        """Whether one of `files` has changed, since `note` or since this was last true."""
        stamps = _stamps(files)
        if stamps == self._known.get(files):
            self._moving.pop(files, None)
            return False
        if stamps != self._moving.get(files):
            self._moving[files] = stamps
            return False
        del self._moving[files]
        self._known[files] = stamps
        return True

    def forget_others(self, files: Iterable[tuple[Path, ...]]) -> None:
        """All but these are gone: whatever is there next is a change."""
        wanted = set(files)
        for known in (self._known, self._moving):
            for gone in known.keys() - wanted:
                del known[gone]


def _stamps(files: Iterable[Path]) -> object:
    """What tells one state of files from another."""
    return [_stamp(file) for file in dict.fromkeys(files)]


def _stamp(file: Path) -> object:
    try:
        found = file.stat()
    except OSError as error:
        return error.errno
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode
