"""A TLS client whose every byte is in a test's hands, over a real socket."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from tests.support.guests import PATIENCE, reactor


def context(version: int = 0, ciphers: bytes = b"") -> SSL.Context:
    """A client that believes everybody; of one version only, if one is given."""
    found = SSL.Context(SSL.TLS_CLIENT_METHOD)
    if version:
        found.set_min_proto_version(version)
        found.set_max_proto_version(version)
    if ciphers:
        found.set_cipher_list(ciphers)
    return found


def hello(client: SSL.Context | None = None, name: bytes = b"localhost") -> bytes:
    """The first record that a client sends: a ClientHello."""
    connection = SSL.Connection(client or context())
    connection.set_tlsext_host_name(name)
    connection.set_connect_state()
    with suppress(SSL.WantReadError):
        connection.do_handshake()
    return connection.bio_read(1 << 16)


class RogueTls(Protocol):
    """Shakes hands as one does, and then whatever a test wants."""

    def __init__(self, client: SSL.Context) -> None:
        self.tls = SSL.Connection(client)
        self.tls.set_connect_state()
        self.heard = b""
        "What the server said, decrypted."
        self.closed = False
        self._done = False
        self._secure: Deferred[None] = Deferred()
        self._gone: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self._step()

    def dataReceived(self, data: bytes) -> None:
        self.tls.bio_write(data)
        self._step()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.closed = True
        for waiting in (self._secure, self._gone):
            if not waiting.called:
                waiting.callback(None)

    def _step(self) -> None:
        try:
            if not self._done:
                self.tls.do_handshake()
                self._done = True
                self._secure.callback(None)
            while True:
                self.heard += self.tls.recv(1 << 14)
        except SSL.Error:  # nothing to read, or an end: the socket tells of it
            pass
        self.flush()

    def flush(self) -> None:
        """Send what OpenSSL has to say."""
        with suppress(SSL.WantReadError):
            self.raw(self.tls.bio_read(1 << 17))

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        transport: Any = self.transport
        transport.write(data)

    def say(self, data: bytes) -> None:
        """Send bytes encrypted."""
        while data:
            data = data[self.tls.send(data[:16384]) :]
            self.flush()

    def goodbye(self) -> None:
        """Say close_notify, and leave the socket open."""
        self.tls.shutdown()
        self.flush()

    def hang_up(self) -> None:
        """Close the socket without a goodbye."""
        transport: Any = self.transport
        transport.loseConnection()

    async def secure(self) -> RogueTls:
        """Wait for the handshake."""
        await self._secure
        return self

    async def gone(self, patience: float = PATIENCE) -> None:
        """The server has closed."""
        if not self.closed:
            await self._gone.addTimeout(patience, reactor)


async def rogue_tls(port: int, client: SSL.Context | None = None) -> RogueTls:
    """Connect one, and shake hands."""
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
    peer: RogueTls = await connectProtocol(endpoint, RogueTls(client or context()))
    return await peer.secure()
