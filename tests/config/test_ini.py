from __future__ import annotations

import configparser

import pytest
from hypothesis import given
from hypothesis.strategies import lists, sampled_from

from rtmptwist.config import ini

SITE = """\
# a comment
[server]
state = var   ; where things are kept

[listener   main]
endpoint =
  tcp:1935
  ; tcp:1936

  tcp:1937 ; the other
Serve=rtmp;not a comment
"""


def test_values_come_with_the_line_of_each_of_their_lines() -> None:
    sections, problems = ini.read(SITE)
    assert problems == []
    assert [(section.name, section.line) for section in sections] == [
        ("server", 2),
        ("listener main", 5),
    ]
    listener = sections[1].entries
    assert listener["endpoint"].value == "\ntcp:1935\n\ntcp:1937"
    assert listener["endpoint"].lines == (6, 7, 9, 10)
    assert listener["serve"] == ini.Entry("listener main", "serve", "rtmp;not a comment", (11,))


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends_of_any_system_are_accepted(end: str) -> None:
    assert ini.read(SITE.replace("\n", end)) == ini.read(SITE)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("x = 1\n[a]", 1, "'x = 1' stands before the first [section]"),
        ("[a]\nx 1", 2, "[a]: 'x 1': neither a [section] nor key = value"),
        ("[a]\n= 1", 2, "[a]: '= 1': neither a [section] nor key = value"),
        ("[a]\n[ ]", 2, "[a]: '[ ]': neither a [section] nor key = value"),
        ("[a] x = 1", 1, "[a]: 'x = 1' after the section's name; a key needs a line of its own"),
        ("[a b]\n[b]\n[a  b]", 3, "[a b]: section stands twice; the first is in line 1"),
        ("[a]\nx = 1\nX = 2", 3, "[a] x: key stands twice; the first is in line 2"),
        ("[a]\nx=1\n[a]\nx=2", 3, "[a]: section stands twice; the first is in line 1"),
        ("[a]\n" + "y" * 99, 2, f"[a]: '{'y' * 60}...': neither a [section] nor key = value"),
    ],
)
def test_each_problem_has_its_line(text: str, line: int, problem: str) -> None:
    _, problems = ini.read(text)
    assert problems[0].line == line
    assert str(problems[0]).startswith(problem)


def test_one_mistake_hides_no_other() -> None:
    sections, problems = ini.read("junk\n[a]\nx\n  more\n[a]\n[b]\nk = 1\n  2\nj = 2\nj = 3\n")
    assert [problem.line for problem in problems] == [1, 3, 4, 5, 10]
    assert {key: entry.value for key, entry in sections[1].entries.items()} == {
        "k": "1\n2",
        "j": "3",
    }


PIECES = [
    "[a]",
    "[ b c ]",
    "[]",
    "]",
    "[",
    "k",
    "K",
    "=",
    " ",
    "  ",
    "\t",
    "\n",
    "\n",
    "\n ",
    "\n  ",
]
PIECES += ["v", ":", ";", " ; ", "#", "\r", "\f", "\x1c", "\x85", "\u2028", "\ufeff", "é", "\0"]


@given(lists(sampled_from(PIECES), max_size=40).map("".join))
def test_any_text_is_read_as_configparser_reads_it(text: str) -> None:
    """Where configparser refuses nothing, it and the index must agree, or lines would be wrong."""
    sections, problems = ini.read(text)
    for section in sections:
        for entry in section.entries.values():
            assert len(entry.value.split("\n")) == len(entry.lines)
    if not problems:
        parser = configparser.RawConfigParser(
            delimiters=("=",), inline_comment_prefixes=(";",), default_section="none"
        )
        parser.read_string(text.replace("\r\n", "\n").replace("\r", "\n"))
        assert [section.name for section in sections] == [
            " ".join(name.split()) for name in parser.sections()
        ]
        assert [
            {key: entry.value for key, entry in section.entries.items()} for section in sections
        ] == [dict(parser[name]) for name in parser.sections()]


@given(lists(sampled_from(PIECES), max_size=40).map("".join))
def test_a_value_stands_where_its_lines_say(text: str) -> None:
    sections, _ = ini.read(text)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for section in sections:
        for entry in section.entries.values():
            for value, number in zip(entry.value.split("\n"), entry.lines, strict=True):
                assert value in lines[number - 1]
