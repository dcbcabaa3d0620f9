"""What requests may say: checked, bounded, and fit for those who read it."""

from __future__ import annotations

from typing import Any

import pytest

from rtmptwist.web.answers import Problem
from rtmptwist.web.parameters import Parameter, read_body

FORGED = "Bye.\r\n2030-01-02T03:04:05+0000 [rtmptwist#info] operator eve\tbans \x1b[2J\u202e\u2028é"
ESCAPED = (
    r"Bye.\r\n2030-01-02T03:04:05+0000 [rtmptwist#info] operator eve\tbans \x1b[2J\u202e\u2028é"
)


@pytest.mark.parametrize(("told", "text"), [(True, ESCAPED), (False, FORGED)])
def test_what_people_read_is_one_line_that_they_can_see(told: bool, text: str) -> None:
    parameter = Parameter(words="Why.", told=told)
    assert parameter.check("reason", FORGED) == text
    assert parameter.read("reason", FORGED) == text
    assert text.isprintable() is told


@pytest.mark.parametrize(
    ("parameter", "value", "found"),
    [
        (Parameter(words="", kind="integer", most=9), 1.0, 1),
        (Parameter(words="", kind="number", most=9), 1.5, 1.5),
        (Parameter(words="", choices=("a", "b")), "b", "b"),
        (Parameter(words="", choices=("a", "b"), many=True), ["b", "a"], ["b", "a"]),
    ],
)
def test_right_values(parameter: Parameter, value: Any, found: Any) -> None:
    assert read_body({"it": value}, {"it": parameter}) == {"it": found}


@pytest.mark.parametrize(
    ("parameter", "value", "words"),
    [
        (Parameter(words="", kind="integer"), 1.5, "expected a whole number"),
        (Parameter(words="", kind="integer"), True, "expected a whole number"),
        (Parameter(words="", kind="number"), "1", "expected a number"),
        (Parameter(words="", kind="number"), float("nan"), "expected a number"),
        (Parameter(words="", kind="number", least=1, most=2), 3, "expected 1 to 2"),
        (Parameter(words=""), 1, "expected a text"),
        (Parameter(words=""), "\udc00", "expected whole characters"),
        (Parameter(words="", least=1), "", "expected 1 to 200 characters"),
        (Parameter(words="", choices=("a", "b")), "c", "expected a, b"),
        (Parameter(words="", choices=("a", "b"), many=True), ["c"], "expected some of a, b"),
        (Parameter(words="", choices=("a", "b"), many=True), "a", "expected some of a, b"),
        (Parameter(words="", choices=("a", "b"), many=True), ["a", "a"], "expected each once"),
    ],
)
def test_wrong_values(parameter: Parameter, value: Any, words: str) -> None:
    with pytest.raises(Problem) as caught:
        read_body({"it": value}, {"it": parameter})
    assert caught.value.detail == f"'it': {words}."
