"""
One viewing of a file: what is sent next, and when.

It sends a piece when its playhead says so and the writer has nothing left to send; until then it
waits for the pacer, the writer or a thread, and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from rtmptwist.live.interfaces import Format, Writer
from rtmptwist.live.meters import SubscriberMeter
from rtmptwist.live.playback import Mark, Viewer
from rtmptwist.media.container import Place, Point
from rtmptwist.media.errors import MediaError
from rtmptwist.vod.film import WHOLE, Cut, OpenFilm, Piece, messages
from rtmptwist.vod.pacer import EARLY, Pacer
from rtmptwist.vod.playhead import Playhead

LATEST: Final = (1 << 32) - 1
"Milliseconds: no timestamp is greater."


class State(Enum):
    """What a playback does."""

    NEW = "new"
    PLAYING = "playing"
    PAUSED = "paused"
    ENDED = "ended"
    "All was sent; it may be brought elsewhere."

    CLOSED = "closed"


class FilePlayback:
    """`live.playback.Playback`."""

    log = Logger()

    __slots__ = (
        "_after",
        "_asking",
        "_at",
        "_began",
        "_closed",
        "_film",
        "_first",
        "_form",
        "_goal",
        "_head",
        "_later",
        "_mark",
        "_origin",
        "_pacer",
        "_picture",
        "_place",
        "_sent",
        "_state",
        "_ticket",
        "_until",
        "_viewer",
        "_waiting",
        "_writer",
        "_zero",
        "tick",
    )

    def __init__(
        self,
        film: OpenFilm,
        form: Format,
        writer: Writer,
        viewer: Viewer,
        pacer: Pacer,
        closed: Callable[[FilePlayback], None],
        *,
        start: int,
        duration: int | None,
        ahead: int,
    ) -> None:
        """
        `ahead`: milliseconds that are sent ahead at most. `closed` is told when it is over.

        It is one of the film's holders.
        """
        self._film = film
        self._form = form
        self._writer = writer
        self._viewer = viewer
        self._pacer = pacer
        self._closed = closed
        self._zero = start = min(start, LATEST)
        """
        The time that is told as 0. librtmp adds the start that it asked for to what it is told, and
        knows by its 0 the key frame from which it resumes; after a seek all expect the file's own.
        """
        self._until = start + duration if duration else None
        self._picture = duration == 0
        "It ends with the first picture."
        self._state = State.NEW
        self._head = Playhead(ahead)
        self._goal = start, -1
        "Where it was to go last, as `_go` has it."
        self._place: Place = None
        "What is sent next; None: it is on its way there,"
        self._at = start
        "and its time, about: what was sent ends there."
        self._after = -1
        "Nothing up to this time is to be sent."
        self._origin = start
        "Where it began or was brought to last."
        self._mark: Mark | None = None
        self._waiting = False
        "For a thread,"
        self._ticket = 0
        "unless that was meant for another place."
        self._asking = False
        "A thread is at work for it,"
        self._later: tuple[Callable[[], Deferred[Any]], Callable[[Any], None]] | None = None
        "and what is wanted of it after that: who seeks wildly must not keep it from all others."
        self._began = pacer.seconds()
        self._first: float | None = None
        self._sent = 0
        self.tick = -1

    # ------------------------------------------------------------- its viewer

    def resume(self) -> None:
        """As `Playback`."""
        if self._state is State.NEW:
            self._state = State.PLAYING
            if self._film.metadata is not None:
                self._write(self._form.encode([self._film.metadata]))
            self._go(*self._goal)
        else:
            self._turn()

    def pause(self) -> None:
        """As `Playback`."""
        if self._state is State.PLAYING:
            self._state = State.PAUSED
            self._stop()

    def unpause(self, time: int) -> None:
        """As `Playback`."""
        if self._state is not State.PAUSED:
            return
        self._state = State.PLAYING
        time += self._zero
        if self._place is None:  # it was on its way when it was paused
            self._go(*self._goal)
        elif time >= self._at:
            self._head.start(self._at, self._pacer.seconds())
            self._turn()
        elif time > self._origin:
            self._go(time, time)
        else:
            self._go(self._origin)

    def seek(self, time: int) -> None:
        """As `Playback`."""
        if self._state in (State.NEW, State.CLOSED):
            return
        if self._state is not State.PAUSED:
            self._state = State.PLAYING
        self._zero = 0
        self._go(max(0, min(time, self._film.duration or LATEST)))

    def receive(self, *, audio: bool | None = None, video: bool | None = None) -> None:
        """As `Playback`."""
        self._form = self._form.select(audio=audio, video=video)
        if self._state is State.PLAYING and (audio or video):
            # what was left out has left the decoder without its headers, and the picture before
            self._go(min(self._head.time(self._pacer.seconds()), self._at))
        elif self._place is not None and self._waiting and self._state is State.PLAYING:
            self._stop()  # what is being read has it still
            self._turn()

    def buffer(self, length: int) -> None:
        """As `Playback`."""
        self._head.keep(length)
        self._turn()

    def close(self) -> None:
        """As `Playback`."""
        if self._state is not State.CLOSED:
            self._state = State.CLOSED
            self._stop()
            self._film.release()
            self._closed(self)

    @property
    def mark(self) -> Mark | None:
        """As `Playback`."""
        return self._mark

    @property
    def position(self) -> int:
        """As `Playback`."""
        return self._at

    @property
    def missing(self) -> int:
        """As `Playback`."""
        end = self._film.duration
        if self._until is not None:
            end = min(end, self._until)
        return 0 if self._picture else max(0, end - self._at)

    @property
    def meter(self) -> SubscriberMeter:
        """As `Playback`."""
        first = None if self._first is None else self._first - self._began
        return SubscriberMeter(self._state.value, self._sent, 0, 0, first)

    # ------------------------------------------------------------------ places

    def _stop(self) -> None:
        """Forget what is waited for."""
        self._pacer.forget(self)
        self._ticket += 1
        self._waiting = False
        self._later = None

    def _go(self, time: int, after: int = -1) -> None:
        """
        Go on elsewhere, with the headers that are needed there.

        `after`: the viewer has all up to there, and needs nothing of that again.
        """
        self._stop()
        self._goal = time, after
        self._place, self._after = None, after
        self._ask(partial(self._film.find, time), partial(self._found, time))

    def _found(self, time: int, point: Point) -> None:
        self._place, self._at = point.place, point.time
        if self._after < 0:
            self._origin = point.time
            if point.headers:
                self._write(self._form.encode(messages(point.headers, self._zero)))
        self._head.start(max(time, point.time), self._pacer.seconds())
        if self._state is State.PAUSED:
            self._read(Cut(picture=True))
        else:
            self._turn()

    def _ask(self, question: Callable[[], Deferred[Any]], heard: Callable[[Any], None]) -> None:
        """Wait for a thread; who goes elsewhere meanwhile does not want to hear of it."""
        self._waiting = True
        if self._asking:
            self._later = question, heard
            return
        self._asking = True
        ticket = self._ticket

        def told(result: object) -> None:
            self._asking = False
            if ticket != self._ticket:
                later, self._later = self._later, None
                if later is not None:
                    self._ask(*later)
                return
            self._waiting = False
            if isinstance(result, Failure):
                self._fail(result)
            else:
                heard(result)

        answer = question()
        answer.addBoth(told)
        answer.addErrback(self._fail)

    def _fail(self, failure: Failure) -> None:
        if failure.check(OSError, MediaError):
            error = f"The file cannot be read any more: {failure.getErrorMessage()}."
        else:
            self.log.failure("playing a file failed", failure)
            error = "The server failed; its log says why."
        self._end(error)

    def _end(self, error: str = "") -> None:
        if self._state in (State.PLAYING, State.PAUSED):
            self._state = State.ENDED
            self._stop()
            self._viewer.finished(error)

    # ----------------------------------------------------------------- sending

    def due(self) -> None:
        """`pacer.Waiting`: the time has come for the next piece."""
        self._turn()

    def _turn(self) -> None:
        """Send what may be sent now."""
        while self._state is State.PLAYING and not self._waiting and self._writer.idle:
            now = self._pacer.seconds()
            when = self._head.due(self._at, now)
            if when > now + EARLY:
                self._pacer.wait(self, when)
                return
            if self._picture or self._after >= 0:
                self._read(Cut(self._after, self._until, self._picture))
                return
            piece = self._film.kept(self._place, self._form, self._zero)
            if piece is None:
                self._read(WHOLE)
            elif self._fits(piece):
                self._send(piece)

    def _fits(self, piece: Piece) -> bool:
        """Whether all of a whole piece is wanted; else the part that is will be read."""
        if self._until is None or piece.end < self._until:
            return True
        self._read(Cut(before=self._until))
        return False

    def _read(self, cut: Cut) -> None:
        read = partial(self._film.read, self._place, self._form, cut, self._zero)
        self._ask(read, partial(self._have, cut))

    def _have(self, cut: Cut, piece: Piece) -> None:
        if piece.last:
            if self._state is not State.PAUSED:
                self._end()
        elif self._state is State.PAUSED:
            self._write(piece.data)  # what is shown meanwhile; it is sent again with the rest
        elif cut != WHOLE or self._fits(piece):
            self._send(piece)
            if self._picture:
                self._end()
            else:
                self._turn()

    def _send(self, piece: Piece) -> None:
        if piece.end > self._after:
            self._after = -1
        self._head.follow(self._at, piece.start)
        self._place, self._at, self._mark = piece.next, piece.end, piece.mark
        if self._first is None:
            self._first = self._pacer.seconds()
        self._write(piece.data)

    def _write(self, data: bytes) -> None:
        if data:
            self._sent += len(data)
            self._writer.write(data)
