"""The log as JSON."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogLevel
from twisted.python.failure import Failure

from rtmptwist.jsonlog import line_of, observing

HERE = Path(__file__).parent


def event(text: object, **more: object) -> dict[str, Any]:
    head = {"log_time": 1.5, "log_level": LogLevel.warn, "log_namespace": "a.b"}
    return {**head, "log_format": text, **more}


def test_a_line_has_what_the_text_shows_and_no_more() -> None:
    found = json.loads(
        line_of(event("{peer} has {count:d} {thing}", peer="#1", count=2, thing=HERE, secret="x"))
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
    observing(file)(event(text, a="line\nline"))
    (line,) = file.getvalue().splitlines()
    assert "parts" not in json.loads(line)


def test_failures_have_their_traceback() -> None:
    try:
        raise ValueError("no")
    except ValueError:
        found = json.loads(line_of(event("bad", log_failure=Failure())))
    assert "ValueError: no" in found["traceback"]
