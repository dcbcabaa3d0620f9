"""The forms of the log."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import LogLevel, formatEventAsClassicLogText
from twisted.python.failure import Failure

from rtmptwist.logs import LogFile, json_of, observer, observing, text_of
from tests.support.logs import Logs

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


def test_a_log_file_goes_on_in_what_has_its_name(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_text("before\n")
    file = LogFile(path)
    write = observing(file, json_of)
    write(event("one \udc80"))
    path.rename(tmp_path / "old")
    write(event("two"))
    file.reopen()
    write(event("three"))
    os.truncate(path, 0)
    write(event("four"))
    assert [json.loads(line)["message"] for line in path.read_text().splitlines()] == ["four"]
    before, *rest = (tmp_path / "old").read_text().splitlines()
    assert before == "before"
    assert [json.loads(line)["message"] for line in rest] == ["one \udc80", "two"]


def test_where_there_can_be_no_new_file_the_old_one_goes_on(tmp_path: Path, logs: Logs) -> None:
    path = tmp_path / "logs" / "server.log"
    path.parent.mkdir()
    file = LogFile(path)
    path.parent.rename(tmp_path / "moved")
    file.reopen()
    file.write("text \udc80\n")
    assert (tmp_path / "moved" / "server.log").read_text() == "text \\udc80\n"
    assert logs.about(f"the log goes on where it was: {path}: No such file or directory")


def test_the_factories_of_ports_are_no_news() -> None:
    file = io.StringIO()
    write = observing(file, text_of)
    factory = Factory.forProtocol(Protocol)
    for words in ("Entrance starting on 1935", "(TCP Port 1935 Closed)", "(Port '/run/x' Closed)"):
        write(event("{log_text}", log_text=words, log_system="-"))
    write(event("Starting factory {factory!r}", factory=factory))
    write(event("Stopping factory {factory!r}", factory=factory))
    write(event("news"))
    assert file.getvalue() == "1970-01-01T00:00:01+0000 [a.b#warn] news\n"
