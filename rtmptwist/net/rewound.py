"""
A viewer of a live stream who looks back: what is recorded of it, until that is what is live.

Where the recording ends, for now, the viewer goes on with the very next message of the stream,
which is still in its window. Whoever cannot is brought to its present.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.python.failure import Failure

from rtmptwist.live.playback import Excerpt, Playback
from rtmptwist.live.stream import LiveStream
from rtmptwist.live.timeline import unwrapped
from rtmptwist.wire.message import Message

if TYPE_CHECKING:
    from rtmptwist.net.playing import Playing


class Rewound:
    """`live.playback.Viewer`: one look back. Times are the stream's, in milliseconds."""

    def __init__(
        self, playing: Playing, stream: LiveStream, excerpt: Excerpt, time: int, *, paused: bool
    ) -> None:
        """Begin at a time. `paused`: with a picture, and no more until `unpause`."""
        self._playing = playing
        self._stream = stream
        self.paused = paused
        self._closed = False
        self._before = 0
        "Bytes of files that were played before this one."
        self._excerpt, self._playback = self._play(excerpt, time)

    def _play(self, excerpt: Excerpt, time: int) -> tuple[Excerpt, Playback]:
        connection, subscriber = self._playing.connection, self._playing.subscriber
        playback = excerpt.play(subscriber.format, connection.writer, self)
        if connection.buffer:
            playback.buffer(connection.buffer)
        playback.resume()
        if self.paused:
            playback.pause()
        playback.seek(max(0, time - excerpt.base))
        return excerpt, playback

    @property
    def bytes_out(self) -> int:
        """All that was sent so far."""
        return self._before + self._playback.meter.bytes

    # ------------------------------------------------------------- its viewer

    def pause(self) -> None:
        """Send nothing until `unpause`."""
        self.paused = True
        self._playback.pause()

    def unpause(self, time: int) -> None:
        """Go on where the viewer stopped: at a time of 32 bits."""
        self.paused = False
        base = self._excerpt.base
        self._playback.unpause(max(0, unwrapped(time, base + self._playback.position) - base))

    def resume(self) -> None:
        """The writer is idle."""
        self._playback.resume()

    def receive(self, *, audio: bool | None, video: bool | None) -> None:
        """Leave sound or pictures out, or take them back."""
        self._playback.receive(audio=audio, video=video)

    def buffer(self, milliseconds: int) -> None:
        """The viewer keeps so much."""
        self._playback.buffer(milliseconds)

    def close(self) -> None:
        """Leave the past."""
        self._closed = True
        self._playback.close()

    # ---------------------------------------------------------------- its end

    def finished(self, error: str) -> None:
        """`live.Viewer`: go on with what comes after this file."""
        if error:
            self._playing.connection.log.warn(
                "{peer} looks back into {path}: {error}",
                peer=self._playing.connection.peer,
                path=self._playing.shown,
                error=error,
            )
            self._playing.return_to(None)
            return
        number = self._number()
        if number is not None:
            self._playing.return_to(number)
        else:
            self._excerpt.next().addCallbacks(self._go_on, self._fail)

    def _number(self) -> int | None:
        """Of the message after that which was sent last, if it is still in the window."""
        mark = self._playback.mark
        if mark is None:
            return None
        time = mark.time + self._excerpt.base

        def same(message: Message) -> bool:
            if message.timestamp != time:  # nearly all of a window: it halves what a look costs
                return False
            payload = message.payload
            return mark == (message.type, mark.time, len(payload), hash(payload))

        return self._stream.window.after(same)

    def _go_on(self, excerpt: Excerpt | None) -> None:
        if self._closed:
            if excerpt is not None:
                excerpt.release()
        elif excerpt is None:
            self._playing.return_to(None)
        else:
            self._before = self.bytes_out
            self._playback.close()
            self._excerpt, self._playback = self._play(excerpt, excerpt.base)

    def _fail(self, failure: Failure) -> None:
        self._playing.connection.log.failure("looking back failed", failure)
        if not self._closed:
            self._playing.return_to(None)
