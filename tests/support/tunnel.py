"""Connections that only listen and speak, and clients of a tunnel."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from rtmptwist.net.polls import Kind
from rtmptwist.net.tunnel import Tunnel, TunnelLimits
from rtmptwist.net.tunnels import Tunnels

PEER = IPv4Address("TCP", "192.0.2.1", 4711)
HOST = IPv4Address("TCP", "198.51.100.1", 80)


def never(status: int, body: bytes) -> None:
    """A reply that must not come."""
    raise AssertionError(f"{status} {body!r}")


class Listener(Protocol):
    """A connection that keeps what it hears; does what a test tells it to."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.lost: list[Failure] = []
        "Why; one at most."
        self.answer: Callable[[bytes], None] = lambda data: None

    @property
    def tunnel(self) -> Tunnel:
        """What carries it."""
        return cast("Tunnel", self.transport)

    def dataReceived(self, data: bytes) -> None:
        assert not self.lost
        self.heard.append(data)
        self.answer(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.append(reason)

    def echo(self, data: bytes) -> None:
        """An answer: the same again, in capitals."""
        self.tunnel.write(data.upper())


class Listeners(Factory):
    """Makes and keeps listeners."""

    noisy = False

    def __init__(self) -> None:
        self.made: list[Listener] = []
        self.closed = False

    def buildProtocol(self, addr: IAddress | None) -> Listener | None:
        if self.closed:
            return None
        self.made.append(Listener())
        return self.made[-1]


class Desk:
    """One session, with a fake clock; a request's answers are a list that fills."""

    def __init__(self, limits: TunnelLimits | None = None) -> None:
        self.clock = Clock()
        self.factory = Listeners()
        self.tunnels = Tunnels(self.factory, self.clock, limits)
        self.session_id = self.tunnels.open(PEER, HOST)
        self.listener = self.factory.made[0]
        self.tunnel = self.listener.tunnel

    def ask(self, kind: Kind, number: int | None, body: bytes = b"\x00") -> list[tuple[int, bytes]]:
        """Make a request; its answers appear in the list."""
        answers: list[tuple[int, bytes]] = []
        self.tunnels.enter(self.session_id, kind, number, body, _into(answers))
        return answers

    def send(self, number: int, body: bytes) -> list[tuple[int, bytes]]:
        """Bring bytes."""
        return self.ask(Kind.SEND, number, body)

    def idle(self, number: int) -> list[tuple[int, bytes]]:
        """Ask for bytes."""
        return self.ask(Kind.IDLE, number)

    def close(self, number: int | None) -> list[tuple[int, bytes]]:
        """Say goodbye."""
        return self.ask(Kind.CLOSE, number)

    def turn(self, seconds: float = 0.0) -> None:
        """Let the reactor turn, and time pass."""
        self.clock.advance(seconds)


def _into(answers: list[tuple[int, bytes]]) -> Callable[[int, bytes], None]:
    def reply(status: int, body: bytes) -> None:
        answers.append((status, body))

    return reply
