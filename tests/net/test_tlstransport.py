"""TLS connections: all bytes, in order, at any speed; beginnings, ends, and old clients."""

from __future__ import annotations

import hashlib
import json
import random
import socket
import ssl
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.testing import StringTransport
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure

from rtmptwist.net.beat import reader_for
from rtmptwist.net.frontdoor import FrontDoor, Speech
from rtmptwist.net.tls import ServerTls, client_tls, in_words, peer_identity
from rtmptwist.net.tlstransport import PromptTransport, TlsFactory, TlsWriter
from rtmptwist.net.writer import MeteredWriter, TransportWriter, tcp_socket, writer_for
from tests.support.guests import eventually, live, serving
from tests.support.live import gop, headers
from tests.support.logs import Logs
from tests.support.memory import serve_in_memory
from tests.support.programs import program
from tests.support.reactor import reactor_test
from tests.support.tls import (
    Answerer,
    Asker,
    ca_file,
    listening,
    reactor,
    server_tls,
)

pytestmark = pytest.mark.usefixtures("logs")

SIZES = [1, 1700, 16383, 16384, 16385, 3 * 16384, 100_000, 1_000_001]
HELLOS = Path(__file__).parent.parent / "vectors" / "clienthello"


class Served(Protocol):
    """A server's end: a writer, what was heard, and how it ended."""

    def __init__(self) -> None:
        self.writer: MeteredWriter
        self.heard = b""
        self.news: Deferred[None] = Deferred()
        self.lost: Deferred[str] = Deferred()

    def connectionMade(self) -> None:
        self.writer = writer_for(self.transport)
        self.greet()

    def greet(self) -> None:
        """Say nothing before one is asked."""

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        if not self.news.called:
            self.news.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(in_words(reason))


class Polite(Served):
    """Speaks first, before the handshake is done."""

    def greet(self) -> None:
        assert not self.writer.write(b"welcome ")
        assert not self.writer.write(b"x" * 20_000)


class Heard(Protocol):
    """A client's end; `slow` ones read a piece in each turn."""

    def __init__(self, *, slow: bool = False) -> None:
        self.slow = slow
        self.digest = hashlib.sha256()
        self.size = 0
        self.lost: Deferred[str] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.digest.update(data)
        self.size += len(data)
        if self.slow:
            transport: Any = self.transport
            transport.pauseProducing()
            reactor.callLater(0, transport.resumeProducing)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(in_words(reason, client=True))


CLEANLY = str(ConnectionDone())


def wrapped(server: ServerTls, *served: Protocol) -> TlsFactory:
    """A factory whose connections are `served`, one after the other."""
    left = iter(served)
    return TlsFactory(server, Factory.forProtocol(lambda: next(left)), reactor)


async def visited(port: int, folder: Path, visitor: Any) -> Any:
    """Connect over TLS, say hello."""
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
    creator = client_tls("localhost", ca_file=ca_file(folder))
    await connectProtocol(wrapClientTLS(creator, endpoint), visitor)
    visitor.transport.write(b"hello")
    return visitor


# ---- bytes


@pytest.mark.parametrize("newest", ["1.2", "1.3"])
@reactor_test
async def test_any_size_arrives_as_it_was(tmp_path: Path, newest: str) -> None:
    served, digest = Served(), hashlib.sha256()
    async with listening(wrapped(server_tls(tmp_path, newest=newest), served)) as port:
        visitor = await visited(port, tmp_path, Heard())
        await served.news
        for size in SIZES:
            data = random.Random(size).randbytes(size)
            digest.update(data)
            served.writer.write(data)
        served.writer.write(b"")
        served.writer.close()
        assert await visitor.lost == CLEANLY
        assert await served.lost == CLEANLY
        assert visitor.size == sum(SIZES) == served.writer.sent
        assert visitor.digest.digest() == digest.digest()
        assert served.heard == b"hello"


@pytest.mark.parametrize("longest", [10_000, 40_000], ids=["one record", "several records"])
@reactor_test
async def test_a_slow_client_gets_all_and_its_writer_knows_when(
    tmp_path: Path, longest: int
) -> None:
    """What `writer_for` promises: idle while nothing waits, and told when that is so again."""
    served, total = Served(), 6_000_000
    digest, written = hashlib.sha256(), 0
    async with listening(wrapped(server_tls(tmp_path), served)) as port:
        visitor = await visited(port, tmp_path, Heard(slow=True))
        await served.news
        writer = served.writer
        assert isinstance(writer, TlsWriter)

        def more() -> None:
            nonlocal written
            while writer.idle and written < total:
                size = 1 + written * 7919 % longest
                data = struct.pack(">I", written) * (size // 4) + bytes(size % 4)
                digest.update(data)
                written += size
                assert writer.write(data) is writer.idle
                assert (writer.waiting == 0) is writer.idle
            if written >= total:
                writer.close()

        writer.drained = more
        more()
        assert await visitor.lost == CLEANLY
        assert await served.lost == CLEANLY
        assert (visitor.size, visitor.digest.digest()) == (written, digest.digest())
        assert writer.stalls > 5


@reactor_test
async def test_one_may_write_to_the_transport_itself(tmp_path: Path) -> None:
    """As HTTP does, which knows no writers."""
    served = Served()
    async with listening(wrapped(server_tls(tmp_path), served)) as port:
        visitor = await visited(port, tmp_path, Heard())
        await served.news
        transport: Any = served.transport
        digest = hashlib.sha256()
        for size in (0, *SIZES):
            data = random.Random(size).randbytes(size)
            digest.update(data)
            transport.write(data)
        served.writer.close()
        assert await visitor.lost == CLEANLY
        assert visitor.digest.digest() == digest.digest()
        await served.lost


@reactor_test
async def test_the_kernel_may_take_a_part_and_then_the_rest(tmp_path: Path) -> None:
    served = Served()
    async with listening(wrapped(server_tls(tmp_path), served)) as port:
        visitor = await visited(port, tmp_path, Heard())
        await served.news
        writer: Any = served.writer
        send = writer._send
        writer._send = lambda record: send(record[:100])
        assert writer.write(b"x" * 1000)
        assert (writer.waiting, writer.sent, writer.stalls) == (0, 1000, 0)
        writer.close()
        assert await visitor.lost == CLEANLY
        assert visitor.size == 1000
        await served.lost


@reactor_test
async def test_a_client_that_breaks_off_in_the_middle_of_a_batch_is_lost(tmp_path: Path) -> None:
    """The socket's error is met by the writer first."""
    served = Served()
    async with listening(wrapped(server_tls(tmp_path), served)) as port:
        visitor = await visited(port, tmp_path, Heard())
        await served.news
        tcp = tcp_socket(visitor.transport)
        assert tcp is not None
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        visitor.transport.abortConnection()
        await visitor.lost
        while served.writer.write(b"x" * 1000):
            pass
        assert "non-clean" in await served.lost
        assert (served.writer.waiting, served.writer.idle) == (0, False)


@reactor_test
async def test_a_publisher_can_be_read_in_beats(tmp_path: Path) -> None:
    served = Served()
    async with listening(wrapped(server_tls(tmp_path), served)) as port:
        visitor = await visited(port, tmp_path, Heard())
        await served.news
        reader = reader_for(served.transport, served.dataReceived)
        assert reader is not None
        reader.take_over()
        visitor.transport.write(b", this is media")
        await eventually(lambda: reader.read() and served.heard != b"hello")
        assert served.heard == b"hello, this is media"
        reader.give_back()
        visitor.transport.loseConnection()
        assert await served.lost == CLEANLY
        await visitor.lost


@reactor_test
async def test_one_may_speak_before_the_handshake(tmp_path: Path) -> None:
    served = Polite()
    async with listening(wrapped(server_tls(tmp_path), served)) as port:
        visitor = await visited(port, tmp_path, Heard())
        await served.news
        assert served.writer.idle
        served.writer.close()
        assert await visitor.lost == CLEANLY
        assert visitor.size == served.writer.sent == 20_008
        await served.lost


class ByHand:
    """A client that is moved by hand, one byte at a time."""

    def __init__(self, folder: Path, served: Served) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        trusting = ssl.create_default_context(cafile=str(ca_file(folder)))
        self.client = trusting.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self.transport = StringTransport(peerAddress=IPv4Address("TCP", "192.0.2.1", 5))
        self.protocol: Any = wrapped(server_tls(folder), served).buildProtocol(None)
        self.protocol.makeConnection(self.transport)
        self.step(*[self.client.do_handshake] * 3)
        self.client.write(b"hello")
        self.step()

    def step(self, *calls: Callable[[], object]) -> None:
        """Call these, and move bytes after each."""
        for call in calls or (bool,):
            with suppress(ssl.SSLWantReadError):
                call()
            for byte in self._outgoing.read():
                self.protocol.dataReceived(bytes([byte]))
            self._incoming.write(self.transport.value())
            self.transport.clear()


@reactor_test
async def test_a_hello_may_come_in_any_pieces(tmp_path: Path) -> None:
    served = Served()
    found = ByHand(tmp_path, served)
    assert found.client.version() == "TLSv1.3"
    assert served.heard == b"hello"
    found.protocol.connectionLost(Failure(ConnectionDone()))


# ---- ends


@reactor_test
async def test_a_client_that_closes_is_lost_cleanly(tmp_path: Path) -> None:
    """Although a producer is registered, which waits for what is not coming."""
    served = Served()
    async with listening(wrapped(server_tls(tmp_path), served)) as port:
        visitor = await visited(port, tmp_path, Heard())
        await served.news
        visitor.transport.loseConnection()
        assert await served.lost == CLEANLY
        assert peer_identity(served.transport) == ""
        assert not served.writer.write(b"more")
        transport: Any = served.transport
        transport.write(b"more")
        transport.write(b"more" * 10_000)
        served.writer.close()
        await visitor.lost


@pytest.mark.parametrize("goodbye", [False, True])
@reactor_test
async def test_a_goodbye_makes_an_end_clean(tmp_path: Path, goodbye: bool) -> None:
    """Whatever the socket says: FFmpeg does not read what it is answered."""
    served = Served()
    found = ByHand(tmp_path, served)
    if goodbye:
        found.step(found.client.unwrap)
    found.protocol.connectionLost(Failure(ConnectionLost()))
    how = await served.lost
    assert (how == CLEANLY) is goodbye
    assert ("non-clean" in how) is not goodbye


@reactor_test
async def test_a_client_that_breaks_off_is_lost(tmp_path: Path) -> None:
    served = Served()
    async with listening(wrapped(server_tls(tmp_path), served)) as port:
        visitor = await visited(port, tmp_path, Heard())
        await served.news
        visitor.transport.abortConnection()
        assert "non-clean" in await served.lost
        assert not served.writer.idle


@reactor_test
async def test_a_connection_can_be_aborted_while_something_waits(tmp_path: Path) -> None:
    served = Served()
    async with listening(wrapped(server_tls(tmp_path), served)) as port:
        visitor = await visited(port, tmp_path, Heard())
        await served.news
        visitor.transport.pauseProducing()
        while served.writer.write(bytes(100_000)):
            pass
        transport: Any = served.transport
        transport.abortConnection()
        await served.lost
        assert not served.writer.write(b"more")
        visitor.transport.resumeProducing()
        await visitor.lost


@reactor_test
async def test_close_sends_what_waits(tmp_path: Path) -> None:
    served = Served()
    async with listening(wrapped(server_tls(tmp_path), served)) as port:
        visitor = await visited(port, tmp_path, Heard())
        await served.news
        visitor.transport.pauseProducing()
        size = 0
        while served.writer.write(bytes(100_000)):
            size += 100_000
        served.writer.close()
        visitor.transport.resumeProducing()
        assert await visitor.lost == CLEANLY
        assert visitor.size == size + 100_000
        await served.lost


@reactor_test
async def test_nonsense_after_the_handshake_ends_the_connection(tmp_path: Path) -> None:
    served = Served()
    async with listening(wrapped(server_tls(tmp_path), served)) as port:
        visitor = await visited(port, tmp_path, Heard())
        await served.news
        tcp = tcp_socket(visitor.transport)
        assert tcp is not None
        tcp.send(b"\x17\x03\x03\x00\x20" + bytes(32))
        assert "TLS: " in await served.lost
        assert not served.writer.write(b"more")
        await visitor.lost


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x03" + bytes(1536), "what came is not TLS"),
        (b"\x16\x03\x01\xff\xff" + bytes(70_000), "TLS: "),
        (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "TLS: "),
    ],
)
@reactor_test
async def test_what_is_no_hello_ends_with_words(tmp_path: Path, data: bytes, expected: str) -> None:
    served = Served()
    async with listening(wrapped(server_tls(tmp_path), served)) as port:
        visitor = Asker(data)
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        await visitor.to(endpoint)
        assert expected in await served.lost


@reactor_test
async def test_half_a_hello_can_be_aborted(tmp_path: Path) -> None:
    served = Served()
    async with listening(wrapped(server_tls(tmp_path), served)) as port:
        visitor = Asker(b"\x16\x03\x01\x01\x00\x01")
        asking = Deferred.fromCoroutine(visitor.to(TCP4ClientEndpoint(reactor, "127.0.0.1", port)))
        await eventually(lambda: served.transport)
        transport: Any = served.transport
        transport.abortConnection()
        await served.lost
        await asking


# ---- the way in and what is around


@reactor_test
async def test_behind_the_front_door(tmp_path: Path, logs: Logs) -> None:
    """Its first byte is read before anybody knows that it is TLS; inside there is a door again."""
    site = serve_in_memory()

    def door(rooms: dict[Speech, Any], *, inside: str) -> FrontDoor:
        return FrontDoor(rooms, site.registry, reactor, patience=5, inside=inside)

    inside = door({Speech.HTTP: Factory.forProtocol(Answerer)}, inside="TLS")
    outside = door({Speech.TLS: TlsFactory(server_tls(tmp_path), inside, reactor)}, inside="")
    async with listening(outside) as port:
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        creator = client_tls("localhost", ca_file=ca_file(tmp_path))
        asker = Asker(b"GET /")
        assert await asker.to(wrapClientTLS(creator, endpoint)) == "you said GET /"
        assert logs.about("left") == []
        await Asker().to(wrapClientTLS(client_tls("localhost"), endpoint))
        await eventually(lambda: not site.registry.connections)
    (line,) = logs.about("left")
    assert line.startswith("127.0.0.1 left: TLS: the client does not trust our certificate")


def test_without_a_socket_below_there_is_no_short_way(tmp_path: Path) -> None:
    """As in tests, and where TLS is inside something else."""
    served = Served()
    protocol: Any = wrapped(server_tls(tmp_path), served).buildProtocol(None)
    protocol.makeConnection(StringTransport())
    transport: Any = served.transport
    assert isinstance(transport.transport, PromptTransport)
    assert tcp_socket(transport) is None
    assert type(served.writer) is TransportWriter
    assert reader_for(transport, served.dataReceived) is None
    protocol.connectionLost(Failure(ConnectionDone()))


class Producer:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


@pytest.fixture
def prompt(tmp_path: Path) -> Iterator[tuple[PromptTransport, Any]]:
    """A transport around one that keeps everything."""
    below = StringTransport()
    protocol = wrapped(server_tls(tmp_path), Served()).buildProtocol(None)
    protocol.makeConnection(below)
    protocol.unregisterProducer()
    below.clear()
    yield protocol, below
    protocol.connectionLost(Failure(ConnectionDone()))


def test_a_producer_is_told_what_happens_below(
    prompt: tuple[PromptTransport, Any],
) -> None:
    transport, below = prompt
    producer: Any = Producer()
    transport.registerProducer(producer, True)
    transport.write(b"a")
    transport.writeSequence([b"b", b"c"])
    assert below.value() == b"abc"
    assert producer.told == []
    below.producer.pauseProducing()
    transport.write(b"d")
    below.producer.resumeProducing()
    assert producer.told == ["pause", "resume"]
    below.producer.pauseProducing()
    transport.unregisterProducer()
    transport.write(b"e")
    late: Any = Producer()
    transport.registerProducer(late, True)
    assert late.told == ["pause"]
    transport.unregisterProducer()
    below.producer.resumeProducing()
    assert (producer.told, late.told) == (["pause", "resume"], ["pause"])


def test_memory_is_bounded_by_records(tmp_path: Path) -> None:
    """A buffer of OpenSSL stays as large as it once was, for the life of the connection."""
    served = Served()
    _, transport = _handshaken(tmp_path, served)
    connection, sizes = transport.getHandle(), []

    class Watched:
        def __getattr__(self, name: str) -> Any:
            return getattr(connection, name)

        def bio_read(self, size: int) -> bytes:
            sizes.append(size)
            return bytes(connection.bio_read(size))

    transport.getHandle = Watched
    served.writer.write(bytes(1 << 20))
    del transport.getHandle
    assert len(sizes) == 64
    assert max(sizes) < 17_000


def _handshaken(folder: Path, served: Protocol) -> tuple[ssl.SSLObject, Any]:
    """A connection in memory; the client, and the server's `TlsTransport`."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context(cafile=str(ca_file(folder)))
    client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    transport = StringTransport()
    protocol: Any = wrapped(server_tls(folder), served).buildProtocol(None)
    protocol.makeConnection(transport)
    for _ in range(3):
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            protocol.dataReceived(outgoing.read())
            incoming.write(transport.value())
            transport.clear()
    protocol.dataReceived(outgoing.read())
    return client, served.transport


# ---- clients that tickets break


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("librtmp-rtmpdump", "TLSv1.2"),
        ("ffmpeg9-address", "TLSv1.3"),
        ("gstreamer-rtmp2", "TLSv1.3"),
    ],
)
def test_clients_that_tickets_break_get_tls_1_2(tmp_path: Path, name: str, version: str) -> None:
    hello = bytes.fromhex(json.loads((HELLOS / f"{name}.json").read_text())["hello"])
    served = Served()
    protocol: Any = wrapped(server_tls(tmp_path), served).buildProtocol(None)
    protocol.makeConnection(StringTransport())
    protocol.dataReceived(hello)
    transport: Any = served.transport
    assert transport.getHandle().get_protocol_version_name() == version
    protocol.connectionLost(Failure(ConnectionDone()))


@pytest.mark.interop
@reactor_test
async def test_rtmpdump_plays(tmp_path: Path) -> None:
    rtmpdump = program("rtmpdump")
    async with serving(live(grace=0.0, after_end="close")) as host:
        (factory,) = (child.factory for child in host.service if hasattr(child, "factory"))
        async with listening(TlsFactory(server_tls(tmp_path), factory, reactor)) as port:
            publisher = await host.publish("show")
            await publisher.feed(*headers(), *gop(0), *gop(1000))
            file = tmp_path / "show.flv"
            url = f"rtmps://127.0.0.1:{port}/live/show"
            playing = deferToThread(
                lambda: subprocess.run(
                    [rtmpdump, "--live", "-m", "10", "-r", url, "-o", file],
                    capture_output=True, timeout=20, check=False,
                )
            )  # fmt: skip
            await eventually(lambda: host.stream("show").meter.viewers)
            await publisher.feed(*gop(2000))
            await publisher.leave()
            done = await playing
            assert b"ERROR" not in done.stderr, done.stderr.decode()
            assert file.read_bytes().startswith(b"FLV")
            assert file.stat().st_size > 300
