"""Names as FFmpeg, librtmp and GStreamer's rtmp2sink cut and spell them."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmptwist.live.names import (
    BadName,
    ConnectTarget,
    StreamName,
    parse_connect,
    redacted,
    redacted_command,
    stream_name,
)
from rtmptwist.wire.limits import Limits

HOST = "rtmp://example.org:1935/"


def heard(app: str, name: str, tc_url: str | None = None) -> StreamName:
    """What a client that says `app` and `name` means; tcUrl is made as all clients make it."""
    return stream_name(parse_connect(app, HOST + app if tc_url is None else tc_url), name)


# ---- one URL, three clients

CLIENTS = [
    # what stands after rtmp://HOST/ in the URL; FFmpeg 9, librtmp, rtmp2sink as (app, name); path
    ("live/s", ("live", "s"), ("live", "s"), ("live", "s"), "live/s"),
    ("live/inst/s", ("live/inst", "s"), ("live/inst", "s"), ("live/inst", "s"), "live/inst/s"),
    ("live/a/b/s", ("live/a", "b/s"), ("live/a/b", "s"), ("live/a/b", "s"), "live/a/b/s"),
    ("live/s?k=v", ("live", "s?k=v"), ("live", "s?k=v"), ("live", "s?k=v"), "live/s"),
    (
        "live?vhost=v/s",
        ("live?vhost=v", "s"),
        ("live?vhost=v", "s"),
        ("live?vhost=v", "s"),
        "live/s",
    ),
    (
        "live?a=b/s?c=d",
        ("live?a=b", "s?c=d"),
        ("live?a=b", "s?c=d"),
        ("live?a=b", "s?c=d"),
        "live/s",
    ),
    ("live/x.flv", ("live", "x"), ("live", "x"), ("live", "x.flv"), "live/x"),
    (
        "live/dir/x.mp4",
        ("live/dir", "mp4:x.mp4"),
        ("live/dir", "mp4:x"),
        ("live/dir", "x.mp4"),
        "live/dir/x",
    ),
    (
        "live/mp4:dir/x.mp4",
        ("live", "mp4:dir/x.mp4"),
        ("live/mp4:dir", "mp4:x"),
        ("live/mp4:dir", "x.mp4"),
        "live/dir/x",
    ),
    (
        "live/_definst_/s",
        ("live/_definst_", "s"),
        ("live/_definst_", "s"),
        ("live/_definst_", "s"),
        "live/s",
    ),
    ("live/s%20t", ("live", "s%20t"), ("live", "s t"), ("live", "s%20t"), "live/s t"),
]


@pytest.mark.parametrize(
    ("ffmpeg", "librtmp", "gstreamer", "path"),
    [case[1:] for case in CLIENTS],
    ids=[case[0] for case in CLIENTS],
)
def test_the_same_url_is_the_same_stream(
    ffmpeg: tuple[str, str], librtmp: tuple[str, str], gstreamer: tuple[str, str], path: str
) -> None:
    """Who publishes with one program is watched with another."""
    assert [heard(*said).path for said in (ffmpeg, librtmp, gstreamer)] == [path] * 3
    assert heard(*ffmpeg) == heard(*librtmp) == heard(*gstreamer)


def test_a_slash_in_a_query_cannot_be_healed() -> None:
    """`live/inst/s?k=v/w`: librtmp and rtmp2sink cut within the value. Tokens must say %2F."""
    assert heard("live/inst", "s?k=v/w").path == "live/inst/s"
    assert heard("live/inst", "s?k=v/w").query == {"k": "v/w"}
    assert heard("live/inst/s?k=v", "w").path == "live/inst/s/w"
    assert heard("live/inst", "s?k=v%2Fw").query == {"k": "v/w"}


@pytest.mark.parametrize("app", ["live", "live/"])
def test_a_url_without_a_name_is_refused(app: str) -> None:
    """FFmpeg sends an empty name for `rtmp://host/live`, rtmp2sink for `rtmp://host/live/`."""
    target = parse_connect(app, HOST + app)
    assert target.path == "live"
    for name in ("", "/", "?k=v", "_definst_"):
        with pytest.raises(BadName, match="stream name is empty"):
            stream_name(target, name)


# ---- applications

APPS = [
    # app, path
    ("live", "live"),
    ("live/", "live"),
    ("/live//", "live"),
    ("live/room", "live/room"),
    ("live/_definst_", "live"),
    ("live/_definst_/", "live"),
    ("live/_definst_/a/b", "live/a/b"),  # librtmp's cut of live/_definst_/a/b/s
    ("Live", "Live"),
    ("live?a=b", "live"),
    ("live/mp4:dir", "live/dir"),
    ("live/x.flv", "live/x.flv"),  # a folder: no client cuts extensions here
    ("caf%C3%A9", "café"),
    ("cafe\N{COMBINING ACUTE ACCENT}", "café"),
    ("a%2Fb", "a/b"),
    ("100%", "100%"),
    ("100%2525", "100%25"),  # decoded once
]


@pytest.mark.parametrize(("app", "path"), APPS)
def test_application(app: str, path: str) -> None:
    target = parse_connect(app, None)
    assert target.path == path
    assert target.segments == tuple(path.split("/"))


# ---- streams

NAMES = [
    # name, path below live, kind, extension
    ("s", "s", "", ""),
    ("/s/", "s", "", ""),
    ("a/b/s", "a/b/s", "", ""),
    ("flv:s", "s", "flv", ""),
    ("s.flv", "s", "flv", ".flv"),
    ("mp4:s", "s", "mp4", ""),
    ("mp4:s.mp4", "s", "mp4", ".mp4"),
    ("mp4:dir/s.f4v", "dir/s", "mp4", ".f4v"),
    ("dir/mp4:s.mov", "dir/s.mov", "mp4", ""),
    ("mp4:s.m4v", "s.m4v", "mp4", ""),
    ("s.f4v", "s", "mp4", ".f4v"),
    ("mp3:s", "s", "mp3", ""),
    ("id3:s", "s", "mp3", ""),
    ("s.mp3", "s", "mp3", ".mp3"),
    ("flv:mp4:s", "s", "mp4", ""),
    ("mp4:s.flv", "s", "mp4", ".flv"),
    ("s.mp4.flv", "s", "flv", ".flv"),
    ("raw:s", "raw:s", "", ""),
    ("s.FLV", "s.FLV", "", ""),
    (".flv", ".flv", "", ""),
    ("a/.flv", "a/.flv", "", ""),
    ("s%2Emp4", "s", "mp4", ".mp4"),
    ("s%3Fk=v", "s?k=v", "", ""),
    ("...", "...", "", ""),
    ("s+t", "s+t", "", ""),
]


@pytest.mark.parametrize(("name", "path", "kind", "extension"), NAMES)
def test_stream(name: str, path: str, kind: str, extension: str) -> None:
    """Prefix and extension name a recording; for live lookups both are cut, but not forgotten."""
    heard_name = heard("live", name)
    assert (heard_name.path, heard_name.kind, heard_name.extension) == (
        f"live/{path}",
        kind,
        extension,
    )
    assert heard_name.segments == ("live", *path.split("/"))


def test_a_prefix_in_the_application_still_says_what_is_wanted() -> None:
    """librtmp and rtmp2sink cut live/mp4:dir/x after the prefix."""
    assert heard("live/mp4:dir", "x").kind == "mp4"
    assert heard("live/mp4:dir", "mp3:x").kind == "mp3"


# ---- what is refused

BAD = [
    ("nul", "a\0b", "U+0000"),
    ("encoded nul", "a%00b", "U+0000"),
    ("line feed", "a\nb", "U+000A"),
    ("C1 control", "a\x85b", "U+0085"),
    ("delete", "a\x7fb", "U+007F"),
    ("line separator", "a\u2028b", "U+2028"),
    ("text direction", "a\u202egnp.x", "U+202E"),
    ("backslash", "a\\b", "U+005C"),
    ("encoded backslash", "a%5cb", "U+005C"),
    ("up", "..", 'a part ".."'),
    ("up, within", "a/../b", 'a part ".."'),
    ("up, encoded", "a%2f%2e%2e%2fb", 'a part ".."'),
    ("up, behind a prefix", "mp4:../b", 'a part ".."'),
    ("here", "a/./b", 'a part "."'),
    ("two slashes", "a//b", "empty part"),
    ("nothing behind a prefix", "a/mp4:", "empty part"),
    ("blank at the end", "key ", "white space"),
    ("blank at the start", " key", "white space"),
    ("not UTF-8", "a%ff", "not UTF-8"),
    ("half a surrogate pair", "a\ud800", "not UTF-8"),
    ("long part", "a" * 201, "201 bytes long (expected at most 200)"),
    ("long part, bytes", "é" * 101, "202 bytes long"),
    ("long", "/".join(["a" * 100] * 6), "605 bytes long (expected at most 512)"),
    ("long, encoded", "%61" * 513, "1539 bytes long (expected at most 512)"),
]


@pytest.mark.parametrize(("name", "why"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_refused(name: str, why: str) -> None:
    """Names become file names, keys of tables and lines of logs."""
    with pytest.raises(BadName) as stream:
        heard("live", name)
    assert "stream name" in str(stream.value)
    assert why in str(stream.value)
    with pytest.raises(BadName, match="application name"):
        parse_connect(name, None)


def test_an_extension_hides_no_step_up() -> None:
    """What is left when an extension is cut is checked as well."""
    for name in ("...flv", "a/...mp4", "a .flv"):
        with pytest.raises(BadName):
            heard("live", name)


@pytest.mark.parametrize("app", ["", "/", "?k=v", "_definst_", "_definst_/"])
def test_an_application_needs_a_name(app: str) -> None:
    with pytest.raises(BadName, match="application name is empty"):
        parse_connect(app, HOST)


def test_a_reason_repeats_no_secret() -> None:
    """It goes to the peer and into the log."""
    for name in ("s3cret\n", "s3cret/../x", "s3cret" * 100, "s3cret%ff", "s3cret\\"):
        with pytest.raises(BadName) as caught:
            heard("live", name)
        assert "s3cret" not in str(caught.value)
        assert len(str(caught.value)) < 256  # FFmpeg's buffer for a description


def test_limits_are_the_callers() -> None:
    small = Limits(name_length=8, name_part_length=4, query_length=5)
    assert stream_name(parse_connect("abcd/efg", None, small), "hijk?a=bcd", small).query == {
        "a": "bcd"
    }
    for app, tc_url, name in [
        ("abcde", None, "a"),
        ("a", None, "abcd/efgh"),
        ("a", None, "a?a=bcde"),
        ("a?a=bcde", None, "a"),
        ("a", "rtmp://h/a?a=bcde", "a"),
    ]:
        with pytest.raises(BadName, match="bytes long"):
            stream_name(parse_connect(app, tc_url, small), name, small)


# ---- queries

QUERIES = [
    # app, tcUrl, name, query
    ("live?k=a", "rtmp://h/live?k=t", "s?k=n", {"k": "n"}),
    ("live?k=a", "rtmp://h/live?k=t", "s", {"k": "a"}),
    ("live", "rtmp://h/live?k=t", "s", {"k": "t"}),
    ("live?a=1", "rtmp://h/live?t=2", "s?n=3", {"a": "1", "t": "2", "n": "3"}),
    ("live", "rtmp://h/live", "s?k=1&k=2&K=3", {"k": "1", "K": "3"}),
    ("live", "rtmp://h/live", "s?k=a%26b%3Dc%2F&e", {"k": "a&b=c/", "e": ""}),
    ("live", "rtmp://h/live", "s?k=a+b==&&=x", {"k": "a+b=="}),
    ("live", "rtmp://h/live", "s?k=a?b", {"k": "a?b"}),
    ("live", "rtmp://h/live", "s?k=%ff", {"k": "\N{REPLACEMENT CHARACTER}"}),
    (
        "live?authmod=adobe&user=al%2Dice&response=a/b+c==",
        None,
        "s",
        {"authmod": "adobe", "user": "al%2Dice", "response": "a/b+c=="},
    ),
    (
        "live?tok=1%2B&user=x?authmod=llnw&user=alice",
        None,
        "s",
        {"tok": "1+", "authmod": "llnw", "user": "alice"},
    ),
    ("live?tok=1&authmod=adobe", None, "s", {"tok": "1", "authmod": "adobe"}),
]


@pytest.mark.parametrize(("app", "tc_url", "name", "query"), QUERIES)
def test_query(app: str, tc_url: str | None, name: str, query: dict[str, str]) -> None:
    """The name's over the application's over tcUrl's; `authmod` may follow a second `?`."""
    stream = heard(app, name, tc_url or HOST + app)
    assert stream.query == query
    assert stream.path == "live/s"


@pytest.mark.parametrize(
    ("app", "tc_url", "name", "doubled"),
    [
        ("live", "rtmp://h/live", "s?k=1&l=2", set()),
        ("live", "rtmp://h/live", "s?k=1&k=2&l=3&m=4&m=4", {"k", "m"}),
        ("live", "rtmp://h/live", "s?k=1&K=2&%6b=3&&=1&=1", set()),
        ("live?k=1&k=1", "rtmp://h/live?l=1&l=2", "s?m=1&m=2", {"k", "l", "m"}),
        ("live?k=1", "rtmp://h/live?k=1", "s?k=2", set()),  # as FFmpeg sends it
        ("live?k=1?authmod=adobe&k=2", None, "s", {"k"}),
    ],
)
def test_what_a_query_says_twice(
    app: str, tc_url: str | None, name: str, doubled: set[str]
) -> None:
    assert heard(app, name, tc_url or HOST + app).doubled == doubled


def test_what_may_be_secret_does_not_show_by_accident() -> None:
    target = parse_connect("live?token=s3cret", None)
    assert "s3cret" not in repr(target)
    assert "s3cret" not in repr(stream_name(target, "s?token=s3cret"))


def test_names_are_keys() -> None:
    """Equal names hash alike, whatever kind of recording they asked for."""
    assert {heard("live", "mp4:x.mp4"), heard("live/", "x")} == {heard("live", "x")}
    assert len({parse_connect("live", HOST), parse_connect("live/", HOST)}) == 1


# ---- virtual hosts

HOSTS = [
    # app, tcUrl, host
    ("live", "rtmp://Example.ORG:1935/live", "example.org"),
    ("live", "rtmp://example.org/live", "example.org"),
    ("live", "rtmp://example.org./live", "example.org"),
    ("live", "rtmps://example.org", "example.org"),
    ("live", '"rtmp://example.org/live"', "example.org"),
    ("live", " 'rtmp://example.org/live' ", "example.org"),
    ("live", "rtmp://user:pass@example.org/live", "example.org"),
    ("live", "rtmp://us@er:pass@example.org:1935/live", "example.org"),
    ("live", "rtmp://127.0.0.1:1935/live", "127.0.0.1"),
    ("live", "rtmp://[::1]:1935/live", "::1"),
    ("live", "rtmp://[2001:DB8:0:0::1]/live", "2001:db8::1"),
    ("live", "rtmp://[fe80::1%25eth0]:1935/live", "fe80::1"),
    ("live", "rtmp://[::ffff:192.0.2.1]/live", "192.0.2.1"),
    ("live", "rtmp://2001:db8::1/live", "2001:db8::1"),
    (
        "live",
        "rtmp://m\N{LATIN SMALL LETTER U WITH DIAERESIS}nchen.example/live",
        "xn--mnchen-3ya.example",
    ),
    ("live", "rtmp://example.org/live?vhost=other.org", "other.org"),
    ("live", "rtmp://example.org/live?vhost=/", "example.org"),
    ("live?vhost=V.example:443", "rtmp://example.org/live", "v.example"),
    ("live?domain=d.example", "rtmp://example.org/live", "d.example"),
    ("live?domain=d.example&vhost=v.example", "rtmp://example.org/live", "v.example"),
    ("live?vhost=a.example", "rtmp://example.org/live?vhost=t.example", "a.example"),
    ("live?vhost=", "rtmp://example.org/live", "example.org"),
    ("live", None, ""),
    ("live", "", ""),
    ("live", "example.org/live", ""),
    ("live", "rtmp:///live", ""),
    ("live", "rtmp://[:::1]/live", ""),
    ("live", "rtmp://exam ple/live", ""),
    ("live", "rtmp://a..b/live", ""),
    ("live", "rtmp://" + "a." * 127 + "/live", ""),
    ("live", "rtmp://" + "a" * 64 + "/live", ""),
]


@pytest.mark.parametrize(("app", "tc_url", "host"), HOSTS)
def test_host(app: str, tc_url: str | None, host: str) -> None:
    """Unknown is empty: that is the default virtual host, not an error."""
    assert parse_connect(app, tc_url).host == host


def test_a_name_may_say_another_host() -> None:
    """OBS users can write `vhost` only into the key."""
    target = parse_connect("live", "rtmp://192.0.2.1/live")
    assert stream_name(target, "s").host == "192.0.2.1"
    assert stream_name(target, "s?vhost=Example.org").host == "example.org"


# ---- properties

PIECES = ["/", "live", "s", ".", "..", "mp4:", "flv:", ".flv", ".mp4", "_definst_", "\\", "é"]
PIECES += ["%", "%2F", "%20", "?", "&", "=", "authmod=", "vhost=", ":", "[", "]", "@", "e\u0301"]
pieces = st.sampled_from(PIECES)
texts = st.lists(pieces | st.text(max_size=3), max_size=12).map("".join) | st.text()
urls = st.none() | texts | texts.map(lambda text: "rtmp://" + text)


@given(app=texts, tc_url=urls, name=texts)
def test_nothing_but_bad_name_is_raised(app: str, tc_url: str | None, name: str) -> None:
    """Whatever a peer says; and what is accepted has the promised form."""
    try:
        stream = stream_name(parse_connect(app, tc_url), name)
    except BadName:
        return
    assert len(stream.segments) >= 2
    for segment in stream.segments:
        assert segment not in {"", ".", "..", "_definst_"}
        assert "\\" not in segment
        assert not any(unicodedata.category(character) == "Cc" for character in segment)


@given(app=texts, name=texts, cut=st.integers(min_value=1))
def test_normalising_is_idempotent(app: str, name: str, cut: int) -> None:
    """A normal path, quoted as a URL and cut anywhere, is the same path again."""
    try:
        stream = stream_name(parse_connect(app, None), name)
    except BadName:
        return
    quoted = [quote(segment) for segment in stream.segments]
    cut = 1 + cut % (len(quoted) - 1)
    target = parse_connect("/".join(quoted[:cut]), None)
    assert stream_name(target, "/".join(quoted[cut:])).path == stream.path


@given(parts=st.lists(pieces.filter(lambda piece: piece not in "/?"), min_size=2, max_size=6))
def test_the_cut_does_not_matter(parts: list[str]) -> None:
    """Application and name are one path; where a client cut it, nobody can tell afterwards."""
    found = set()
    for cut in range(1, len(parts)):
        try:
            found.add(heard("/".join(parts[:cut]), "/".join(parts[cut:]), "").path)
        except BadName:
            continue
    assert len(found) <= 1


# ---- logs

LOGS = [
    # text, redacted
    ("live/cam1", "live/cam1"),
    ("live/cam1?token=s3cret", "live/cam1?…"),
    ("live/a-long-and-secret-key", "live/a-l…3397"),
    ("a-long-and-secret-key", "a-l…3397"),
    ("live/key_3364fxw5uvjyjptkd2egnhludu/x", "live/key…4455/x"),
    ("rtmp://h/live/a-folder-with-24-letters/x", "rtmp://h/live/a-folder-with-24-letters/x"),
    ("rtmp://an-even-longer-name.example.org/x", "rtmp://an-even-longer-name.example.org/x"),
    ("rtmp://example.org:1935/live/cam1", "rtmp://example.org:1935/live/cam1"),
    ("rtmp://user:pass@example.org/live/cam1?k", "rtmp://…@example.org/live/cam1?…"),
    ("rtmp://a-long-name.example.org", "rtmp://a-long-name.example.org"),
    ("rtmp://a-long-name.example.org/", "rtmp://a-long-name.example.org/"),
    ("live/a\nb\x1b[1m", "live/a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}[1m"),
    ("", ""),
    ("?", "?…"),
]


@pytest.mark.parametrize(("text", "expected"), LOGS)
def test_redacted(text: str, expected: str) -> None:
    assert redacted(text) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("getStreamLength", "getStreamLength"),
        ("sing", "sing"),
        ("setUserName", redacted("setUserName")),
        ("show?key=x", "show?…"),
        ("x" * 1000, redacted("x" * 1000)),
    ],
)
def test_redacted_commands(name: str, expected: str) -> None:
    assert redacted_command(name) == expected


def test_redacted_without_a_key() -> None:
    """An application's name is no secret, what hangs on it is."""
    assert redacted("conferences?token=x", key=False) == "conferences?…"
    assert redacted("x" * 1000, key=False) == "x" * 200 + "…"


secrets = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=9)


@given(secret=secrets, before=st.sampled_from(["", "live/", "rtmp://h/live/", "live/s?token="]))
def test_no_secret_passes(secret: str, before: str) -> None:
    assert secret not in redacted(before + secret)


@given(text=st.text() | texts, key=st.booleans())
def test_redacting_is_idempotent(text: str, key: bool) -> None:
    """Whoever redacts again does no harm."""
    once = redacted(text, key=key)
    assert once.isprintable()
    assert redacted(once, key=key) == once


def test_targets_are_values() -> None:
    assert parse_connect("live", None) == ConnectTarget("", "live")


def test_who_says_the_same_shares_what_it_means() -> None:
    """Thousands of viewers keep one target between them."""
    first, second = (parse_connect("live", "rtmp://shared.example/live") for _ in range(2))
    assert first is second
    assert first == ConnectTarget("shared.example", "live")


@pytest.mark.parametrize(
    ("app", "url"),
    [
        ("live?token=secret", "rtmp://a.example/live"),
        ("live", "rtmp://a.example/live?token=secret"),
        ("live", "rtmp://anna:secret@a.example/live"),
        ("live", f"rtmp://a.example/{'x' * 300}"),
    ],
)
def test_what_may_be_a_secret_or_is_long_is_not_kept(app: str, url: str) -> None:
    assert parse_connect(app, url) is not parse_connect(app, url)
