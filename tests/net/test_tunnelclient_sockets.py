"""The client's end of a tunnel over real sockets, with the real server behind them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from rtmptwist.amf.values import Value
from rtmptwist.net.client import NetConnection
from rtmptwist.net.connection import ServerConnection
from rtmptwist.net.tls import client_tls
from rtmptwist.net.tunnelclient import BODY_SIZE, TunnelClientEndpoint
from rtmptwist.wire.client import ClientSession
from rtmptwist.wire.handshake import ClientHandshake, HandshakeKind
from tests.support.guests import Host, eventually, reactor
from tests.support.live import headers, payloads
from tests.support.reactor import reactor_test
from tests.support.tls import ca_file
from tests.support.tunnelled import exact, pair, pictures, serving, straight, through


@reactor_test
async def test_publish_and_play() -> None:
    async with serving() as host:
        publisher, viewer = await pair(host)
        await exact(publisher, viewer, pictures(1, 100, 5000, 0, 70_000))
        await publisher.connection.close()
        await viewer.until_told("Play.UnpublishNotify")


@reactor_test
async def test_large_messages() -> None:
    """Longer than a request, longer than an answer, and the longest there can be."""
    async with serving() as host:
        publisher, viewer = await pair(host)
        await exact(publisher, viewer, pictures(65_535, 65_536, BODY_SIZE, 3 * BODY_SIZE + 1))
        await exact(publisher, viewer, pictures(0xFFFFFF - 5))


@reactor_test
async def test_thousands_of_small_ones() -> None:
    async with serving() as host:
        publisher, viewer = await pair(host)
        await exact(publisher, viewer, pictures(*(size % 50 for size in range(3000))))


@reactor_test
async def test_a_publisher_that_waits_for_its_connection() -> None:
    """Flow control is what a relay and a file stand on."""
    async with serving() as host:
        publisher, viewer = await pair(host)
        messages = pictures(*[50_000] * 100)
        waits = 0
        for message in messages:
            publisher.send(message)
            if not publisher.connection.idle:
                waits += 1
                await publisher.connection.when_drained()
        await viewer.until(lambda: len(viewer.payloads) >= 2 + len(messages))
        assert viewer.payloads[2:] == payloads(messages)
        assert 10 <= waits <= 50


@reactor_test
async def test_both_ways_on_one_connection() -> None:
    async with serving() as host:
        publisher = await host.publish(on=await through(host))
        await publisher.feed(*headers())
        viewer = await host.play(on=publisher.connection)
        for _ in range(3):
            await exact(publisher, viewer, pictures(10, 10_000, 300_000))


@reactor_test
async def test_in_a_tunnel_and_beside_it() -> None:
    async with serving() as host:
        inside = await host.publish("a", on=await through(host))
        beside = await host.publish("b")
        for publisher in (inside, beside):
            await publisher.feed(*headers())
        await exact(inside, await host.play("a"), pictures(10, 10_000))
        await exact(beside, await host.play("b", on=await through(host)), pictures(10, 10_000))


@reactor_test
async def test_what_was_written_arrives_before_the_end() -> None:
    async with serving() as host:
        publisher, viewer = await pair(host)
        messages = pictures(*[100_000] * 20)
        publisher.send(*messages)
        await publisher.connection.close()
        await viewer.until_told("Play.UnpublishNotify")
        assert viewer.payloads[2:] == payloads(messages)


@reactor_test
async def test_the_server_closes_a_connection() -> None:
    async with serving() as host:
        publisher, viewer = await pair(host)
        for connection in tuple(host.registry.connections):
            if isinstance(connection, ServerConnection):
                connection.finish("enough")
        for guest in (publisher, viewer):
            await guest.connection.when_closed()  # in good order


@reactor_test
async def test_the_server_stops() -> None:
    """It says so in an answer, and keeps no HTTP connection open for ever."""
    async with serving() as host:
        told: list[Value] = []
        for guest in await pair(host):
            guest.connection.on_status = lambda info: told.append(info["code"])
        await host.stop()
        await eventually(lambda: not host.registry.connections)
        await eventually(lambda: told == ["NetConnection.Connect.AppShutdown"] * 2)


@reactor_test
async def test_an_aborted_connection_frees_its_name() -> None:
    async with serving() as host:
        publisher, viewer = await pair(host)
        publisher.vanish()
        await viewer.until_told("Play.UnpublishNotify", patience=15.0)  # half of the silence


@pytest.mark.parametrize("rtmpe_type", [6, 8, 9])
@reactor_test
async def test_rtmpte(rtmpe_type: int) -> None:
    """RTMPE's bytes are as good as any."""
    async with serving() as host:
        handshake = ClientHandshake(HandshakeKind.RTMPE, random=os.urandom, rtmpe_type=rtmpe_type)
        session = ClientSession(random=os.urandom, handshake=handshake)
        connection = NetConnection(reactor, session)
        host.also(connection)
        endpoint = TunnelClientEndpoint(reactor, straight(host), "localhost", host.port)
        await endpoint.connect(Factory.forProtocol(lambda: connection))
        await connection.enter("live", f"rtmpte://localhost:{host.port}/live", {}, ())
        publisher = await host.publish(on=connection)
        await publisher.feed(*headers())
        viewer = await host.play()
        await exact(publisher, viewer, pictures(10, 10_000, 300_000))


@reactor_test
async def test_rtmpts(tmp_path: Path) -> None:
    async with serving(tmp_path) as host:
        tls = client_tls("localhost", ca_file=ca_file(tmp_path))
        way = wrapClientTLS(tls, straight(host))
        publisher, viewer = await pair(host, way, way)
        await exact(publisher, viewer, pictures(10, 10_000, 300_000))
        await publisher.connection.close()
        await viewer.until_told("Play.UnpublishNotify")


@reactor_test
async def test_rtmpts_with_a_certificate_that_nobody_signed(tmp_path: Path) -> None:
    async with serving(tmp_path) as host:
        with pytest.raises(SSL.Error):
            await through(host, wrapClientTLS(client_tls("localhost"), straight(host)))


@reactor_test
async def test_a_port_that_has_no_tunnels(tmp_path: Path) -> None:
    async with serving(tmp_path) as host:
        with pytest.raises(ConnectError, match="no RTMPT: 403 Forbidden"):
            await through(host)


# ----------------------------------------------------------------------- a bad network


class Half(Protocol):
    """One of the two connections of a detour."""

    def __init__(self, detour: Detour, other: Half | None = None) -> None:
        self.detour = detour
        self.other = other
        self.to_server = other is not None
        self.under_way = 0
        self.kind = b""
        self._early: list[bytes] = []
        self._lost = False

    def connectionMade(self) -> None:
        if self.other is not None:
            self.other.meet(self)
        else:
            way = TCP4ClientEndpoint(reactor, "127.0.0.1", self.detour.port)
            way.connect(Factory.forProtocol(lambda: Half(self.detour, self))).addErrback(
                lambda _: self.cut()
            )

    def meet(self, other: Half) -> None:
        """The other one is there."""
        self.other = other
        if self._lost:
            other.cut()
            return
        for data in self._early:
            self.detour.pass_on(self, data)

    def dataReceived(self, data: bytes) -> None:
        if self.other is None:
            self._early.append(data)
        else:
            self.detour.pass_on(self, data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost = True
        if self.other is not None:
            other: Any = self.other.transport
            other.loseConnection()

    def cut(self) -> None:
        """Break it."""
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()


class Detour(Factory):
    """
    One client's network, when it is `bad`: loses half of every fifth answer, every seventh request.

    Only those of one kind: a publisher's to `send`, a viewer's to `idle`, because then nothing else
    is under way; two that are lost are more than anybody can make good. For the same reason no
    `send` is lost before it arrives: it may have been made behind another. And never two in a row,
    which would take half a second.
    """

    noisy = False

    def __init__(self, port: int, kind: bytes) -> None:
        self.port = port
        self.kind = kind
        self.bad = False
        self.cuts = 0
        self._requests = 0
        self._answers = 0
        self._mercy = False

    def buildProtocol(self, addr: IAddress | None) -> Half:
        return Half(self)

    def pass_on(self, half: Half, data: bytes) -> None:
        """Bytes to the other side, or not."""
        other = half.other
        assert other is not None
        transport: Any = other.transport
        if half.to_server:
            answers = data.count(b"HTTP/1.1 200 OK")
            self._answers += answers
            if answers and self._answers % 5 == 0 and self._cuts(other):
                transport.write(data[: len(data) // 2])
                transport.loseConnection()
                return
            other.under_way -= answers
        else:
            requests = data.count(b"POST /")
            self._requests += requests
            half.under_way += requests
            half.kind = data[6:10] if requests else half.kind
            if self._requests % 7 == 0 and half.kind == b"idle" and self._cuts(half):
                half.cut()
                return
        transport.write(data)

    def _cuts(self, client: Half) -> bool:
        alone = client.under_way == 1 and client.kind == self.kind
        cuts = self.bad and alone and not self._mercy
        self._mercy = cuts
        self.cuts += cuts
        return cuts


@asynccontextmanager
async def detour(host: Host, kind: bytes) -> AsyncIterator[tuple[Detour, IStreamClientEndpoint]]:
    """A way to the server over such a network."""
    network = Detour(host.port, kind)
    port = reactor.listenTCP(0, network, interface="127.0.0.1")
    try:
        yield network, TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
    finally:
        await port.stopListening()


@reactor_test
async def test_broken_connections_leave_streams_exact() -> None:
    async with (
        serving() as host,
        detour(host, b"send") as (network, way),
        detour(host, b"idle") as (another, way_back),
    ):
        publisher, viewer = await pair(host, way, way_back)
        network.bad = another.bad = True
        for number in range(60):
            await exact(publisher, viewer, pictures(number * 100))
        assert network.cuts >= 5
        assert another.cuts >= 10
        await publisher.connection.close()
        await viewer.until_told("Play.UnpublishNotify")
        await viewer.connection.close()
