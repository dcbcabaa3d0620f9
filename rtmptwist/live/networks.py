"""Which network an address belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address


def within(host: str, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    """Whether a host's address is in one of the networks; what is no IP address is in none."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in networks)


def place(host: str) -> str:
    """What counts as one address: of IPv6 the network of 64 bits, which a single customer gets."""
    try:
        ip = IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    return host if ip.ipv4_mapped else f"{IPv6Address(int(ip) >> 64 << 64)}/64"
