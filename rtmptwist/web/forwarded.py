"""Who a request really comes from, when it comes through a proxy."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress

from rtmptwist.live.networks import within
from rtmptwist.net.listen import host_of

_HOPS: Final = 16
"Proxies in a row that we look behind."


def client_address(
    peer: IAddress,
    forwarded_for: Sequence[bytes],
    proxies: Sequence[IPv4Network | IPv6Network],
) -> IAddress:
    """
    The client's address: the last in X-Forwarded-For that is none of our proxies'.

    A proxy adds whom it heard from at the end; whatever stands before that, a client may have
    invented. So the header is read from its end, and only as long as proxies of ours have written.
    """
    client = peer
    hops = b",".join(forwarded_for).rsplit(b",", _HOPS)[-_HOPS:]
    while hops and within(host_of(client), proxies):
        before = _address(hops.pop().strip())
        if before is None:
            break
        client = before
    return client


def _address(text: bytes) -> IPv4Address | IPv6Address | None:
    """An address as proxies write it: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[…]:4711`."""
    host = text.decode("ascii", "replace")
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if "%" in host:  # no address of a client far away: what follows could be any text
        return None
    return (IPv4Address if address.version == 4 else IPv6Address)("TCP", host, 0)
