"""Writers: with fakes for every branch, over real sockets for what only sockets can show."""

from __future__ import annotations

import datetime
import errno
import fcntl
import hashlib
import socket
import struct
import sys
import tempfile
from collections.abc import Callable
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet import reactor as global_reactor
from twisted.internet import ssl
from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import (
    SSL4ServerEndpoint,
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
    connectProtocol,
    wrapClientTLS,
)
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IListeningPort, ISystemHandle
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.testing import StringTransport
from twisted.protocols.haproxy._wrapper import HAProxyProtocolWrapper
from twisted.protocols.policies import ProtocolWrapper, TrafficLoggingProtocol, WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from rtmptwist.live.interfaces import Writer
from rtmptwist.net.writer import (
    PIECE,
    UNSENT_SIZE,
    CipherWriter,
    MeteredWriter,
    SocketWriter,
    TransportWriter,
    tcp_socket,
    writer_for,
)

reactor: Any = global_reactor

CLEANLY = str(ConnectionDone())


class FakePipe:
    """A transport that keeps everything until told otherwise, and what was asked of it."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self.calls: list[str] = []
        self.producer: Any = None
        self.on_write: Callable[[], None] = lambda: None

    def registerProducer(self, producer: object, streaming: bool) -> None:
        self.producer = producer
        if not streaming:
            self.producer.resumeProducing()  # Twisted does, whatever waits

    def unregisterProducer(self) -> None:
        self.calls.append("unregisterProducer")
        self.producer = None

    def loseConnection(self) -> None:
        self.calls.append("loseConnection")

    def loseWriteConnection(self) -> None:
        self.calls.append("loseWriteConnection")

    def pauseProducing(self) -> None:
        self.calls.append("pauseProducing")

    def write(self, data: bytes) -> None:
        self.kept.append(data)
        self.on_write()

    def drain(self) -> bytes:
        """Get rid of everything, as `doWrite` would."""
        data, self.kept = b"".join(self.kept), []
        self.producer.resumeProducing()
        return data


class FakeSocket:
    """Takes so many bytes, then none; or breaks."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.room = room
        self.took = b""
        self.error: OSError | None = None

    def send(self, data: bytes) -> int:
        if self.error is not None:
            raise self.error
        if data and not self.room:
            raise BlockingIOError(errno.EAGAIN, "full")
        part = data[: self.room]
        self.room -= len(part)
        self.took += part
        return len(part)


class Drained:
    """Counts the calls of `drained`."""

    def __init__(self, writer: Writer) -> None:
        self.count = 0
        writer.drained = self

    def __call__(self) -> None:
        self.count += 1


# ---- SocketWriter


def test_a_flowing_write_goes_to_the_socket_alone() -> None:
    pipe, sock = FakePipe(), FakeSocket()
    writer = SocketWriter(pipe, sock.send)
    drained = Drained(writer)
    assert writer.write(b"abc")
    assert writer.write(b"def")
    assert (sock.took, pipe.kept) == (b"abcdef", [])
    assert writer.idle
    assert (writer.sent, writer.waiting, writer.stalls, drained.count) == (6, 0, 0, 0)


def test_registering_is_no_drain() -> None:
    """Twisted asks a pull producer for data as soon as it is registered."""
    pipe = FakePipe()
    writer = SocketWriter(pipe, FakeSocket().send)
    drained = Drained(writer)
    pipe.producer.resumeProducing()
    assert drained.count == 0
    assert writer.idle


def test_what_the_socket_does_not_take_goes_to_the_transport_in_order() -> None:
    pipe, sock = FakePipe(), FakeSocket(room=4)
    writer = SocketWriter(pipe, sock.send)
    drained = Drained(writer)
    assert not writer.write(b"abcdef")
    assert not writer.idle
    sock.room = 100  # room again, but the rest has to go first
    assert not writer.write(b"ghi")
    assert (sock.took, b"".join(pipe.kept)) == (b"abcd", b"ef")
    assert (writer.sent, writer.waiting, writer.stalls) == (9, 5, 1)
    assert pipe.drain() == b"ef"
    assert (writer.idle, writer.waiting, drained.count) == (False, 3, 0)
    assert pipe.drain() == b"ghi"
    assert (writer.idle, writer.waiting, drained.count) == (True, 0, 1)
    assert writer.write(b"jk")
    assert sock.took == b"abcdjk"


def test_a_large_batch_is_handed_over_in_pieces() -> None:
    """It stays shared by all who wait for it: a copy each would be their number times its size."""
    batch = bytes(range(256)) * 1024
    pipe = FakePipe()
    writer = SocketWriter(pipe, FakeSocket(room=100).send)
    writer.write(batch)
    got = []
    while not writer.idle:
        assert sum(map(len, pipe.kept)) <= PIECE
        got.append(pipe.drain())
    assert b"".join(got) == batch[100:]


def test_closing_hands_over_all_that_waits() -> None:
    batch = bytes(range(256)) * 1024
    pipe = FakePipe()
    writer = SocketWriter(pipe, FakeSocket(room=100).send)
    writer.write(batch)
    writer.write(b"end")
    writer.close()
    assert b"".join(pipe.kept) == batch[100:] + b"end"


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        (BlockingIOError(errno.EAGAIN, ""), []),
        (OSError(errno.ENOBUFS, ""), []),
        (ConnectionResetError(), ["pauseProducing"]),
        (BrokenPipeError(), ["pauseProducing"]),
        (TimeoutError(), ["pauseProducing"]),
    ],
)
def test_an_error_of_send_is_left_to_the_transport(error: OSError, calls: list[str]) -> None:
    """It tries again and fails as well; what is broken is not read from any more."""
    pipe, sock = FakePipe(), FakeSocket()
    writer = SocketWriter(pipe, sock.send)
    sock.error = error
    assert not writer.write(b"abc")
    assert pipe.kept == [b"abc"]
    assert pipe.calls == calls
    assert writer.waiting == 3


def test_whoever_is_told_may_stall_again() -> None:
    """What a lagging viewer's catching up does."""
    pipe, sock = FakePipe(), FakeSocket(room=1)
    writer = SocketWriter(pipe, sock.send)
    told: list[bool] = []

    def drained() -> None:
        sock.room = 1
        told.append(writer.idle)
        writer.write(b"cd")
        told.append(writer.idle)

    writer.drained = drained
    writer.write(b"ab")
    assert [pipe.drain() for _ in range(3)] == [b"b", b"d", b"d"]
    assert told == [True, False] * 3
    assert sock.took == b"accc"
    assert writer.stalls == 4


@pytest.mark.parametrize("room", [100, 1], ids=["flowing", "stalled"])
def test_writing_nothing_changes_nothing(room: int) -> None:
    pipe, sock = FakePipe(), FakeSocket(room)
    writer = SocketWriter(pipe, sock.send)
    idle = writer.write(b"ab")
    waiting = writer.waiting
    assert writer.write(b"") is idle
    assert (writer.idle, writer.waiting, writer.sent) == (idle, waiting, 2)


@pytest.mark.parametrize("room", [100, 1], ids=["flowing", "stalled"])
def test_close_leaves_the_rest_to_the_transport(room: int) -> None:
    """A registered producer would keep the connection open for ever."""
    pipe, sock = FakePipe(), FakeSocket(room)
    writer = SocketWriter(pipe, sock.send)
    drained = Drained(writer)
    writer.write(b"ab")
    took, kept = sock.took, list(pipe.kept)
    writer.close()
    assert pipe.calls == ["unregisterProducer", "loseConnection"]
    assert not writer.write(b"cd")
    assert not writer.idle
    writer.close()
    writer.resumeProducing()
    assert len(pipe.calls) == 2
    assert (sock.took, pipe.kept) == (took, kept)
    assert (drained.count, writer.waiting, writer.sent) == (0, 0, 2)


@pytest.mark.parametrize("room", [100, 1], ids=["flowing", "stalled"])
def test_after_a_loss_nothing_happens(room: int) -> None:
    pipe, sock = FakePipe(), FakeSocket(room)
    writer = SocketWriter(pipe, sock.send)
    drained = Drained(writer)
    writer.write(b"ab")
    kept = list(pipe.kept)
    writer.stopProducing()
    assert not writer.write(b"cd")
    assert not writer.idle
    writer.close()
    writer.resumeProducing()
    assert (pipe.calls, pipe.kept, drained.count, writer.sent) == ([], kept, 0, 2)


def test_finish_leaves_the_peer_its_half() -> None:
    """What it still sends would make `close` a reset, and our last words might be lost."""
    pipe, sock = FakePipe(), FakeSocket(room=1)
    writer = SocketWriter(pipe, sock.send)
    writer.write(b"ab")
    writer.finish()
    writer.finish()
    writer.close()
    assert pipe.calls == ["unregisterProducer", "loseWriteConnection"]
    assert not writer.write(b"cd")
    assert [sock.took, *pipe.kept] == [b"a", b"b"]


def test_whoever_is_told_may_close() -> None:
    pipe, sock = FakePipe(), FakeSocket(room=1)
    writer = SocketWriter(pipe, sock.send)
    writer.drained = writer.close
    writer.write(b"ab")
    assert pipe.drain() == b"b"
    assert pipe.calls == ["unregisterProducer", "loseConnection"]
    assert not writer.idle


# ---- TransportWriter


def test_any_transport_takes_everything() -> None:
    transport = StringTransport()
    writer = writer_for(transport)
    assert isinstance(writer, TransportWriter)
    assert writer.write(b"abc")
    assert transport.value() == b"abc"
    assert (writer.idle, writer.sent, writer.waiting, writer.stalls) == (True, 3, 0, 0)
    assert transport.streaming
    writer.close()
    assert transport.producer is None
    assert transport.disconnecting
    assert not writer.write(b"def")
    assert transport.value() == b"abc"


def test_a_transport_says_when_it_has_enough() -> None:
    pipe = FakePipe()
    writer = TransportWriter(pipe)
    drained = Drained(writer)
    writer.write(b"abc")
    pipe.on_write = pipe.producer.pauseProducing
    assert not writer.write(b"de")
    assert not writer.write(b"f")
    assert (writer.idle, writer.waiting, writer.stalls, writer.sent) == (False, 3, 1, 6)
    assert pipe.drain() == b"abcdef"
    assert (writer.idle, writer.waiting, drained.count) == (True, 0, 1)
    pipe.producer.resumeProducing()
    assert drained.count == 1


def test_a_transport_may_be_quick() -> None:
    """Paused and resumed within one write."""
    pipe = FakePipe()
    writer = TransportWriter(pipe)
    drained = Drained(writer)

    def on_write() -> None:
        pipe.producer.pauseProducing()
        pipe.producer.resumeProducing()

    pipe.on_write = on_write
    assert writer.write(b"abc")
    assert (writer.waiting, writer.stalls, drained.count) == (0, 1, 1)


def test_a_transport_may_be_lost_within_a_write() -> None:
    pipe = FakePipe()
    writer = TransportWriter(pipe)
    pipe.on_write = pipe.producer.stopProducing
    assert not writer.write(b"abc")
    assert not writer.write(b"def")
    assert (pipe.kept, writer.waiting, writer.idle) == ([b"abc"], 0, False)
    writer.resumeProducing()
    assert not writer.idle
    writer.close()
    assert pipe.calls == []


def test_a_response_is_finished_not_cut() -> None:
    """An HTTP response ends by a last chunk; its connection may live on."""
    pipe = FakePipe()
    writer = TransportWriter(pipe, lambda: pipe.calls.append("finish"))
    writer.finish()
    writer.close()
    assert pipe.calls == ["unregisterProducer", "finish"]


# ---- CipherWriter


def upper(data: bytes) -> bytes:
    return data.upper()


def test_a_cipher_stands_before_another_writer() -> None:
    pipe, sock = FakePipe(), FakeSocket(room=5)
    inner = SocketWriter(pipe, sock.send)
    before = Drained(inner)
    inner.write(b"ab")
    writer: MeteredWriter = CipherWriter(inner, upper)
    assert writer.write(b"cd")
    assert not writer.write(b"ef")
    assert sock.took + pipe.kept[0] == b"abCDEF"
    assert (writer.idle, writer.waiting, writer.sent, writer.stalls) == (False, 1, 6, 1)
    pipe.drain()
    assert (writer.idle, before.count) == (True, 1)
    after = Drained(writer)
    sock.room = 1
    writer.write(b"gh")
    pipe.drain()
    assert (before.count, after.count, writer.drained) == (1, 1, after)
    writer.finish()
    writer.close()
    assert not writer.idle
    assert pipe.calls == ["unregisterProducer", "loseWriteConnection"]


# ---- which writer


@implementer(ISystemHandle)
class FakeConnection(FileDescriptor):
    """Looks like a Twisted connection; `handle` is whatever it shall be."""

    def __init__(self, handle: object) -> None:
        super().__init__(cast("Any", object()))
        self.connected = 1
        self.handle = handle

    def getHandle(self) -> object:
        return self.handle

    def stopReading(self) -> None:
        """There is no reactor."""

    startWriting = stopReading
    startReading = stopReading


def wrapped(wrapper: type[ProtocolWrapper], transport: object) -> ProtocolWrapper:
    """Put a wrapper around a transport."""
    outer = wrapper(WrappingFactory(Factory()), Protocol())
    outer.makeConnection(cast("Any", transport))
    return outer


class Logged(TrafficLoggingProtocol):
    """A wrapper that looks at what is written."""

    def __init__(self, factory: Any, protocol: Any) -> None:
        super().__init__(factory, protocol, sys.stderr)  # type: ignore[no-untyped-call]  # Twisted


def test_only_a_plain_socket_is_written_to_directly() -> None:
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unix:
        tls = TLSMemoryBIOFactory(
            ssl.optionsForClientTLS("example.org"), True, Factory.forProtocol(Protocol)
        )
        for transport, kind, below in [
            (FakeConnection(tcp), SocketWriter, tcp),
            (FakeConnection(unix), SocketWriter, None),
            (wrapped(HAProxyProtocolWrapper, FakeConnection(tcp)), SocketWriter, tcp),
            (wrapped(Logged, FakeConnection(tcp)), TransportWriter, tcp),
            (FakeConnection(object()), TransportWriter, None),  # as after startTLS
            (wrapped(HAProxyProtocolWrapper, FakeConnection(object())), TransportWriter, None),
            (StringTransport(), TransportWriter, None),
        ]:
            assert tcp_socket(cast("Any", transport)) is below
            assert type(writer_for(cast("Any", transport))) is kind
        secured = tls.buildProtocol(None)
        assert secured is not None
        connection = FakeConnection(tcp)
        secured.makeConnection(connection)
        assert tcp_socket(secured) is tcp
        assert type(writer_for(secured)) is TransportWriter
        assert tcp_socket(cast("Any", wrapped(HAProxyProtocolWrapper, secured))) is tcp


def test_tuning_a_socket_that_is_gone_does_no_harm() -> None:
    with socket.socket() as tcp:
        connection = FakeConnection(tcp)
    assert type(writer_for(cast("Any", connection))) is SocketWriter


def test_tuning_without_the_option_of_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "TCP_NOTSENT_LOWAT", raising=False)
    with socket.socket() as tcp:
        writer_for(cast("Any", FakeConnection(tcp)))
        assert tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


# ---- real sockets


class Sender(Protocol):
    """The server's end: a writer, and what happened."""

    def __init__(self) -> None:
        self.made: Deferred[Sender] = Deferred()
        self.lost: Deferred[str] = Deferred()
        self.room = 0

    def connectionMade(self) -> None:
        handle = tcp_socket(cast("Any", self.transport))
        if self.room and handle is not None:
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.room)
        self.writer = writer_for(self.transport)
        self.made.callback(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(reason.getErrorMessage())


class Reader(Protocol):
    """The client's end: reads when it feels like it."""

    def __init__(self, *, slow: bool = False, room: int = 0) -> None:
        self.slow = slow
        self.room = room
        self.digest = hashlib.sha256()
        self.size = 0
        self.lost: Deferred[str] = Deferred()

    def connectionMade(self) -> None:
        transport: Any = self.transport
        if self.room:
            transport.bufferSize = self.room

    def dataReceived(self, data: bytes) -> None:
        self.digest.update(data)
        self.size += len(data)
        if self.slow:
            transport: Any = self.transport
            transport.pauseProducing()
            reactor.callLater(0, transport.resumeProducing)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(reason.getErrorMessage())


def certificate() -> ssl.PrivateCertificate:
    """A certificate for nobody."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "example.org")])
    start = datetime.datetime(2000, 1, 1)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start.replace(year=2100))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("example.org")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    pem = key.private_bytes(
        encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    loaded: ssl.PrivateCertificate = ssl.PrivateCertificate.loadPEM(
        built.public_bytes(encoding) + pem
    )
    return loaded


class Sockets(TestCase):
    """Through the real reactor."""

    timeout = 20

    async def connected(self, room: int = 0) -> tuple[Sender, IListeningPort]:
        """A listener on loopback whose first connection is the sender."""
        sender = Sender()
        sender.room = room
        factory = Factory.forProtocol(lambda: sender)
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
        self.addCleanup(port.stopListening)
        return sender, port

    async def pour(self, sender: Sender, reader: Reader, total: int) -> None:
        """Write as much as goes whenever it goes, close, and compare what arrived."""
        writer = sender.writer
        digest = hashlib.sha256()
        written = 0

        def more() -> None:
            nonlocal written
            while writer.idle and written < total:
                size = 1 + written * 7919 % 40_000
                data = struct.pack(">I", written) * (size // 4) + bytes(size % 4)
                digest.update(data)
                written += size
                writer.write(data)
            if written >= total:
                writer.close()

        writer.drained = more
        more()
        reasons = await gatherResults([sender.lost, reader.lost])
        assert reasons == [CLEANLY, CLEANLY]
        assert (reader.size, reader.digest.digest()) == (written, digest.digest())
        assert writer.sent == written

    async def test_tcp(self) -> None:
        """Hundreds of stalls, and not a byte is lost, doubled or moved."""
        sender, port = await self.connected(room=4096)
        client = TCP4ClientEndpoint(reactor, "127.0.0.1", cast("Any", port.getHost()).port)
        reader = await connectProtocol(client, Reader(slow=True, room=4096))
        await sender.made
        assert isinstance(sender.writer, SocketWriter)
        await self.pour(sender, reader, 12_000_000)
        assert sender.writer.stalls > 200

    async def test_unix(self) -> None:
        """A local socket is a plain one as well."""
        sender = Sender()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = f"{folder.name}/sock"
        factory = Factory.forProtocol(lambda: sender)
        port = await UNIXServerEndpoint(reactor, path).listen(factory)
        self.addCleanup(port.stopListening)
        client = UNIXClientEndpoint(reactor, path)
        reader = await connectProtocol(client, Reader(slow=True, room=65536))
        await sender.made
        assert isinstance(sender.writer, SocketWriter)
        await self.pour(sender, reader, 6_000_000)
        assert sender.writer.stalls > 10

    async def test_tls(self) -> None:
        """The same over a transport that has its own buffers."""
        sender = Sender()
        sender.room = 4096
        factory = Factory.forProtocol(lambda: sender)
        cert = certificate()
        server = SSL4ServerEndpoint(reactor, 0, cert.options(), interface="127.0.0.1")
        port = await server.listen(factory)
        self.addCleanup(port.stopListening)
        plain = TCP4ClientEndpoint(reactor, "127.0.0.1", cast("Any", port.getHost()).port)
        options = ssl.optionsForClientTLS("example.org", ssl.Certificate(cert.original))
        reader = await connectProtocol(wrapClientTLS(options, plain), Reader(slow=True))
        await sender.made
        assert isinstance(sender.writer, TransportWriter)
        await self.pour(sender, reader, 1_000_000)
        assert sender.writer.stalls > 5

    async def test_close_sends_what_waits(self) -> None:
        sender, port = await self.connected(room=4096)
        client = TCP4ClientEndpoint(reactor, "127.0.0.1", cast("Any", port.getHost()).port)
        reader = await connectProtocol(client, Reader())
        await sender.made
        data = b"0123456789" * 100_000
        assert not sender.writer.write(data)
        sender.writer.close()
        reasons = await gatherResults([sender.lost, reader.lost])
        assert reasons == [CLEANLY, CLEANLY]
        assert reader.digest.digest() == hashlib.sha256(data).digest()

    async def deaf(self) -> tuple[Sender, socket.socket]:
        """A sender whose viewer never reads."""
        sender, port = await self.connected()
        viewer = socket.create_connection(("127.0.0.1", cast("Any", port.getHost()).port))
        self.addCleanup(viewer.close)
        await sender.made
        return sender, viewer

    async def test_a_viewer_that_never_reads_costs_little_kernel_memory(self) -> None:
        """It lags in the stream's window, and what it will not want any more is not sent."""
        if not hasattr(socket, "TCP_NOTSENT_LOWAT"):
            self.skipTest("the system has no such bound")
        sender, _ = await self.deaf()
        writer = sender.writer
        quiet = 0
        while quiet < 20:  # turns without a drain: the kernel has had enough
            quiet = 0 if writer.idle else quiet + 1
            while writer.idle:
                writer.write(bytes(20_000))
            await deferLater(reactor, 0)
        handle = tcp_socket(cast("Any", sender.transport))
        assert handle is not None
        unsent = bytearray(4)
        fcntl.ioctl(handle, 0x894B, unsent)  # SIOCOUTQNSD
        assert 0 < struct.unpack("i", unsent)[0] < 2 * UNSENT_SIZE
        assert 0 < writer.waiting <= 20_000
        self.end(sender)
        await sender.lost

    async def test_a_viewer_that_leaves_while_it_stalls(self) -> None:
        sender, viewer = await self.deaf()
        writer = sender.writer
        drained = Drained(writer)
        while writer.idle:
            writer.write(bytes(20_000_000))
        viewer.close()
        reason = await sender.lost
        assert reason != CLEANLY  # bytes were unread: the peer's kernel says so
        assert (writer.idle, writer.waiting, drained.count) == (False, 0, 0)
        assert not writer.write(b"late")
        writer.close()

    async def test_a_loss_that_send_finds_first_is_reported(self) -> None:
        """The reactor has not looked yet; `send` fails, the connection hears of it as always."""
        sender, viewer = await self.deaf()
        viewer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        viewer.close()
        assert not sender.writer.write(b"to nobody")
        reason = await sender.lost
        assert reason != CLEANLY
        assert not sender.writer.idle

    async def test_abort_ends_a_close_that_takes_too_long(self) -> None:
        sender, _ = await self.deaf()
        sender.writer.write(bytes(20_000_000))
        sender.writer.close()
        self.end(sender)
        assert await sender.lost != CLEANLY

    def end(self, sender: Sender) -> None:
        """As the connection's time limit does."""
        transport: Any = sender.transport
        transport.abortConnection()
