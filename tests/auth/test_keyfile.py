"""Stream keys in their file: what a line may say, and what it may not."""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import ip_network
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from rtmptwist.auth.files import BadFile, BadLine
from rtmptwist.auth.keyfile import (
    CODECS,
    StreamKey,
    checked_name,
    hash_of,
    looks_like_key,
    new_key,
    parse_keys,
    read_line,
)
from rtmptwist.auth.options import read_time, show_time
from rtmptwist.live.access import Terms

HASH = "3f9a1c22" + "0" * 56
PATH = Path("show.keys")

FULL = StreamKey(
    "room/cam 1",
    HASH,
    Terms(bitrate=2_500_000, codecs=frozenset({"avc1", "mp4a"}), width=1920, height=1080),
    networks=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")),
    created=1767225600.0,
    expires=1798761599.0,
    note="Anna's laptop, # 1; size=2",
)
LINE = (
    f"room/cam%201 sha256:{HASH} created=2026-01-01T00:00:00Z expires=2026-12-31T23:59:59Z"
    " networks=192.0.2.0/24,2001:db8::/32 bitrate=2500k codecs=avc1,mp4a size=1920x1080"
    " note=Anna's laptop, # 1; size=2"
)


def test_all_that_a_line_may_say() -> None:
    assert read_line(LINE) == FULL
    assert FULL.line() == LINE
    assert FULL.id == "3f9a1c22"


def test_the_least_that_a_line_may_say() -> None:
    key = StreamKey("show", HASH)
    assert read_line(f"show\tsha256:{HASH}") == key
    assert key.line() == f"show sha256:{HASH}"


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("expires=tomorrow", "expires='tomorrow': expected a time in UTC such as 2030-12-31T23"),
        ("expires=1960-01-01", "expires='1960-01-01': expected a time in UTC"),
        ("expires=9999-12-31T23:59:59-23:59", "expected a time in UTC"),
        ("expires=", "expires='': expected a time"),
        ("networks=home", "networks='home': expected networks such as 192.0.2.0/24,2001:db8::/32"),
        ("networks=192.0.2.1/24", "has host bits set"),
        ("networks=", "expected networks"),
        ("bitrate=fast", "bitrate='fast': expected bits per second such as 6M, 2500k or 800000"),
        ("bitrate=0", "expected bits per second"),
        ("bitrate=-1", "expected bits per second"),
        ("bitrate=99999999999M", "expected bits per second"),
        ("codecs=h264", "codecs='h264': expected some of .mp3, ac-3, adpcm, alaw, av01, avc1"),
        ("codecs=", "expected some of"),
        ("size=1920", "size='1920': expected width and height in pixels such as 1920x1080"),
        ("size=0x0", "expected width and height"),
        ("note=\x1b[31m", "expected up to 200 letters on one line"),
        (f"note={'x' * 201}", f"note='{'x' * 40}…': expected up to 200 letters on one line"),
        ("bitrate=6M bitrate=7M", "bitrate= stands twice"),
        ("bitrate", "expected only created, expires, networks, bitrate, codecs, size, note"),
        ("key_geheim", "expected only created"),
        ("key=key_geheim", "expected only created"),
    ],
)
def test_what_means_nothing(option: str, words: str) -> None:
    with pytest.raises(BadLine, match=re.escape(words)) as caught:
        read_line(f"show sha256:{HASH} {option}")
    assert "geheim" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "line",
    [
        "show",
        "show key_geheim",
        f"show {HASH}",
        f"show sha256:{HASH[1:]}",
        f"show sha256:{HASH}0",
        f"show sha256:{HASH.upper()}",
        "show sha256:",
        f"show md5:{HASH}",
        "key_geheim\0",
        "\ufffd" * 1000,
    ],
)
def test_garbage(line: str) -> None:
    """What is wrong may be a key that somebody wrote into the file: it is not repeated."""
    with pytest.raises(BadLine, match="expected NAME sha256:HASH") as caught:
        read_line(line)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "the stream name is empty"),
        ("/", "the stream name is empty"),
        ("a//b", "two slashes"),
        ("a/../b", 'has a part ".."'),
        ("a\0b", "contains the character U+0000"),
        ("a\\b", "contains the character U+005C"),
        ("x" * 201, "bytes long"),
        ("mp4:key_lime.mp4", "no part of a name can begin with key_, as keys do"),
        ("key_lime", "no part of a name can begin with key_, as keys do"),
        ("key_lime/cam1", "no part of a name can begin with key_, as keys do"),
        ("room/key_lime", "no part of a name can begin with key_, as keys do"),
    ],
)
def test_names_that_no_stream_can_have(name: str, words: str) -> None:
    with pytest.raises(BadLine, match=re.escape(words)):
        checked_name(name)


@pytest.mark.parametrize("name", ["show", "room/cam1", "größe 1", "a?b", "100%", "#1", "a&b=c"])
def test_names_as_they_are(name: str) -> None:
    line = StreamKey(checked_name(name), HASH).line()
    assert len(line.split(" ")) == 2
    assert not line.startswith("#")
    assert read_line(line).name == name


@pytest.mark.parametrize(
    ("said", "known"),
    [("show.flv", "show"), ("mp4:show", "show"), ("/a/show/", "a/show"), ("a\u0308", "\xe4")],
)
def test_names_that_clients_say_otherwise(said: str, known: str) -> None:
    assert checked_name(said) == known


times = st.none() | st.integers(0, 4_000_000_000).map(float)
keys = st.builds(
    StreamKey,
    st.sampled_from(["show", "room/cam 1", "größe"]),
    st.text("0123456789abcdef", min_size=64, max_size=64),
    st.builds(
        lambda bitrate, codecs, size: Terms(
            bitrate=bitrate, codecs=codecs, width=size and size[0], height=size and size[1]
        ),
        st.none() | st.integers(1, 10**9),
        st.none() | st.frozensets(st.sampled_from(sorted(CODECS)), min_size=1),
        st.none() | st.tuples(st.integers(1, 99999), st.integers(1, 99999)),
    ),
    networks=st.lists(st.ip_addresses().map(ip_network)).map(tuple),
    created=times,
    expires=times,
    note=st.text(max_size=200).filter(lambda text: text.isprintable() and text == text.strip()),
)


@given(keys)
def test_what_is_written_is_read(key: StreamKey) -> None:
    assert read_line(key.line().strip()) == key


@given(st.text())
def test_whatever_a_line_says(line: str) -> None:
    with suppress(BadLine):
        read_line(line.strip())


@given(st.text())
def test_whatever_stands_behind_a_hash(rest: str) -> None:
    with suppress(BadLine):
        read_line(f"show sha256:{HASH} {rest}".strip())


def test_times_without_a_zone_are_utc() -> None:
    assert show_time(read_time("2030-01-02")) == "2030-01-02T00:00:00Z"
    assert show_time(read_time("2030-01-02T03:04:05+01:00")) == "2030-01-02T02:04:05Z"


def test_a_file_knows_its_keys_by_their_hashes() -> None:
    other = "4" + HASH[1:]
    text = f"# mine\n\nshow sha256:{HASH}\nshow sha256:{other} note=new\n"
    keys = parse_keys(PATH, text)
    assert {key.name for key in keys.values()} == {"show"}
    assert keys.keys() == {HASH, other}
    assert parse_keys(PATH, "") == {}


def test_two_keys_that_people_could_not_tell_apart() -> None:
    with pytest.raises(BadFile) as caught:
        parse_keys(PATH, f"show sha256:{HASH}\nother sha256:{HASH[:63]}1")
    assert str(caught.value) == "show.keys:2: key 3f9a1c22 stands in line 1 already"


def test_keys_that_nobody_guesses() -> None:
    made = {new_key() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch("key_[a-z2-7]{26}", key) for key in made)
    assert all(map(looks_like_key, made))
    assert len({hash_of(key) for key in made}) == 100
    assert hash_of("\ud800")  # which no client can send, but nobody promised


def test_a_key_is_not_shown() -> None:
    assert HASH not in repr(FULL)
