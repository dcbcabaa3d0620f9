"""
The client: connect to a server, publish and play, with Deferreds that can be awaited.

    async def show(reactor, pictures):
        connection = await connect(reactor, "rtmp://example.org/live")
        stream = await connection.create_stream()
        await stream.publish("name")
        stream.send_data("@setDataFrame", "onMetaData", {"width": 1280.0, "height": 720.0})
        for timestamp, payload in pictures:
            if not stream.send(Message(MessageType.VIDEO, timestamp, 0, payload)):
                await connection.when_drained()
        await connection.close()

    async def watch(reactor, show):
        connection = await connect(reactor, "rtmp://example.org/live")
        stream = await connection.create_stream()
        stream.on_message = show
        await stream.play("name")
        await connection.when_closed()

NetConnection and NetStream mean what they mean in Flash. What a server refuses comes as `Refusal`
with its code and words.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IDelayedCall,
    IOpenSSLClientConnectionCreator,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from rtmptwist.amf.values import Value
from rtmptwist.net.answers import Answers
from rtmptwist.net.liveness import Liveness
from rtmptwist.net.netstream import Info, NetStream, Refusal
from rtmptwist.net.tls import client_tls
from rtmptwist.net.tunnelclient import TunnelClientEndpoint
from rtmptwist.net.url import Url
from rtmptwist.net.writer import CipherWriter, MeteredWriter, writer_for
from rtmptwist.wire.client import ClientSession
from rtmptwist.wire.command import Command
from rtmptwist.wire.errors import ProtocolError, RemoteProtocolError
from rtmptwist.wire.events import Event, Handshaken, Result, StatusChange
from rtmptwist.wire.handshake import ClientHandshake, HandshakeKind
from rtmptwist.wire.message import Message
from rtmptwist.wire.session import State
from rtmptwist.wire.swf import Swf

__all__ = ["Info", "NetConnection", "NetStream", "Refusal", "connect"]

CONNECT_TIMEOUT: Final = 10.0
"Seconds from the first packet to an accepted connect."

LINGER: Final = 5.0
"Seconds that a closed connection may take to send what is left."


def connect(
    reactor: IReactorTime,
    url: str,
    *,
    properties: Mapping[str, Value] | None = None,
    arguments: tuple[Value, ...] = (),
    endpoint: IStreamClientEndpoint | None = None,
    tls: IOpenSSLClientConnectionCreator | None = None,
    swf: Swf | None = None,
    timeout: float = CONNECT_TIMEOUT,
) -> Deferred[NetConnection]:
    """
    Connect to an application; the Deferred fires when the server has accepted.

    The URL's scheme is any of rtmp, rtmpe, rtmps, rtmpt, rtmpte, rtmpts. `properties` are added to
    the connect object, `arguments` follow it; `endpoint` replaces the host and port of the URL (a
    unix socket, a proxy); `tls` replaces the usual check of a server's certificate, see
    `net.tls.client_tls`; `swf` is what we answer if the server demands SWF verification of players.
    Cancel the Deferred to give up.

    Raises:
        ValueError: in the URL, at once.
        Refusal, RemoteProtocolError, ConnectError, ConnectionClosed, TimeoutError: by the
            Deferred. The last is Python's own.
    """
    where = Url.parse(url)
    kind = HandshakeKind.RTMPE if where.encrypted else HandshakeKind.DIGEST
    handshake = ClientHandshake(kind, random=os.urandom)
    session = ClientSession(random=os.urandom, handshake=handshake, swf=swf)
    connection = NetConnection(reactor, session)
    way = endpoint or HostnameEndpoint(reactor, where.host, where.port)
    if where.secure:
        way = wrapClientTLS(tls or client_tls(where.host), way)
    if where.tunnelled:
        way = TunnelClientEndpoint(reactor, way, where.host, where.port)
    opening = Deferred.fromCoroutine(
        _open(
            connection,
            way,
            where,
            properties or {},
            arguments,
        )
    )

    def too_late(_: object, seconds: float) -> NetConnection:
        missing = _MISSING[connection.session.state if connection.transport else None]
        raise TimeoutError(f"no {missing} within {seconds:g} s")

    return opening.addTimeout(timeout, reactor, too_late)


_MISSING: Final = {
    None: "connection",
    State.HANDSHAKING: "handshake",
    State.HANDSHAKEN: "answer to connect",
}


async def _open(
    connection: NetConnection,
    endpoint: IStreamClientEndpoint,
    where: Url,
    properties: Mapping[str, Value],
    arguments: tuple[Value, ...],
) -> NetConnection:
    factory = Factory.forProtocol(lambda: connection)
    factory.noisy = False
    await endpoint.connect(factory)
    try:
        await connection.enter(where.app, where.tc_url, properties, arguments)
    except BaseException:
        connection.abort()
        raise
    return connection


class NetConnection(Protocol):
    """A client's connection to an application of a server; `connect` makes it."""

    log = Logger()

    def __init__(self, clock: IReactorTime, session: ClientSession | None = None) -> None:
        """`session` chooses the handshake; left out, it is plain RTMP's."""
        self.clock = clock
        self.session = session or ClientSession(random=os.urandom)
        self.streams: dict[int, NetStream] = {}
        self.on_status: Callable[[Info], object] = _ignore
        "Hears statuses about the connection, such as NetConnection.Connect.AppShutdown."

        self.on_call: Callable[[Command], object] = _ignore
        "Hears calls of the server, such as onBWDone."

        self.on_drained: Callable[[], object] = _nothing
        "Called whenever everything that had to wait has left us. See `when_drained`."

        self._writer: MeteredWriter | None = None
        self._liveness: Liveness | None = None
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock
        self.answers = Answers(clock)
        "What we and our streams wait for: by transaction id, by NetStream, or the handshake."

        self._drains: list[Deferred[None]] = []
        self._ends: list[Deferred[None]] = []
        self._linger: IDelayedCall | None = None
        self._closing = False
        "We want it to end."
        self._error: Failure | None = None
        "Why we had to end it."
        self._lost: Failure | None = None
        "Why it ended."

    # ---------------------------------------------------------------- requests

    async def enter(
        self,
        app: str,
        tc_url: str,
        properties: Mapping[str, Value] | None = None,
        arguments: tuple[Value, ...] = (),
    ) -> None:
        """
        Wait for the handshake and connect to an application, however long that takes.

        Raises:
            Refusal: the server does not want us.
        """
        if self.session.state is State.HANDSHAKING:
            await self.answers.expect(Handshaken, "the handshake", patience=None)
        transaction_id = self.session.connect(app, tc_url, properties, arguments)
        self.send()
        await self.answers.expect(transaction_id, "connect", patience=None)
        self._liveness = Liveness(self.session, self.clock.seconds())
        self._looking.start(1.0, now=False)

    def call(self, name: str, *arguments: Value) -> Deferred[tuple[Value, ...]]:
        """Call a method of the server's application; fires with what it returned."""
        return self._request(lambda: self.session.call(name, *arguments), name)

    def create_stream(self) -> Deferred[NetStream]:
        """Make a NetStream, which then publishes or plays."""

        def made(values: tuple[Value, ...]) -> NetStream:
            match values:
                case [float(number), *_] if number.is_integer() and 0 < number < 1 << 32:
                    return self.streams.setdefault(int(number), NetStream(self, int(number)))
            raise RemoteProtocolError(f"createStream gave {values} (expected a number from 1 on)")

        return self._request(self.session.create_stream, "createStream").addCallback(made)

    def close(self) -> Deferred[None]:
        """Send what is left, close; fires when the connection is gone, in whatever way."""
        if self._writer is not None and self._lost is None and not self._closing:
            self._closing = True
            self._linger = self.clock.callLater(LINGER, self.abort)
            self._writer.close()
        return self.when_closed()

    def abort(self) -> None:
        """Close at once, whatever is still to be sent."""
        self._closing = True
        transport: Any = self.transport
        if transport is not None and self._lost is None:
            transport.abortConnection()

    def when_closed(self) -> Deferred[None]:
        """
        A Deferred of its own for each caller; fires when the connection is gone.

        Raises:
            ConnectionLost, RemoteProtocolError, TimeoutError: by the Deferred, when it was ended
                neither by us nor by the server in good order.
        """
        if self._lost is None:
            end: Deferred[None] = Deferred()
            self._ends.append(end)
            return end
        if self._error is None and (self._closing or self._lost.check(ConnectionDone)):
            return succeed(None)
        return self._fail()

    def when_drained(self) -> Deferred[None]:
        """A Deferred of its own for each caller; fires when nothing (more) waits to be sent."""
        if self._lost is not None:
            return self._fail()
        if self.idle:
            return succeed(None)
        drain: Deferred[None] = Deferred()
        self._drains.append(drain)
        return drain

    @property
    def closed(self) -> bool:
        """The connection is gone."""
        return self._lost is not None

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
            self._give_up(error)
        self.send()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Whoever waits for something hears that it will not come."""
        self.session.close()
        self._lost = self._error or reason
        if self._looking.running:
            self._looking.stop()
        if self._linger is not None and self._linger.active():
            self._linger.cancel()
        assert self._lost.value is not None
        self.answers.end(self._lost.value)
        drains, self._drains = self._drains, []
        for drain in drains:
            drain.errback(self._lost)
        ends, self._ends = self._ends, []
        for end in ends:
            self.when_closed().chainDeferred(end)

    def send(self) -> None:
        """Hand over what the session has to say."""
        data = self.session.data_to_send()
        if data and self._writer is not None:
            self._writer.write(data)

    def _drained(self) -> None:
        drains, self._drains = self._drains, []
        for drain in drains:
            drain.callback(None)
        self.on_drained()

    def _look(self) -> None:
        assert self._liveness is not None
        try:
            alive = self._liveness.look(self.clock.seconds())
        except RemoteProtocolError as error:
            self._give_up(error)
            return
        self.send()
        if not alive:
            self._give_up(TimeoutError("the server says nothing, not even the answer to a ping"))

    def _give_up(self, error: Exception) -> None:
        if self._error is None:
            self._error = Failure(error)
            self.abort()

    # ---------------------------------------------------------------- answers

    def _heard(self, event: Event) -> None:
        match event:
            case Message():
                stream = self.streams.get(event.stream_id)
                if stream is not None:
                    stream.on_message(event)
            case Handshaken():
                self.send()  # the handshake's own bytes are never encrypted
                if event.ciphers is not None and self._writer is not None:
                    self._writer = CipherWriter(self._writer, event.ciphers.encrypt)
                self.answers.give(Handshaken, None)
            case Result():
                if event.ok:
                    self.answers.give(event.transaction_id, event.values)
                else:
                    said = (*event.values, event.properties)
                    info = next((value for value in said if isinstance(value, dict)), {})
                    self.answers.give(event.transaction_id, Failure(Refusal(info)))
            case StatusChange():
                stream = self.streams.get(event.stream_id)
                if stream is not None:
                    stream.heard(event.info)
                else:
                    self.on_status(event.info)
            case Command():
                self.on_call(event)

    def _request(self, send: Callable[[], float], what: str) -> Deferred[tuple[Value, ...]]:
        if self._lost is not None:
            return self._fail()
        try:
            transaction_id = send()
        except ProtocolError:
            return fail()
        self.send()
        return self.answers.expect(transaction_id, what)

    def _fail(self) -> Deferred[Any]:
        assert self._lost is not None
        return fail(self._lost.value)


def _ignore(_: object) -> None:
    """Nobody listens."""


def _nothing() -> None:
    """Nobody waits."""
