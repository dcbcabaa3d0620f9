"""
TLS between a socket and whatever is served: Twisted's, with a shorter way out for what is sent.

Knows records and sockets; certificates and who may connect are a matter of `net.tls`.

    TCP ── PromptTransport ── TlsTransport ── ServerConnection, or the front door inside TLS

Encrypted bytes differ for each viewer, so nothing can be shared; what can be spared is the way from
OpenSSL to the socket. Twisted's own way goes through a timer that gathers small writes, through the
reactor for each write and through the kernel for each 16 KiB. CPU per viewer and batch, kernel
included, 100 loopback viewers in one process, TLS 1.3 with AES-256-GCM (Twisted 26.10, pyOpenSSL
26.4, OpenSSL 4.0.3; medians of one run on a shared machine, ratios matter):

| batch | plain | Twisted's TLS | this |
|---|---|---|---|
| 1.7 kB | 7.0 µs | 25.3 | 15.7 |
| 12.5 kB | 8.8 | 32.1 | 19.1 |
| 50 kB | 11.3 | 64.5 | 45.0 |

Memory of an idle connection: 26 KB, 42 to 48 after it has sent; 46 and 80 without
MODE_RELEASE_BUFFERS.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Final, cast

from OpenSSL import SSL
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import (
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    IPushProducer,
    IReactorTime,
    ITransport,
)
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from rtmptwist.net.beat import Reader, Source
from rtmptwist.net.clienthello import HELLO_SIZE, fails_on_tickets, is_complete
from rtmptwist.net.writer import Pipe, SocketWriter, TransportWriter, plain_socket, writer_for

_RECORD: Final = 1 << 14
"Bytes that fit into one TLS record."

_ENCRYPTED: Final = _RECORD + 512
"""
Bytes read from OpenSSL for each record; it adds 22 (TLS 1.3) to 29 (1.2), and sometimes puts a key
update before it. One record at a time, because its buffer keeps the largest size it ever had.
"""


class TlsFactory(WrappingFactory["PromptTransport"]):
    """
    Serves a factory's protocols over TLS, on a listening port or behind the front door.

    The front door calls `buildProtocol`, then `makeConnection` and `dataReceived` of what it gets,
    with the TCP transport and the bytes that it has read.
    """

    noisy = False

    def __init__(
        self,
        creator: IOpenSSLServerConnectionCreator,
        served: IProtocolFactory,
        clock: IReactorTime,
    ) -> None:
        """`creator` is a `net.tls.ServerTls`."""
        tls = TLSMemoryBIOFactory(creator, False, served, clock)
        tls.protocol = TlsTransport
        super().__init__(tls)

    def buildProtocol(self, addr: Any) -> PromptTransport:
        """A connection: the socket's end of it."""
        return PromptTransport(self, self.wrappedFactory.buildProtocol(addr))


class TlsTransport(TLSMemoryBIOProtocol):
    """The TLS of one connection; transport of what is served."""

    transport: Any
    "The `PromptTransport`."

    objection = ""
    "What is wrong with the client's certificate."

    _hello: bytes | None = b""
    "What there is of the client's first record; None: it is complete."

    def dataReceived(self, data: bytes) -> None:
        """Twisted: encrypted bytes from the client."""
        if self._hello is not None:
            data = self._hello + data
            if not is_complete(data) and len(data) < HELLO_SIZE:
                self._hello = data
                return
            self._hello = None
            if fails_on_tickets(data):
                self.getHandle().set_options(SSL.OP_NO_TLSv1_3)
        super().dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Twisted: the socket is gone.

        FFmpeg takes its leave in good order and then closes without having read the answer, which
        its kernel reports to us as a broken connection.
        """
        connection: SSL.Connection | None = self.getHandle()
        goodbye = connection is not None and connection.get_shutdown() & SSL.RECEIVED_SHUTDOWN
        if goodbye and reason.check(ConnectionLost):
            reason = connectionDone
        super().connectionLost(reason)

    def make_writer(self) -> TransportWriter:
        """The writer of what is served: `writer_for` asks."""
        plain: socket.socket | None = self.transport.plain
        return TlsWriter(self, plain) if plain else TransportWriter(cast("Pipe", self))

    def make_reader(self) -> Reader | None:
        """What reads the socket in beats while a publisher is served: `reader_for` asks."""
        prompt: PromptTransport = self.transport
        plain = prompt.plain
        return Reader(cast("Source", self), plain, prompt.dataReceived) if plain else None

    def write(self, data: bytes) -> None:
        """Encrypt and send: any size in one piece, which Twisted would cut at 16 KiB."""
        connection: SSL.Connection | None = self.getHandle()
        if connection is None or not data:  # lost
            return
        if len(data) <= _RECORD:
            try:
                connection.send(data)
            except SSL.Error:  # not before the handshake, nor after the end: Twisted takes care
                super().write(data)
            else:
                self.transport.write(connection.bio_read(_ENCRYPTED))
            return
        rest = memoryview(data)
        records = []
        try:
            while rest:
                rest = rest[connection.send(rest[:_RECORD]) :]
                records.append(connection.bio_read(_ENCRYPTED))
        except SSL.Error:
            super().write(bytes(rest))
        else:
            self.transport.write(b"".join(records))


class TlsWriter(TransportWriter):
    """
    Sends records on the socket at once while nothing waits: `SocketWriter`, for TLS.

    What is longer than a record, early, late or waits goes through the transports, which also tell
    when to wait. The short way saves a tenth of what a batch costs, more where caches are cold:
    it touches fewer objects of each connection.
    """

    __slots__ = ("_encrypt", "_encrypted", "_prompt", "_send")

    def __init__(self, transport: TlsTransport, plain: socket.socket) -> None:
        """`plain` is the non-blocking socket below."""
        connection: SSL.Connection = transport.getHandle()
        self._encrypt: Callable[[bytes], int] = connection.send
        self._encrypted: Callable[[int], bytes] = connection.bio_read
        self._prompt: PromptTransport = transport.transport
        self._send = plain.send
        super().__init__(cast("Pipe", transport))

    def write(self, data: bytes) -> bool:
        """Take all of it; return `idle`. After `close` or a loss: do nothing, return False."""
        idle = self.idle
        if not idle or not 0 < len(data) <= _RECORD:
            return super().write(data)
        try:
            self._encrypt(data)
        except SSL.Error:  # not before the handshake, nor after the end
            return super().write(data)
        record = self._encrypted(_ENCRYPTED)
        self.sent += len(data)
        try:
            taken = self._send(record)
        except OSError:  # the transport will meet it as well, or only wait
            taken = 0
        if taken != len(record):
            self._prompt.write(record[taken:])  # pauses us
            if not self.idle:
                self.waiting += len(record) - taken
        return self.idle

    def stopProducing(self) -> None:
        """Twisted: the connection is lost. Nothing of it is held any longer."""
        super().stopProducing()
        self._encrypt = self._encrypted = _closed


def _closed(_: object) -> Any:
    raise SSL.Error  # pragma: no cover - who is not idle is not asked


class PromptTransport(ProtocolWrapper):
    """
    A connection that sends at once, without a trip through the reactor, and tells the producer
    above exactly when something waits: what `SocketWriter` does, as a transport.
    """

    _producer: IPushProducer | None = None
    _writer: SocketWriter | TransportWriter

    plain: socket.socket | None
    "What is below, if it is a socket."

    def makeConnection(self, transport: ITransport) -> None:
        """Twisted: from now on nobody else writes to `transport`."""
        self._writer = writer_for(transport)
        self._writer.drained = self._drained
        self.plain = plain_socket(transport)
        super().makeConnection(transport)

    def write(self, data: bytes) -> None:
        """Send; what the socket does not take waits, and pauses the producer."""
        if not self._writer.write(data) and self._producer is not None:
            self._producer.pauseProducing()

    def writeSequence(self, data: list[bytes]) -> None:
        """Send all of it at once."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """Close when everything is out."""
        self.disconnecting = 1
        self._writer.close()

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """Tell `producer`, which must not mind to be told twice, when it may send."""
        assert streaming
        self._producer = producer
        if not self._writer.idle:
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        """Tell it nothing more."""
        self._producer = None

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: it is gone."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.stopProducing()
        super().connectionLost(reason)

    def _drained(self) -> None:
        if self._producer is not None:
            self._producer.resumeProducing()
