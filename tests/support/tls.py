"""TLS for tests: a server's side with certificates of a test authority, and handshakes by hand."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from OpenSSL import SSL, crypto
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import connectProtocol
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from rtmptwist.net.certificates import Certificates, Folder
from rtmptwist.net.tls import ServerTls, in_words, peer_identity
from rtmptwist.net.writer import writer_for
from tests.support.pki import Signed, authority

CA = authority(now=time.time())
"Of today, for clients that look at the clock."


def issue(*names: str, common_name: str = "", **more: Any) -> Signed:
    """A certificate of today."""
    return CA.sign(*names, common_name=common_name, now=time.time(), **more)


def put(folder: Path, file: str, signed: Signed) -> Path:
    """Write it to a folder as certbot would, replacing what is there in one step."""
    new, path = folder / f"{file}.new", folder / f"{file}.pem"
    signed.write(new, signed.key_pem(), signed.pem).path.replace(path)
    return path


def server_tls(folder: Path, **settings: Any) -> ServerTls:
    """A server's side for `localhost`, with `localhost.pem` in `folder`."""
    put(folder, "localhost", issue("localhost"))
    return ServerTls(Certificates(Folder(folder), time.time), **settings)


def ca_file(folder: Path, authority: Signed = CA) -> Path:
    """A file for who trusts the authority; not among the certificates."""
    return authority.write(folder / "ca.crt", authority.pem).path


class Handshake:
    """A client and a server in memory; `error` is what the server, or else the client, said."""

    objection = ""
    "As of a `TlsTransport`."

    def __init__(self, server: ServerTls | SSL.Connection, client: SSL.Connection) -> None:
        if isinstance(server, ServerTls):
            server = begin(server, self)
        self.server = server
        self.client = client
        server.set_accept_state()
        client.set_connect_state()
        self._errors: dict[SSL.Connection, SSL.Error] = {}
        for _ in range(4):
            for one, other in ((client, server), (server, client)):
                self.step(one)
                self.move(one, other)

    @property
    def error(self) -> SSL.Error | None:
        """Why it failed."""
        return self._errors.get(self.server) or self._errors.get(self.client)

    def step(self, connection: SSL.Connection) -> None:
        """Go on with a handshake."""
        try:
            connection.do_handshake()
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            self._errors.setdefault(connection, error)

    def move(self, one: SSL.Connection, other: SSL.Connection) -> int:
        """Carry bytes; return how many."""
        try:
            data = one.bio_read(1 << 17)
        except SSL.WantReadError:
            return 0
        other.bio_write(data)
        return len(data)

    def say(self, text: bytes, *, client: bool = True) -> bytes:
        """Send something; return what arrived."""
        one, other = (self.client, self.server) if client else (self.server, self.client)
        one.send(text)
        self.move(one, other)
        return other.recv(1 << 14)


def begin(server: ServerTls, protocol: Any = None) -> SSL.Connection:
    """The server's end of a new connection."""
    return server.serverConnectionForTLS(protocol)


def shake(server: ServerTls, client: SSL.Context, name: str | None = None) -> Handshake:
    """Connect, and ask for this name."""
    return Handshake(server, connection(client, name))


def connection(client: SSL.Context, name: str | None = None) -> SSL.Connection:
    """The client's end of a new connection."""
    made = SSL.Connection(client)
    if name is not None:
        made.set_tlsext_host_name(name.encode())
    return made


def client_context(*, trust: Signed | None = CA, show: Signed | None = None) -> SSL.Context:
    """A client that trusts this authority (None: everybody), and shows this certificate."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    if trust is not None:
        store = context.get_cert_store()
        assert store is not None
        store.add_cert(crypto.X509.from_cryptography(trust.certificate))
        context.set_verify(SSL.VERIFY_PEER)
    if show is not None:
        context.use_certificate(show.certificate)
        context.use_privatekey(show.key)
    return context


# ---- real sockets

reactor: Any = _reactor


@asynccontextmanager
async def listening(factory: IProtocolFactory) -> AsyncIterator[int]:
    """Listen on loopback as long as the block lasts; gives the port."""
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    try:
        yield port.getHost().port
    finally:
        await port.stopListening()


class Answerer(Protocol):
    """A server: says what it heard first, and who said it, and closes."""

    def connectionMade(self) -> None:
        self.writer = writer_for(self.transport)

    def dataReceived(self, data: bytes) -> None:
        who = peer_identity(self.transport) or "you"
        self.writer.write(f"{who} said {data.decode()}".encode())
        self.writer.close()


class Asker(Protocol):
    """A client: says something, and listens to the end."""

    def __init__(self, text: bytes = b"hello") -> None:
        self.text = text
        self.heard = b""
        self.reason = Failure(connectionDone.value)
        self._lost: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.write(self.text)

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason
        self._lost.callback(None)

    async def to(self, endpoint: IStreamClientEndpoint) -> str:
        """What was heard; or else, in words, why nothing was."""
        await connectProtocol(endpoint, self)
        await self._lost
        return self.heard.decode() or in_words(self.reason, client=True)
