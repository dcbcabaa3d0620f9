"""Who may do something."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Any

from rtmptwist.config.access import ANYONE, LOOPBACK, NOBODY, PROOFS, Access, Networks, Who
from rtmptwist.config.convert import Converter
from tests.config.converters import table

INSIDE = IPv4Network("10.0.0.0/8")
WHO = f"anyone, nobody, {', '.join(PROOFS)}, or networks such as 10.0.0.0/8 and 2001:db8::/32"


GOOD: list[tuple[Converter[Any], str, object]] = [
    (Networks(), "none", ()),
    (Networks(), "127.0.0.0/8, ::1", LOOPBACK),
    (Who(), "anyone", ANYONE),
    (Who(), "nobody", NOBODY),
    (Who(), "users", Access(proofs=frozenset({"users"}))),
    (Who(), "users, 10.0.0.0/8", Access((INSIDE,), proofs=frozenset({"users"}))),
    (Who(), "10.0.0.0/8\n2001:db8::/32", Access((INSIDE, IPv6Network("2001:db8::/32")))),
]

BAD: list[tuple[Converter[Any], str, str]] = [
    (Networks(), "", "''; expected networks such as 10.0.0.0/8 or 2001:db8::/32"),
    (Networks(), "all", "'all'; expected networks such as 10.0.0.0/8 or 2001:db8::/32"),
    (Networks(), "10.1.2.3/8", "'10.1.2.3/8'; expected a network: is 10.0.0.0/8 meant?"),
    (Who(), "anyon", f"'anyon'; expected {WHO}; did you mean \"anyone\"?"),
    (Who(), "user", f"'user'; expected {WHO}; did you mean \"users\"?"),
    (Who(), "users, anyone", "'users, anyone'; expected anyone to stand alone"),
    (Who(), "", f"''; expected {WHO}"),
    (Who(), "nobody 10.0.0.0/8", "'nobody 10.0.0.0/8'; expected nobody to stand alone"),
    (Who(), "10.0.0.0/33", "'10.0.0.0/33'; expected networks such as 10.0.0.0/8 or 2001:db8::/32"),
]


test_what_is_read_and_shown, test_an_error_says_what_was_found_and_what_is_allowed = table(
    GOOD, BAD
)
