"""
A client plays files: one, or several in a row.

What is sent when, is the playback's; here it is told to the client, and what is queued begins when
the file before has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rtmptwist.live.formats import RtmpFormat
from rtmptwist.live.meters import SubscriberMeter
from rtmptwist.live.playback import Film, Playback
from rtmptwist.net.permit import Permit
from rtmptwist.net.use import Watching
from rtmptwist.wire.status import Status, StatusCode

if TYPE_CHECKING:
    from rtmptwist.net.connection import ServerConnection


MISSING: Final = 5000
"Milliseconds that may be missing at the end of a file without a word: its last picture,"

SHARE_MISSING: Final = 0.1
"or that much of what was played."


class Replaying(Watching):
    """A client watches a file."""

    __slots__ = ("_playback",)

    RECORDED = True
    WHAT = "the file "
    CAME_OF_IT = " of a file"

    def __init__(self, connection: ServerConnection, stream_id: int, permit: Permit) -> None:
        super().__init__(connection, stream_id, permit)
        self._playback: Playback | None = None

    def begin(self, film: Film, start: float, duration: float) -> None:
        """Be served with a file, as a `Play` wants it; media comes from the first `resume` on."""
        connection, playbacks = self.connection, self.application.playbacks
        assert playbacks is not None
        self._playback = playbacks.play(
            film,
            RtmpFormat(connection.session.chunk_size, self._stream_id),
            connection.writer,
            self,
            start=max(0, round(start * 1000)),
            duration=round(duration * 1000) if duration >= 0 else None,
        )
        if connection.buffer:
            self._playback.buffer(connection.buffer)

    @property
    def playback(self) -> Playback:
        """What we are served by, from `begin` on."""
        assert self._playback is not None
        return self._playback

    @property
    def meter(self) -> SubscriberMeter:
        """What it got so far."""
        return self.playback.meter

    # -------------------------------------------------------------- its client

    def pause(self) -> None:
        """Send nothing until `unpause`."""
        self.playback.pause()

    def unpause(self, time: int) -> None:
        """Go on where the client stopped."""
        self.playback.unpause(time)

    def seek(self, time: int) -> None:
        """The client goes somewhere else in it, perhaps after its end."""
        self._idle = False
        self.playback.seek(time)

    def resume(self) -> None:
        """The writer is idle."""
        self.playback.resume()

    def receive(self, *, audio: bool | None, video: bool | None) -> None:
        """The client wants sound or pictures no more, or again."""
        self.playback.receive(audio=audio, video=video)

    def buffer(self, milliseconds: int) -> None:
        """The client keeps so much."""
        self.playback.buffer(milliseconds)

    # ------------------------------------------------------------------ as Use

    @property
    def expects(self) -> bool:
        """No server that stops waits for the end of a film: it can be sought elsewhere."""
        return False

    def shut_down(self) -> None:
        """Players end when they are told that there is no more."""
        words = "The server is shutting down."
        self.connection.session.end_play(self._stream_id, Status(StatusCode.PLAY_STOP, words))
        self.playback.pause()

    # ------------------------------------------------------------------ its end

    def finished(self, error: str) -> None:
        """`live.Viewer`: go on with what follows, or tell the client that this was all."""
        if error:
            self.connection.log.warn(
                "{peer} plays {path}: {error}",
                peer=self.connection.peer,
                path=self.shown,
                error=error,
            )
            self.expel(error)
        else:
            self._finish()

    def conclude(self) -> None:
        """It can be sought elsewhere still."""
        self._idle = True
        connection, playback = self.connection, self.playback
        words = self._words_of_end(playback)
        more = {"duration": playback.position / 1000, "bytes": float(playback.meter.bytes)}
        complete = Status(StatusCode.PLAY_COMPLETE, words, {"details": self.name, **more})
        connection.session.play_status(self._stream_id, complete)
        connection.session.end_play(self._stream_id, Status(StatusCode.PLAY_STOP, words))
        connection.send()

    def _words_of_end(self, playback: Playback) -> str:
        """Whether that was all: files are cut, or broken amid."""
        at, missing = playback.position, playback.missing
        if missing <= max(MISSING, at * SHARE_MISSING):
            return "All was played."
        words = (
            f"the file is cut or broken after {at / 1000:.1f} s of {(at + missing) / 1000:.1f} s"
        )
        self.connection.log.warn(
            "{peer} plays {path}: {words}", peer=self.connection.peer, path=self.shown, words=words
        )
        return f"All that is there was played: {words}."

    def _detach(self) -> None:
        self.playback.close()
        self._playback = None
