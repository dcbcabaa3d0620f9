"""Who plays files: begins playbacks, and counts them and what they send."""

from __future__ import annotations

from rtmptwist.live.interfaces import Format, Writer
from rtmptwist.live.playback import Film, Viewer
from rtmptwist.vod.film import OpenFilm
from rtmptwist.vod.pacer import Pacer
from rtmptwist.vod.playback import FilePlayback


class FilePlaybacks:
    """`live.playback.Playbacks`."""

    def __init__(self, pacer: Pacer) -> None:
        """Nothing is sent ahead before `send_ahead`."""
        self._pacer = pacer
        self._ahead = 0
        self._playing: set[FilePlayback] = set()
        self._gone = 0
        "Bytes that those have sent which are over."

    def send_ahead(self, seconds: float) -> None:
        """Who begins from now on is sent so much ahead at most."""
        self._ahead = round(seconds * 1000)

    @property
    def viewers(self) -> int:
        """As `Playbacks`."""
        return len(self._playing)

    @property
    def bytes_out(self) -> int:
        """As `Playbacks`."""
        return self._gone + sum(playback.meter.bytes for playback in self._playing)

    def play(
        self,
        film: Film,
        form: Format,
        writer: Writer,
        viewer: Viewer,
        *,
        start: int = 0,
        duration: int | None = None,
    ) -> FilePlayback:
        """As `Playbacks`."""
        assert isinstance(film, OpenFilm)
        playback = FilePlayback(
            film,
            form,
            writer,
            viewer,
            self._pacer,
            self._over,
            start=start,
            duration=duration,
            ahead=self._ahead,
        )
        self._playing.add(playback)
        return playback

    def _over(self, playback: FilePlayback) -> None:
        self._playing.discard(playback)
        self._gone += playback.meter.bytes
