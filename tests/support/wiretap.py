"""A wire that is listened to: passes connections on, and keeps what went through them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from tests.support.guests import reactor


class _End(Protocol):
    """One of the two ends of a connection that goes through."""

    def __init__(self, kept: bytearray) -> None:
        self._kept = kept
        self._early = bytearray()
        self.other: _End | None = None

    def dataReceived(self, data: bytes) -> None:
        self._kept += data
        self._early += data
        self.pass_on()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.other is not None:
            transport: Any = self.other.transport
            transport.loseConnection()

    def pass_on(self) -> None:
        if self.other is not None:
            transport: Any = self.other.transport
            transport.write(bytes(self._early))
            self._early.clear()


class Wiretap(Factory):
    """Where to connect instead of the server, on `port`."""

    noisy = False

    def __init__(self, server: int) -> None:
        self._server = TCP4ClientEndpoint(reactor, "127.0.0.1", server)
        self.said = bytearray()
        "By the clients."
        self.heard = bytearray()
        "From the server."
        self.listening: Any = reactor.listenTCP(0, self, interface="127.0.0.1")
        self.port: int = self.listening.getHost().port

    def buildProtocol(self, addr: object) -> Protocol:
        near, far = _End(self.said), _End(self.heard)

        def connected(_: Protocol) -> None:
            near.other, far.other = far, near
            near.pass_on()
            if not near.connected:
                transport: Any = far.transport
                transport.loseConnection()

        connectProtocol(self._server, far).addCallback(connected)
        return near


@asynccontextmanager
async def wiretap(server: int) -> AsyncIterator[Wiretap]:
    """A wire to the server on a port of this machine, for as long as the block lasts."""
    tap = Wiretap(server)
    try:
        yield tap
    finally:
        await tap.listening.stopListening()
