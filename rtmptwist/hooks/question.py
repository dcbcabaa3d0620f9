"""
What a hook gets to hear, as JSON, as a form or as a program's environment.

The names of the fields are nginx-rtmp's where it has them, so that what was written for it goes on
working: call, app, name, addr, clientid, flashver, swfurl, tcurl, pageurl. In a form, what the
client wrote into its query stands among them, as there; but what it may not do is to say something
in the server's name.

What the server checks itself is nobody else's business: stream keys, passwords, tokens, signatures.
A hook gets them only if it is configured to (`Question.public`). What the server does not check is
there for hooks: they may be who knows it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias
from urllib.parse import urlencode

from rtmptwist.auth.keyfile import PREFIX
from rtmptwist.hooks.events import RECORDED, Event
from rtmptwist.live.access import Usage, Visitor
from rtmptwist.live.recordings import RecordEvent

Field: TypeAlias = str | int | float

_LONGEST: Final = 1024
"Characters of what a client says about itself; an URL with a signed query has some hundred."

OWN: Final = frozenset(
    {
        *("id", "call", "time", "app", "vhost", "name", "addr", "clientid", "account"),
        *("flashver", "swfurl", "tcurl", "pageurl", "args"),
        *("reason", "seconds", "bytes", "messages", "dropped"),
        *("allow", "redirect", "limits", "recorder", "path", "part"),
    }
)
"Fields that only the server fills, whether it has something to say in them or not."

_PASSING: Final = frozenset({"id", "time", "clientid"})
"Fields that differ when the same is asked again."


_UNSAID: Final = {
    Event.CONNECT: ("name",),
    Event.DISCONNECT: ("name", "reason", "bytes", "messages", "dropped"),
    **dict.fromkeys(
        RECORDED.values(),
        ("addr", "clientid", "account", "flashver", "swfurl", "tcurl", "pageurl"),
    ),
}
"What a connection has nothing of, and what a recording has not, which no client makes."


@dataclass(frozen=True, slots=True)
class Client:
    """Whose doing it is: one connection."""

    id: int
    "Nobody else has it, not even after a restart."

    address: str

    flash_version: str = ""
    tc_url: str = field(default="", repr=False)
    swf_url: str = field(default="", repr=False)
    page_url: str = field(default="", repr=False)

    def public(self, secrets: frozenset[str]) -> Client:
        """The same without what its URLs have of logins, and of what the application checks."""
        urls = self.tc_url, self.swf_url, self.page_url
        public = tuple(_public(url, secrets) for url in urls)
        if public == urls:
            return self
        return Client(self.id, self.address, self.flash_version, *public)

    @classmethod
    def of(cls, visitor: Visitor, id: int) -> Client:  # noqa: A002 - the field's name
        """Somebody who wants to connect, by their own words."""
        said = visitor.properties
        return cls(
            id,
            visitor.address,
            *(_text(said.get(key)) for key in ("flashVer", "tcUrl", "swfUrl", "pageUrl")),
        )


@dataclass(frozen=True, slots=True)
class Question:
    """An event, to be decided or only to be told."""

    event: Event

    id: str
    "Of this one question, however often it is asked."

    time: float
    "Seconds since the epoch."

    client: Client

    account: str
    "In whose name. No secret."

    app: str

    host: str = ""
    "The virtual host; empty: that of all hosts that have none of their own."

    name: str = field(default="", repr=False)
    "Of the stream, below its application."

    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    "What the client wrote behind the `?` of its URL. May hold secrets."

    outcome: Mapping[str, Field] = field(default_factory=dict)
    "Of an end: what came of it."

    secrets: frozenset[str] = frozenset()
    "Parts of the query by which the application knows people."

    def public(self) -> Question:
        """The same without secrets that the server checks itself."""
        client, query = self.client.public(self.secrets), self.query
        if not self.secrets.isdisjoint(query):
            query = {key: value for key, value in query.items() if key not in self.secrets}
        if client is self.client and query is self.query:
            return self
        return replace(self, client=client, query=query)

    def fields(self) -> dict[str, Field]:
        """All that is to be said, but for the query."""
        client = self.client
        fields: dict[str, Field] = {
            "call": str(self.event),
            "id": self.id,
            "time": int(self.time),
            "app": self.app,
            "vhost": self.host,
            "name": self.name,
            "addr": client.address,
            "clientid": client.id,
            "account": self.account,
            "flashver": client.flash_version,
            "swfurl": client.swf_url,
            "tcurl": client.tc_url,
            "pageurl": client.page_url,
            **self.outcome,
        }
        for key in _UNSAID.get(self.event, ()):
            fields.pop(key, None)
        return fields

    def json(self) -> bytes:
        """As an object; the query is an object in it, `args`."""
        return json.dumps({**self.fields(), "args": dict(self.query)}).encode()

    def form(self) -> bytes:
        """As a form; the query stands in `args` as a whole, and each part of it for itself."""
        fields = self.fields()
        guests = {key: value for key, value in self.query.items() if key not in OWN}
        return urlencode(
            {**fields, "args": self._args(), **guests}, errors="backslashreplace"
        ).encode()

    def environment(self) -> dict[bytes, bytes]:
        """As variables for a program: RTMP_CALL, RTMP_NAME … A program gets no bytes of zero."""
        said = {**self.fields(), "args": self._args()}
        return {
            f"RTMP_{key.upper()}".encode(): str(value)
            .replace("\0", "")
            .encode(errors="backslashreplace")
            for key, value in said.items()
        }

    def fingerprint(self) -> bytes:
        """Equal for two questions that ask the same. Tells nothing of what they say."""
        same = {key: value for key, value in self.fields().items() if key not in _PASSING}
        text = json.dumps([same, dict(self.query)], sort_keys=True)
        return hashlib.sha256(text.encode()).digest()

    def _args(self) -> str:
        return urlencode(self.query, errors="backslashreplace")


def outcome_of(usage: Usage) -> dict[str, Field]:
    """What came of a publication or a viewing."""
    return {
        "reason": usage.reason,
        "seconds": round(usage.seconds, 3),
        "bytes": usage.bytes,
        "messages": usage.messages,
        "dropped": usage.dropped,
    }


def outcome_of_recording(event: RecordEvent) -> dict[str, Field]:
    """Which file, and what it holds."""
    return {
        "path": event.path,
        "part": event.part,
        "seconds": round(event.seconds, 3),
        "bytes": event.size,
        "reason": event.error,
    }


def _public(url: str, secrets: frozenset[str]) -> str:
    """What `args` has as well is cut where some of it is secret."""
    if "@" in url:
        url = _LOGIN.sub(r"\1", url)
    if secrets:
        url = url.partition("?")[0]
    return _KEY.sub(f"{PREFIX}…", url) if PREFIX in url else url


_LOGIN: Final = re.compile(r"^([^/?#]*://)[^/?#]*@")
_KEY: Final = re.compile(rf"{PREFIX}[^/?&#]*")


def _text(value: object) -> str:
    """What a client says of itself, fit for a line."""
    if not isinstance(value, str):
        return ""
    value = value[:_LONGEST]
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value)
