"""Which network an address belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

_KNOWN: Final = 1024
"""
Hosts whose addresses are kept, the newest, together a quarter of a megabyte: for each connection
the same is asked ten times, and to read it takes 5 µs.
"""


def within(host: str, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    """Whether a host's address is in one of the networks; what is no IP address is in none."""
    address = _address(host)
    if address is not None:
        for network in networks:  # any() takes 1 µs, and this 0.3
            if address in network:
                return True
    return False


@lru_cache(_KNOWN)
def place(host: str) -> str:
    """What counts as one address: of IPv6 the network of 64 bits, which a single customer gets."""
    address = _address(host)
    if not isinstance(address, IPv6Address):
        return host
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"


@lru_cache(_KNOWN)
def holder(host: str) -> str:
    """
    Who answers for an address where many count: of IPv6 the network of 48 bits, which one customer
    can have whole; an IPv4 address stands for itself.
    """
    address = _address(host)
    if not isinstance(address, IPv6Address):
        return host if address is None else str(address)
    return f"{IPv6Address(int(address) >> 80 << 80)}/48"


@lru_cache(_KNOWN)
def _address(host: str) -> IPv4Address | IPv6Address | None:
    """Of IPv4 in its own form, whatever it came in; None: it is none."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
