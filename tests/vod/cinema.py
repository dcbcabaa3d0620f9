"""A library with a still disk and a still clock, and viewers who note all they get."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.task import Clock

from rtmptwist.live.formats import RtmpFormat
from rtmptwist.vod.film import OpenFilm
from rtmptwist.vod.folderfilms import FolderFilms
from rtmptwist.vod.library import Library
from rtmptwist.vod.playback import FilePlayback
from rtmptwist.vod.playbacks import FilePlaybacks
from rtmptwist.wire.chunk import ChunkDecoder
from rtmptwist.wire.limits import Limits
from rtmptwist.wire.message import Message, MessageType
from tests.support.disks import StillDisk
from tests.support.live import CHUNK_SIZE, FakeWriter

SOON = 0.01
"Seconds in which nothing becomes due."


class Guest:
    """Somebody who watches."""

    def __init__(self) -> None:
        self.writer = FakeWriter()
        self.form = RtmpFormat(CHUNK_SIZE)
        self.playback: FilePlayback
        self.ends: list[str] = []
        self.writer.drained = self._resume
        self._decoder = ChunkDecoder(Limits())
        self._decoder.chunk_size = CHUNK_SIZE
        self._messages: list[Message] = []

    def _resume(self) -> None:
        self.playback.resume()

    def finished(self, error: str) -> None:
        """`live.playback.Viewer`."""
        self.ends.append(error)

    @property
    def media(self) -> list[Message]:
        """Sound and pictures that came since the last look."""
        found: list[Message] = []
        for part in self.writer.parts:
            found += self._decoder.feed(part)
        self.writer.parts.clear()
        return [message for message in found if message.type != MessageType.DATA]

    @property
    def times(self) -> list[int]:
        """Their timestamps."""
        return [message.timestamp for message in self.media]


class Cinema:
    """A folder of files, and who watches them."""

    def __init__(self, folder: Path, room: int = 1 << 20, ahead: float = 60.0) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.disk = StillDisk(self.clock)
        self.library = Library(self.clock, self.disk, room)
        self.films = FolderFilms(self.library)
        self.films.serve(folder, public=True)
        self.playbacks = FilePlaybacks(self.library.pacer)
        self.playbacks.send_ahead(ahead)
        self._shown: dict[str, OpenFilm] = {}

    def film(self, name: str = "show") -> OpenFilm:
        """A file, open."""
        found: list[object] = []
        self.films.open(name, "", "").addBoth(found.append)
        self.disk.pump()
        (film,) = found
        assert isinstance(film, OpenFilm), film
        return film

    def guest(
        self,
        name: str = "show",
        *,
        start: int = 0,
        duration: int | None = None,
        ahead: int = 60_000,
    ) -> Guest:
        """Somebody who has begun to watch; the disk has not moved since."""
        guest = Guest()
        if name in self._shown and self._shown[name].holders:
            film = self._shown[name].hold()
        else:
            film = self._shown[name] = self.film(name)
        guest.playback = self.playbacks.play(
            film, guest.form, guest.writer, guest, start=start, duration=duration
        )
        guest.playback.buffer(ahead)
        guest.playback.resume()
        return guest

    def run(self, seconds: float = SOON) -> None:
        """Let time go by, and the disk do its work."""
        while seconds > 0:
            step = min(seconds, 0.05)
            self.clock.advance(step)
            self.disk.pump()
            seconds -= step
