"""Who is banned: how it is written, found, and over."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmptwist.auth import bans as bans_module
from rtmptwist.auth.bans import Ban, Bans, Kind, TooManyBans, read_line
from rtmptwist.auth.files import BadLine

ADDRESS, ACCOUNT = Kind.ADDRESS, Kind.ACCOUNT


@pytest.mark.parametrize(
    ("kind", "said", "kept"),
    [
        (ADDRESS, "192.0.2.7", "192.0.2.7"),
        (ADDRESS, "192.0.2.7/32", "192.0.2.7"),
        (ADDRESS, "192.0.2.0/24", "192.0.2.0/24"),
        (ADDRESS, "::ffff:192.0.2.7", "192.0.2.7"),
        (ADDRESS, "2001:db8::7", "2001:db8::/64"),  # a customer has as many addresses as it likes
        (ADDRESS, "fe80::1%eth0", "fe80::/64"),
        (ADDRESS, "2001:db8::7/128", "2001:db8::7/128"),
        (ADDRESS, "2001:db8::/32", "2001:db8::/32"),
        (ACCOUNT, "alice", "alice"),
        (ACCOUNT, "key 1234abcd", "key 1234abcd"),
    ],
)
def test_what_is_banned(kind: Kind, said: str, kept: str) -> None:
    assert Ban.of(kind, said, 0).who == kept


@pytest.mark.parametrize(
    ("kind", "who", "until", "note", "words"),
    [
        (ADDRESS, "example.org", None, "", "expected an address, or a network such as"),
        (ADDRESS, "192.0.2.7/24", None, "", "192.0.2.7/24 has host bits set"),
        (ADDRESS, "unix", None, "", "expected an address"),
        (ADDRESS, "", None, "", "expected an address"),
        (ACCOUNT, "anyone", None, "", "guests have no account: ban their addresses"),
        (ACCOUNT, "", None, "", "expected the name of an account"),
        (ACCOUNT, "a\nb", None, "", "expected the name of an account"),
        (ACCOUNT, "a" * 201, None, "", "expected the name of an account"),
        (ACCOUNT, "alice", None, "a\nb", "expected up to 200 letters on one line"),
        (ACCOUNT, "alice", 1e12, "", "expected a time"),
        (ACCOUNT, "alice", 1e300, "", "expected a time"),
        (ACCOUNT, "alice", -5.0, "", "expected a time"),
    ],
)
def test_what_cannot_be_banned(
    kind: Kind, who: str, until: float | None, note: str, words: str
) -> None:
    with pytest.raises(BadLine, match=words):
        Ban.of(kind, who, 0, until, note)


@pytest.mark.parametrize(
    ("until", "note", "words"),
    [
        (None, "", "alice is banned for good."),
        (3600.0, "", "alice is banned until 1970-01-01T01:00:00Z."),
        (3599.5, "floods us", "alice is banned until 1970-01-01T01:00:00Z: floods us."),
    ],
)
def test_what_whoever_is_banned_reads(until: float | None, note: str, words: str) -> None:
    assert Ban.of(ACCOUNT, "alice", 0, until, note).words == words


# --------------------------------------------------------------------------- lines


@pytest.mark.parametrize(
    ("line", "ban"),
    [
        ("address 192.0.2.7", Ban.of(ADDRESS, "192.0.2.7", 50)),
        ("account\talice", Ban.of(ACCOUNT, "alice", 50)),
        (
            "account key%201234abcd note=leaked, sorry",
            Ban.of(ACCOUNT, "key 1234abcd", 50, None, "leaked, sorry"),
        ),
        (
            "address 10.0.0.0/8 until=1970-01-02 since=1970-01-01T00:01:00Z",
            Ban.of(ADDRESS, "10.0.0.0/8", 60, 86400),
        ),
    ],
)
def test_lines(line: str, ban: Ban) -> None:
    assert read_line(line, 50.0) == ban


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("192.0.2.7", "expected `address 192.0.2.7` or `account NAME`"),
        ("address", "expected `address 192.0.2.7` or `account NAME`"),
        ("user alice", "expected `address 192.0.2.7` or `account NAME`"),
        ("account alice for=ever", "expected only since, until, note here"),
        ("account alice until=soon", "until='soon': expected a time"),
        ("address 300.1.2.3", "expected an address"),
    ],
)
def test_lines_that_are_none(line: str, words: str) -> None:
    with pytest.raises(BadLine, match=words):
        read_line(line, 0.0)


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(
    lambda name: name.isprintable() and name != "anyone"
)
addresses = st.ip_addresses().map(str)
times = st.integers(0, 10**10)


@given(
    st.tuples(st.just(ACCOUNT), names) | st.tuples(st.just(ADDRESS), addresses),
    times,
    st.none() | times,
    names | st.just(""),
)
def test_every_ban_can_be_written_and_read(
    who: tuple[Kind, str], since: int, until: int | None, note: str
) -> None:
    ban = Ban.of(*who, since, until, note.strip())
    assert read_line(ban.line.strip(), 0.0) == ban


# --------------------------------------------------------------------------- finding


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("banned", "address", "found"),
    [
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("192.0.2.7", "::ffff:192.0.2.7", True),
        ("192.0.2.0/24", "192.0.2.200", True),
        ("0.0.0.0/0", "198.51.100.1", True),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::/10", "fe80::1%eth0", True),
        ("0.0.0.0/0", "unix", False),
        ("0.0.0.0/0", "", False),
    ],
)
def test_addresses(banned: str, address: str, found: bool) -> None:
    bans = Bans(Clock())
    assert bans.of_address(address) == ""
    bans.add(Ban.of(ADDRESS, banned, 0))
    assert bool(bans.of_address(address)) is found


def test_accounts() -> None:
    bans = Bans(Clock())
    bans.add(Ban.of(ACCOUNT, "alice", 0, note="leaked"))
    assert bans.of_account("alice") == "alice is banned for good: leaked."
    assert bans.of_account("bob") == ""
    assert bans.of_address("192.0.2.1") == ""


def test_a_ban_ends() -> None:
    now = Clock()
    bans = Bans(now)
    bans.add(Ban.of(ACCOUNT, "alice", 0, 200))
    bans.add(Ban.of(ADDRESS, "192.0.2.7", 0, 200))
    bans.add(Ban.of(ADDRESS, "192.0.2.0/24", 0, 300))
    now.now = 200.0
    assert bans.of_account("alice") == ""
    assert bans.of_address("192.0.2.7") == "192.0.2.0/24 is banned until 1970-01-01T00:05:00Z."
    assert [ban.who for ban in bans] == ["192.0.2.0/24"]
    now.now = 300.0
    assert bans.of_address("192.0.2.7") == ""


def test_a_later_ban_replaces_an_earlier_one() -> None:
    bans = Bans(Clock())
    bans.add(Ban.of(ADDRESS, "192.0.2.7", 0, 200))
    bans.add(Ban.of(ADDRESS, "192.0.2.7", 0, None, "for good"))
    assert len(bans) == 1
    assert bans.of_address("192.0.2.7") == "192.0.2.7 is banned for good: for good."


def test_there_is_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bans_module, "MOST", 3)
    now = Clock()
    bans = Bans(now)
    for number in range(3):
        bans.add(Ban.of(ADDRESS, f"192.0.2.{number}", 0, 200))
    bans.add(Ban.of(ADDRESS, "192.0.2.1", 0, 500))  # again
    with pytest.raises(TooManyBans, match="3 bans are in force: ban networks, or lift some"):
        bans.add(Ban.of(ADDRESS, "192.0.2.9", 0))
    now.now = 300.0
    bans.add(Ban.of(ADDRESS, "192.0.2.9", 0))  # in the place of one that is over
    assert [ban.who for ban in bans] == ["192.0.2.1", "192.0.2.9"]
    bans.replace(Ban.of(ACCOUNT, name, 0) for name in "abcde")
    assert len(bans) == 3


subjects = st.sampled_from(
    ["10.0.0.0/8", "10.0.0.0/24", "10.0.1.0/24", "10.0.0.1", "fe80::/10", "fe80::/64", "0.0.0.0/0"]
)


@given(st.lists(st.tuples(st.booleans(), subjects)))
def test_what_is_found_is_what_is_there(steps: list[tuple[bool, str]]) -> None:
    """Bans made and lifted in any order: a look finds what going through them all would."""
    bans, plain = Bans(Clock()), set[str]()
    for add, who in steps:
        if add:
            bans.add(Ban.of(ADDRESS, who, 0))
            plain.add(who)
        else:
            assert bans.remove(ADDRESS, who) is (who in plain)
            plain.discard(who)
        for address in map(
            ip_address, ("10.0.0.1", "10.0.1.9", "10.200.0.1", "8.8.8.8", "fe80::9")
        ):
            inside = any(address in ip_network(who) for who in plain)
            assert bool(bans.of_address(str(address))) is inside
    for who in plain:
        assert bans.remove(ADDRESS, who)
    assert (len(bans), bans._networks) == (0, {})
