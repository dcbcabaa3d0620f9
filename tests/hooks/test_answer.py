from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmptwist.hooks.answer import TEXT_SIZE, Answer, NoAnswer, from_http, from_json, readable
from rtmptwist.live.access import Terms

NO = Answer(allowed=False)
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"


def said(
    status: int = 200,
    body: bytes = b"",
    kind: str = TEXT,
    location: str = "",
    *,
    strict: bool = True,
) -> Answer:
    return from_http(status, location, kind, body, strict=strict)


def test_yes() -> None:
    assert said() == said(204) == said(299, b" \r\n") == Answer()


def test_a_page_is_no_permission() -> None:
    """A wrong address, the page of a hotel's network: both say 200."""
    with pytest.raises(NoAnswer, match="no JSON"):
        said(200, b"<html>Welcome!</html>", "text/html")


def test_servers_for_nginx_rtmp_say_what_they_like() -> None:
    assert said(200, b"OK", strict=False) == Answer()
    assert said(200, b'{"allow": false}', JSON, strict=False) == NO


@pytest.mark.parametrize(
    ("values", "answer"),
    [
        ({}, Answer()),
        ({"allow": True}, Answer()),
        ({"allow": False}, NO),
        ({"allow": False, "reason": "Not\n you."}, Answer(allowed=False, reason="Not you.")),
        ({"name": "public"}, Answer(name="public")),
        ({"name": "a/b%20c.flv"}, Answer(name="a/b c")),
        ({"redirect": "rtmps://b/live"}, Answer(allowed=False, redirect="rtmps://b/live")),
        ({"allow": True, "redirect": "rtmp://b/live"}, Answer(False, redirect="rtmp://b/live")),
        ({"name": "", "redirect": "", "reason": ""}, Answer()),
        ({"limits": {}}, Answer()),
        (
            {
                "limits": {
                    "bitrate": 6_000_000,
                    "duration": 1.5,
                    "codecs": ["avc1", "mp4a"],
                    "width": 1920,
                    "height": 1080,
                }
            },
            Answer(
                limits=Terms(
                    bitrate=6_000_000,
                    duration=1.5,
                    codecs=frozenset({"avc1", "mp4a"}),
                    width=1920,
                    height=1080,
                )
            ),
        ),
    ],
)
def test_json(values: dict[str, Any], answer: Answer) -> None:
    assert said(200, json.dumps(values).encode(), JSON) == answer


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"no", "its answer is no JSON"),
        (b"{" * 30_000, "its answer is no JSON"),
        (b"[" * 30_000, "its answer is no JSON"),
        (b"9" * 30_000, "its answer is no JSON"),
        (b"\xff\xfe\x00", "its answer is no JSON"),
        (b'{"limits": {"bitrate": NaN}}', "its answer is no JSON"),
        (b"0", "its answer is no JSON object"),
        (b'{"code": 0}', r"its answer has code, which means nothing \(allow, reason, name,"),
        (b'{"\\n\\u0000": 0}', "its answer has a key, which means nothing"),
        (b'{"allow": 1}', "allow in its answer: expected true or false"),
        (b'{"allow": "false"}', "allow in its answer: expected true or false"),
        (b'{"reason": 7}', "reason in its answer: expected a text"),
        (b'{"name": ["a"]}', "name in its answer: expected a text"),
        (b'{"name": "../etc"}', "the name it gives cannot be: .* has a part"),
        (b'{"name": "a\\nb"}', r"the name it gives cannot be: .* contains the character U\+000A"),
        (b'{"name": "a?vhost=b"}', "the name it gives has a query"),
        (b'{"redirect": "http://a/"}', "it redirects to is no rtmp:// URL"),
        (b'{"redirect": "rtmp:///live"}', "it redirects to is no rtmp:// URL"),
        (b'{"redirect": "rtmp://a:0/b"}', "it redirects to is no rtmp:// URL"),
        (b'{"redirect": "rtmp://[a/b"}', "it redirects to is no rtmp:// URL"),
        (b'{"redirect": "rtmp://a/b c"}', "it redirects to is no rtmp:// URL"),
        (b'{"redirect": "rtmp://a/%s"}' % (b"b" * 3000), "it redirects to is no rtmp:// URL"),
        (b'{"limits": []}', "limits is no JSON object"),
        (b'{"limits": {"fps": 30}}', "limits has fps, which means nothing"),
        (b'{"limits": {"bitrate": 0}}', "bitrate in limits: expected a whole number above 0"),
        (b'{"limits": {"bitrate": true}}', "bitrate in limits: expected a whole number above 0"),
        (b'{"limits": {"bitrate": 1e3}}', "bitrate in limits: expected a whole number above 0"),
        (b'{"limits": {"width": "wide"}}', "width in limits: expected a whole number above 0"),
        (b'{"limits": {"duration": 1e999}}', "duration in limits: expected seconds above 0"),
        (b'{"limits": {"duration": -1}}', "duration in limits: expected seconds above 0"),
        (b'{"limits": {"codecs": "avc1"}}', "codecs in limits: expected a list"),
        (b'{"limits": {"codecs": []}}', "codecs in limits: expected a list"),
        (
            b'{"limits": {"codecs": ["h264"]}}',
            "codecs in limits: expected codecs by the names .*avc1",
        ),
    ],
    ids=lambda value: str(value[:40]),
)
def test_json_that_says_nothing(body: bytes, why: str) -> None:
    with pytest.raises(NoAnswer, match=why):
        from_json(body)


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        (TEXT, b"Ask Anna.", "Ask Anna."),
        (TEXT, b" Ask\r\n  Anna.\n\n", "Ask Anna."),
        ("", "Frag Änne.".encode(), "Frag Änne."),
        (TEXT, b"a\x00b\x1b[31mc\xff", "a\ufffdb\ufffd[31mc\ufffd"),
        (TEXT, b"", ""),
        ("text/html", b"Forbidden", ""),
        (TEXT, b"  <!doctype html>Forbidden", ""),
        (JSON, b'{"reason": "Ask Anna.", "whatever": 1}', "Ask Anna."),
        (JSON, b'{"reason": 1}', ""),
        (JSON, b'{"detail": "Forbidden"}', ""),
        (JSON, b"[]", ""),
        (JSON, b"nonsense", ""),
    ],
    ids=repr,
)
def test_no(kind: str, body: bytes, reason: str) -> None:
    for status in (400, 401, 403, 404, 499):
        assert said(status, body, kind) == Answer(allowed=False, reason=reason)


@pytest.mark.parametrize("status", [-1, 0, 100, 199, 500, 503, 599, 600, 10**9])
def test_no_answer(status: int) -> None:
    with pytest.raises(NoAnswer, match=f"HTTP status {status}"):
        said(status, b"sorry")


def test_a_text_is_cut_where_encoders_cut_it() -> None:
    for letter in ("x", "ä", "\N{SNOWMAN}", "\U0001f600"):
        text = readable(letter * 1000)
        assert TEXT_SIZE - 6 < len(text.encode()) <= TEXT_SIZE
        assert text.endswith(letter + "…")
    assert readable("x" * TEXT_SIZE) == "x" * TEXT_SIZE


@pytest.mark.parametrize(
    ("location", "answer"),
    [
        ("public", Answer(name="public")),
        ("a/b", Answer(name="a/b")),
        ("caf%C3%A9", Answer(name="café")),
        ("rtmp://b.example/live/x?t=1", Answer(False, redirect="rtmp://b.example/live/x?t=1")),
        ("RTMP://b.example/live", Answer(False, redirect="RTMP://b.example/live")),
    ],
)
def test_elsewhere(location: str, answer: Answer) -> None:
    for status in (301, 302, 303, 307, 308):
        assert said(status, b"<html>", "text/html", location) == answer


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("", "does not say where"),
        ("https://b.example/hook", "to another page, which is not followed"),
        ("ftp://b.example/hook", "to another page, which is not followed"),
        ("/hook/", "to another page, which is not followed"),
        ("rtmp://", "no rtmp:// URL"),
        ("a/../b", "the name it gives cannot be"),
        ("a?b=c", "has a query"),
        ("x" * 600, "the name it gives cannot be"),
        ("a//b", "the name it gives cannot be"),
        ("rtmp://[", "no rtmp:// URL"),
        ("x://[", "another page"),
    ],
)
def test_nowhere(location: str, why: str) -> None:
    with pytest.raises(NoAnswer, match=why):
        said(302, location=location)


@given(
    status=st.sampled_from([200, 204, 302, 403, 500]) | st.integers(),
    location=st.text() | st.from_regex("(rtmp|http)://.*"),
    kind=st.sampled_from([TEXT, JSON, "text/html", ""]) | st.text(),
    body=st.binary()
    | st.text().map(str.encode)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["allow", "reason", "name", "redirect", "limits", "codecs", "width"]
                ),
                inner,
            )
        ),
    ).map(lambda value: json.dumps(value).encode()),
    strict=st.booleans(),
)
def test_there_is_an_answer_or_none(
    status: int, location: str, kind: str, body: bytes, strict: bool
) -> None:
    """Whatever a server says, nobody is harmed; and what clients get to read fits there."""
    try:
        answer = from_http(status, location, kind, body, strict=strict)
    except NoAnswer as error:
        texts = [(str(error), 500)]
    else:
        texts = [(answer.reason, TEXT_SIZE)]
    for text, size in texts:
        assert text.isprintable()
        assert len(text.encode()) <= size
