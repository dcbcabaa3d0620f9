"""Whether an address belongs to a network."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address


def within(host: str, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    """Whether a host's address is in one of the networks; what is no IP address is in none."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in networks)
