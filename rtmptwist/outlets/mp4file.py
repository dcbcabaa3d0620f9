"""
A recording in fragmented MP4. All of this blocks and belongs into a lane of `disk.threads`.

Whatever moment the process is killed, the file can be played up to its last fragment, a second
before: nothing that was written is ever touched again. It has the tracks and headers that it began
with; new ones begin another file (`Tape.cut`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from rtmptwist.amf.values import Value
from rtmptwist.disk.folder import Folder, Names
from rtmptwist.media.errors import MediaError
from rtmptwist.media.flv import FlvReader, flv_header
from rtmptwist.media.mp4boxes import whole
from rtmptwist.media.mp4container import Mp4Container
from rtmptwist.media.mux import Fragments
from rtmptwist.outlets.diskfile import DiskFile
from rtmptwist.outlets.pattern import unfinished
from rtmptwist.outlets.recordfile import Finished, Opened, Repaired
from rtmptwist.outlets.tape import Tape
from rtmptwist.vod.source import FileSource
from rtmptwist.wire.message import Message


class Mp4File(DiskFile):
    """`RecordFile`: one MP4 file, from its opening to its final name."""

    def __init__(self, folder: Folder, names: Names) -> None:
        super().__init__(folder, names)
        self._fragments: Fragments | None = None
        self._tags = FlvReader()
        self._tags.feed(flv_header(audio=True, video=True))
        self._end = 0
        self._last = 0

    # ---------------------------------------------------------------- opening

    def create(
        self,
        metadata: Mapping[str, Value],  # noqa: ARG002 - what there is is found out by libav
        *,
        audio: bool,  # noqa: ARG002 - this too
        video: bool,  # noqa: ARG002 - and this
    ) -> Opened:
        """Make a file that nobody has; the name gets a number where it is taken."""
        fragments = Fragments(self._add)
        self._new()
        self._fragments = fragments
        return Opened(self._folder.path(self._names))

    def append(self, metadata: Mapping[str, Value], *, audio: bool, video: bool) -> Opened:
        """Make another file: what is complete cannot be gone on with."""
        return self.create(metadata, audio=audio, video=video)

    def repair(self, *, alone: bool) -> Repaired | None:
        """
        Complete a file that a process which was killed has left.

        None: somebody is at it, or it is no MP4. `alone`: nobody is, if that cannot be found out.
        """
        try:
            self._number = self._folder.open(unfinished(self._names), os.O_RDWR)
            if not self._lock(alone=alone):
                return None
            size = self._size
            found = whole(self._read, size)
            if found is None:
                return None
            end, media = found
            if not media:
                self._folder.remove(unfinished(self._names))
                return Repaired(self._folder.path(self._names), 0, 0.0, size)
            os.ftruncate(self._number, end)
            seconds = self._seconds()
            self._publish()
        finally:
            self.close()
        return Repaired(self._folder.path(self._names), end, seconds, size - end)

    def _seconds(self) -> float:
        """How long it plays; 0: that cannot be found out."""
        try:
            container = Mp4Container(FileSource(self._number))
        except MediaError:
            return 0.0
        container.close()
        return container.duration / 1000

    # ---------------------------------------------------------------- writing

    def record(self, tape: Tape, messages: Sequence[Message]) -> None:
        """`RecordFile`: add messages."""
        assert self._fragments is not None
        self._check_there()
        batch = tape.encode(messages)
        self._fragments.add(self._tags.feed(batch.data))
        self._last = max(self._last, batch.last)

    def _add(self, data: bytes) -> int:
        self._write(self._end, data)
        self._end += len(data)
        return len(data)

    # ----------------------------------------------------------------- ending

    def finish(self) -> Finished | None:
        """
        Complete it, and give it its name; None: there was nothing in it, and it is removed.

        When that fails it stays as it is, to be repaired.
        """
        fragments, self._fragments = self._fragments, None
        assert fragments is not None
        try:
            try:
                fragments.finish()
            except BaseException:
                fragments.abandon()
                raise
            if not self._end:
                self._folder.remove(unfinished(self._names))
                return None
            self._publish()
        finally:
            self.close()
        return Finished(self._folder.path(self._names), self._end, self._last / 1000)

    def salvage(self) -> Finished | None:
        """Complete what there is after a failure; None: that is nothing. Never raises."""
        fragments, self._fragments = self._fragments, None
        if fragments is not None:
            fragments.abandon()
        if self._number < 0:
            return None
        self.close()
        try:
            repaired = Mp4File(self._folder, self._names).repair(alone=True)
        except OSError:
            return None  # it stays as it is, to be repaired
        if repaired is None or not repaired.size:
            return None
        return Finished(repaired.path, repaired.size, repaired.seconds)
