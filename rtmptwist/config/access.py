"""Who may do something: networks, and proofs that count instead of coming from one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, TypeAlias

from rtmptwist.config.convert import Converter, words_of, wrong

Network: TypeAlias = IPv4Network | IPv6Network


PROOFS: Final = ("users", "keys", "signed")
"What may be shown instead of coming from the right network. Each has a proof in `auth`."


@dataclass(frozen=True, slots=True)
class Access:
    """Who may do something: anyone, or who comes from a network or shows a proof, if there are."""

    networks: tuple[Network, ...] = ()
    anyone: bool = False

    proofs: frozenset[str] = frozenset()
    "Of `PROOFS`."


NOBODY: Final = Access()
ANYONE: Final = Access(anyone=True)
LOOPBACK: Final[tuple[Network, ...]] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))


class Networks(Converter[tuple[Network, ...]]):
    """Networks, IPv4 or IPv6; `none` for no network."""

    def read(self, text: str) -> tuple[Network, ...]:
        return () if text == "none" else tuple(_network(word) for word in words_of(text) or [""])

    def show(self, value: tuple[Network, ...]) -> str:
        return ", ".join(map(str, value)) or "none"


class Who(Converter[Access]):
    """`anyone`, `nobody`, or proofs and networks."""

    def __init__(self, *proofs: str) -> None:
        """`proofs`: those that make sense; all of them if none is named."""
        self._proofs = proofs or PROOFS

    def read(self, text: str) -> Access:
        words = words_of(text)
        if words == ["anyone"]:
            return ANYONE
        if words == ["nobody"]:
            return NOBODY
        networks = [word for word in words or [""] if word not in self._proofs]
        for word in networks:
            if word in ("anyone", "nobody"):
                raise wrong(text, f"{word} to stand alone")
            if not re.search(r"[0-9:]", word):
                known = ("anyone", "nobody", *self._proofs)
                allowed = f"{', '.join(known)}, or networks such as 10.0.0.0/8 and 2001:db8::/32"
                raise wrong(word, allowed, known)
        proofs = frozenset(word for word in words if word in self._proofs)
        return Access(tuple(map(_network, networks)), proofs=proofs)

    def show(self, value: Access) -> str:
        if value.anyone:
            return "anyone"
        proofs = [word for word in PROOFS if word in value.proofs]
        return ", ".join([*proofs, *map(str, value.networks)]) or "nobody"


def _network(text: str) -> Network:
    try:
        near = ip_network(text, strict=False)
    except ValueError:
        raise wrong(text, "networks such as 10.0.0.0/8 or 2001:db8::/32") from None
    try:
        return ip_network(text)
    except ValueError:
        raise wrong(text, f"a network: is {near} meant?") from None
