"""
AMF values for people and for JSON: bounded in depth, number and length, and without secrets.

Whatever a peer sends may refer to itself, or be a million values in one message.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any, Final

from rtmptwist.amf.values import (
    Absent,
    Date,
    Dictionary,
    Externalizable,
    TypedObject,
    Value,
)

_DEPTH: Final = 6
"Levels; a connect has three."

_VALUES: Final = 200
"Of one message; a connect of OBS has 20, a large onMetaData 60."

_TEXT: Final = 300
"Characters of one text."

_LINE: Final = 1200
"Characters of all in one line."

Hide = Callable[[str, str], str]
"What may be shown of a text: its name (empty: it has none), the text."


class Bare(str):
    """A word that stands for a value: shown without quotes."""

    __slots__ = ()


class _Budget:
    def __init__(self) -> None:
        self.left = _VALUES


def plain(value: Value, hide: Hide, name: str = "") -> Any:
    """The value as JSON can have it, cut where it is too large; `name` is what it is called."""
    return _plain(value, hide, name, _DEPTH, _Budget())


def line(values: Iterable[Any]) -> str:
    """What `plain` gave, in one line."""
    shown = " ".join(map(_shown, values))
    return shown if len(shown) <= _LINE else shown[: _LINE - 1] + "…"


def printable(text: str, most: int = _TEXT) -> str:
    """A text of a stranger, for a terminal: nothing that moves its cursor."""
    cut = text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"
    if cut.isprintable():
        return cut
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in cut)


def _plain(value: Any, hide: Hide, name: str, depth: int, budget: _Budget) -> Any:
    budget.left -= 1
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e15:
            return int(value)
        return value if math.isfinite(value) else Bare(value)
    if isinstance(value, str):
        return printable(hide(name, value))
    if isinstance(value, Absent):
        return Bare(value.value)
    if isinstance(value, Date):
        return Bare(f"date {value.milliseconds:.15g} ms")
    if isinstance(value, bytes):
        return Bare(f"{len(value)} bytes")
    if not depth or budget.left <= 0:
        return Bare("…")
    if isinstance(value, Externalizable):
        content = _plain(value.content, hide, name, depth - 1, budget)
        return {"(class)": printable(value.class_name), "(content)": content}
    return _members(value, hide, name, depth - 1, budget)


def _members(value: Any, hide: Hide, name: str, depth: int, budget: _Budget) -> Any:
    if isinstance(value, dict):
        found: dict[str, Any] = {}
        if isinstance(value, TypedObject):
            found["(class)"] = printable(value.class_name)
        for key, item in value.items():
            if budget.left <= 0:
                found["…"] = Bare(f"{len(value)} in all")
                break
            found[printable(key)] = _plain(item, hide, key, depth, budget)
        return found
    pairs = isinstance(value, Dictionary)
    items: list[Any] = []
    for item in value:
        if budget.left <= 0:
            items.append(Bare(f"… {len(value)} in all"))
            break
        if pairs:
            items.append([_plain(each, hide, name, depth, budget) for each in item])
        else:
            items.append(_plain(item, hide, name, depth, budget))
    return items


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown, value)) + "]"
    if isinstance(value, Bare):
        return str(value)
    return json.dumps(value, ensure_ascii=False)
