"""By what logins are checked."""

from __future__ import annotations

from typing import Any

from rtmptwist.config.convert import Converter
from rtmptwist.config.logins import Login, LoginKind, OperatorLogin
from tests.config.converters import table

HTTP = "http:URL, as in http:https://example.org/login"
KINDS = "file:FILE, token:FILE, http:URL, certificate, or memory or unix"


GOOD: list[tuple[Converter[Any], str, object]] = [
    (LoginKind(), "file:a:b.passwd", Login("file", "a:b.passwd")),
    (LoginKind(), "token:tokens", Login("token", "tokens")),
    (LoginKind(), "certificate", Login("certificate")),
    (LoginKind(), "http:http://h:8/a?b=c", Login("http", "http://h:8/a?b=c")),
    (LoginKind(), "memory:alice:geheim", Login("memory", "alice:geheim")),
    (OperatorLogin(), "loopback", Login("loopback")),
    (OperatorLogin(), "token:tokens", Login("token", "tokens")),
]

BAD: list[tuple[Converter[Any], str, str]] = [
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
    (OperatorLogin(), "fil:x", f"'fil'; expected {KINDS}; did you mean \"file\"?, or loopback"),
    (OperatorLogin(), "certificate", "'certificate': expected another kind, which HTTP can carry"),
    (LoginKind(), "certificate:geheim", "'certificate': expected certificate"),
]


test_what_is_read_and_shown, test_an_error_says_what_was_found_and_what_is_allowed = table(
    GOOD, BAD
)
