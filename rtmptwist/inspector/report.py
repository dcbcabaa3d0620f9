"""Lines as people and programs read them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from rtmptwist.inspector.lines import Line, Way

_SIDES: Final = {Way.CLIENT: "client", Way.SERVER: "server", Way.NOBODY: "      "}


class Report:
    """Writes lines; `write` gets each with its line feed."""

    def __init__(
        self,
        write: Callable[[str], object],
        *,
        as_json: bool = False,
        connections: frozenset[int] = frozenset(),
        media: bool = True,
    ) -> None:
        """`connections`: only these; empty: all. Without `media`, no line about frames."""
        self._write = write
        self._as_json = as_json
        self._connections = connections
        self._media = media
        self._began: float | None = None
        self.errors = 0

    def tell(self, line: Line) -> None:
        """Write one."""
        if line.time is not None and self._began is None:
            self._began = line.time
        if self._connections and line.connection and line.connection not in self._connections:
            return
        if line.kind == "media" and not self._media:
            return
        self.errors += line.kind == "error"
        self._write((json_line(line) if self._as_json else self._text(line)) + "\n")

    def _text(self, line: Line) -> str:
        parts = []
        if line.connection:
            parts.append(f"#{line.connection}")
        if line.time is not None:
            parts.append(f"{line.time - (self._began or 0):10.6f}")
        parts += [_SIDES[line.way], f"{'' if line.offset is None else line.offset:>8}"]
        if line.chunks:
            stream = line.facts["message_stream"]
            parts.append(f"{line.chunks:<7} s{stream} {line.timestamp:>6} ms")
        if line.kind == "error":
            parts.append("!!!")
        return " ".join([*parts, line.words])


def json_line(line: Line) -> str:
    """One object: what is not known is left out."""
    value: dict[str, Any] = {}
    if line.connection:
        value["connection"] = line.connection
    if line.time is not None:
        value["time"] = _moment(line.time)
    value |= {"way": line.way.value if line.way is not Way.NOBODY else None, "kind": line.kind}
    if line.offset is not None:
        value["offset"] = line.offset
    if line.timestamp is not None:
        value["timestamp"] = line.timestamp
    return json.dumps(
        {**value, **line.facts, "words": line.words}, ensure_ascii=False, allow_nan=False
    )


def _moment(seconds: float) -> str | None:
    """By RFC 3339; None: a damaged file says what no clock does."""
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment.isoformat(timespec="microseconds")[:-6] + "Z"
