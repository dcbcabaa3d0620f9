"""Our own clients in tunnels, over real sockets, at a server in this process."""

from __future__ import annotations

import hashlib
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint

from rtmptwist.net.client import NetConnection, connect
from rtmptwist.net.tunnelclient import TunnelClientEndpoint
from rtmptwist.wire.message import Message, MessageType
from tests.support import guests
from tests.support.guests import Guest, Host, live, reactor
from tests.support.live import headers, payloads
from tests.support.tls import issue, put


def serving(folder: Path | None = None) -> AbstractAsyncContextManager[Host]:
    """A server of RTMPT and RTMPTE; of RTMPTS, as `localhost`, if there is a folder."""
    certificate = folder and put(folder, "localhost", issue("localhost"))
    serve = ("rtmpts",) if folder else ("rtmp", "rtmpt", "rtmpte")
    return guests.serving(live(grace=0.0), serve=serve, certificate=certificate)


def straight(host: Host) -> IStreamClientEndpoint:
    """Where the server listens."""
    return TCP4ClientEndpoint(reactor, "127.0.0.1", host.port)


async def through(host: Host, way: IStreamClientEndpoint | None = None) -> NetConnection:
    """A connection in a tunnel; `way` leads to the server, straight or by a detour."""
    endpoint = TunnelClientEndpoint(reactor, way or straight(host), "localhost", host.port)
    connection = await connect(reactor, f"{host.address}/live", endpoint=endpoint)
    host.also(connection)
    return connection


async def pair(host: Host, *ways: IStreamClientEndpoint) -> tuple[Guest, Guest]:
    """A publisher and a viewer, each in a tunnel of its own."""
    there, back = ways or (straight(host), straight(host))
    publisher = await host.publish(on=await through(host, there))
    await publisher.feed(*headers())
    viewer = await host.play(on=await through(host, back))
    await viewer.settle()
    return publisher, viewer


def pictures(*sizes: int) -> list[Message]:
    """One key frame of each size, a millisecond apart, none like another."""
    return [
        Message(MessageType.VIDEO, time, 0, b"\x17\x01\0\0\0" + _noise(time, size))
        for time, size in enumerate(sizes)
    ]


def _noise(seed: int, size: int) -> bytes:
    block = hashlib.sha512(b"%d" % seed).digest()
    return (block * (size // len(block) + 1))[:size]


async def exact(publisher: Guest, viewer: Guest, messages: list[Message]) -> None:
    """The viewer gets all of them, as they were sent."""
    await viewer.settle()
    seen = len(viewer.messages)
    publisher.send(*messages)
    await viewer.until(lambda: len(viewer.messages) >= seen + len(messages))
    assert payloads(viewer.messages[seen:]) == payloads(messages)
