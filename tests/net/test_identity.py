"""Whom a client's certificate names is known to whoever lets it in, by every pipe that has TLS."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import crypto
from twisted.internet import ssl
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator

from rtmptwist.config.access import Network
from rtmptwist.config.schema import Config, Limits, Listener, Server, VirtualHost
from rtmptwist.net.client import connect
from tests.support.guests import Host, live, reactor
from tests.support.logs import Logs
from tests.support.pki import Signed
from tests.support.reactor import reactor_test
from tests.support.tls import CA, ca_file, issue, put


@asynccontextmanager
async def serving(folder: Path, **listener: Any) -> AsyncIterator[Host]:
    """A server of RTMPS and RTMPTS as `localhost`, that believes what the authority signed."""
    host = Host(
        Config(
            path=Path("test.ini"),
            server=Server(drain=1.0),
            limits=Limits(),
            listeners=(
                Listener(
                    name="main",
                    endpoint=("tcp:0:interface=127.0.0.1",),
                    serve=frozenset({"rtmps", "rtmpts"}),
                    certificate=put(folder, "localhost", issue("localhost")),
                    client_ca=ca_file(folder),
                    **listener,
                ),
            ),
            vhosts=(VirtualHost(name="", apps={"live": live()}),),
        )
    )
    try:
        yield host
    finally:
        await host.close()
        await host.stop()


def showing(signed: Signed | None) -> IOpenSSLClientConnectionCreator:
    """A client's side of TLS, which shows this certificate."""
    mine = None
    if signed is not None:
        mine = ssl.PrivateCertificate.loadPEM(signed.pem + signed.key_pem())
    trusted = ssl.Certificate(crypto.X509.from_cryptography(CA.certificate))
    return ssl.optionsForClientTLS(
        "localhost", trustRoot=ssl.trustRootFromCertificates([trusted]), clientCertificate=mine
    )


async def visit(host: Host, scheme: str, signed: Signed | None) -> None:
    """Connect and play."""
    url = f"{scheme}://127.0.0.1:{host.port}/live"
    connection = await connect(reactor, url, tls=showing(signed))
    host.also(connection)
    await host.play(on=connection)


@pytest.mark.parametrize("scheme", ["rtmps", "rtmpts"])
@reactor_test
async def test_whoever_shows_a_certificate_is_known(
    tmp_path: Path, logs: Logs, scheme: str
) -> None:
    async with serving(tmp_path) as host:
        await visit(host, scheme, issue(common_name="camera 7"))
        await visit(host, scheme, None)
    first, second = logs.about(" connected to live as anyone (")
    assert first.endswith(", certificate of camera 7)")
    assert "certificate" not in second


@pytest.mark.parametrize(
    ("proxies", "known"), [((), True), ((ip_network("127.0.0.0/8"),), False)], ids=["", "proxy"]
)
@reactor_test
async def test_a_proxy_s_certificate_is_not_its_clients(
    tmp_path: Path, logs: Logs, proxies: tuple[Network, ...], known: bool
) -> None:
    async with serving(tmp_path, proxies=proxies) as host:
        await visit(host, "rtmpts", issue(common_name="proxy"))
    assert bool(logs.about("certificate of proxy")) is known
