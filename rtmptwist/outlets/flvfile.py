"""
A recording on the disk. All of this blocks and belongs into a lane of `disk.threads`.

Whatever moment the process is killed, the file can be played: there is a head first, then whole
tags, second by second; nothing that was written is ever touched again but the head.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from rtmptwist import __version__
from rtmptwist.amf.values import Value
from rtmptwist.disk.folder import Folder, Names
from rtmptwist.media.errors import MediaError
from rtmptwist.media.flv import FLV_START
from rtmptwist.media.flvhead import LARGEST, Head, read_head
from rtmptwist.media.flvindex import Facts, is_cut, survey
from rtmptwist.outlets.diskfile import Content, DiskFile
from rtmptwist.outlets.pattern import unfinished
from rtmptwist.outlets.recordfile import Opened
from rtmptwist.outlets.tape import Batch, Tape
from rtmptwist.wire.message import Message

CREATOR: Final = f"rtmptwist {__version__}"

SIGNATURE: Final = b"FLV\x01"


class FlvFile(DiskFile):
    """`RecordFile`: one FLV file, from its opening to its final name."""

    def __init__(self, folder: Folder, names: Names) -> None:
        super().__init__(folder, names)
        self._head: Head | None = None
        self._facts = Facts()
        self._used = 0
        "Bytes of the head behind which there are only zeros: on most disks, those take no room."

    # ---------------------------------------------------------------- opening

    def create(self, metadata: Mapping[str, Value], *, audio: bool, video: bool) -> Opened:
        """
        Make a file that nobody has; the name gets a number where it is taken.

        `metadata`: the publisher's. `audio`, `video`: what there will be, as far as it is known.
        """
        self._new()
        self._head = head = Head(metadata, CREATOR)
        packed = head.begin(audio=audio, video=video)
        self._write_head(packed)
        self._write(head.size - 4, packed[-4:])
        self._facts.end = head.size
        return self._opened()

    def append(self, metadata: Mapping[str, Value], *, audio: bool, video: bool) -> Opened:
        """Go on with the file of that name, or make one if one cannot go on with it."""
        try:
            self._number = self._folder.open(self._names, os.O_RDWR)
        except OSError:  # there is none, or it is no file
            return self.create(metadata, audio=audio, video=video)
        if self._lock() and self._understand() and self._head is not None and self._is_cut():
            with suppress(FileExistsError):
                self._folder.rename(self._names, unfinished(self._names)[-1])
                os.ftruncate(self._number, self._facts.end)
                return self._opened(self._facts.last, self._facts.end)
        self.close()
        return self.create(metadata, audio=audio, video=video)

    def _opened(self, last: int | None = None, size: int = 0) -> Opened:
        path = self._folder.path(self._names)
        return Opened(path, last, size, self._facts.headers.positions)

    def _mend(self) -> int | None:
        """As `DiskFile`."""
        if not self._understand():
            return None
        lost = self._size - self._facts.end
        if self._is_cut():
            os.ftruncate(self._number, self._facts.end)
        return lost

    def _understand(self) -> bool:
        """Find out what is in it. False: it is no FLV."""
        start = self._read(0, LARGEST)
        if not SIGNATURE.startswith(start[: len(SIGNATURE)]):
            return False
        self._head = read_head(start, CREATOR)
        if self._head is not None:
            self._used = len(start[: self._head.size - 4].rstrip(b"\0"))
        self._facts = survey(self._read, self._size)
        return True

    def _is_cut(self) -> bool:
        """Whether it ends with a tag, whole or not; else something is there that one may want."""
        return is_cut(self._read, self._facts.end, self._size)

    # ---------------------------------------------------------------- writing

    def record(self, tape: Tape, messages: Sequence[Message]) -> None:
        """`RecordFile`: add messages."""
        self.write(tape.encode(messages))

    def write(self, batch: Batch) -> None:
        """Add tags. After a failure, `salvage` is all that can be done."""
        facts = self._facts
        self._check_there()
        self._write(facts.end, batch.data)
        for time, offset in batch.keyframes:
            facts.keyframes.add(time, facts.end + offset)
        for slot, digest, offset in batch.headers:
            facts.headers.add(slot, digest, facts.end + offset)
        facts.end += batch.size
        facts.last = max(facts.last, batch.last)
        facts.audio |= batch.audio
        facts.video |= batch.video

    def _write_head(self, packed: bytes) -> None:
        """All but the size at its end, which is always the same, and zeros that are there."""
        used = len(packed[:-4].rstrip(b"\0"))
        self._write(0, packed[: max(used, self._used)])
        self._used = used

    # ----------------------------------------------------------------- ending

    def _complete(self) -> Content | None:
        """As `DiskFile`."""
        head, facts = self._head, self._facts
        if facts.end <= (FLV_START if head is None else head.size):
            return None
        if head is not None:
            with suppress(MediaError):  # another program's, without room for ours
                self._write_head(head.finish(facts))
        return Content(facts.end, facts.last / 1000)
