"""What was shown at connect, wherever a client says it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis.strategies import dictionaries, floats, from_type, lists, none, one_of, text
from twisted.internet.task import Clock

from rtmptwist.amf.values import Value
from rtmptwist.auth.credentials import (
    Certificate,
    Password,
    Token,
    certificate,
    password,
    possible,
    token,
)
from rtmptwist.live.access import Visitor
from rtmptwist.live.application import Application
from rtmptwist.live.names import parse_connect
from tests.support.live import Settings

LIVE = Application("live", Settings(), Clock())


def visitor(
    app: str = "live",
    url: Value = "rtmp://example.org/live",
    *arguments: Value,
    certificate: str = "",
    spelled: str = "tcUrl",
) -> Visitor:
    target = parse_connect(app, url if isinstance(url, str) else None)
    properties: dict[str, Value] = {"app": app, spelled: url}
    return Visitor("192.0.2.1", LIVE, target.query, properties, arguments, certificate)


@pytest.mark.parametrize(
    "who",
    [
        visitor("live?user=alice&password=geheim"),
        visitor("live", "rtmp://example.org/live?user=alice&password=geheim"),
        visitor("live", "rtmp://alice:geheim@example.org/live"),
        visitor("live", "rtmp://alice:geheim@example.org:1935/live?x=@y", spelled="tcurl"),
        visitor("live", "'rtmps://alice:geheim@[2001:db8::1]/live'"),
        visitor("live", "rtmp://ali%63e:g%65heim@h/live"),
        visitor("live", "rtmp://example.org/live", "alice", "geheim"),
        visitor("live?user=alice&password=geheim", "rtmp://bob:b@h/live", "carol", "c"),
        visitor("live", "rtmp://alice:geheim@h/live", "carol", "c"),
    ],
)
def test_user_and_password(who: Visitor) -> None:
    found = password(who)
    assert found is not None
    assert (found.username, found.password) == (b"alice", b"geheim")
    assert found.checkPassword(b"geheim")
    assert found.checkPassword("geheim")
    assert not found.checkPassword(b"Geheim")
    assert possible(found)


@pytest.mark.parametrize(
    "who",
    [
        visitor(),
        visitor("live?user=alice"),
        visitor("live?password=geheim"),
        visitor("live?user=&password="),
        visitor("live", "rtmp://alice@example.org/live"),
        visitor("live", "rtmp://example.org/a:b@c"),
        visitor("live", "example.org"),
        visitor("live", 7.0),
        visitor("live", None),
        visitor("live", "rtmp://h/live", "alice"),
        visitor("live", "rtmp://h/live", "alice", "geheim", "more"),
        visitor("live", "rtmp://h/live", "alice", 5.0),
        visitor("live", "rtmp://h/live", None, "geheim"),
        visitor("live", "rtmp://h/live", ["alice"], {"password": "geheim"}),
    ],
)
def test_no_user_and_password(who: Visitor) -> None:
    assert password(who) is None


def test_tokens_and_certificates() -> None:
    who = visitor("live?token=a%20b", certificate="alice")
    assert token(who) == Token("a b")
    assert certificate(who) == Certificate("alice")
    assert token(visitor("live?token=")) is None
    assert certificate(visitor()) is None


def test_one_spelling_for_all_keyboards() -> None:
    composed, decomposed = (
        visitor("live?user=%C3%BC&password=x"),
        visitor("live?user=u%CC%88&password=x"),
    )
    first, second = password(composed), password(decomposed)
    assert first is not None
    assert second is not None
    assert first.username == second.username


@pytest.mark.parametrize(
    ("credentials", "is_possible"),
    [
        (Password(b"a", b"p", visitor()), True),
        (Password(b"", b"p", visitor()), False),
        (Password(b"a", b"", visitor()), False),
        (Password(b"a" * 64, b"p" * 512, visitor()), True),
        (Password(b"a" * 65, b"p", visitor()), False),
        (Password(b"a", b"p" * 513, visitor()), False),
        (Password(b"a\0", b"p", visitor()), False),
        (Password(b"a\nb", b"p", visitor()), False),
        (Password(b"a", b"p\0", visitor()), True),
        (Token("t" * 512), True),
        (Token("t" * 513), False),
        (Certificate("alice"), True),
        (Certificate("a" * 65), False),
    ],
)
def test_what_is_worth_a_look(
    credentials: Password | Token | Certificate, is_possible: bool
) -> None:
    assert possible(credentials) is is_possible


@given(
    query=dictionaries(text(), text()),
    properties=dictionaries(text(), one_of(none(), floats(), text())),
    arguments=lists(one_of(none(), floats(), text(), from_type(bool)), max_size=3),
)
def test_anything_may_come(
    query: dict[str, str], properties: dict[str, Value], arguments: list[Value]
) -> None:
    who = Visitor("192.0.2.1", LIVE, query, properties, tuple(arguments), query.get("c", ""))
    for found in (password(who), token(who), certificate(who)):
        assert found is None or possible(found) in (True, False)


def test_nothing_secret_shows() -> None:
    who = visitor("live?user=alice&password=geheim&token=geheim")
    assert "geheim" not in repr((password(who), token(who), who))
