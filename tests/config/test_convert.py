"""What converters are made of, and those for words, files and programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rtmptwist.config.addresses import ServerEndpoint
from rtmptwist.config.convert import (
    Choice,
    Converter,
    Described,
    Folder,
    Lines,
    Names,
    Or,
    Place,
    Program,
    Words,
)
from rtmptwist.config.quantities import Count
from tests.config.converters import table

COUNT = Count(1, 1000)
CHOICE = Choice("reject", "same", "any")
WORDS = Words("rtmp", "rtmps", "http")
QUOTED = (
    "expected a program and its arguments, quoted as in a shell"
    " (a ; after a blank begins a comment)"
)


GOOD: list[tuple[Converter[Any], str, object]] = [
    (Or("none", COUNT), "none", None),
    (Or("none", COUNT), "7", 7),
    (CHOICE, "same", "same"),
    (WORDS, "rtmp", {"rtmp"}),
    (WORDS, "http,rtmp\nrtmps", {"rtmp", "rtmps", "http"}),
    (Names(), "none", ()),
    (Names(), "b, a", ("b", "a")),
    (Program(), "prog", ("prog",)),
    (Program(), "sh -c 'a \"$B\"; c'\n'' d\\ e", ("sh", "-c", 'a "$B"; c', "", "d e")),
    (Described("file:a.flv"), "file:b.flv?loop:names=a*", "file:b.flv?loop:names=a*"),
    (Folder(), "../var", Path("../var")),
    (Place("auto"), "auto", None),
    (Place("auto"), "a.pem", Path("a.pem")),
    (Lines(COUNT), "1", (1,)),
    (Lines(ServerEndpoint()), "tcp:1935\ntcp6:1936", ("tcp:1935", "tcp6:1936")),
    (Lines(COUNT), "\n1\n\n2", (1, 2)),
]

BAD: list[tuple[Converter[Any], str, str]] = [
    (Or("none", COUNT), "non", "'non'; expected a whole number, or none"),
    (Or("none", COUNT), "0", "'0'; expected 1 to 1000, or none"),
    (CHOICE, "sam", "'sam'; expected reject, same or any; did you mean \"same\"?"),
    (CHOICE, "", "''; expected reject, same or any"),
    (WORDS, "", "''; expected rtmp, rtmps or http"),
    (WORDS, "rtmp, x, y", "'x, y'; expected rtmp, rtmps or http"),
    (Words("rtmp"), "rtmsp", "'rtmsp'; expected rtmp; did you mean \"rtmp\"?"),
    (Names(), "", "''; expected names, or none"),
    (Names(), "a, none", "'a, none'; expected names, or none"),
    (Names(), "a b a", "'a b a'; expected a only once"),
    (Program(), "", "''; expected a program and its arguments"),
    (Program(), "''", "\"''\"; expected a program and its arguments"),
    (
        Program(),
        "sh -c 'geheim",
        f"no closing quotation; {QUOTED}",
    ),
    (
        Described("file:a.flv"),
        "b.flv",
        "'b.flv'; expected a kind and what belongs to it, such as file:a.flv",
    ),
    (Folder(), "", "''; expected a folder"),
    (Place("auto"), "", "''; expected a path, or auto"),
    (Folder(), "a\0b", "'a\\x00b'; expected a folder"),
]


test_what_is_read_and_shown, test_an_error_says_what_was_found_and_what_is_allowed = table(
    GOOD, BAD
)


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
