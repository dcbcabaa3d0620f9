"""
What a hook says: yes, no with a text for the client, another name, another server, or limits.

A hook is trusted to decide, not to be without mistakes: what is no answer, says so itself, so that
nobody is let in or sent away by a page that was not meant for us.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from rtmptwist.auth.keyfile import CODECS
from rtmptwist.live.access import FREE, Terms
from rtmptwist.live.names import BadName, ConnectTarget, stream_name

TEXT_SIZE: Final = 255
"Bytes of a text for a client: FFmpeg shows no more."

URL_SIZE: Final = 2048
"Characters of an URL that somebody is sent to."

SCHEMES: Final = frozenset({"rtmp", "rtmpe", "rtmps", "rtmpt", "rtmpte", "rtmpts"})


class NoAnswer(Exception):
    """A hook could not be asked, or said nothing that can be used. The text says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was decided."""

    allowed: bool = True

    reason: str = ""
    "Of a refusal: what the client gets to read. Empty: nothing was said."

    name: str = field(default="", repr=False)
    "What the stream shall be called instead; empty: as it is."

    redirect: str = field(default="", repr=False)
    "Where the client shall go instead: a refusal."

    limits: Terms = FREE


def from_http(status: int, location: str, kind: str, body: bytes, *, strict: bool) -> Answer:
    """
    Understand an HTTP answer: its status, and its headers Location and Content-Type.

    `strict`: where the body says anything, it says it in JSON; a page that was meant for somebody
    else is no permission.

    Raises:
        NoAnswer: it is none.
    """
    if 200 <= status < 300:
        said_json = "json" in kind.partition(";")[0].lower()
        return from_json(body) if body.strip() and (strict or said_json) else Answer()
    if 300 <= status < 400:
        return _from_location(location)
    if 400 <= status < 500:
        return Answer(allowed=False, reason=_text_of(kind, body))
    raise NoAnswer(f"it answered with HTTP status {status}")


def from_json(body: bytes) -> Answer:
    """
    Understand a JSON object.

    Raises:
        NoAnswer: it is none, or says what nobody knows.
    """
    try:
        said = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise NoAnswer("its answer is no JSON") from None
    values = _read(said, _ANSWER, "its answer")
    if values.get("redirect"):
        return Answer(allowed=False, redirect=values["redirect"])
    return Answer(allowed=values.pop("allow", True), **values)


def readable(text: str) -> str:
    """A text fit for a client's window: one line, of `TEXT_SIZE` bytes at most."""
    text = " ".join(text.split())
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    data = text.encode(errors="replace")
    if len(data) <= TEXT_SIZE:
        return data.decode()
    return data[: TEXT_SIZE - 3].decode(errors="ignore") + "…"


def _from_location(location: str) -> Answer:
    scheme = location.partition("://")[0].lower() if "://" in location else ""
    if scheme in SCHEMES:
        return Answer(allowed=False, redirect=_url(location))
    if scheme or location.startswith("/"):
        raise NoAnswer("it redirects to another page, which is not followed: name that in url")
    if not location:
        raise NoAnswer("it redirects, but does not say where")
    return Answer(name=_name(location))


def _text_of(kind: str, body: bytes) -> str:
    """What a refusal says to people; a page of HTML says nothing to them."""
    kind = kind.partition(";")[0].lower()
    if "json" in kind:
        try:
            said = json.loads(body)["reason"]
        except (ValueError, RecursionError, TypeError, LookupError):
            return ""
        return readable(said) if isinstance(said, str) else ""
    text = body.decode(errors="replace")
    return "" if "html" in kind or text.lstrip().startswith("<") else readable(text)


# ---- values

_Keys = dict[str, Callable[[Any], Any]]
"How the value of each key is read; ValueError says what was expected."


def _no_number(text: str) -> None:
    raise ValueError(text)


def _read(said: Any, known: _Keys, what: str) -> dict[str, Any]:
    """The values of an object."""
    if not isinstance(said, dict):
        raise NoAnswer(f"{what} is no JSON object")
    found: dict[str, Any] = {}
    for key, value in said.items():
        if key not in known:
            near = key if re.fullmatch(r"\w{1,32}", key) else "a key"
            raise NoAnswer(f"{what} has {near}, which means nothing ({', '.join(known)} do)")
        try:
            found[key] = known[key](value)
        except ValueError as error:
            raise NoAnswer(f"{key} in {what}: expected {error}") from error
    return found


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a text")
    return value


def _reason(value: Any) -> str:
    return readable(_string(value))


def _name(value: Any) -> str:
    """A stream's name, by the rules for those of clients; empty: no other one."""
    name = _string(value)
    if not name:
        return ""
    if "?" in name:
        raise NoAnswer("the name it gives has a query")
    try:
        return stream_name(ConnectTarget("", "app"), name).path.removeprefix("app/")
    except BadName as error:
        raise NoAnswer(f"the name it gives cannot be: {error}") from error


def _url(value: Any) -> str:
    url = _string(value)
    try:
        parts = urlsplit(url)
        fine = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not url:
        return ""
    if not fine or len(url) > URL_SIZE or not re.fullmatch(r"[!-~]+", url):
        raise NoAnswer("the URL it redirects to is no rtmp:// URL that could be followed")
    return url


def _positive(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1 << 53:
        raise ValueError("a whole number above 0")
    return value


def _seconds(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1 << 53:
        raise ValueError("seconds above 0")
    return float(value)


def _codecs(value: Any) -> frozenset[str]:
    if not isinstance(value, list) or not value or not all(isinstance(c, str) for c in value):
        raise ValueError("a list of codecs")
    if not CODECS.issuperset(value):
        raise ValueError(f"codecs by the names {', '.join(sorted(CODECS))}")
    return frozenset(value)


def _limits(value: Any) -> Terms:
    return Terms(**_read(value, _LIMITS, "limits"))


_ANSWER: Final[_Keys] = {
    "allow": _yes_or_no,
    "reason": _reason,
    "name": _name,
    "redirect": _url,
    "limits": _limits,
}

_LIMITS: Final[_Keys] = {
    "bitrate": _positive,
    "duration": _seconds,
    "codecs": _codecs,
    "width": _positive,
    "height": _positive,
}
