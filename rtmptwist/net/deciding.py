"""
From a question to its answer, whoever has to be waited for in between.

`net.turns` has a turn for each question. Here is the one place where a refusal becomes an answer,
and so do a bug, and an opinion that does not come within time.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import CancelledError, Deferred

from rtmptwist.live.errors import Refused
from rtmptwist.net.turns import TURNS
from rtmptwist.wire.events import Call, Connect, Decision, Play, Publish
from rtmptwist.wire.status import Status, StatusCode

if TYPE_CHECKING:
    from rtmptwist.net.connection import ServerConnection


def decide(connection: ServerConnection, event: Decision) -> Deferred[None] | None:
    """
    Answer, at once (None) or when somebody has been waited for: then the Deferred fires. It never
    fails; cancelled, it waits no longer.
    """
    answer = _answer(connection, event)
    try:
        waits_for = answer.send(None)
    except StopIteration:  # most wait for nobody, and a Deferred for each would be 4 µs
        return None
    decision = Deferred.fromCoroutine(_going_on(answer, waits_for))
    return decision.addTimeout(connection.care.decision_timeout, connection.clock)


async def _answer(connection: ServerConnection, event: Decision) -> None:
    try:
        await TURNS[type(event)](connection, event)
    except Refused as refused:
        _refuse(connection, event, refused.status, refused.reason)
    except CancelledError:  # the connection has ended; else the decision took too long
        _refuse(connection, event, Status(_failed(event), _TOO_LONG), _TOO_LONG)
    except Exception:
        name = type(event).__name__
        connection.log.failure("{peer}: {event} failed", peer=connection.peer, event=name)
        if connection.session.deciding:
            connection.session.refuse(event, Status(_failed(event), _SORRY))
        connection.finish(_SORRY)


def _refuse(connection: ServerConnection, event: Decision, status: Status, reason: str) -> None:
    if not connection.session.deciding:
        return
    connection.session.refuse(event, status)
    if isinstance(event, Connect):
        connection.untold = not connection.registry.refusals.at_connect(connection.address)
    if isinstance(event, Connect | Publish | Play) and not connection.untold:
        connection.log.info(
            "{peer}: {event} refused: {code}: {reason}",
            peer=connection.peer,
            event=type(event).__name__.lower(),
            code=str(status.code),
            reason=reason,
        )
    if isinstance(event, Connect):
        connection.finish(reason)
    elif isinstance(event, Publish):
        connection.finish_if_unused(reason)


def _going_on(
    answer: Coroutine[Deferred[Any], Any, None], waits_for: Deferred[Any]
) -> Generator[Deferred[Any], Any, None]:
    """A coroutine that has begun, and what it waits for first."""
    with suppress(StopIteration):
        while True:
            try:
                found = yield waits_for
            except Exception as error:
                waits_for = answer.throw(error)
            else:
                waits_for = answer.send(found)


def _failed(event: Decision) -> StatusCode:
    return _FAILED.get(type(event), StatusCode.FAILED)


_FAILED: Final[dict[type, StatusCode]] = {
    Connect: StatusCode.CONNECT_FAILED,
    Play: StatusCode.PLAY_FAILED,
    Call: StatusCode.CALL_FAILED,
}
_SORRY: Final = "The server failed; its log says why."
_TOO_LONG: Final = "It took too long to decide."
