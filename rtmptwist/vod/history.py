"""What streams were: their recordings, played while they go on, in the streams' own time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from rtmptwist.disk.folder import Folder
from rtmptwist.live.application import Application
from rtmptwist.live.interfaces import Format, Writer
from rtmptwist.live.names import redacted
from rtmptwist.live.playback import Excerpt, Film, Playback, Viewer
from rtmptwist.live.recordings import Chapter
from rtmptwist.live.stream import LiveStream
from rtmptwist.media.errors import MediaError
from rtmptwist.media.flv import FLV_START
from rtmptwist.media.flvcontainer import FlvContainer
from rtmptwist.vod.kinds import Candidate
from rtmptwist.vod.library import Library, NoRoom
from rtmptwist.vod.playbacks import FilePlaybacks
from rtmptwist.wire.message import Message, MessageType

_METADATA = b"\x02\x00\x0aonMetaData"
"How AMF0 begins with that name."


@dataclass(frozen=True, slots=True)
class Shifted:
    """`live.Format`: another one, for what was recorded, in the time of its stream."""

    form: Format
    base: int

    @property
    def video(self) -> bool:
        """As `Format`."""
        return self.form.video

    def select(self, *, audio: bool | None = None, video: bool | None = None) -> Shifted:
        """As `Format`."""
        return Shifted(self.form.select(audio=audio, video=video), self.base)

    def encode(self, messages: Sequence[Message]) -> bytes:
        """As `Format`; without what onMetaData says of a file."""
        return self.form.encode(
            [
                Message(m.type, m.timestamp + self.base, m.stream_id, m.payload)
                for m in messages
                if m.type != MessageType.DATA or not m.payload.startswith(_METADATA)
            ]
        )


class History:
    """`live.playback.Past` of an application: what its recorders have, as FLV files."""

    log = Logger()

    def __init__(self, application: Application, library: Library) -> None:
        self._application = application
        self._library = library
        self.playbacks = FilePlaybacks(library.pacer)

    @property
    def bytes_out(self) -> int:
        """As `Past`."""
        return self.playbacks.bytes_out

    def look(self, stream: LiveStream, time: int) -> Deferred[Excerpt | None]:
        """As `Past`."""
        for recorder in self._application.recorders:
            chapters = recorder.chapters(stream)
            if chapters:
                before = [chapter for chapter in chapters if chapter.begin <= time]
                found = before[-1] if before else chapters[0]
                return Deferred.fromCoroutine(self.open(chapters, found))
        return Deferred.fromCoroutine(_nothing())

    async def open(self, chapters: Sequence[Chapter], chapter: Chapter) -> Excerpt | None:
        """A chapter, to be played; None: it cannot be, which the log knows."""
        headers = _headers(chapter)
        opener = partial(FlvContainer, origin=chapter.origin, headers=headers)
        wanted = [
            Candidate(names, opener, chapter.skip) for names in (chapter.unfinished, chapter.names)
        ]
        try:
            film = await self._library.open(Folder(chapter.folder), wanted, grows=len(headers))
        except (OSError, MediaError, NoRoom) as error:
            self.log.warn(
                "{path} cannot be looked back into: {error}",
                path=redacted(str(chapter.folder.joinpath(*chapter.names))),
                # without the name of the file, which may be a key
                error=error.strerror if isinstance(error, OSError) else str(error),
            )
            return None
        return _Excerpt(self, film, chapters, chapter)


class _Excerpt:
    """`live.playback.Excerpt`: a chapter that is open."""

    def __init__(
        self, history: History, film: Film, chapters: Sequence[Chapter], chapter: Chapter
    ) -> None:
        self._history = history
        self._film = film
        self._chapters = chapters
        self._chapter = chapter
        self.base = chapter.begin

    def play(self, form: Format, writer: Writer, viewer: Viewer) -> Playback:
        """As `Excerpt`."""
        return self._history.playbacks.play(self._film, Shifted(form, self.base), writer, viewer)

    def next(self) -> Deferred[Excerpt | None]:
        """As `Excerpt`."""
        later = (chapter for chapter in self._chapters if chapter.begin > self._chapter.begin)
        following = next(later, None)
        if following is None:
            return Deferred.fromCoroutine(_nothing())
        return Deferred.fromCoroutine(self._history.open(self._chapters, following))

    def release(self) -> None:
        """As `Excerpt`."""
        self._film.release()


def _headers(chapter: Chapter) -> list[int]:
    """Where its sequence headers stand, in what is seen of the file."""
    shift = chapter.skip - FLV_START if chapter.skip else 0
    return [position - shift for position in chapter.headers if position >= chapter.skip]


async def _nothing() -> Excerpt | None:
    """There is none."""
    return None
