"""The same connections over other pipes than TCP: what they need of a transport, and no more."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import crypto
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.ssl import CertificateOptions
from twisted.protocols.policies import WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory

from rtmptwist.live.errors import Refused
from rtmptwist.net.client import Refusal
from rtmptwist.net.connection import ServerConnection
from rtmptwist.net.tlstransport import TlsFactory
from rtmptwist.net.tunnels import Tunnels
from rtmptwist.net.writer import CipherWriter, TransportWriter
from rtmptwist.web.rtmpt import mount
from rtmptwist.web.site import Site as WebSite
from rtmptwist.wire.handshake import RTMP_VERSION, RTMPE_VERSIONS
from rtmptwist.wire.status import StatusCode
from tests.support.live import gop, headers, payloads, video
from tests.support.logs import Logs
from tests.support.memory import MemorySite, SlowGate, Wrap, as_it_is, serve_in_memory

pytestmark = pytest.mark.usefixtures("logs")


@cache
def certificate() -> CertificateOptions:
    """Of a server, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "example.org")])
    now = datetime.datetime(2026, 1, 1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return CertificateOptions(
        privateKey=crypto.load_privatekey(crypto.FILETYPE_PEM, pem),
        certificate=crypto.X509.from_cryptography(made),
    )


def plain(site: MemorySite) -> MemorySite:
    return site


def wrapped(site: MemorySite) -> MemorySite:
    """Twisted's own wrapper, which changes nothing."""
    return site.wrap(WrappingFactory, WrappingFactory)


def tls(site: MemorySite) -> MemorySite:
    """Twisted's own TLS at both ends."""
    around = partial(TLSMemoryBIOFactory, clock=site.clock)
    return site.wrap(lambda factory: around(certificate(), False, factory), client_of(site))


def rtmpe(site: MemorySite) -> MemorySite:
    return site.speak("rtmpe")


def rtmps(site: MemorySite) -> MemorySite:
    return site.wrap(
        lambda factory: TlsFactory(certificate(), factory, site.clock), client_of(site)
    )


def rtmpt(site: MemorySite) -> MemorySite:
    return site.wrap(partial(tunnels, site), as_it_is).speak("rtmpt")


def rtmpte(site: MemorySite) -> MemorySite:
    return rtmpt(site).speak("rtmpte")


def rtmpts(site: MemorySite) -> MemorySite:
    return rtmps(rtmpt(site))


def client_of(site: MemorySite) -> Wrap:
    """Twisted's TLS for clients."""
    around = partial(TLSMemoryBIOFactory, clock=site.clock)
    return lambda factory: around(CertificateOptions(), True, factory)


def tunnels(site: MemorySite, factory: IProtocolFactory) -> IProtocolFactory:
    """The HTTP server in front of connections."""
    table = Tunnels(factory, site.clock)
    return WebSite(site.clock, [lambda app: mount(app, table)], table)


Pipe = Callable[[MemorySite], MemorySite]
pipes = pytest.mark.parametrize("pipe", [plain, wrapped, tls, rtmpe, rtmps, rtmpt, rtmpte, rtmpts])


def serve(pipe: Pipe, **options: Any) -> MemorySite:
    """A server behind this pipe."""
    return pipe(serve_in_memory(versions=RTMPE_VERSIONS | {RTMP_VERSION}, **options))


@pipes
def test_media_from_end_to_end(pipe: Pipe) -> None:
    site = serve(pipe)
    site.piece = 1000
    publisher = site.publish()
    early = site.play()
    for message in [*headers(), *gop(0)]:
        publisher.send(message)
    site.pump()
    late = site.play()
    assert early.payloads[-6:] == late.payloads[-6:] == payloads(gop(0))
    encrypted = pipe in (rtmpe, rtmpte)
    assert {type(c.writer) for c in site.connections} == {
        CipherWriter if encrypted else TransportWriter
    }


@pipes
def test_a_slow_login_holds_everything_up(pipe: Pipe) -> None:
    gate = SlowGate("login")
    site = serve(pipe, gate=gate)
    connecting = site.connect()
    assert not connecting.called
    gate.decide()
    client = site.result(connecting)
    site.stream(client)


@pipes
def test_a_refusal_arrives_before_the_end(pipe: Pipe, logs: Logs) -> None:
    gate = SlowGate("login")
    site = serve(pipe, gate=gate)
    connecting = site.connect()
    gate.decide(Refused(StatusCode.CONNECT_REJECTED, "Not you."))
    error = site.failure(connecting)
    assert isinstance(error, Refusal)
    assert error.description == "Not you."
    assert site.connections == []
    assert all(transport.lost for transport in site.transports)
    assert site.clock.calls == []
    assert len(logs.about("left: Not you,")) == 1


@pipes
@pytest.mark.parametrize("end", ["finish", "abort", "close", "lost"])
def test_every_end_is_the_end_of_everything(pipe: Pipe, end: str) -> None:
    site = serve(pipe)
    client = site.client()
    connection: Any = site.connections[0]
    assert isinstance(connection, ServerConnection)
    if end == "close":
        site.result(client.close())
    elif end == "lost":
        client.abort()
    else:
        getattr(connection, end)("enough")
    site.pump()
    assert client.closed
    assert site.connections == []
    assert all(transport.lost for transport in site.transports)
    assert site.clock.calls == []


@pipes
def test_a_viewer_that_stalls_goes_on_where_it_stopped(pipe: Pipe) -> None:
    site = serve(pipe)
    publisher = site.publish()
    viewer = site.play()
    for message in headers():
        publisher.send(message)
    site.pump()
    wire = site.transports[-1]
    wire.reading = False
    sent = [video(time, key=time == 0, size=60_000) for time in range(0, 400, 40)]
    for message in sent:
        publisher.send(message)
        site.pump()
    assert site.application.streams["show"].meter.lagging == 1
    wire.reading = True
    site.pump()
    assert viewer.payloads[-10:] == payloads(sent)
