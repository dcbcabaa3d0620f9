"""The forms of the log."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogLevel, formatEventAsClassicLogText
from twisted.python.failure import Failure

from rtmptwist.logs import json_of, observer, observing, text_of

HERE = Path(__file__).parent


def event(text: object, **more: object) -> dict[str, Any]:
    head = {"log_time": 1.5, "log_level": LogLevel.warn, "log_namespace": "a.b"}
    return {**head, "log_format": text, **more}


def test_a_line_of_json_has_what_the_text_shows_and_no_more() -> None:
    found = json.loads(
        json_of(event("{peer} has {count:d} {thing}", peer="#1", count=2, thing=HERE, secret="x"))
    )
    assert found == {
        "time": "1970-01-01T00:00:01.500000+00:00",
        "level": "warn",
        "source": "a.b",
        "message": f"#1 has 2 {HERE}",
        "parts": {"peer": "#1", "count": 2, "thing": str(HERE)},
    }


@pytest.mark.parametrize("text", ["plain", "{", None, b"bytes", "{0} {a.b}"])
def test_any_event_is_one_line(text: object) -> None:
    file = io.StringIO()
    observing(file, json_of)(event(text, a="line\nline"))
    (line,) = file.getvalue().splitlines()
    assert "parts" not in json.loads(line)


def test_failures_have_their_traceback() -> None:
    try:
        raise ValueError("no")
    except ValueError:
        found = json.loads(json_of(event("bad", log_failure=Failure())))
    assert "ValueError: no" in found["traceback"]


class Odd:
    def __repr__(self) -> str:
        return "odd"

    def __str__(self) -> str:
        raise ValueError("no")


EVENTS = [
    event("{peer} has {count:d} {thing!r}, {rate:.1f}", peer="#1", count=2, thing="x", rate=1.25),
    event("braces {{}} and {a.real} and {b[0]}", a=1, b=["x"]),
    event("two\nlines"),
    event("{odd!r}", odd=Odd()),
    event("{odd}", odd=Odd()),
    event("called: {f()}", f=lambda: "yes"),
    event("{missing}"),
    event("{0}"),
    event("{"),
    event(""),
    event(None),
    event(b"bytes {a}", a=1),
    event("of a system", log_system="old"),
    event("flat", log_flattened={}),
    {"log_format": "neither time nor level"},
    event("no time", log_time=None),
    event("in the future", log_time=4e9 + 0.999),
]


@pytest.mark.parametrize("event", EVENTS, ids=[str(each.get("log_format")) for each in EVENTS])
def test_text_is_what_twistd_writes(event: dict[str, Any]) -> None:
    """Programs read it, and have done so for years."""
    ours, theirs = text_of(event), formatEventAsClassicLogText(event)
    if theirs is not None and "0x" in theirs:  # it shows the event, and where that is in memory
        assert ours is not None
        ours, theirs = ours.partition("0x")[0], theirs.partition("0x")[0]
    assert ours == theirs


def test_text_has_tracebacks_too() -> None:
    try:
        raise ValueError("no")
    except ValueError:
        failed = event("bad", log_failure=Failure())
    assert text_of(failed) == formatEventAsClassicLogText(failed)


@pytest.mark.parametrize(
    "options",
    [{"logger": "mine"}, {"syslog": True}, {"logfile": "-", "nodaemon": False}],
    ids=["logger", "syslog", "daemon"],
)
def test_who_says_where_the_log_goes_is_obeyed(options: dict[str, Any]) -> None:
    assert observer(options, None, text_of) is None
