"""
What follows the first words of a line in a file with secrets: options such as `created=TIME`.

They are separated by blanks; `note=` takes all the rest of the line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from rtmptwist.auth.files import BadLine


def read_options(text: str, known: Mapping[str, Callable[[str], object]]) -> dict[str, Any]:
    """
    The options in `text`, by the reader of each.

    Raises:
        BadLine: something is none. Words that mean nothing are not repeated: one may be a secret.
    """
    found: dict[str, Any] = {}
    while text:
        option, equals, value = text.partition("=")
        read = known.get(option)
        if read is None or not equals:
            raise BadLine(f"expected only {', '.join(known)} here, each with its =")
        if option in found:
            raise BadLine(f"{option}= stands twice")
        text = ""
        if option != "note":
            value, text = (*re.split(r"[ \t]+", value, maxsplit=1), "")[:2]
        try:
            found[option] = read(value)
        except BadLine as error:
            raise BadLine(f"{option}={_short(value)}: {error}") from None
    return found


def show_options(said: Mapping[str, str]) -> str:
    """As `read_options` reads them, with a blank before each; what is empty is left out."""
    return "".join(f" {option}={value}" for option, value in said.items() if value)


def read_time(text: str) -> float:
    """
    Seconds since the epoch.

    Raises:
        BadLine: it is no time.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    time = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() if found else -1
    if not 0 <= time < _LATEST:
        raise BadLine("expected a time in UTC such as 2030-12-31T23:59:59Z")
    return time


def show_time(time: float) -> str:
    """As `read_time` reads it, to the second."""
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%dT%H:%M:%SZ}"


def read_note(text: str) -> str:
    """
    Anything on one line.

    Raises:
        BadLine: it is more than that.
    """
    if not text.isprintable() or len(text) > _LONGEST_NOTE:
        raise BadLine(f"expected up to {_LONGEST_NOTE} letters on one line")
    return text


_LONGEST_NOTE: Final = 200
_LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")
