"""An HTTP server in memory for our client: it reads strictly, and does what a test tells it to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectError, ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IProducer,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

SERVER = IPv4Address("TCP", "198.51.100.1", 80)
CLIENT = IPv4Address("TCP", "192.0.2.1", 4711)

HEADERS = (
    "User-Agent: Shockwave Flash",
    "Connection: Keep-Alive",
    "Cache-Control: no-cache",
    "Content-Type: application/x-fcs",
)


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    path: str
    body: bytes


def answer(body: bytes, *headers: str, status: str = "HTTP/1.1 200 OK") -> bytes:
    """An answer as servers for librtmp write it."""
    lines = [status, "Content-Type: application/x-fcs", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def one_request(data: bytes, host: str = "example.org:80") -> tuple[Asked, bytes] | None:
    """Take a request off the front; fails on what librtmp does not write."""
    head, separator, rest = data.partition(b"\r\n\r\n")
    if not separator:
        return None
    line, *headers = head.decode().split("\r\n")
    method, path, version = line.split(" ")
    assert (method, version) == ("POST", "HTTP/1.1")
    assert headers[:-1] == [f"Host: {host}", *HEADERS]
    name, size = headers[-1].split(": ")
    assert name == "Content-Length"
    if len(rest) < int(size):
        return None
    return Asked(path, rest[: int(size)]), rest[int(size) :]


@implementer(ITransport, IConsumer)
class Pipe:
    """A client's transport; tells its protocol of the end in the next turn of the reactor."""

    def __init__(self, clock: Clock) -> None:
        self.protocol: Any = None
        self.written = b""
        self.lost = False
        self.stuck = False
        "The other side does not let it close in good order."

        self._clock = clock
        self._producer: object = None
        self._closing = False

    def write(self, data: bytes) -> None:
        assert not self._closing
        self.written += data

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer = None

    def loseConnection(self) -> None:
        assert self._producer is None, "else it waits for ever"
        self._closing = True
        if not self.stuck:
            self._clock.callLater(0, self.lose, ConnectionDone())

    def abortConnection(self) -> None:
        self._closing = True
        self._clock.callLater(0, self.lose, ConnectionAborted())

    def getPeer(self) -> IAddress:
        return SERVER

    def getHost(self) -> IAddress:
        return CLIENT

    def lose(self, why: Exception) -> None:
        """It is gone."""
        if not self.lost:
            self.lost = True
            self.protocol.connectionLost(Failure(why))


class Wire:
    """One connection, seen from the server."""

    def __init__(self, clock: Clock, protocol: Any) -> None:
        self.pipe = Pipe(clock)
        self.pipe.protocol = protocol
        self._protocol = protocol

    def connect(self) -> None:
        """The client hears that it is there."""
        self._protocol.makeConnection(self.pipe)

    def hear(self) -> list[Asked]:
        """The requests that came since the last look."""
        found = []
        while (request := one_request(self.pipe.written)) is not None:
            found.append(request[0])
            self.pipe.written = request[1]
        return found

    def say(self, data: bytes) -> None:
        """Bytes to the client; none if it has hung up."""
        if not self.pipe.lost:
            self._protocol.dataReceived(data)

    def answer(self, body: bytes, *headers: str, status: str = "HTTP/1.1 200 OK") -> None:
        """Answer a request."""
        self.say(answer(body, *headers, status=status))

    def lose(self, why: Exception | None = None) -> None:
        """It breaks, or is closed."""
        self.pipe.lose(why or ConnectionDone())

    def closed(self) -> bool:
        """The client has closed it."""
        return self.pipe.lost


@implementer(IStreamClientEndpoint)
class HttpServer:
    """What leads to it: every connection becomes a `Wire`."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.wires: list[Wire] = []
        self.down = False
        "It refuses connections."

        self.black_hole = False
        "Connections neither come about nor fail."

        self.stubborn = False
        "A connection that is given up comes about all the same, as it may just then."

        self.attempts = 0

    @property
    def wire(self) -> Wire:
        """The newest connection."""
        return self.wires[-1]

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        self.attempts += 1
        if self.down:
            return fail(ConnectError(string="nobody there"))
        protocol: Any = protocolFactory.buildProtocol(SERVER)
        wire = Wire(self.clock, protocol)

        def connected(_: object = None) -> None:
            if not connecting.called:
                self.wires.append(wire)
                wire.connect()
                connecting.callback(protocol)

        connecting: Deferred[IProtocol] = Deferred(connected if self.stubborn else None)
        if not self.black_hole:
            self.clock.callLater(0, connected)
        return connecting
