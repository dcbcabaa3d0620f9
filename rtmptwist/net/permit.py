"""
Permits: what clients mean by the names that they publish or play, and whether they may.

Each takes the opinion of the account, and a file has to be opened, both of which may take time; so
these are parts of turns (`net.turns`), and refuse as turns do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rtmptwist.live.access import Action, Grant, Request, Usage
from rtmptwist.live.application import Application
from rtmptwist.live.errors import Refused
from rtmptwist.live.names import BadName, redacted, stream_name
from rtmptwist.live.playback import Film
from rtmptwist.net.verification import objection
from rtmptwist.wire.events import Play, Publish
from rtmptwist.wire.status import StatusCode

if TYPE_CHECKING:
    from rtmptwist.net.connection import ServerConnection

LIVE_ONLY: Final = -1.0
"As a play's start."

Ask = Callable[[Awaitable[Any], Callable[[Any], None]], Awaitable[Any]]
"`ServerConnection.ask`, or another way to wait for what may come too late."


class Permit(NamedTuple):
    """A stream or a file that somebody may publish or play. Whoever takes it ends its grant."""

    application: Application
    grant: Grant
    path: str
    "With application and virtual host. Logs show it `redacted`: people use names as secrets."

    kind: str
    extension: str
    "Of a file, as `StreamName` has them."

    def refused(self, refused: Refused) -> None:
        """What was permitted cannot be."""
        self.grant.end(Usage(refused.status.description))


async def to_publish(connection: ServerConnection, event: Publish) -> Permit:
    """A permit to feed a stream."""
    return await _permit(
        connection, event, Action.PUBLISH, StatusCode.PUBLISH_BAD_NAME, connection.ask
    )


async def to_play(
    connection: ServerConnection, event: Play, ask: Ask
) -> tuple[Permit, Film | None]:
    """A permit to play, and what: a file, or else what is live, or will be."""
    missing = StatusCode.PLAY_STREAM_NOT_FOUND
    permit = await _permit(connection, event, Action.PLAY, missing, ask)
    application, path = permit.application, permit.grant.path
    films, live = application.films, application.is_live(path)
    if (
        films is None
        or application.closed
        or event.start == LIVE_ONLY
        or (event.start < 0 and live)
    ):
        return permit, None
    try:
        return permit, await ask(films.open(path, permit.kind, permit.extension), _put_back)
    except Refused as refused:
        if refused.status.code is missing and (event.start < 0 or live):
            return permit, None
        permit.refused(refused)
        raise
    except BaseException:
        _too_late(permit.grant)
        raise


async def film_length(connection: ServerConnection, name: str) -> float:
    """
    Seconds of a file; 0 of what is live or not there.

    Nobody has been asked yet whether the client may play it: so this is told where anyone may.
    """
    assert connection.target is not None
    try:
        found = stream_name(connection.target, name)
        application, rest = connection.registry.application(found.host, found.path)
        films = application.films
        if films is None or not films.public or application.is_live(rest):
            return 0.0
        if objection(connection.verification, application.swfs):
            return 0.0
        film = await connection.ask(films.open(rest, found.kind, found.extension), _put_back)
    except (BadName, Refused):
        return 0.0
    film.release()
    return film.duration / 1000


def located(application: Application, path: str) -> str:
    """A path for logs, which tells virtual hosts apart."""
    return f"{application.host}/{path}" if application.host else path


async def _permit(
    connection: ServerConnection,
    event: Publish | Play,
    action: Action,
    code: StatusCode,
    ask: Ask,
) -> Permit:
    """`code` is how the client hears that there can be none."""
    target, visitor, account = connection.target, connection.visitor, connection.account
    assert target is not None
    assert visitor is not None
    assert account is not None
    if connection.registry.leaving is not None:
        status = connection.registry.leaving(target).status
        raise Refused(code, status.description, **status.more)
    try:
        name = stream_name(target, event.name)
        application, rest = connection.registry.application(name.host, name.path)
    except BadName as error:
        raise Refused(code, str(error)) from error
    except Refused as refused:  # the name itself said another host
        words = refused.status.description.replace(name.path, redacted(name.path))
        raise Refused(code, words) from refused
    if action is Action.PLAY and (why := objection(connection.verification, application.swfs)):
        raise Refused(StatusCode.PLAY_FAILED, why)
    request = Request(action, visitor, application, rest, name.query, name.doubled)
    grant: Grant = await ask(account.authorize(request), _too_late)
    above = name.path.removesuffix(rest)
    where = located(application, above + grant.path)
    return Permit(application, grant, where, name.kind, name.extension)


def _too_late(grant: Grant) -> None:
    grant.end(Usage("The connection ended before it was decided."))


def _put_back(film: Film) -> None:
    film.release()
