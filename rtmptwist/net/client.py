"""
The client: connect to a server, publish and play, with Deferreds that can be awaited.

    connection = await connect(reactor, "rtmp://example.org/live")
    stream = await connection.create_stream()
    await stream.publish("name")
    stream.send(Message(MessageType.VIDEO, 0, stream.stream_id, payload))

NetConnection and NetStream mean what they mean in Flash. What a server refuses comes as `Refusal`
with its code and words.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from rtmptwist.amf.values import Value
from rtmptwist.live.interfaces import Writer
from rtmptwist.net.writer import writer_for
from rtmptwist.wire.client import ClientSession
from rtmptwist.wire.command import Command
from rtmptwist.wire.errors import RemoteProtocolError
from rtmptwist.wire.events import Event, Handshaken, Result, StatusChange
from rtmptwist.wire.message import Message

CONNECT_TIMEOUT: Final = 10.0
"Seconds from the first packet to an accepted connect."

ANSWER_TIMEOUT: Final = 30.0
"Seconds for any other answer: a server may ask somebody else first."

_PORTS: Final = {"rtmp": 1935}


class Refusal(Exception):
    """The server said no. `code` and `description` are its words."""

    def __init__(self, info: Mapping[str, Value]) -> None:
        self.info = dict(info)
        self.code = str(info.get("code", ""))
        self.description = str(info.get("description", ""))
        super().__init__(f"{self.code}: {self.description}")


@dataclass(frozen=True, slots=True)
class Url:
    """Where to connect: `rtmp://host[:port]/app`. The stream's name is not part of it."""

    scheme: str
    host: str
    port: int
    app: str
    "With its query, if it has one."

    @classmethod
    def parse(cls, text: str) -> Url:
        """
        Read a URL.

        Raises:
            ValueError: what is wrong with it.
        """
        parts = urlsplit(text)
        if parts.scheme not in _PORTS:
            known = ", ".join(_PORTS)
            raise ValueError(f"{parts.scheme or 'no'} scheme in the URL (expected {known})")
        if not parts.hostname:
            raise ValueError("no host in the URL (expected rtmp://host/app)")
        app = parts.path.lstrip("/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme], app)

    @property
    def tc_url(self) -> str:
        """As a server gets to hear it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}/{self.app}"


def connect(
    reactor: Any,
    url: str,
    *,
    properties: Mapping[str, Value] | None = None,
    arguments: tuple[Value, ...] = (),
    endpoint: IStreamClientEndpoint | None = None,
    timeout: float = CONNECT_TIMEOUT,
) -> Deferred[NetConnection]:
    """
    Connect to an application; the Deferred fires when the server has accepted.

    `properties` are added to the connect object, `arguments` follow it; `endpoint` replaces the
    host and port of the URL (a unix socket, a proxy).

    Raises:
        ValueError: in the URL, at once.
        Refusal, ConnectError, ConnectionLost, TimeoutError: by the Deferred.
    """
    where = Url.parse(url)
    target = endpoint or HostnameEndpoint(reactor, where.host.encode(), where.port)
    return Deferred.fromCoroutine(
        _connect(reactor, target, where, dict(properties or {}), arguments, timeout)
    )


async def _connect(
    reactor: Any,
    endpoint: IStreamClientEndpoint,
    where: Url,
    properties: dict[str, Value],
    arguments: tuple[Value, ...],
    patience: float,
) -> NetConnection:
    connection = NetConnection(reactor)
    started = reactor.seconds()
    opening = endpoint.connect(Factory.forProtocol(lambda: connection))
    await opening.addTimeout(patience, reactor)
    left = max(0.1, patience - (reactor.seconds() - started))
    try:
        await connection.enter(where.app, where.tc_url, properties, arguments, left)
    except BaseException:
        connection.abort()
        raise
    return connection


class NetConnection(Protocol):
    """A client's connection to an application of a server."""

    log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self.clock = clock
        self.session = ClientSession(random=os.urandom)
        self.streams: dict[int, NetStream] = {}
        self.closed: Deferred[None] = Deferred()
        "Fires once, when the connection is gone; fails if it was not closed in good order."

        self.on_status: Callable[[dict[str, Value]], None] = _ignore
        "Hears statuses about the connection, such as NetConnection.Connect.AppShutdown."

        self.on_call: Callable[[Command], None] = _ignore
        "Hears calls of the server, such as onBWDone."

        self.on_drained: Callable[[], None] = _nothing
        "Called when everything that was sent has left us."

        self._writer: Writer | None = None
        self._handshaken: Deferred[None] = Deferred()
        self._calls: dict[float, Deferred[tuple[Value, ...]]] = {}
        self._lost: Failure | None = None

    # ---------------------------------------------------------------- requests

    async def enter(
        self,
        app: str,
        tc_url: str,
        properties: Mapping[str, Value],
        arguments: tuple[Value, ...],
        patience: float,
    ) -> None:
        """Wait for the handshake and connect to an application; `patience`: seconds for each."""
        await self._handshaken.addTimeout(patience, self.clock)
        await self._answer(self.session.connect(app, tc_url, properties, arguments), patience)

    def call(self, name: str, *arguments: Value) -> Deferred[tuple[Value, ...]]:
        """Call a method of the server's application; fires with what it returned."""
        if self._lost is not None:
            return fail(self._lost)
        return self._answer(self.session.call(name, *arguments))

    def create_stream(self) -> Deferred[NetStream]:
        """Make a NetStream, which then publishes or plays."""
        if self._lost is not None:
            return fail(self._lost)

        def made(values: tuple[Value, ...]) -> NetStream:
            (stream_id,) = values
            assert isinstance(stream_id, float)
            stream = self.streams[int(stream_id)] = NetStream(self, int(stream_id))
            return stream

        return self._answer(self.session.create_stream()).addCallback(made)

    def close(self) -> Deferred[None]:
        """Send what is left, close; fires when the connection is gone."""
        if self._writer is not None:
            self._writer.close()
        return self.closed

    def abort(self) -> None:
        """Close at once, whatever is still to be sent."""
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()

    @property
    def idle(self) -> bool:
        """Nothing waits to be sent: a publisher that reads a file may go on."""
        return self._writer is not None and self._writer.idle

    # ---------------------------------------------------------------- Twisted

    def connectionMade(self) -> None:
        """Start the handshake."""
        self._writer = writer_for(self.transport)
        self._writer.drained = self._drained
        self.send()

    def dataReceived(self, data: bytes) -> None:
        """Bytes of the server."""
        session = self.session
        try:
            events = session.receive(data)
            while events:
                for event in events:
                    self._heard(event)
                events = session.receive(b"") if session.more else []
        except RemoteProtocolError as error:
            self.log.warn("{peer}: {error}", peer=self._peer, error=error)
            self.abort()
        self.send()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Whoever waits for an answer hears that there will be none."""
        self.session.close()
        self._lost = reason
        waiting: list[Deferred[Any]] = [self._handshaken, *self._calls.values()]
        waiting += [stream.waiting for stream in self.streams.values() if stream.waiting]
        self._calls.clear()
        for deferred in waiting:
            if not deferred.called:
                deferred.errback(Failure(ConnectionLost("before the server answered")))
        self.closed.callback(None) if reason.check(ConnectionDone) else self.closed.errback(reason)
        self.closed.addErrback(_ignore)

    def _drained(self) -> None:
        self.on_drained()

    def send(self) -> None:
        """Hand over what the session has to say."""
        data = self.session.data_to_send()
        if data and self._writer is not None:
            self._writer.write(data)

    # ---------------------------------------------------------------- answers

    @property
    def _peer(self) -> object:
        return self.transport.getPeer() if self.transport is not None else "nobody"

    def _heard(self, event: Event) -> None:
        match event:
            case Message():
                stream = self.streams.get(event.stream_id)
                if stream is not None:
                    stream.on_message(event)
            case Handshaken():
                self._handshaken.callback(None)
            case Result():
                self._answered(event)
            case StatusChange():
                stream = self.streams.get(event.stream_id)
                if stream is not None:
                    stream.heard(event.info)
                else:
                    self.on_status(event.info)
            case Command():
                self.on_call(event)

    def _answered(self, result: Result) -> None:
        deferred = self._calls.pop(result.transaction_id, None)
        if deferred is None or deferred.called:
            return
        if result.ok:
            deferred.callback(result.values)
            return
        info = next((v for v in (*result.values, result.properties) if isinstance(v, dict)), {})
        deferred.errback(Failure(Refusal(info)))

    def _answer(
        self, transaction_id: float, patience: float = ANSWER_TIMEOUT
    ) -> Deferred[tuple[Value, ...]]:
        deferred: Deferred[tuple[Value, ...]] = Deferred()
        self._calls[transaction_id] = deferred
        self.send()
        return deferred.addTimeout(patience, self.clock)


class NetStream:
    """One message stream of a client: publishes or plays."""

    def __init__(self, connection: NetConnection, stream_id: int) -> None:
        self.connection = connection
        self.stream_id = stream_id
        self.on_message: Callable[[Message], None] = _ignore
        "Hears audio, video and data while playing."

        self.on_status: Callable[[dict[str, Value]], None] = _ignore
        "Hears every status of the stream."

        self.waiting: Deferred[dict[str, Value]] | None = None
        self._wanted = ""
        self._name = ""

    def publish(self, name: str, kind: str = "live") -> Deferred[dict[str, Value]]:
        """Feed a stream; fires with the status when the server has agreed."""
        session = self.connection.session
        self._name = name
        session.release_stream(name)
        session.publish(self.stream_id, name, kind)
        return self._wait("NetStream.Publish.Start")

    def play(
        self, name: str, start: float = -2.0, duration: float = -1.0, *, reset: bool = True
    ) -> Deferred[dict[str, Value]]:
        """
        Watch a stream; `start` and `duration` in seconds, negative as in `wire.events.Play`.

        Fires when the server has agreed, which may be before there is a publisher.
        """
        self.connection.session.play(self.stream_id, name, start, duration, reset=reset)
        return self._wait("NetStream.Play.Start")

    def pause(self, paused: bool = True, position: float = 0.0) -> Deferred[dict[str, Value]]:
        """Pause, or go on at `position`, in milliseconds."""
        self.connection.session.pause(self.stream_id, paused, position)
        return self._wait("NetStream.Pause.Notify" if paused else "NetStream.Unpause.Notify")

    def seek(self, position: float) -> Deferred[dict[str, Value]]:
        """Go to `position`, in milliseconds."""
        self.connection.session.seek(self.stream_id, position)
        return self._wait("NetStream.Seek.Notify")

    def receive(self, *, audio: bool | None = None, video: bool | None = None) -> None:
        """Switch sound or picture on or off."""
        session = self.connection.session
        if audio is not None:
            session.receive_audio(self.stream_id, audio)
        if video is not None:
            session.receive_video(self.stream_id, video)
        self.connection.send()

    def send(self, message: Message) -> None:
        """Send audio, video or data; its stream id becomes ours."""
        message.stream_id = self.stream_id
        self.connection.session.send_media(message)
        self.connection.send()

    def close(self) -> None:
        """End what the stream does and free it."""
        connection = self.connection
        if connection.streams.pop(self.stream_id, None) is None:
            return
        if self._name:
            connection.session.unpublish(self._name)
        connection.session.delete_stream(self.stream_id)
        connection.send()

    def heard(self, info: dict[str, Value]) -> None:
        """The server told a status."""
        self.on_status(info)  # before whoever waits goes on, and perhaps begins to listen
        deferred = self.waiting
        if deferred is not None and not deferred.called:
            if info.get("level") == "error":
                self.waiting = None
                deferred.errback(Failure(Refusal(info)))
            elif info.get("code") == self._wanted:
                self.waiting = None
                deferred.callback(info)

    def _wait(self, code: str) -> Deferred[dict[str, Value]]:
        if self.waiting is not None and not self.waiting.called:
            self.waiting.errback(Failure(CancelledError()))
        deferred: Deferred[dict[str, Value]] = Deferred()
        self.waiting = deferred
        self._wanted = code
        self.connection.send()
        return deferred.addTimeout(ANSWER_TIMEOUT, self.connection.clock)


def _ignore(_: object) -> None:
    """Nobody listens."""


def _nothing() -> None:
    """Nobody waits."""
