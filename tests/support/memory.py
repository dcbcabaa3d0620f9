"""
A server and its clients in one process: no sockets, no real time.

`serve_in_memory()` gives both, joined by transports that behave as Twisted's TCP ones do, as far as
a protocol can tell. Whatever else shall carry the bytes (TLS, a front door, a tunnel) goes around
both ends by `MemorySite.wrap`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IProtocol,
    IProtocolFactory,
    IPushProducer,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from zope.interface import implementer

from rtmptwist.live.access import Account, Gate, Grant, Request, Terms, Usage, Visitor
from rtmptwist.live.application import Application
from rtmptwist.live.interfaces import ConnectionLimits, StreamSettings
from rtmptwist.live.registry import Registry, VirtualHost
from rtmptwist.net.client import NetConnection, NetStream, connect
from rtmptwist.net.connection import ServerConnection
from rtmptwist.net.server import Care, ServerFactory
from tests.support.live import Bounds, Settings
from tests.support.pair import randomness

T = TypeVar("T")
Wrap = Callable[[IProtocolFactory], IProtocolFactory]

HIGH_WATER: Final = 64 * 1024
"Bytes that a transport takes before it says that it has enough, as Twisted's."


@implementer(ITransport, IConsumer, IPushProducer)
class MemoryTransport:
    """One end of a connection. `reading` is also the switch for a peer that does not read."""

    def __init__(self, host: IAddress, peer: IAddress) -> None:
        self.protocol: Any = None
        self.other: MemoryTransport
        self.written = bytearray()
        "What the other end has not got yet."
        self.reading = True
        self.disconnecting = False
        self.aborted = False
        self.ended = False
        "The other end is done; that is read like everything before it."
        self.lost = False
        self.cut = False
        "No byte goes this way any more, and no word of an end."
        self.history = bytearray()
        "All that was ever written."
        self.producer: Any = None
        self._streaming = True
        self._paused = False
        self._host = host
        self._peer = peer

    # ITransport

    def write(self, data: bytes) -> None:
        if self.lost or self.aborted:
            return
        self.written += data
        self.history += data
        enough = len(self.written) > HIGH_WATER
        if enough and not self._paused and self.producer is not None and self._streaming:
            self._paused = True
            self.producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        self.disconnecting = True
        self.reading = False

    def abortConnection(self) -> None:
        self.disconnecting = self.aborted = True
        self.reading = False
        self.written.clear()

    def getPeer(self) -> IAddress:
        return self._peer

    def getHost(self) -> IAddress:
        return self._host

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Twisted's TLS takes what is below for TCP."""

    # IConsumer

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert self.producer is None
        self.producer, self._streaming, self._paused = producer, streaming, False
        if not streaming:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        self.producer = None

    # IPushProducer

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        if not (self.disconnecting or self.lost):
            self.reading = True

    def stopProducing(self) -> None:
        self.loseConnection()

    # What the network does.

    def vanish(self) -> None:
        """The other end is gone without a word, as when a cable is pulled."""
        self.cut = self.other.cut = True

    def step(self, piece: int) -> bool:
        """Do one thing, if there is any."""
        if self.lost:
            return False
        other = self.other
        if self.aborted:
            self.lose(ConnectionAborted())
            if not self.cut:
                other.lose(ConnectionLost())
            return True
        if self.cut:
            return False
        if self.written and other.lost:
            self.written.clear()
            return True
        if self.written and other.reading:
            data = bytes(self.written[:piece])
            del self.written[:piece]
            other.protocol.dataReceived(data)
            return True
        if not self.written and self.producer is not None and self._paused:
            self._paused = False
            self.producer.resumeProducing()
            return True
        if not self.written and self.disconnecting and (self.producer is None or self._streaming):
            self.lose(ConnectionDone())
            other.ended = True
            return True
        if self.ended and self.reading and not other.written:
            self.lose(ConnectionDone())
            return True
        return False

    def lose(self, reason: BaseException) -> None:
        """The connection is gone."""
        if not self.lost:
            self.lost = True
            producer, self.producer = self.producer, None
            if producer is not None:
                producer.stopProducing()
            self.protocol.connectionLost(Failure(reason))


@implementer(IStreamClientEndpoint)
class MemoryEndpoint:
    """Connects clients to a factory. `peer` is who they seem to be."""

    def __init__(self, site: MemorySite, factory: IProtocolFactory, peer: IAddress) -> None:
        self._site = site
        self._factory = factory
        self._peer = peer

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        here = IPv4Address("TCP", "198.51.100.1", 1935)
        server, client = MemoryTransport(here, self._peer), MemoryTransport(self._peer, here)
        server.other, client.other = client, server
        self._site.transports += [server, client]
        welcome = self._factory.buildProtocol(self._peer)
        server.protocol = welcome or Protocol()
        client.protocol = self._site.around_client(protocolFactory).buildProtocol(here)
        server.protocol.makeConnection(server)
        client.protocol.makeConnection(client)
        if welcome is None:  # Twisted closes what nobody wants to have
            server.loseConnection()
        protocol = client.protocol
        while self._site.around_client is not as_it_is and isinstance(protocol, ProtocolWrapper):
            protocol = protocol.wrappedProtocol
        return succeed(protocol)


def as_it_is(factory: IProtocolFactory) -> IProtocolFactory:
    """Nothing around it."""
    return factory


class MemorySite:
    """A server without sockets, its clock, and whoever connects to it."""

    URL: Final = "rtmp://example.org/live"
    "Clients may have another scheme, see `speak`."

    def __init__(self, registry: Registry, factory: IProtocolFactory, clock: Clock) -> None:
        self.registry = registry
        self.factory = factory
        self.clock = clock
        self.transports: list[MemoryTransport] = []
        self.url = self.URL
        self.piece = 1 << 30
        "Bytes that are delivered at a time."
        self.around_client: Wrap = as_it_is
        self._ports = iter(range(50_000, 60_000))

    def wrap(self, server: Wrap, client: Wrap) -> MemorySite:
        """Put something around both ends of every connection to come; give it `clock`."""
        self.factory = server(self.factory)
        self.around_client = client
        return self

    def speak(self, scheme: str) -> MemorySite:
        """Have clients connect by this variant. (TLS is for `wrap`: it needs our clock.)"""
        self.url = scheme + self.URL.removeprefix("rtmp")
        return self

    # Time and network.

    def pump(self) -> None:
        """Move bytes, and do what is due, until all is silent."""
        for _ in range(1_000_000):
            moved = [transport for transport in self.transports if transport.step(self.piece)]
            due = [call for call in self.clock.calls if call.getTime() <= self.clock.seconds()]
            if due:
                self.clock.advance(0)
            elif not moved:
                return
        raise AssertionError("never silent")

    def pass_time(self, seconds: float) -> None:
        """Second after second, do what the service does once a second."""
        while seconds > 0:
            self.clock.advance(min(1.0, seconds))
            self.pump()
            for connection in self.connections:
                connection.sweep(self.clock.seconds())
            self.registry.sweep()
            self.pump()
            seconds -= 1.0

    # The server.

    @property
    def connections(self) -> list[ServerConnection]:
        """Of the server, the oldest first."""
        found = [c for c in self.registry.connections if isinstance(c, ServerConnection)]
        return sorted(found, key=lambda connection: connection.id)

    @property
    def application(self) -> Application:
        """The first one."""
        return self.registry.applications()[0]

    # Clients.

    def endpoint(self, address: str = "192.0.2.1") -> MemoryEndpoint:
        """Where a client connects that comes from `address`."""
        peer = IPv4Address("TCP", address, next(self._ports))
        return MemoryEndpoint(self, self.factory, peer)

    def connect(
        self, url: str = "", address: str = "192.0.2.1", **options: Any
    ) -> Deferred[NetConnection]:
        """Connect; what comes of it."""
        options.setdefault("endpoint", self.endpoint(address))
        opening = connect(self.clock, url or self.url, **options)
        self.pump()
        return opening

    def client(self, url: str = "", address: str = "192.0.2.1", **options: Any) -> NetConnection:
        """A client that is connected."""
        return result_of(self.connect(url, address, **options))

    def stream(self, client: NetConnection | None = None) -> NetStream:
        """A NetStream, on a connection of its own if none is given."""
        making = (client or self.client()).create_stream()
        self.pump()
        return result_of(making)

    def publish(self, name: str = "show", client: NetConnection | None = None) -> NetStream:
        """A publisher."""
        stream = self.stream(client)
        self.result(stream.publish(name))
        return stream

    def play(
        self, name: str = "show", client: NetConnection | None = None, **options: Any
    ) -> Spectator:
        """A viewer."""
        spectator = Spectator(self.stream(client))
        self.result(spectator.stream.play(name, **options))
        return spectator

    def result(self, deferred: Deferred[T]) -> T:
        """What comes of it once all is silent."""
        self.pump()
        return result_of(deferred)

    def failure(self, deferred: Deferred[Any]) -> BaseException:
        """What it fails with once all is silent."""
        self.pump()
        return failure_of(deferred)


class Spectator:
    """What a NetStream heard."""

    def __init__(self, stream: NetStream) -> None:
        self.stream = stream
        self.connection = stream.connection
        self.payloads: list[bytes] = []
        self.infos: list[dict[str, Any]] = []
        stream.on_message = lambda message: self.payloads.append(message.payload)
        stream.on_status = self.infos.append

    @property
    def told(self) -> list[str]:
        """The codes of its statuses, without what all have in common."""
        return [info["code"].removeprefix("NetStream.") for info in self.infos]


def serve_in_memory(
    settings: StreamSettings | None = None,
    *,
    gate: Gate | None = None,
    care: Care | None = None,
    limits: ConnectionLimits | None = None,
    hosts: Callable[[Clock], Iterable[VirtualHost]] | None = None,
    **options: Any,
) -> MemorySite:
    """Serve an application `live` to everybody; `options` are those of `ServerFactory`."""
    clock = Clock()
    made = hosts(clock) if hosts else [host("", "live", clock=clock, settings=settings)]
    bounds = limits or Bounds(connections=1000, connections_per_address=1000)
    registry = Registry(made, bounds, clock)
    options.setdefault("random", randomness(3).randbytes)
    factory = ServerFactory(registry, gate or OpenGate(), clock, care=care, **options)
    return MemorySite(registry, factory, clock)


def host(
    name: str, *applications: str, clock: Clock, settings: StreamSettings | None = None
) -> VirtualHost:
    """A virtual host with these applications."""
    return VirtualHost(
        name, [Application(app, settings or Settings(), clock, host=name) for app in applications]
    )


class Guest:
    """`live.Account`: somebody who may do everything."""

    def __init__(self, gate: OpenGate, identity: str) -> None:
        self.name = "guest"
        self._identity = identity
        self._gate = gate

    async def authorize(self, request: Request) -> Grant:
        await self._gate.asked(f"{request.action} {request.application.name}/{request.path}")
        gate = self._gate
        return Grant(
            request.path,
            self._identity,
            self.name,
            terms=gate.terms,
            ended=(gate.ended.append,),
            doubts=(lambda: "", lambda: gate.doubts.get(request.action, "")),
        )

    def objection(self) -> str:
        return self._gate.objection

    def left(self) -> None:
        self._gate.left += 1


class OpenGate:
    """`live.Gate`: lets everybody in, at once. Others say no, or later, in `asked`."""

    def __init__(self) -> None:
        self.questions: list[str] = []
        self.ended: list[Usage] = []
        "Of the grants that were given."
        self.left = 0
        "Accounts whose connections are gone."
        self.terms = Terms()
        "Of the grants to come."
        self.doubts: dict[str, str] = {}
        "Of all grants, by what they are for."
        self.objection = ""
        "To all accounts."

    async def login(self, visitor: Visitor) -> Account:
        await self.asked(f"login {visitor.application.name}")
        return Guest(self, visitor.address)

    async def asked(self, question: str) -> None:
        self.questions.append(question)


class SlowGate(OpenGate):
    """A gate that takes its time for questions that begin with `slow`."""

    def __init__(self, *slow: str) -> None:
        super().__init__()
        self._slow = slow
        self.pending: list[Deferred[None]] = []
        self.cancelled: list[str] = []

    async def asked(self, question: str) -> None:
        self.questions.append(question)
        if question.startswith(self._slow):
            deferred: Deferred[None] = Deferred(lambda _: self.cancelled.append(question))
            self.pending.append(deferred)
            await deferred

    def decide(self, answer: BaseException | None = None) -> None:
        """Answer the oldest question: no, or with nothing: yes."""
        deferred = self.pending.pop(0)
        if answer is None:
            deferred.callback(None)
        else:
            deferred.errback(answer)


class StrictGate(OpenGate):
    """A gate that raises what `answers` says, by the beginning of the question."""

    def __init__(self, **answers: BaseException) -> None:
        super().__init__()
        self.answers = answers

    async def asked(self, question: str) -> None:
        self.questions.append(question)
        answer = self.answers.get(question.split()[0])
        if answer is not None:
            raise answer


def result_of(deferred: Deferred[T]) -> T:
    """What a Deferred has fired with."""
    outcomes: list[Any] = []
    deferred.addBoth(outcomes.append)
    assert outcomes, "nothing came of it yet"
    if isinstance(outcomes[0], Failure):
        outcomes[0].raiseException()
    return outcomes[0]  # type: ignore[no-any-return]


def failure_of(deferred: Deferred[Any]) -> BaseException:
    """What a Deferred has failed with."""
    outcomes: list[Any] = []
    deferred.addBoth(outcomes.append)
    assert outcomes, "nothing came of it yet"
    assert isinstance(outcomes[0], Failure), f"succeeded: {outcomes[0]!r}"
    assert outcomes[0].value is not None
    return outcomes[0].value
