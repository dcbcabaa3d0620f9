"""Where recordings go."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmptwist.disk.folder import LONGEST, Names
from rtmptwist.outlets.pattern import Pattern, finished, numbered, unfinished

WHEN = 1_700_000_000.0
"2023-11-14 22:13:20 UTC."


def pattern(text: str, app: str = "live", host: str = "") -> Pattern:
    return Pattern(text, app, host, time.gmtime)


@pytest.mark.parametrize(
    ("text", "root", "names"),
    [
        ("{name}.flv", ".", ("show.flv",)),
        ("rec/{app}/{name}.flv", "rec/live", ("show.flv",)),
        ("/rec/{name}/{part}.flv", "/rec", ("show", "3.flv")),
        ("/{name}.flv", "/", ("show.flv",)),
        ("rec/{vhost}/{app}.flv", "rec/default", ("live.flv",)),
        ("rec/{date}/{name} {time}.flv", "rec", ("2023-11-14", "show 22-13-20.flv")),
        ("rec/all-{app}-{part}.flv", "rec", ("all-live-3.flv",)),
        ("rec/all.flv", "rec", ("all.flv",)),
    ],
)
def test_fields(text: str, root: str, names: Names) -> None:
    made = pattern(text)
    assert made.root == Path(root)
    assert made.names("show", WHEN, 3) == names
    assert made.matches(names)


def test_names_and_applications_may_have_parts() -> None:
    made = pattern("rec/{vhost}/{app}/{name}.flv", "live/eu", "example.org")
    assert made.root == Path("rec/example.org/live/eu")
    assert made.depth == 3
    assert pattern("{app}/{name}.flv", "live").depth == 1
    assert pattern("rec/{name}/{app}.flv", "live").depth == 0
    assert made.names("a/b", WHEN, 1) == ("a", "b.flv")


@pytest.mark.parametrize(
    ("stream", "names"),
    [
        ("..", ("__.flv",)),
        ("../../etc/passwd", ("__", "__", "etc", "passwd.flv")),
        ("/etc", ("_", "etc.flv")),
        ("a//b", ("a", "_", "b.flv")),
        ("{date}", ("{date}.flv",)),
        ("a\0b", ("a_b.flv",)),
        ("", ("_.flv",)),
        ("x.flv", ("x.flv.flv",)),
    ],
)
def test_no_stream_s_name_leads_out(stream: str, names: Names) -> None:
    assert pattern("rec/{name}.flv").names(stream, WHEN, 1) == names


@given(stream=st.text(), part=st.integers(1, 10**6))
def test_any_stream_has_a_path(stream: str, part: int) -> None:
    made = pattern("rec/{app}/x{name}-{date}/{name}-{part}.flv")
    names = made.names(stream, WHEN, part)
    for name in unfinished(numbered(names, 99_999)):
        assert name not in ("", ".", "..")
        assert "/" not in name
        assert len(name.encode()) <= LONGEST
    assert made.matches(names)


def test_which_files_are_ours() -> None:
    made = pattern("rec/{app}/{name}-{date}_{part}.flv")
    for ours in "show-2023-11-14_1.flv", "a/b-2023-11-14_17-2.flv", "x-2023-11-14_1.flv.part":
        assert made.matches(tuple(ours.split("/")))
    for theirs in "show.flv", "show-2023-11-14_1.mp4", "show-2023-11_1.flv", "show-2023-11-14_.flv":
        assert not made.matches((theirs,))
    assert not pattern("rec/a.b-{part}.flv").matches(("axb-1.flv",))


def test_the_names_of_a_file() -> None:
    names = ("a", "show.flv")
    assert numbered(names, 1) == names
    assert numbered(names, 2) == ("a", "show-2.flv")
    assert unfinished(names) == ("a", "show.flv.part")
    assert finished(("a", "show.flv.part")) == finished(names) == names


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rec/{nmae}.flv", r"\{nmae\} in .*expected \{app\}, \{vhost\}, \{name\}"),
        ("rec/{}.flv", "expected"),
        ("rec/{name.flv", "expected a path with fields"),
        ("rec/name}.flv", "expected a path with fields"),
        ("rec/{name}.mkv", r"expected a path that ends in \.flv or \.mp4"),
        ("rec/.flv", r"expected a path that ends in \.flv"),
        ("", r"expected a path that ends in \.flv"),
        ("../{name}.flv", r'expected a path without "\.\."'),
        ("rec\0/{name}.flv", "expected a path with fields"),
    ],
)
def test_what_is_no_pattern(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        pattern(text)


def test_the_time_is_that_of_the_place() -> None:
    names = Pattern("{date} {time}.flv", "live").names("show", WHEN, 1)
    assert names == (time.strftime("%Y-%m-%d %H-%M-%S.flv", time.localtime(WHEN)),)
