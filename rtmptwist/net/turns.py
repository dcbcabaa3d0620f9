"""
Decisions: connect, publish, play and what else waits for an opinion; one coroutine each.

A turn may take its time (a login, a hook); meanwhile its connection reads nothing. It waits for
others only by `ServerConnection.ask`, which does not come back when there is nobody left to decide
about. What it refuses, it refuses by raising `Refused`: the one place that answers is the
connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from rtmptwist.live.access import Account, Visitor
from rtmptwist.live.errors import Refused
from rtmptwist.live.journal import EventKind
from rtmptwist.live.names import BadName, parse_connect, redacted, redacted_command
from rtmptwist.live.playback import Excerpt, Film
from rtmptwist.net.permit import Permit, film_length, located, to_play, to_publish
from rtmptwist.net.playing import Playing
from rtmptwist.net.publishing import Publishing
from rtmptwist.net.replaying import Replaying
from rtmptwist.net.tls import peer_identity
from rtmptwist.net.use import Watching
from rtmptwist.net.verification import Verification
from rtmptwist.wire.events import Call, Connect, Pause, Play, Play2, Publish, Seek
from rtmptwist.wire.status import StatusCode

if TYPE_CHECKING:
    from rtmptwist.net.connection import ServerConnection

Turn = Callable[["ServerConnection", Any], Coroutine[Any, Any, None]]


async def connect(connection: ServerConnection, event: Connect) -> None:
    """Into which application, and as whom."""
    try:
        target = parse_connect(event.app, event.tc_url)
    except BadName as error:
        raise Refused(StatusCode.CONNECT_INVALID_APP, str(error)) from error
    registry = connection.registry
    if registry.leaving is not None:
        raise registry.leaving(target)
    application, rest = registry.application(target.host, target.path)
    visitor = Visitor(
        connection.address,
        application,
        target.query,
        event.properties,
        event.arguments,
        certificate=peer_identity(connection.transport),
    )
    account = await connection.ask(connection.gate.login(visitor), _let_go)
    if application.closed:  # meanwhile
        account.left()
        raise Refused(StatusCode.CONNECT_INVALID_APP, application.closed)
    connection.target, connection.visitor, connection.account = target, visitor, account
    connection.session.accept(event)
    if application.swfs:
        connection.verification = Verification(
            connection.session, application.swfs, connection.clock.seconds()
        )
    connection.mind_transport()
    agent = event.properties.get("flashVer")
    if isinstance(agent, str):
        connection.agent = redacted(agent[:64], key=False)
    connection.log.info(
        "{peer} connected to {app} as {account} ({variant}, {agent}{certificate})",
        peer=connection.peer,
        # what stands behind the application may be the stream key, in the wrong field
        app=located(application, redacted(target.path) if rest else target.path),
        account=account.name,
        variant=connection.variant,
        agent=connection.agent or "unnamed",
        certificate=visitor.certificate and f", certificate of {visitor.certificate}",
    )
    connection.note(EventKind.CONNECT, f"connected as {account.name}", application)


async def publish(connection: ServerConnection, event: Publish) -> None:
    """Feed a stream, if the account may and the name is free."""
    permit = await to_publish(connection, event)
    application, grant, stream_id = permit.application, permit.grant, event.stream_id
    # it is there before it begins: what it displaces may be all that the connection did so far
    publishing = Publishing(connection, stream_id, permit, event.kind)
    connection.uses[stream_id] = publishing
    try:
        inlet = application.publish(grant.path, publishing, grant.identity)
    except Refused as refused:
        connection.drop(stream_id)
        permit.refused(refused)
        raise
    publishing.attach(inlet, application.settings.merge)
    connection.session.accept(event)
    connection.settled()
    publishing.begun()


async def play(connection: ServerConnection, event: Play) -> None:
    """Watch a stream or a file, if the account may, perhaps after others."""
    before = connection.uses.get(event.stream_id)
    if isinstance(before, Watching) and not event.reset:
        before.enlist(event, _play_next)
        return
    permit, film = await to_play(connection, event, connection.ask)
    connection.close_use(event.stream_id, "another play")
    _play(connection, event, permit, film, None)


async def _play_next(before: Watching, event: Play) -> None:
    """Watch what was queued, in place of what has ended."""
    permit, film = await to_play(before.connection, event, _wait)
    _play(before.connection, event, permit, film, before)


async def _wait(opinion: Awaitable[Any], _: Callable[[Any], None]) -> Any:
    """For an opinion that is cancelled when nobody is left to hear it."""
    return await opinion


def _play(
    connection: ServerConnection,
    event: Play,
    permit: Permit,
    film: Film | None,
    before: Watching | None,
) -> None:
    """Begin, perhaps with a file, perhaps in place of what was played `before`."""
    watching: Watching
    if film is not None:
        watching = replaying = Replaying(connection, event.stream_id, permit)
        replaying.begin(film, event.start, event.duration)
    else:
        watching = playing = Playing(connection, event.stream_id, permit)
        try:
            playing.begin(event.start, event.duration)
        except Refused as refused:
            permit.refused(refused)
            raise
    if before is not None:
        before.give_way(watching)
    connection.uses[event.stream_id] = watching
    if before is None:
        connection.session.accept(event, recorded=watching.RECORDED)
    else:
        connection.session.begin_play(event, recorded=watching.RECORDED)
    connection.send()  # librtmp ignores media that comes before Play.Start
    connection.settled()
    watching.begun()
    watching.resume()


async def play2(connection: ServerConnection, event: Play2) -> None:  # noqa: ARG001 - a turn
    """Change over to another stream: no client was seen to ask for it."""
    raise Refused(
        StatusCode.PLAY_FAILED,
        f"play2 ({event.transition[:32]}) is not offered: play the other stream instead.",
    )


async def pause(connection: ServerConnection, event: Pause) -> None:
    """Pause; then rejoin what is live now, or go on in a file where the viewer stopped."""
    watching = _watching(connection, event)
    connection.session.accept(event, recorded=watching.RECORDED)
    connection.send()
    if event.paused:
        watching.pause()
    else:
        watching.unpause(round(event.position))


async def seek(connection: ServerConnection, event: Seek) -> None:
    """
    Go elsewhere in a file, or in a live stream: to its past, if that is recorded, or its present.

    Refusing would end FFmpeg, so where there is no past the player is brought to the present:
    headers, a key frame, what follows.
    """
    watching, time = _watching(connection, event), round(event.position)
    if isinstance(watching, Replaying):
        connection.session.accept(event, recorded=True)
        connection.send()
        watching.seek(time)
        return
    assert isinstance(watching, Playing)
    excerpt = await connection.ask(watching.look_back(time), _put_away)
    if connection.uses.get(event.stream_id) is not watching:
        _put_away(excerpt)  # the stream has ended meanwhile, which the client knows
        return
    connection.session.accept(event)
    connection.send()
    watching.go(excerpt, time)


async def call(connection: ServerConnection, event: Call) -> None:
    """Call a method: FFmpeg asks for the length of what it plays."""
    if event.name != "getStreamLength":
        name = redacted_command(event.name)  # for the trail and the log have these words, too
        raise Refused(StatusCode.CALL_FAILED, f"Method not found ({name}).")
    argument = event.arguments[0] if event.arguments else None
    seconds = await film_length(connection, argument if isinstance(argument, str) else "")
    connection.session.result(event, seconds)


def _let_go(account: Account) -> None:
    account.left()


def _put_away(excerpt: Excerpt | None) -> None:
    if excerpt is not None:
        excerpt.release()


def _watching(connection: ServerConnection, event: Pause | Seek) -> Watching:
    watching = connection.uses.get(event.stream_id)
    if not isinstance(watching, Watching):
        raise Refused(StatusCode.FAILED, "Nothing is playing on this stream.")
    return watching


TURNS: Final[dict[type, Turn]] = {
    Connect: connect,
    Publish: publish,
    Play: play,
    Play2: play2,
    Pause: pause,
    Seek: seek,
    Call: call,
}
