"""What a request may say, name by name: checked by the same words that the API's document tells."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Literal
from urllib.parse import unquote_to_bytes

from twisted.web.server import Request

from rtmptwist.web.answers import Problem

Kind = Literal["string", "integer", "number"]

_MANY: Final = 32
"Parameters of one request that are looked at."


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One value."""

    words: str
    kind: Kind = "string"
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()

    many: bool = False
    "Any number of the choices, each once, with commas between them."

    least: float = 0
    "A number, or characters of a text."

    most: float = 200

    told: bool = False
    """
    A text for people: logs, clients and other operators get it with whatever cannot be seen, or
    would look like another line, escaped as Python writes it. Said here, it holds for all of them.
    """

    @property
    def schema(self) -> dict[str, Any]:
        """As JSON Schema."""
        schema: dict[str, Any] = {"type": self.kind}
        if self.many:
            items = {"type": self.kind, "enum": [*self.choices]}
            return {"type": "array", "items": items, "minItems": 1, "uniqueItems": True}
        if self.choices:
            schema["enum"] = list(self.choices)
        elif self.kind == "string":
            schema |= {"minLength": int(self.least), "maxLength": int(self.most)}
        else:
            schema |= {"minimum": self.least, "maximum": self.most}
        if self.default is not None:
            schema["default"] = self.default
        return schema

    def check(self, name: str, value: object) -> Any:
        """
        The value, if it is one.

        Raises:
            Problem: it is not.
        """
        if self.many:
            return self._check_many(name, value)
        if self.kind == "string":
            text = self._check_text(name, value)
            return _escaped(text) if self.told else text
        right = (int,) if self.kind == "integer" else (int, float)
        if isinstance(value, float) and self.kind == "integer" and value.is_integer():
            value = int(value)  # 1.0 is an integer in JSON Schema
        if not isinstance(value, right) or isinstance(value, bool) or not math.isfinite(value):
            raise _wrong(name, f"expected {_NAMES[self.kind]}")
        if not self.least <= value <= self.most:
            raise _wrong(name, f"expected {self.least:g} to {self.most:g}")
        return value

    def read(self, name: str, text: str) -> Any:
        """
        The same of a text.

        Raises:
            Problem: as `check`.
        """
        if self.many:
            return self.check(name, text.split(","))
        if self.kind == "string":
            return self.check(name, text)
        if not re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,9})?", text):
            raise _wrong(name, f"expected {_NAMES[self.kind]}")
        return self.check(name, float(text) if "." in text else int(text))

    def _check_many(self, name: str, value: object) -> list[str]:
        if not isinstance(value, list) or not {*value} <= {*self.choices}:
            raise _wrong(name, f"expected some of {', '.join(self.choices)}")
        if len({*value}) < len(value):
            raise _wrong(name, "expected each once")
        return value

    def _check_text(self, name: str, value: object) -> str:
        if not isinstance(value, str):
            raise _wrong(name, "expected a text")
        if _SURROGATE.search(value):  # JSON can say half a character; RTMP and files cannot
            raise _wrong(name, "expected whole characters")
        if self.choices and value not in self.choices:
            raise _wrong(name, f"expected {', '.join(self.choices)}")
        if not self.choices and not self.least <= len(value) <= self.most:
            raise _wrong(name, f"expected {self.least:g} to {self.most:g} characters")
        return value


def read_query(request: Request, known: Mapping[str, Parameter]) -> dict[str, Any]:
    """
    The query of a request.

    Raises:
        Problem: something in it is unknown, said twice or wrong.
    """
    _, _, query = request.uri.partition(b"?")
    said: dict[str, str] = {}
    for number, part in enumerate(filter(None, query.split(b"&"))):
        try:
            name, _, value = (
                unquote_to_bytes(text).decode()
                for text in part.replace(b"+", b"%20").partition(b"=")
            )
        except UnicodeDecodeError:
            raise Problem(HTTPStatus.BAD_REQUEST, "The query is no UTF-8.") from None
        if name in said or number >= _MANY:
            raise Problem(HTTPStatus.BAD_REQUEST, f"{name[:40]!r} is said twice.")
        said[name] = value
    return _all(known, {name: _read(known, name, text) for name, text in said.items()})


def read_body(body: Mapping[str, Any], known: Mapping[str, Parameter]) -> dict[str, Any]:
    """
    The JSON object of a request.

    Raises:
        Problem: something in it is unknown, wrong or missing.
    """
    return _all(known, {name: _known(known, name).check(name, body[name]) for name in body})


def _read(known: Mapping[str, Parameter], name: str, text: str) -> Any:
    return _known(known, name).read(name, text)


def _known(known: Mapping[str, Parameter], name: str) -> Parameter:
    if name not in known:
        expected = ", ".join(known) or "nothing"
        raise Problem(
            HTTPStatus.BAD_REQUEST, f"{name[:40]!r} is not known here; expected {expected}."
        )
    return known[name]


def _all(known: Mapping[str, Parameter], said: dict[str, Any]) -> dict[str, Any]:
    for name, parameter in known.items():
        if name not in said:
            if parameter.required:
                raise Problem(HTTPStatus.BAD_REQUEST, f"{name!r} is missing.")
            said[name] = parameter.default
    return said


def _escaped(text: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _wrong(name: str, words: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, f"{name!r}: {words}.")


_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_NAMES: Final = {"integer": "a whole number", "number": "a number"}
