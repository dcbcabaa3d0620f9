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
from rtmptwist.media.mp4index import index
from rtmptwist.media.mux import Fragments
from rtmptwist.outlets.diskfile import Content, DiskFile
from rtmptwist.outlets.recordfile import Finished, Opened
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

    def _mend(self) -> int | None:
        """As `DiskFile`."""
        size = self._size
        found = whole(self._read, size)
        if found is None:
            return None
        end, media = found
        if not media:
            return size
        os.ftruncate(self._number, end)
        self._end = end
        try:
            self._add(index(self._read, end))
        except OSError:  # the disk is full; it plays without one
            os.ftruncate(self._number, end)
        self._last = self._duration()
        return size - end

    def _duration(self) -> int:
        """Milliseconds that it plays; 0: that cannot be found out."""
        try:
            container = Mp4Container(FileSource(self._number))
        except MediaError:
            return 0
        container.close()
        return container.duration

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

    def _complete(self) -> Content | None:
        """As `DiskFile`."""
        fragments, self._fragments = self._fragments, None
        if fragments is not None:
            try:
                fragments.finish()
            except BaseException:
                fragments.abandon()
                raise
        return Content(self._end, self._last / 1000) if self._end else None

    def salvage(self) -> Finished | None:
        """As `RecordFile`."""
        fragments, self._fragments = self._fragments, None
        if fragments is not None:
            fragments.abandon()
        return super().salvage()
