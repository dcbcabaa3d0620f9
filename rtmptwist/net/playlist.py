"""
What a client has queued on a message stream, to be played after what it watches: a `play` whose
`reset` is 0 or false (RTMP 1.0, 7.2.2.1).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import CancelledError, Deferred

from rtmptwist.live.errors import Refused
from rtmptwist.wire.events import Play
from rtmptwist.wire.status import Status, StatusCode

if TYPE_CHECKING:
    from rtmptwist.net.use import Watching

MAX_QUEUED: Final = 100
"Plays of one message stream that wait for their turn."

LONGEST_NAME: Final = 8192
"Characters of what one of them plays, query included: nobody looks at it before its turn comes."

Begin = Callable[["Watching", Play], Coroutine[Any, Any, None]]
"Begins with what was queued, in place of what has ended. Refusals are raised."


class Playlist:
    """Of one message stream: what is on now, and what follows."""

    __slots__ = ("_begin", "_changing", "_queue", "_watching")

    def __init__(self, watching: Watching, begin: Begin) -> None:
        self._watching = watching
        self._begin = begin
        self._queue: deque[Play] = deque()
        self._changing: Deferred[None] | None = None
        "The next one is about to begin."

    def add(self, event: Play) -> None:
        """
        Play something when all before it has ended.

        Raises:
            Refused: too much waits for that, or it cannot be anything that is there.
        """
        if len(event.name) > LONGEST_NAME:
            words = f"A name of {len(event.name)} characters (expected {LONGEST_NAME} at most)."
            raise Refused(StatusCode.PLAY_STREAM_NOT_FOUND, words)
        if len(self._queue) >= MAX_QUEUED:
            raise Refused(StatusCode.PLAY_FAILED, f"{MAX_QUEUED} plays wait for their turn here.")
        self._watching.connection.session.enlist(event)
        self._queue.append(event)

    def next(self) -> bool:
        """Go on with the next one, or be about to; False: there is none."""
        if self._changing is not None:  # what was on may end twice before it is replaced
            return True
        if not self._queue:
            return False
        event = self._queue.popleft()
        watching = self._watching
        connection = watching.connection
        switch = Status(StatusCode.PLAY_SWITCH, "The next one.", {"details": event.name})
        connection.session.play_status(event.stream_id, switch)
        connection.send()
        changing = Deferred.fromCoroutine(self._change(event))
        if not changing.called:
            self._changing = changing
            changing.addTimeout(connection.care.decision_timeout, connection.clock)
        return True

    def on(self, watching: Watching) -> None:
        """This is what is on now."""
        self._watching = watching
        self._changing = None

    def close(self) -> None:
        """Nothing follows any more."""
        changing, self._changing = self._changing, None
        if changing is not None:
            changing.cancel()

    async def _change(self, event: Play) -> None:
        watching = self._watching
        connection = watching.connection
        try:
            await self._begin(watching, event)
        except CancelledError:
            if self._changing is not None:  # nobody closed this: it has waited for too long
                self._changing = None
                watching.expel("It took too long to decide.")
        except Refused as refused:
            self._changing = None
            connection.log.info(
                "{peer}: play refused: {code}: {reason}",
                peer=connection.peer,
                code=str(refused.status.code),
                reason=refused.reason,
            )
            connection.session.status(event.stream_id, refused.status)
            connection.send()
            if not self.next():
                watching.conclude()
        except Exception:
            words = "The server failed; its log says why."
            connection.log.failure("{peer}: play failed", peer=connection.peer)
            connection.session.status(event.stream_id, Status(StatusCode.PLAY_FAILED, words))
            connection.finish(words)
