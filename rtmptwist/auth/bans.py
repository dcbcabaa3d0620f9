"""
Who is banned: addresses, networks and accounts, for a time or for good.

One line of a file for each:

    address 192.0.2.0/24 since=TIME until=TIME note=all the rest of the line
    account alice

Of these only the first two words are needed. TIME is UTC, such as 2030-12-31T23:59:59Z; without
`until` it is for good. A blank in the name of an account is %20. Whoever is banned reads the note.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import quote, unquote

from rtmptwist.auth.files import BadLine
from rtmptwist.auth.gate import GUEST
from rtmptwist.auth.options import read_note, read_options, read_time, show_options, show_time
from rtmptwist.live.networks import place

MOST: Final = 10_000
"Bans at one time: each costs some hundred bytes here and in the file."

_LONGEST_NAME: Final = 200


class Kind(StrEnum):
    """By what somebody is known."""

    ADDRESS = "address"
    ACCOUNT = "account"


class TooManyBans(Exception):
    """There are as many as may be."""


@dataclass(frozen=True, slots=True)
class Ban:
    """One ban. Make it by `Ban.of`, for what is banned can be written in several ways."""

    kind: Kind

    who: str
    "An address or a network; the name of an account, as logs call it."

    since: float
    "Seconds since the epoch."

    until: float | None = None
    "None: for good."

    note: str = ""
    "Why; they are told."

    network: IPv4Network | IPv6Network | None = None
    "Of an address."

    @classmethod
    def of(
        cls, kind: Kind, who: str, since: float, until: float | None = None, note: str = ""
    ) -> Ban:
        """
        A ban, as it is kept and compared: to the second.

        Raises:
            BadLine: `who`, `until` or `note` cannot be that.
        """
        network = _network(who) if kind is Kind.ADDRESS else None
        name = _account(who) if network is None else _name(network)
        if until is not None:
            until = read_time(_shown(math.ceil(until)))
        return cls(kind, name, float(int(since)), until, read_note(note), network)

    @property
    def key(self) -> tuple[Kind, str]:
        """There is one ban of each."""
        return self.kind, self.who

    @property
    def words(self) -> str:
        """For whoever is banned, and for the log."""
        lasts = "for good" if self.until is None else f"until {show_time(self.until)}"
        return f"{self.who} is banned {lasts}{': ' if self.note else ''}{self.note}."

    @property
    def line(self) -> str:
        """As it stands in a file; `read_line` makes the same of it."""
        options = {
            "since": show_time(self.since),
            "until": "" if self.until is None else show_time(self.until),
            "note": self.note,
        }
        name = re.sub(r"[\s%#]", lambda found: quote(found[0]), self.who)
        return f"{self.kind} {name}{show_options(options)}"

    def over(self, now: float) -> bool:
        """Whether it has ended."""
        return self.until is not None and self.until <= now


def read_line(line: str, now: float) -> Ban:
    """
    One line of a file; `now` stands for a `since` that is not said.

    Raises:
        BadLine: it is none.
    """
    word, who, rest = (*re.split(r"[ \t]+", line, maxsplit=2), "", "")[:3]
    if word not in Kind.__members__.values() or not who:
        raise BadLine("expected `address 192.0.2.7` or `account NAME`")
    said = read_options(rest, {"since": read_time, "until": read_time, "note": read_note})
    return Ban.of(
        Kind(word), unquote(who), said.get("since", now), said.get("until"), said.get("note", "")
    )


def _shown(time: float) -> str:
    try:
        return show_time(time)
    except (OverflowError, ValueError):  # of years that have more than four digits
        return ""


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        if "/" in text:
            return ip_network(text)
        address = ip_address(text.partition("%")[0])
        return ip_network(place(str(getattr(address, "ipv4_mapped", None) or address)))
    except ValueError as error:
        raise BadLine(f"expected an address, or a network such as 192.0.2.0/24 ({error})") from None


def _name(network: IPv4Network | IPv6Network) -> str:
    single = network.version == 4 and network.num_addresses == 1
    return str(network.network_address) if single else str(network)


def _account(name: str) -> str:
    if name == GUEST:
        raise BadLine("guests have no account: ban their addresses")
    if not name or not name.isprintable() or len(name) > _LONGEST_NAME:
        raise BadLine(f"expected the name of an account, up to {_LONGEST_NAME} letters")
    return name


class Bans:
    """
    All bans of a server.

    An address is found by one look for each length of prefix that is in use, however many there
    are.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        """`now`: seconds since the epoch."""
        self._now = now
        self._bans: dict[tuple[Kind, str], Ban] = {}
        self._networks: dict[tuple[int, int], dict[int, Ban]] = {}
        "By version and by the bits behind the prefix, then by the prefix."

    def __len__(self) -> int:
        return len(self._bans)

    def __iter__(self) -> Iterator[Ban]:
        """Those that are in force, in the order in which they were made."""
        now = self._now()
        return iter([ban for ban in self._bans.values() if not ban.over(now)])

    def add(self, ban: Ban) -> None:
        """
        Ban somebody, in place of an earlier ban.

        Raises:
            TooManyBans: somebody else must be let in before.
        """
        if ban.key not in self._bans and len(self._bans) >= MOST:
            self.replace(self)
            if len(self._bans) >= MOST:
                raise TooManyBans(f"{MOST} bans are in force: ban networks, or lift some")
        self._bans[ban.key] = ban
        self._index(ban)

    def remove(self, kind: Kind, who: str) -> bool:
        """Lift a ban; whether there was one. `who` is as `Ban.who`."""
        found = self._bans.pop((kind, who), None)
        if found is not None and found.network is not None:
            shelf, prefix = _shelf(found.network)
            del self._networks[shelf][prefix]
            if not self._networks[shelf]:
                del self._networks[shelf]
        return found is not None

    def replace(self, bans: Iterable[Ban]) -> None:
        """These and no others, as far as there is room."""
        kept = list(bans)[:MOST]
        self._bans = {ban.key: ban for ban in kept}
        self._networks = {}
        for ban in self._bans.values():
            self._index(ban)

    def of_address(self, address: str) -> str:
        """Why nobody may come from there, by the address or a network it is in; empty: all may."""
        if not self._networks:
            return ""
        try:
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return ""
        found = getattr(found, "ipv4_mapped", None) or found
        number = int(found)
        bans = (
            networks.get(number >> bits)
            for (version, bits), networks in self._networks.items()
            if version == found.version
        )
        return next(filter(None, map(self._words, bans)), "")

    def of_account(self, name: str) -> str:
        """Why an account may not be used; empty: it may."""
        return self._words(self._bans.get((Kind.ACCOUNT, name)))

    def _words(self, ban: Ban | None) -> str:
        return ban.words if ban is not None and not ban.over(self._now()) else ""

    def _index(self, ban: Ban) -> None:
        if ban.network is not None:
            shelf, prefix = _shelf(ban.network)
            self._networks.setdefault(shelf, {})[prefix] = ban


def _shelf(network: IPv4Network | IPv6Network) -> tuple[tuple[int, int], int]:
    """Where a network is found."""
    bits = network.max_prefixlen - network.prefixlen
    return (network.version, bits), int(network.network_address) >> bits
