from __future__ import annotations

import socket
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import integers

from rtmptwist.config.convert import (
    ANYONE,
    LOOPBACK,
    NOBODY,
    PROOFS,
    Access,
    BadValue,
    Bitrate,
    Choice,
    Converter,
    Count,
    Duration,
    Folder,
    HostNames,
    HttpUrl,
    Lines,
    Login,
    LoginKind,
    Names,
    Networks,
    Or,
    Place,
    Program,
    RtmpUrl,
    ServerEndpoint,
    Size,
    Who,
    Words,
)

INSIDE = IPv4Network("10.0.0.0/8")

COUNT = Count(1, 1000)
DURATION = Duration(0, 3600)
SIZE = Size(0, 1 << 40)
BITRATE = Bitrate(8000, 1_000_000_000)
CHOICE = Choice("reject", "same", "any")
WORDS = Words("rtmp", "rtmps", "http")

QUOTED = (
    "expected a program and its arguments, quoted as in a shell"
    " (a ; after a blank begins a comment)"
)
RTMP_URL = "an URL such as rtmp://b.example.org/{app}"
URL = "an URL such as https://example.org/hook, in ASCII"

GOOD: list[tuple[Converter[Any], str, object]] = [
    (COUNT, "1", 1),
    (COUNT, "1000", 1000),
    (DURATION, "0", 0.0),
    (DURATION, "0s", 0.0),
    (DURATION, "250ms", 0.25),
    (DURATION, "1.5 s", 1.5),
    (DURATION, "2m", 120.0),
    (DURATION, "1h", 3600.0),
    (SIZE, "0", 0),
    (SIZE, "65535", 65535),
    (SIZE, "64K", 65536),
    (SIZE, "1 m", 1 << 20),
    (SIZE, "2G", 2 << 30),
    (BITRATE, "6M", 6_000_000),
    (BITRATE, "2.5 M", 2_500_000),
    (BITRATE, "2500K", 2_500_000),
    (BITRATE, "128000", 128_000),
    (Or("none", COUNT), "none", None),
    (Or("none", COUNT), "7", 7),
    (CHOICE, "same", "same"),
    (WORDS, "rtmp", {"rtmp"}),
    (WORDS, "http,rtmp\nrtmps", {"rtmp", "rtmps", "http"}),
    (HostNames(), "", ()),
    (HostNames(), "Example.ORG. 10.0.0.1, ::1", ("example.org", "10.0.0.1", "::1")),
    (Names(), "none", ()),
    (Names(), "b, a", ("b", "a")),
    (RtmpUrl(), "rtmp://b.example.org/{app}", "rtmp://b.example.org/{app}"),
    (RtmpUrl(), "rtmpts://[::1]:8443/a/b", "rtmpts://[::1]:8443/a/b"),
    (HttpUrl(), "https://a:b@[::1]:8443/c?d=e", "https://a:b@[::1]:8443/c?d=e"),
    (Program(), "prog", ("prog",)),
    (Program(), "sh -c 'a \"$B\"; c'\n'' d\\ e", ("sh", "-c", 'a "$B"; c', "", "d e")),
    (Folder(), "../var", Path("../var")),
    (Place("auto"), "auto", None),
    (Place("auto"), "a.pem", Path("a.pem")),
    (Networks(), "none", ()),
    (Networks(), "127.0.0.0/8, ::1", LOOPBACK),
    (Who(), "anyone", ANYONE),
    (Who(), "nobody", NOBODY),
    (Who(), "users", Access(proofs=frozenset({"users"}))),
    (Who(), "users, 10.0.0.0/8", Access((INSIDE,), proofs=frozenset({"users"}))),
    (Who(), "10.0.0.0/8\n2001:db8::/32", Access((INSIDE, IPv6Network("2001:db8::/32")))),
    (LoginKind(), "file:a:b.passwd", Login("file", "a:b.passwd")),
    (LoginKind(), "token:tokens", Login("token", "tokens")),
    (LoginKind(), "certificate", Login("certificate")),
    (LoginKind(), "http:http://h:8/a?b=c", Login("http", "http://h:8/a?b=c")),
    (LoginKind(), "memory:alice:geheim", Login("memory", "alice:geheim")),
    (Lines(COUNT), "1", (1,)),
    (Lines(ServerEndpoint()), "tcp:1935\ntcp6:1936", ("tcp:1935", "tcp6:1936")),
    (Lines(COUNT), "\n1\n\n2", (1, 2)),
]


@pytest.mark.parametrize(("converter", "text", "value"), GOOD, ids=[case[1] for case in GOOD])
def test_what_is_read_and_shown(converter: Converter[Any], text: str, value: object) -> None:
    assert converter.read(text) == value
    assert converter.read(converter.show(value)) == value


WHO = f"anyone, nobody, {', '.join(PROOFS)}, or networks such as 10.0.0.0/8 and 2001:db8::/32"

HTTP = "http:URL, as in http:https://example.org/login"
KINDS = "file:FILE, token:FILE, http:URL, certificate, or memory or unix"

BAD: list[tuple[Converter[Any], str, str]] = [
    (COUNT, "", "''; expected a whole number"),
    (COUNT, "-1", "'-1'; expected a whole number"),
    (COUNT, "٣", "'٣'; expected a whole number"),
    (COUNT, "0", "'0'; expected 1 to 1000"),
    (COUNT, "1001", "'1001'; expected 1 to 1000"),
    (DURATION, "10", "'10'; expected a duration such as 250ms, 10s, 2m, 1h or 0"),
    (DURATION, "-1s", "'-1s'; expected a duration such as 250ms, 10s, 2m, 1h or 0"),
    (DURATION, "1e3s", "'1e3s'; expected a duration such as 250ms, 10s, 2m, 1h or 0"),
    (DURATION, "1_0s", "'1_0s'; expected a duration such as 250ms, 10s, 2m, 1h or 0"),
    (DURATION, "inf", "'inf'; expected a duration such as 250ms, 10s, 2m, 1h or 0"),
    (DURATION, "61m", "'61m'; expected 0 to 1h"),
    (Duration(0.1, 10), "0", "'0'; expected 100ms to 10s"),
    (SIZE, "3X", "'3X'; expected a size in bytes such as 65536, 64K, 32M or 1G"),
    (SIZE, "1025G", "'1025G'; expected 0 to 1024G"),
    (BITRATE, "6G", "'6G'; expected bits per second such as 2500k or 6M"),
    (BITRATE, "1k", "'1k'; expected 8k to 1000M"),
    (Or("none", COUNT), "non", "'non'; expected a whole number, or none"),
    (Or("none", COUNT), "0", "'0'; expected 1 to 1000, or none"),
    (CHOICE, "sam", "'sam'; expected reject, same or any; did you mean \"same\"?"),
    (CHOICE, "", "''; expected reject, same or any"),
    (WORDS, "", "''; expected rtmp, rtmps or http"),
    (WORDS, "rtmp, x, y", "'x, y'; expected rtmp, rtmps or http"),
    (Words("rtmp"), "rtmsp", "'rtmsp'; expected rtmp; did you mean \"rtmp\"?"),
    (HostNames(), "a b_/c", "'b_/c'; expected a host name such as example.org, or an address"),
    (HostNames(), "-a", "'-a'; expected a host name such as example.org, or an address"),
    (Names(), "", "''; expected names, or none"),
    (Names(), "a, none", "'a, none'; expected names, or none"),
    (Names(), "a b a", "'a b a'; expected a only once"),
    *(
        (RtmpUrl(), text, f"'{text}'; expected {RTMP_URL}")
        for text in (
            *("", "b.example.org", "http://b/{app}", "rtmp://", "rtmp://b", "rtmp://b/"),
            *(
                "rtmp://b:99999/a",
                "rtmp://b:0/a",
                "rtmp://[b/a",
                "rtmp://b/{name}",
                "rtmp://b/{app",
            ),
            *("rtmp://b/a b", "rtmp://b/ä", "rtmp://b/a#c"),
        )
    ),
    (RtmpUrl(), "rtmp://anna:geheim@b/a", f"'rtmp://...@b/a'; expected {RTMP_URL}"),
    (RtmpUrl(), "rtmp://b/{app}?token=geheim", f"'rtmp://b/{{app}}'; expected {RTMP_URL}"),
    (HttpUrl(), "", f"''; expected {URL}"),
    (HttpUrl(), "rtmp://a/b", f"'rtmp://a/b'; expected {URL}"),
    (HttpUrl(), "https://", f"'https://'; expected {URL}"),
    (HttpUrl(), "http://a:99999/", f"'http://a:99999/'; expected {URL}"),
    (HttpUrl(), "http://[a/", f"'http://[a/'; expected {URL}"),
    (HttpUrl(), "http://a/b#c", f"'http://a/b#c'; expected {URL}"),
    (HttpUrl(), "http://a:geheim@b/ c?geheim", f"'http://...@b/ c'; expected {URL}"),
    (Program(), "", "''; expected a program and its arguments"),
    (Program(), "''", "\"''\"; expected a program and its arguments"),
    (
        Program(),
        "sh -c 'geheim",
        f"no closing quotation; {QUOTED}",
    ),
    (Folder(), "", "''; expected a folder"),
    (Place("auto"), "", "''; expected a path, or auto"),
    (Folder(), "a\0b", "'a\\x00b'; expected a folder"),
    (Networks(), "", "''; expected networks such as 10.0.0.0/8 or 2001:db8::/32"),
    (Networks(), "all", "'all'; expected networks such as 10.0.0.0/8 or 2001:db8::/32"),
    (Networks(), "10.1.2.3/8", "'10.1.2.3/8'; expected a network: is 10.0.0.0/8 meant?"),
    (Who(), "anyon", f"'anyon'; expected {WHO}; did you mean \"anyone\"?"),
    (Who(), "user", f"'user'; expected {WHO}; did you mean \"users\"?"),
    (Who(), "users, anyone", "'users, anyone'; expected anyone to stand alone"),
    (Who(), "", f"''; expected {WHO}"),
    (Who(), "nobody 10.0.0.0/8", "'nobody 10.0.0.0/8'; expected nobody to stand alone"),
    (
        LoginKind(),
        "publishers.passwd",
        f"'publishers.passwd'; expected {KINDS}",
    ),
    (LoginKind(), "fil:x", f"'fil'; expected {KINDS}; did you mean \"file\"?"),
    (LoginKind(), "", f"''; expected {KINDS}"),
    (LoginKind(), "anonymous:geheim", f"'anonymous'; expected {KINDS}"),
    (LoginKind(), "file", "'file': expected file:FILE"),
    (LoginKind(), "file:", "'file': expected file:FILE"),
    (LoginKind(), "token:a\0b", "'token': expected token:FILE"),
    (LoginKind(), "http:example.org", f"'http': expected {HTTP}"),
    (LoginKind(), "http:https://a:geheim@h/", f"'http': expected {HTTP}"),
    (LoginKind(), "http:https://[::1/", f"'http': expected {HTTP}"),
    (LoginKind(), "http:https://h:99999/", f"'http': expected {HTTP}"),
    (LoginKind(), "http:https://exämple.org/", f"'http': expected {HTTP}"),
    (LoginKind(), "http:ftp://h/", f"'http': expected {HTTP}"),
    (LoginKind(), "certificate:geheim", "'certificate': expected certificate"),
    (Who(), "10.0.0.0/33", "'10.0.0.0/33'; expected networks such as 10.0.0.0/8 or 2001:db8::/32"),
]


@pytest.mark.parametrize(("converter", "text", "error"), BAD, ids=[case[1] for case in BAD])
def test_an_error_says_what_was_found_and_what_is_allowed(
    converter: Converter[Any], text: str, error: str
) -> None:
    with pytest.raises(BadValue) as caught:
        converter.read(text)
    assert str(caught.value) == error


@given(integers(0, 3_600_000))
def test_every_duration_can_be_shown(milliseconds: int) -> None:
    assert DURATION.read(DURATION.show(milliseconds / 1000)) == milliseconds / 1000


@given(integers(0, 1 << 40))
def test_every_size_can_be_shown(size: int) -> None:
    assert SIZE.read(SIZE.show(size)) == size


@given(integers(8000, 1_000_000_000))
def test_every_bitrate_can_be_shown(bits: int) -> None:
    assert BITRATE.read(BITRATE.show(bits)) == bits


@pytest.mark.parametrize(
    "text",
    [
        "tcp:1935",
        "tcp:0",
        "tcp6:1935:backlog=1024",
        r"tcp:1935:interface=\:\:",
        "tcp:interface=127.0.0.1:port=1935",
        "haproxy:tcp:1935",
        "unix:/run/rtmp.sock:mode=660",
        "haproxy:unix:/run/rtmp.sock",
        "systemd:domain=INET6:index=0",
        "systemd:domain=INET:name=rtmp",
    ],
)
def test_endpoints_of_twisted_are_accepted(text: str) -> None:
    assert ServerEndpoint().read(text) == text


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("1935", "'1935': Unknown endpoint type: '1935'; expected a Twisted endpoint such as"),
        ("", "'': Unknown endpoint type: ''; expected a Twisted endpoint such as"),
        ("tcp:rtmp", "'tcp:rtmp': invalid literal for int() with base 10: 'rtmp'; expected a T"),
        ("tcp:1935:bl=1", "'tcp:1935:bl=1': got an unexpected keyword argument 'bl'; expected a"),
        ("tcp", "'tcp': missing 1 required positional argument: 'port'; expected a Twisted"),
        ("tcp:65536", "'65536'; expected a port from 0 to 65535"),
        ("haproxy:tcp:port=99999", "'99999'; expected a port from 0 to 65535"),
        ("tcp6:-1", "'-1'; expected a port from 0 to 65535"),
        ("tcp:1935:interface=::", "'tcp:1935:interface=::': got multiple values for argument"),
        ("haproxy:foo:1", "'haproxy:foo:1': Unknown endpoint type: 'foo'; expected a Twisted"),
        ("systemd:index=0", "'systemd:index=0': missing 1 required positional argument: 'domain'"),
        ("ssl:8443:privateKey=/no/such.pem", "'ssl:8443:privateKey=/no/such.pem': [Errno 2]"),
    ],
)
def test_what_twisted_refuses_is_an_error(text: str, error: str) -> None:
    with pytest.raises(BadValue) as caught:
        ServerEndpoint().read(text)
    assert str(caught.value).startswith(error)
    assert "did you mean" not in str(caught.value)


def test_the_nearest_prefix_is_offered() -> None:
    with pytest.raises(BadValue, match=r"; did you mean .unix.\?$"):
        ServerEndpoint().read("haproxy:unx:/run/x")


def test_checking_an_endpoint_opens_nothing() -> None:
    """`--check` runs beside the server that it is to replace."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert ServerEndpoint().read(f"tcp:{port}:interface=127.0.0.1")


def test_every_bad_line_is_reported() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        Lines(COUNT).read("\n1\n\nx\ny")
    errors = caught.value.exceptions
    assert [(getattr(error, "part", 0), str(error)) for error in errors] == [
        (3, "'x'; expected a whole number"),
        (4, "'y'; expected a whole number"),
    ]


def test_lines_may_not_all_be_empty() -> None:
    with pytest.raises(ExceptionGroup):
        Lines(COUNT).read("")
