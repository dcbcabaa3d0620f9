"""
Decisions: connect, publish, play and what else waits for an opinion; one coroutine each.

A turn may take its time (a login, a hook); meanwhile its connection reads nothing. What it refuses,
it refuses by raising `Refused`: the one place that answers is `ServerConnection`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from rtmptwist.live.access import Account, Action, Visitor
from rtmptwist.live.application import Application
from rtmptwist.live.errors import Refused
from rtmptwist.live.formats import RtmpFormat
from rtmptwist.live.names import BadName, StreamName, parse_connect, stream_name
from rtmptwist.net.streams import Playing, Publishing
from rtmptwist.wire.events import Call, Connect, Pause, Play, Play2, Publish, Seek
from rtmptwist.wire.status import StatusCode

if TYPE_CHECKING:
    from rtmptwist.net.connection import ServerConnection


async def connect(connection: ServerConnection, event: Connect) -> None:
    """Into which application, and as whom."""
    try:
        target = parse_connect(event.app, event.tc_url)
    except BadName as error:
        raise Refused(StatusCode.CONNECT_INVALID_APP, str(error)) from error
    application, _ = connection.registry.application(target.host, target.path)
    visitor = Visitor(
        connection.address,
        application,
        target.query,
        event.properties,
        event.arguments,
    )
    account = await connection.gate.login(visitor)
    connection.target, connection.account = target, account
    connection.session.accept(event)
    connection.log.info(
        "{peer} connected to {app} as {account} ({agent})",
        peer=connection.peer,
        app=application.name,
        account=account.name,
        agent=str(event.properties.get("flashVer", "unnamed"))[:64],
    )


async def publish(connection: ServerConnection, event: Publish) -> None:
    """Feed a stream, if the account may and the name is free."""
    name, application, rest = _stream(connection, event.name, StatusCode.PUBLISH_BAD_NAME)
    account = _account(connection)
    await account.authorize(Action.PUBLISH, application, rest, name.query)
    publishing = Publishing(connection, event.stream_id, name)
    publishing.attach(application.publish(rest, publishing, account.identity))
    connection.streams[event.stream_id] = publishing
    connection.session.accept(event)
    connection.settled()
    connection.log.info(
        "{peer} publishes {path} as {account}",
        peer=connection.peer,
        path=name.path,
        account=account.name,
    )


async def play(connection: ServerConnection, event: Play) -> None:
    """Watch a stream, if the account may."""
    name, application, rest = _stream(connection, event.name, StatusCode.PLAY_STREAM_NOT_FOUND)
    account = _account(connection)
    await account.authorize(Action.PLAY, application, rest, name.query)
    connection.close_stream(event.stream_id, "another play")
    playing = Playing(connection, event.stream_id, name)
    session = connection.session
    subscriber = application.subscribe(
        rest,
        RtmpFormat(connection.care.chunk_size, event.stream_id),
        connection.writer,
        playing,
        wait=event.start < 0,
        duration=round(event.duration * 1000) if event.duration > 0 else None,
    )
    playing.attach(subscriber)
    connection.streams[event.stream_id] = playing
    session.accept(event)
    connection.send()  # librtmp ignores media that comes before Play.Start
    connection.settled()
    connection.log.info(
        "{peer} plays {path} as {account}",
        peer=connection.peer,
        path=name.path,
        account=account.name,
    )
    subscriber.resume()


async def play2(connection: ServerConnection, event: Play2) -> None:  # noqa: ARG001 - a turn
    """Change over to another stream: no client was seen to ask for it."""
    raise Refused(
        StatusCode.PLAY_FAILED,
        f"play2 ({event.transition[:32]}) is not offered: play the other stream instead.",
    )


async def pause(connection: ServerConnection, event: Pause) -> None:
    """Pause, or rejoin what is live now."""
    playing = _playing(connection, event.stream_id)
    connection.session.accept(event)
    connection.send()
    if event.paused:
        playing.pause()
    else:
        playing.unpause()


async def seek(connection: ServerConnection, event: Seek) -> None:
    """
    Seek in a live stream: there is only one place to go, its present.

    Refusing would end FFmpeg, so the player is brought there: headers, a key frame, what follows.
    """
    playing = _playing(connection, event.stream_id)
    playing.pause()
    connection.session.accept(event)
    connection.send()
    playing.unpause()


async def call(connection: ServerConnection, event: Call) -> None:
    """Call a method: FFmpeg asks for the length of what it plays, and a live stream has none."""
    if event.name == "getStreamLength":
        connection.session.result(event, 0.0)
        return
    raise Refused(StatusCode.CALL_FAILED, f"Method not found ({event.name[:64]}).")


def _stream(
    connection: ServerConnection, text: str, code: StatusCode
) -> tuple[StreamName, Application, str]:
    """The stream a client means; `code` is how it hears that there is none."""
    assert connection.target is not None
    try:
        name = stream_name(connection.target, text)
    except BadName as error:
        raise Refused(code, str(error)) from error
    application, rest = connection.registry.application(name.host, name.path)
    return name, application, rest


def _account(connection: ServerConnection) -> Account:
    assert connection.account is not None
    return connection.account


def _playing(connection: ServerConnection, stream_id: int) -> Any:
    stream = connection.streams.get(stream_id)
    if not isinstance(stream, Playing) or stream.subscriber is None:
        raise Refused(StatusCode.FAILED, "Nothing is playing on this stream.")
    return stream.subscriber


TURNS: Final[dict[type, Callable[[Any, Any], Awaitable[None]]]] = {
    Connect: connect,
    Publish: publish,
    Play: play,
    Play2: play2,
    Pause: pause,
    Seek: seek,
    Call: call,
}
