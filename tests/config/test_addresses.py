"""Where something is on a network."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from rtmptwist.config.addresses import HostNames, HttpUrl, RtmpUrl, ServerEndpoint
from rtmptwist.config.convert import BadValue, Converter
from tests.config.converters import table

RTMP_URL = "an URL such as rtmp://b.example.org/{app}"
URL = "an URL such as https://example.org/hook, in ASCII"


GOOD: list[tuple[Converter[Any], str, object]] = [
    (HostNames(), "", ()),
    (HostNames(), "Example.ORG. 10.0.0.1, ::1", ("example.org", "10.0.0.1", "::1")),
    (RtmpUrl(), "rtmp://b.example.org/{app}", "rtmp://b.example.org/{app}"),
    (RtmpUrl(), "rtmpts://[::1]:8443/a/b", "rtmpts://[::1]:8443/a/b"),
    (HttpUrl(), "https://a:b@[::1]:8443/c?d=e", "https://a:b@[::1]:8443/c?d=e"),
]

BAD: list[tuple[Converter[Any], str, str]] = [
    (HostNames(), "a b_/c", "'b_/c'; expected a host name such as example.org, or an address"),
    (HostNames(), "-a", "'-a'; expected a host name such as example.org, or an address"),
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
]


test_what_is_read_and_shown, test_an_error_says_what_was_found_and_what_is_allowed = table(
    GOOD, BAD
)


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
