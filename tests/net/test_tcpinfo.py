"""What the kernel tells of a connection, whatever stands around the socket."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest
from twisted.internet.interfaces import ISystemHandle
from twisted.internet.testing import StringTransport
from zope.interface import implementer

from rtmptwist.net.tcpinfo import tcp_info


@implementer(ISystemHandle)
class Handled:
    """A transport with a handle, perhaps around another one."""

    def __init__(self, handle: object, transport: object = None) -> None:
        self._handle = handle
        self.transport = transport

    def getHandle(self) -> object:
        return self._handle


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection over loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
    with client, peer:
        yield client, peer


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_a_connection(pair: tuple[socket.socket, socket.socket]) -> None:
    client, peer = pair
    for _ in range(10):
        client.sendall(b"x")
        peer.sendall(peer.recv(1))
        client.recv(1)
    info = tcp_info(Handled(client))
    assert info is not None
    assert 0 < info.round_trip < 10
    assert 0 < info.variation < 10
    assert info.window > 1000
    assert info.retransmitted == 0
    assert info.unacknowledged <= 1
    assert tcp_info(Handled(object(), Handled(client))) == info
    client.close()
    assert tcp_info(Handled(client)) is None


def test_what_is_no_tcp() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert tcp_info(Handled(one)) is None
    assert tcp_info(StringTransport()) is None
    assert tcp_info(Handled(object())) is None


def test_a_system_that_does_not_tell(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtmptwist.net.tcpinfo._OPTION", None)
    assert tcp_info(Handled(pair[0])) is None
