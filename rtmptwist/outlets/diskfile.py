"""
What files of all formats have in common: a name while they are written, a lock, their final name,
and how they get that in the end, or at the next start.

Until it is complete a file has a name of its own, and a lock that tells other processes that
somebody is at it. All of this blocks and belongs into a lane of `disk.threads`.
"""

from __future__ import annotations

import errno
import fcntl
import os
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Final, NamedTuple

from rtmptwist.disk.folder import Folder, Names
from rtmptwist.outlets.pattern import numbered, unfinished
from rtmptwist.outlets.recordfile import Finished, Repaired

NUMBERS: Final = 10_000
"Files of one name, of which the second is numbered 2."


class Content(NamedTuple):
    """What is in a file."""

    size: int
    "Bytes."

    seconds: float


class DiskFile(ABC):
    """What `RecordFile` is on a disk: a file of a folder, that nobody else writes to."""

    def __init__(self, folder: Folder, names: Names) -> None:
        self._folder = folder
        self._names = names
        self._number = -1

    def finish(self) -> Finished | None:
        """As `RecordFile`. When it fails, the file stays as it is, to be salvaged or repaired."""
        content = self._complete()
        if content is None:
            self._folder.remove(unfinished(self._names))
        else:
            self._publish()
        self.close()
        if content is None:
            return None
        return Finished(self._folder.path(self._names), content.size, content.seconds)

    def repair(self, *, alone: bool) -> Repaired | None:
        """As `RecordFile`."""
        try:
            self._number = self._folder.open(unfinished(self._names), os.O_RDWR)
            if not self._lock(alone=alone):
                return None
            lost = self._mend()
            if lost is None:
                return None
            done = self.finish()
        finally:
            self.close()
        if done is None:
            return Repaired(self._folder.path(self._names), 0, 0.0, lost)
        return Repaired(done.path, done.size, done.seconds, lost)

    def salvage(self) -> Finished | None:
        """As `RecordFile`."""
        if self._number < 0:
            return None
        self.close()
        try:
            repaired = type(self)(self._folder, self._names).repair(alone=True)
        except OSError:
            return None  # it stays as it is, to be repaired
        if repaired is None or not repaired.size:
            return None
        return Finished(repaired.path, repaired.size, repaired.seconds)

    def close(self) -> None:
        """Do no more; may be called again."""
        number, self._number = self._number, -1
        if number >= 0:
            os.close(number)

    # ----------------------------------------------------------- of each format

    @abstractmethod
    def _complete(self) -> Content | None:
        """Write what is known only at the end; None: there is nothing in it."""

    @abstractmethod
    def _mend(self) -> int | None:
        """
        Find out what is in a file that was cut, and cut off what is of no use: so many bytes.

        None: it is no recording.
        """

    # ------------------------------------------------------------ for all of them

    def _new(self) -> None:
        """Make a file that nobody has; the name gets a number where it is taken."""
        for number in range(1, NUMBERS + 1):
            names = numbered(self._names, number)
            if self._folder.exists(names):
                continue
            with suppress(FileExistsError):
                self._number = self._folder.create(unfinished(names))
                if self._lock():
                    self._names = names
                    return
                self.close()
        raise self._too_many()

    def _lock(self, *, alone: bool = True) -> bool:
        """Make it ours. False: somebody else is at it."""
        try:
            fcntl.flock(self._number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks
            return alone
        return True

    def _check_there(self) -> None:
        """Make sure that it can still be found."""
        if not os.fstat(self._number).st_nlink:
            # the system would take it all, and forget it in the end
            raise FileNotFoundError(errno.ENOENT, "The file was removed while it was written")

    @property
    def _size(self) -> int:
        return os.fstat(self._number).st_size

    def _read(self, position: int, size: int) -> bytes:
        return os.pread(self._number, size, position)

    def _write(self, position: int, data: bytes) -> None:
        written = os.pwrite(self._number, data, position)
        while written < len(data):  # the disk is nearly full: the next try says so
            more = os.pwrite(self._number, memoryview(data)[written:], position + written)
            if not more:
                raise OSError(errno.EIO, "The disk takes nothing")
            written += more

    def _publish(self) -> None:
        """Give it its name, or the next one that is free."""
        for number in range(1, NUMBERS + 1):
            names = numbered(self._names, number)
            with suppress(FileExistsError):
                self._folder.rename(unfinished(self._names), names[-1])
                self._names = names
                return
        raise self._too_many()

    def _too_many(self) -> OSError:
        words = f"{NUMBERS} files have that name already: write {{date}} and {{time}} into it"
        return OSError(errno.EEXIST, words, str(self._folder.path(self._names)))
