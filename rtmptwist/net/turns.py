"""
Decisions: connect, publish, play and what else waits for an opinion; one coroutine each.

A turn may take its time (a login, a hook); meanwhile its connection reads nothing. It waits for
others only by `ServerConnection.ask`, which does not come back when there is nobody left to decide
about. What it refuses, it refuses by raising `Refused`: the one place that answers is the
connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rtmptwist.live.access import Account, Action, Grant, Request, Usage, Visitor
from rtmptwist.live.application import Application
from rtmptwist.live.errors import Refused
from rtmptwist.live.formats import RtmpFormat
from rtmptwist.live.journal import EventKind
from rtmptwist.live.names import BadName, parse_connect, redacted, redacted_command, stream_name
from rtmptwist.live.playback import Excerpt, Film
from rtmptwist.net.playing import Playing
from rtmptwist.net.publishing import Publishing
from rtmptwist.net.replaying import Replaying
from rtmptwist.net.tls import peer_identity
from rtmptwist.net.use import Watching
from rtmptwist.wire.events import Call, Connect, Pause, Play, Play2, Publish, Seek
from rtmptwist.wire.status import StatusCode

if TYPE_CHECKING:
    from rtmptwist.net.connection import ServerConnection

LIVE_ONLY: Final = -1.0
"As a play's start."

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
    connection.verification.demand(application.swfs, connection.clock.seconds())
    connection.mind_transport()
    agent = event.properties.get("flashVer")
    if isinstance(agent, str):
        connection.agent = redacted(agent[:64], key=False)
    connection.log.info(
        "{peer} connected to {app} as {account} ({variant}, {agent}{certificate})",
        peer=connection.peer,
        # what stands behind the application may be the stream key, in the wrong field
        app=_where(application, redacted(target.path) if rest else target.path),
        account=account.name,
        variant=connection.variant,
        agent=connection.agent or "unnamed",
        certificate=visitor.certificate and f", certificate of {visitor.certificate}",
    )
    connection.note(EventKind.CONNECT, f"connected as {account.name}", application)


async def publish(connection: ServerConnection, event: Publish) -> None:
    """Feed a stream, if the account may and the name is free."""
    wanted = await _allowed(
        connection, event, Action.PUBLISH, StatusCode.PUBLISH_BAD_NAME, connection.ask
    )
    stream_id = event.stream_id
    # it is there before it begins: what it displaces may be all that the connection did so far
    publishing = Publishing(
        connection, stream_id, wanted.application, wanted.path, wanted.grant, event.kind
    )
    connection.streams[stream_id] = publishing
    try:
        inlet = wanted.application.publish(wanted.grant.path, publishing, wanted.grant.identity)
    except Refused as refused:
        connection.drop_stream(stream_id)
        wanted.grant.end(Usage(refused.status.description))
        raise
    publishing.attach(inlet, wanted.application.settings.merge)
    connection.session.accept(event)
    connection.settled()
    publishing.begun()


async def play(connection: ServerConnection, event: Play) -> None:
    """Watch a stream or a file, if the account may; a file perhaps after others."""
    stream = connection.streams.get(event.stream_id)
    if isinstance(stream, Replaying) and not event.reset:
        stream.enlist(event)
        return
    wanted, film = await _found(connection, event, connection.ask)
    connection.close_stream(event.stream_id, "another play")
    _play(connection, event, wanted, film, None)


async def _play_next(before: Replaying, event: Play) -> None:
    """Watch what was queued, in place of what has ended."""
    wanted, film = await _found(before.connection, event, _wait)
    _play(before.connection, event, wanted, film, before)


def _play(
    connection: ServerConnection,
    event: Play,
    wanted: _Wanted,
    film: Film | None,
    before: Replaying | None,
) -> None:
    """Begin, perhaps with a file, perhaps in place of what was played `before`."""
    watching: Watching
    if film is not None:
        watching = _play_file(connection, event, wanted, film, before)
    else:
        watching = _play_live(connection, event, wanted, before)
    if before is None:
        connection.session.accept(event, recorded=film is not None)
    else:
        connection.session.begin_play(event, recorded=film is not None)
    connection.send()  # librtmp ignores media that comes before Play.Start
    connection.settled()
    watching.begun()
    watching.resume()


def _play_file(
    connection: ServerConnection,
    event: Play,
    wanted: _Wanted,
    film: Film,
    before: Replaying | None,
) -> Replaying:
    stream_id, application = event.stream_id, wanted.application
    assert application.playbacks is not None
    queue = None
    if before is not None:
        queue = before.queue
        before.give_way()
    playing = Replaying(
        connection, stream_id, application, wanted.path, wanted.grant, _play_next, queue
    )
    playback = application.playbacks.play(
        film,
        RtmpFormat(connection.session.chunk_size, stream_id),
        connection.writer,
        playing,
        start=max(0, round(event.start * 1000)),
        duration=round(event.duration * 1000) if event.duration >= 0 else None,
    )
    if connection.buffer:
        playback.buffer(connection.buffer)
    playing.attach(playback)
    connection.streams[stream_id] = playing
    return playing


def _play_live(
    connection: ServerConnection, event: Play, wanted: _Wanted, before: Replaying | None
) -> Playing:
    stream_id = event.stream_id
    playing = Playing(connection, stream_id, wanted.application, wanted.path, wanted.grant)
    try:
        subscriber = wanted.application.subscribe(
            wanted.grant.path,
            RtmpFormat(connection.session.chunk_size, stream_id),
            connection.writer,
            playing,
            wait=event.start < 0,
            duration=max(1, round(event.duration * 1000)) if event.duration > 0 else None,
        )
    except Refused as refused:
        wanted.grant.end(Usage(refused.status.description))
        raise
    if before is not None:
        before.give_way()
    playing.attach(subscriber)
    connection.streams[stream_id] = playing
    return playing


async def play2(connection: ServerConnection, event: Play2) -> None:  # noqa: ARG001 - a turn
    """Change over to another stream: no client was seen to ask for it."""
    raise Refused(
        StatusCode.PLAY_FAILED,
        f"play2 ({event.transition[:32]}) is not offered: play the other stream instead.",
    )


async def pause(connection: ServerConnection, event: Pause) -> None:
    """Pause; then rejoin what is live now, or go on in a file where the viewer stopped."""
    stream = connection.streams.get(event.stream_id)
    if isinstance(stream, Replaying):
        connection.session.accept(event, recorded=True)
        connection.send()
        if event.paused:
            stream.playback.pause()
        else:
            stream.playback.unpause(round(event.position))
        return
    playing = _playing(connection, event)
    connection.session.accept(event)
    connection.send()
    if event.paused:
        playing.pause()
    else:
        playing.unpause(round(event.position))


async def seek(connection: ServerConnection, event: Seek) -> None:
    """
    Go elsewhere in a file, or in a live stream: to its past, if that is recorded, or its present.

    Refusing would end FFmpeg, so where there is no past the player is brought to the present:
    headers, a key frame, what follows.
    """
    stream, time = connection.streams.get(event.stream_id), round(event.position)
    if isinstance(stream, Replaying):
        stream.again()
        connection.session.accept(event, recorded=True)
        connection.send()
        stream.playback.seek(time)
        return
    playing = _playing(connection, event)
    excerpt = await connection.ask(playing.look_back(time), _put_away)
    if connection.streams.get(event.stream_id) is not playing:
        _put_away(excerpt)  # the stream has ended meanwhile, which the client knows
        return
    connection.session.accept(event)
    connection.send()
    playing.go(excerpt, time)


async def call(connection: ServerConnection, event: Call) -> None:
    """Call a method: FFmpeg asks for the length of what it plays."""
    if event.name != "getStreamLength":
        name = redacted_command(event.name)  # for the trail and the log have these words, too
        raise Refused(StatusCode.CALL_FAILED, f"Method not found ({name}).")
    connection.session.result(event, await _length(connection, event))


async def _length(connection: ServerConnection, event: Call) -> float:
    """
    Seconds of a file; 0 of what is live or not there.

    Nobody has been asked yet whether the client may play it: so this is told where anyone may.
    """
    assert connection.target is not None
    argument = event.arguments[0] if event.arguments else None
    try:
        name = stream_name(connection.target, argument if isinstance(argument, str) else "")
        application, rest = connection.registry.application(name.host, name.path)
        films = application.films
        if films is None or not films.public or application.is_live(rest):
            return 0.0
        if connection.verification.objection(application.swfs):
            return 0.0
        film = await connection.ask(films.open(rest, name.kind, name.extension), _put_back)
    except (BadName, Refused):
        return 0.0
    film.release()
    return film.duration / 1000


class _Wanted(NamedTuple):
    """A stream that somebody may publish or play."""

    application: Application
    grant: Grant
    path: str
    "With application and virtual host. Logs show it `redacted`: people use names as secrets."

    kind: str
    extension: str
    "Of a file, as `StreamName` has them."


Ask = Callable[[Awaitable[Any], Callable[[Any], None]], Awaitable[Any]]
"`ServerConnection.ask`, or another way to wait for what may come too late."


async def _found(
    connection: ServerConnection, event: Play, ask: Ask
) -> tuple[_Wanted, Film | None]:
    """What is to be played: a file, or else what is live, or will be."""
    missing = StatusCode.PLAY_STREAM_NOT_FOUND
    wanted = await _allowed(connection, event, Action.PLAY, missing, ask)
    application, path = wanted.application, wanted.grant.path
    films, live = application.films, application.is_live(path)
    if (
        films is None
        or application.closed
        or event.start == LIVE_ONLY
        or (event.start < 0 and live)
    ):
        return wanted, None
    try:
        return wanted, await ask(films.open(path, wanted.kind, wanted.extension), _put_back)
    except Refused as refused:
        if refused.status.code is missing and (event.start < 0 or live):
            return wanted, None
        wanted.grant.end(Usage(refused.status.description))
        raise
    except BaseException:
        _too_late(wanted.grant)
        raise


async def _allowed(
    connection: ServerConnection,
    event: Publish | Play,
    action: Action,
    code: StatusCode,
    ask: Ask,
) -> _Wanted:
    """The stream that is meant; `code` is how its client hears that there can be none."""
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
    if action is Action.PLAY and (why := connection.verification.objection(application.swfs)):
        raise Refused(StatusCode.PLAY_FAILED, why)
    request = Request(action, visitor, application, rest, name.query, name.doubled)
    grant: Grant = await ask(account.authorize(request), _too_late)
    above = name.path.removesuffix(rest)
    where = _where(application, above + grant.path)
    return _Wanted(application, grant, where, name.kind, name.extension)


async def _wait(opinion: Awaitable[Any], _: Callable[[Any], None]) -> Any:
    """For an opinion that is cancelled when nobody is left to hear it."""
    return await opinion


def _let_go(account: Account) -> None:
    account.left()


def _too_late(grant: Grant) -> None:
    grant.end(Usage("The connection ended before it was decided."))


def _put_back(film: Film) -> None:
    film.release()


def _where(application: Application, path: str) -> str:
    """A path for logs, which tells virtual hosts apart."""
    return f"{application.host}/{path}" if application.host else path


def _put_away(excerpt: Excerpt | None) -> None:
    if excerpt is not None:
        excerpt.release()


def _playing(connection: ServerConnection, event: Pause | Seek) -> Playing:
    stream = connection.streams.get(event.stream_id)
    if not isinstance(stream, Playing):
        raise Refused(StatusCode.FAILED, "Nothing is playing on this stream.")
    return stream


TURNS: Final[dict[type, Turn]] = {
    Connect: connect,
    Publish: publish,
    Play: play,
    Play2: play2,
    Pause: pause,
    Seek: seek,
    Call: call,
}
