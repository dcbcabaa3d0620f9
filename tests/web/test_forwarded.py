"""Who a request really comes from."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from twisted.internet.address import IPv4Address, UNIXAddress

from rtmptwist.net.listen import host_of
from rtmptwist.web.forwarded import client_address

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "headers", "client"),
    [
        ("203.0.113.1", [], "203.0.113.1"),
        ("203.0.113.1", [b"198.51.100.7"], "203.0.113.1"),  # no proxy of ours: invented
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", [b"198.51.100.7, 198.51.100.8"], "198.51.100.8"),  # the first is invented
        ("10.0.0.1", [b"198.51.100.7, 10.0.0.2"], "198.51.100.7"),  # two proxies
        ("10.0.0.1", [b"198.51.100.7", b"10.0.0.2"], "198.51.100.7"),  # a header each
        ("10.0.0.1", [b"10.0.0.3, 10.0.0.2"], "10.0.0.3"),  # a client within
        ("10.0.0.1", [b"unknown"], "10.0.0.1"),
        ("10.0.0.1", [b"fe80::1%is welcome"], "10.0.0.1"),
        ("10.0.0.1", [b"unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [b"198.51.100.7:4711"], "198.51.100.7"),
        ("10.0.0.1", [b" 2001:db8::1 "], "2001:db8::1"),
        ("10.0.0.1", [b"[2001:db8::1]:4711"], "2001:db8::1"),
        ("10.0.0.1", [b"[2001:db8::1]"], "2001:db8::1"),
        ("10.0.0.1", [b"::ffff:198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", [b"198.51.100.7, fd00::2"], "198.51.100.7"),
        ("10.0.0.1", [b""], "10.0.0.1"),
        ("10.0.0.1", [b",,,"], "10.0.0.1"),
        ("10.0.0.1", [b"\xff\xfe"], "10.0.0.1"),
        ("10.0.0.1", [b"10.0.0.2, " * 5000 + b"10.0.0.9"], "10.0.0.2"),
    ],
)
def test_client_address(peer: str, headers: list[bytes], client: str) -> None:
    assert host_of(client_address(IPv4Address("TCP", peer, 4711), headers, PROXIES)) == client


def test_without_proxies_nobody_is_believed() -> None:
    peer = IPv4Address("TCP", "10.0.0.1", 4711)
    assert client_address(peer, [b"198.51.100.7"], []) is peer


def test_a_local_socket_is_no_network() -> None:
    peer = UNIXAddress(b"/run/http.sock")
    assert client_address(peer, [b"198.51.100.7"], PROXIES) is peer
