"""
Recorded files as the middle storey sees them: who has them, and one viewing of one.

Ports, filled by `vod`. A viewing is neither a live stream nor a subscriber of one: it has a
beginning and an end, goes where its viewer wants, and waits for no publisher.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from twisted.internet.defer import Deferred

from rtmptwist.live.interfaces import Format, Writer
from rtmptwist.live.meters import SubscriberMeter
from rtmptwist.live.stream import LiveStream


class Mark(NamedTuple):
    """What tells one message from another. Short of two that are equal, nothing does."""

    type: int
    time: int
    size: int
    digest: int
    "Python's own hash of the payload."


class Film(Protocol):
    """An open file, held for somebody who plays it or is about to."""

    @property
    def duration(self) -> int:
        """Milliseconds; 0: unknown."""

    def release(self) -> None:
        """It is not needed any more."""


class Viewer(Protocol):
    """Who watches a file, and is told of its end. It raises nothing."""

    def finished(self, error: str) -> None:
        """All that was wanted has been sent, or, with an `error`, no more can be."""


class Playback(Protocol):
    """One viewing of a file. Times are those of the file, in milliseconds."""

    def resume(self) -> None:
        """Begin, or go on because the writer is idle. Harmless at any time."""

    def pause(self) -> None:
        """Send nothing until `unpause`."""

    def unpause(self, time: int) -> None:
        """Go on with what comes after `time`: where the viewer stopped."""

    def seek(self, time: int) -> None:
        """Go to the last key frame at or before `time`. If paused, send its picture only."""

    def receive(self, *, audio: bool | None = None, video: bool | None = None) -> None:
        """Leave sound or pictures out, or take them back."""

    def buffer(self, length: int) -> None:
        """The viewer keeps so many milliseconds: that far ahead it may be sent."""

    def close(self) -> None:
        """Leave. Nothing is sent and nobody is told from here on; may be called again."""

    @property
    def mark(self) -> Mark | None:
        """What was sent last."""

    @property
    def position(self) -> int:
        """Up to where it was sent."""

    @property
    def missing(self) -> int:
        """
        Milliseconds that were to come after that, as the file tells: once all has been sent that is
        there, it is cut or broken if they are many.
        """

    @property
    def meter(self) -> SubscriberMeter:
        """What it got so far."""


class Films(Protocol):
    """The files of an application."""

    @property
    def public(self) -> bool:
        """Whether anyone may play them, and so may know how long they are."""

    def open(self, name: str, kind: str, extension: str) -> Deferred[Film]:
        """
        Open a file by what clients call it: see `names.StreamName`.

        Fails with:
            Refused: there is none, or none that can be played.
        """


class Playbacks(Protocol):
    """Who plays files of an application. It stays when they become others, or none."""

    @property
    def viewers(self) -> int:
        """Who plays one now."""

    @property
    def bytes_out(self) -> int:
        """All that was sent so far."""

    def play(
        self,
        film: Film,
        form: Format,
        writer: Writer,
        viewer: Viewer,
        *,
        start: int = 0,
        duration: int | None = None,
    ) -> Playback:
        """
        Play a file that was opened, which is released when that is over.

        Nothing is sent until the first `resume()`: answer the client before.
        `duration`: milliseconds of it to send; 0: one picture; None: all.
        """


class Excerpt(Protocol):
    """Some of a stream's past: a file."""

    @property
    def base(self) -> int:
        """Stream time (ms) at which the file's own time is 0."""

    def play(self, form: Format, writer: Writer, viewer: Viewer) -> Playback:
        """
        Play it, in the time of the stream; that of the playback is the file's. The file is released
        when that is over. Nothing is sent until the first `resume`.
        """

    def next(self) -> Deferred[Excerpt | None]:
        """What comes after it, for a viewer who has seen all of it; None: what is live."""

    def release(self) -> None:
        """It is not played after all."""


class Past(Protocol):
    """What the streams of an application were."""

    @property
    def bytes_out(self) -> int:
        """All that was sent so far."""

    def look(self, stream: LiveStream, time: int) -> Deferred[Excerpt | None]:
        """What a stream was at a time (ms of the stream); None: nobody knows."""
