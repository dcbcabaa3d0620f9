"""HTTP connections in memory: bytes in, answers out, read as strictly as librtmp does."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from typing import Any, cast

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from rtmptwist.net.tunnel import TunnelLimits
from rtmptwist.net.tunnels import Tunnels
from rtmptwist.web import rtmpt
from rtmptwist.web.site import Mount, Site
from tests.support.tunnel import HOST, PEER, Listener, Listeners


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes


def request(
    target: str,
    body: bytes = b"\x00",
    *headers: str,
    method: str = "POST",
    version: str = "HTTP/1.1",
    length: bool = True,
) -> bytes:
    """The bytes of a request as FFmpeg writes them."""
    lines = [f"{method} {target} {version}", "Host: example.org", *headers]
    if length:
        lines.insert(2, f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def chunked(body: bytes, size: int = 7) -> bytes:
    """A body in chunks, with everything that chunks may have."""
    chunks = [body[i : i + size] for i in range(0, len(body), size)]
    parts = [b"%x;name=value\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks]
    return b"".join(parts) + b"0\r\nTrailer: x\r\n\r\n"


def answers(data: bytes) -> list[Answer]:
    """Take answers apart; fails on what librtmp does not read."""
    found = []
    while data:
        head, separator, rest = data.partition(b"\r\n\r\n")
        assert separator, data
        status, *lines = head.decode().split("\r\n")
        version, code, _ = status.split(" ", 2)
        assert version in {"HTTP/1.1", "HTTP/1.0"}
        headers = dict(line.split(": ", 1) for line in lines)
        assert "Transfer-Encoding" not in headers
        size = int(headers["Content-Length"])
        assert len(rest) >= size, data
        found.append(Answer(int(code), headers, rest[:size]))
        data = rest[size:]
    return found


class Wire:
    """One HTTP connection to a site."""

    def __init__(self, site: Site, peer: IAddress = PEER) -> None:
        self.transport: Any = StringTransport(HOST, peer)
        self.channel = cast("Any", site.buildProtocol(peer))
        self.channel.makeConnection(self.transport)

    def say(self, data: bytes) -> None:
        """Bytes to the server."""
        self.channel.dataReceived(data)

    def raw(self) -> bytes:
        """What it wrote since the last look."""
        data: bytes = self.transport.value()
        self.transport.clear()
        return data

    def hear(self) -> list[Answer]:
        """The same as answers."""
        return answers(self.raw())

    def ask(self, target: str, body: bytes = b"\x00", *headers: str) -> Answer:
        """Make a request that is answered at once."""
        self.say(request(target, body, *headers))
        [answer] = self.hear()
        return answer

    def lose(self) -> None:
        """The connection is lost."""
        self.channel.connectionLost(Failure(ConnectionLost()))

    @property
    def closed(self) -> bool:
        """The server has closed it."""
        return bool(self.transport.disconnecting)


class Web:
    """A site that serves tunnels to listeners, with a fake clock."""

    def __init__(
        self,
        *,
        express: bool = True,
        limits: TunnelLimits | None = None,
        proxies: tuple[IPv4Network | IPv6Network, ...] = (),
        mounts: tuple[Mount, ...] = (),
    ) -> None:
        self.clock = Clock()
        self.factory = Listeners()
        self.tunnels = Tunnels(self.factory, self.clock, limits)
        mount = partial(rtmpt.mount, tunnels=self.tunnels, proxies=proxies)
        self.site = Site(self.clock, [mount, *mounts], self.tunnels if express else None)

    def connect(self, peer: IAddress = PEER) -> Wire:
        """A new HTTP connection."""
        return Wire(self.site, peer)

    def open(self) -> tuple[Wire, str, Listener]:
        """A new HTTP connection with a session; what is behind it answers in capitals."""
        wire = self.connect()
        session_id = wire.ask("/open/1").body.decode().strip()
        listener = self.factory.made[-1]
        listener.answer = listener.echo
        return wire, session_id, listener

    def turn(self, seconds: float = 0.0) -> None:
        """Let the reactor turn, and time pass."""
        self.clock.advance(seconds)
