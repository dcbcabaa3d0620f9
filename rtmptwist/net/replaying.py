"""
A client plays files: one, or several in a row.

What is sent when, is the playback's; here it is told to the client, and what is queued begins when
the file before has ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import CancelledError, Deferred

from rtmptwist.live.access import Grant
from rtmptwist.live.application import Application
from rtmptwist.live.errors import Refused
from rtmptwist.live.meters import SubscriberMeter
from rtmptwist.live.playback import Playback
from rtmptwist.net.use import Watching
from rtmptwist.wire.events import Play
from rtmptwist.wire.status import Status, StatusCode

if TYPE_CHECKING:
    from rtmptwist.net.connection import ServerConnection

MAX_QUEUED: Final = 100
"Plays of one message stream that wait for their turn."

LONGEST_NAME: Final = 8192
"Characters of what one of them plays, query included: nobody looks at it before its turn comes."

Begin = Callable[["Replaying", Play], Coroutine[Any, Any, None]]
"Begins with what was queued, in place of what has ended. Refusals are raised."


class Replaying(Watching):
    """A client watches a file."""

    WHAT = "the file "
    CAME_OF_IT = " of a file"

    def __init__(
        self,
        connection: ServerConnection,
        stream_id: int,
        application: Application,
        path: str,
        grant: Grant,
        begin: Begin,
        queue: deque[Play] | None = None,
    ) -> None:
        """`queue`: what is to be played after it."""
        super().__init__(connection, stream_id, application, path, grant)
        self._begin = begin
        self._queue = queue
        self._idle = False
        "All was sent, and nothing was queued."
        self._playback: Playback | None = None
        self._changing: Deferred[None] | None = None
        "What is queued is about to begin."

    def attach(self, playback: Playback) -> None:
        """Begin; media comes from the first `resume` on."""
        self._playback = playback

    @property
    def playback(self) -> Playback:
        """What we are served by, from `attach` on."""
        assert self._playback is not None
        return self._playback

    @property
    def meter(self) -> SubscriberMeter:
        """What it got so far."""
        return self.playback.meter

    @property
    def queue(self) -> deque[Play] | None:
        """What is to be played after it."""
        return self._queue

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

    def close(self, reason: str, *, wanted: bool) -> None:  # noqa: ARG002 - as Use
        """The client stops watching."""
        if self._playback is not None:
            self._over(reason)

    def give_way(self) -> None:
        """What was queued begins in its place."""
        self._changing = None
        self._over("the next one begins")

    def shut_down(self) -> None:
        """Players end when they are told that there is no more."""
        words = "The server is shutting down."
        self.connection.session.end_play(self._stream_id, Status(StatusCode.PLAY_STOP, words))
        self.playback.pause()

    # ------------------------------------------------------------------ its end

    def finished(self, error: str) -> None:
        """`live.Viewer`: go on with what is queued, or tell the client that this was all."""
        if error:
            self.connection.log.warn(
                "{peer} plays {path}: {error}",
                peer=self.connection.peer,
                path=self.shown,
                error=error,
            )
            self._part(Status(StatusCode.PLAY_FAILED, error))
        elif self._queue:
            self._next()
        else:
            self._idle = True
            self._complete()

    def again(self) -> None:
        """The client goes somewhere else in it, perhaps after its end."""
        self._idle = False

    def enlist(self, event: Play) -> None:
        """
        Play something when this has ended.

        Raises:
            Refused: too much waits for that, or it cannot be anything that is there.
        """
        if len(event.name) > LONGEST_NAME:
            words = f"A name of {len(event.name)} characters (expected {LONGEST_NAME} at most)."
            raise Refused(StatusCode.PLAY_STREAM_NOT_FOUND, words)
        if self._queue is None:
            self._queue = deque()
        if len(self._queue) >= MAX_QUEUED:
            raise Refused(StatusCode.PLAY_FAILED, f"{MAX_QUEUED} plays wait for their turn here.")
        self.connection.session.enlist(event)
        self._queue.append(event)
        if self._idle:
            self._idle = False
            self._next()

    def _next(self) -> None:
        assert self._queue
        event = self._queue.popleft()
        connection = self.connection
        switch = Status(StatusCode.PLAY_SWITCH, "The next one.", {"details": event.name})
        connection.session.play_status(self._stream_id, switch)
        connection.send()
        changing = Deferred.fromCoroutine(self._change(event))
        if not changing.called:
            self._changing = changing
            changing.addTimeout(connection.care.decision_timeout, connection.clock)

    async def _change(self, event: Play) -> None:
        connection = self.connection
        try:
            await self._begin(self, event)
        except CancelledError:
            self._changing = None
            if self._playback is not None:  # it is still there, and has waited for too long
                self._part(Status(StatusCode.PLAY_FAILED, "It took too long to decide."))
        except Refused as refused:
            connection.log.info(
                "{peer}: play refused: {code}: {reason}",
                peer=connection.peer,
                code=str(refused.status.code),
                reason=refused.reason,
            )
            connection.session.status(self._stream_id, refused.status)
            connection.send()
            self.finished("")
        except Exception:
            words = "The server failed; its log says why."
            connection.log.failure("{peer}: play failed", peer=connection.peer)
            connection.session.status(self._stream_id, Status(StatusCode.PLAY_FAILED, words))
            connection.finish(words)

    def _complete(self) -> None:
        connection, playback = self.connection, self.playback
        words = "All was played."
        more = {"duration": playback.position / 1000, "bytes": float(playback.meter.bytes)}
        complete = Status(StatusCode.PLAY_COMPLETE, words, {"details": self.name, **more})
        connection.session.play_status(self._stream_id, complete)
        connection.session.end_play(self._stream_id, Status(StatusCode.PLAY_STOP, words))
        connection.send()

    def _detach(self) -> None:
        self.playback.close()
        self._playback = None
        changing, self._changing = self._changing, None
        if changing is not None:
            changing.cancel()
