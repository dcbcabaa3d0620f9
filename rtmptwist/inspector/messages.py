"""RTMP messages in words: commands with their values, control messages, data, media."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, Final

from rtmptwist.amf import amf0
from rtmptwist.amf.errors import AmfError
from rtmptwist.amf.limits import AmfLimits
from rtmptwist.amf.values import Value
from rtmptwist.inspector.media import Payload, describe
from rtmptwist.inspector.values import Hide, line, plain, printable
from rtmptwist.live.names import redacted, redacted_command
from rtmptwist.media.packet import Kind
from rtmptwist.wire import aggregate, control
from rtmptwist.wire.command import NAMED, Command, parse
from rtmptwist.wire.errors import RemoteProtocolError
from rtmptwist.wire.limits import Limits
from rtmptwist.wire.message import Message, MessageType

_URLS: Final = frozenset({"app", "tcUrl", "tcurl", "swfUrl", "pageUrl", "details", "redirect"})
"Properties that hold URLs or names of streams."

_PLAIN: Final = frozenset({"flashVer", "objectEncoding", "code", "level", "fmsVer", "type"})
"Properties that are no secret, whatever they say."

_STATUSES: Final = frozenset(
    {"_result", "_error", "onStatus", "onFCPublish", "onFCUnpublish", "onFCSubscribe"}
    | {"onPlayStatus", "onBWDone"}
)
_TOLD_NAMES: Final = frozenset({"onFCPublish", "onFCUnpublish", "onFCSubscribe"})
"Of those, whose description is a name."

_METADATA: Final = frozenset({"onMetaData", "|RtmpSampleAccess", "@setDataFrame", "onTextData"})
_QUERY: Final = re.compile(r"\?\S+")
_TOLD_DATA: Final = frozenset({"onCuePoint", "onCaption", "onCaptionInfo", "onFI", "onXMPData"})
"Names of data messages that are shown, whose values are not."

_USUAL_KINDS: Final = frozenset({"live", "record", "append"})


@dataclass(slots=True)
class Saying:
    """What one message says."""

    kind: str
    "`command`, `control`, `data`, `audio`, `video`, `aggregate`, `shared object` or `unknown`."

    words: str
    facts: dict[str, Any]
    trouble: str = ""
    "What is illegal about it."

    frame: bool = False
    "One of the thousands: coded sound or pictures, or an acknowledgement."

    key: bool = False


class Reader:
    """
    Puts messages into words.

    Without `secrets`, names are cut as in the log, queries are left out, and commands that nobody
    here knows are only told apart, and their values counted.
    """

    def __init__(self, limits: Limits | None = None, *, secrets: bool = False) -> None:
        self.limits = limits or Limits()
        self._amf = AmfLimits(depth=self.limits.amf_depth, values=self.limits.amf_values)
        self._secrets = secrets
        self._names: dict[str, str] = {}
        "Of streams, as they are shown: servers repeat them in sentences."

    def fresh(self) -> Reader:
        """The same for another connection, whose names are its own."""
        return Reader(self.limits, secrets=self._secrets)

    def read(self, message: Message) -> Saying:
        """Tell what a message says. Never raises."""
        kind = message.type
        try:
            if kind in (MessageType.AUDIO, MessageType.VIDEO):
                return _media(message)
            if kind in (MessageType.COMMAND, MessageType.COMMAND_AMF3):
                return self._command(message)
            if kind in (MessageType.DATA, MessageType.DATA_AMF3):
                return self._data(message)
            if kind in control.TYPES:
                return _control(message)
            if kind == MessageType.AGGREGATE:
                return self._aggregate(message)
        except (RemoteProtocolError, AmfError) as error:
            name, size = _name_of(kind), len(message.payload)
            return Saying(name, f"{name}, {size} bytes", {}, trouble=printable(str(error)))
        name = _name_of(kind)
        words = name if name != "unknown" else f"message of unknown type {kind}"
        return Saying(name, f"{words}, {len(message.payload)} bytes", {"type": kind})

    def _command(self, message: Message) -> Saying:
        command = parse(message, self._amf)
        values = [command.object, *command.arguments]
        while len(values) > 1 and values[-1] is None:
            values.pop()
        hide = self._hiding(command)
        shown = [plain(value, hide) for value in values]
        name = self._called(command.name)
        facts = {
            "name": name,
            "transaction": plain(command.transaction_id, hide),
            "object": shown[0],
            "arguments": shown[1:],
        }
        encoding = " (AMF3)" if message.type == MessageType.COMMAND_AMF3 else ""
        words = f"{name} {facts['transaction']}{encoding} {line(shown)}"
        return Saying("command", words, facts)

    def _data(self, message: Message) -> Saying:
        payload = message.payload
        if message.type == MessageType.DATA_AMF3 and payload[:1] == b"\0":
            payload = payload[1:]
        values = amf0.decode(payload, self._amf)
        name = values[0] if values and isinstance(values[0], str) else ""
        known = name in _METADATA or name in _STATUSES
        hide = _whole if self._secrets else self._hide if known else _count
        shown = [plain(value, hide) for value in values]
        if name:
            shown[0] = self._called(name)
        words = f"data {shown[0] if name else ''} {line(shown[1:] if name else shown)}"
        return Saying("data", words, {"values": shown})

    def _aggregate(self, message: Message) -> Saying:
        parts = aggregate.split(message, self.limits)
        said = [self.read(part) for part in parts[:_SHOWN]]
        words = "; ".join(f"{p.timestamp} ms {s.words}" for p, s in zip(parts, said, strict=False))
        more = f"; {len(parts)} in all" if len(parts) > len(said) else ""
        trouble = next((each.trouble for each in said if each.trouble), "")
        words = f"aggregate of {len(parts)}: {words}{more}"
        return Saying("aggregate", words, {"parts": len(parts)}, trouble=trouble)

    # ---------------------------------------------------------------- secrets

    def _called(self, name: str) -> str:
        """What a message calls itself, which may be anything: a stream key in the wrong field."""
        told = self._secrets or name in _METADATA or name in _TOLD_DATA
        return printable(name if told else redacted_command(name), 64)

    def _hiding(self, command: Command) -> Hide:
        if self._secrets:
            return _whole
        name = command.name
        if name in NAMED:
            self._learn(command.argument(0))
            return self._hide_name
        if name in _STATUSES:
            for value in command.arguments:
                if isinstance(value, dict):
                    self._learn(value.get("details"))
            return self._hide_all if name in _TOLD_NAMES else self._hide
        return self._hide_in_connect if name == "connect" else _count

    def _learn(self, name: Value) -> None:
        """A stream is called so."""
        if isinstance(name, str) and len(self._names) < _NAMES:
            path = name.partition("?")[0]
            shown = redacted(path)
            if path != shown:
                self._names[path] = shown

    def _without_names(self, text: str) -> str:
        for name, shown in self._names.items():
            text = text.replace(name, shown)
        return _QUERY.sub("?…", text)

    def _hide(self, name: str, text: str) -> str:
        return redacted(text) if name in _URLS else self._without_names(text)

    def _hide_all(self, name: str, text: str) -> str:
        return text if name in _PLAIN else redacted(text)

    def _hide_in_connect(self, name: str, text: str) -> str:
        if name in _URLS:
            return redacted(text)
        if name in _PLAIN or (name and len(text) <= _SHORT):
            return _QUERY.sub("?…", text)
        return _count(name, text)

    def _hide_name(self, name: str, text: str) -> str:  # noqa: ARG002 - as Hide
        return text if text in _USUAL_KINDS else redacted(text)


def _media(message: Message) -> Saying:
    kind = Kind.AUDIO if message.type == MessageType.AUDIO else Kind.VIDEO
    found: Payload = describe(kind, message.payload)
    return Saying(
        kind.value,
        found.words,
        found.facts,
        trouble=found.trouble,
        frame=found.frame,
        key=found.key,
    )


def _control(message: Message) -> Saying:
    event = control.parse(message)
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(event).__name__).lower()
    facts: dict[str, Any] = {"name": name}
    facts |= {each.name: _shown(getattr(event, each.name)) for each in fields(event)}
    words = ", ".join(f"{key.replace('_', ' ')} {facts[key]}" for key in facts if key != "name")
    return Saying(
        "control",
        f"{name}: {words}",
        facts,
        frame=message.type == MessageType.ACKNOWLEDGEMENT,
    )


def _shown(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name.lower()
    return value.hex() if isinstance(value, bytes) else value


def _whole(name: str, text: str) -> str:  # noqa: ARG001 - as Hide
    return text


def _count(name: str, text: str) -> str:  # noqa: ARG001 - as Hide
    return f"… {len(text)} characters"


def _name_of(kind: int) -> str:
    return _KINDS.get(kind, "unknown")


_NAMES: Final = 64
"Of streams, of one connection."

_SHORT: Final = 8
"Characters of a property that is shown whole."

_SHOWN: Final = 16
"Parts of an aggregate that are shown."

_KINDS: Final[dict[int, str]] = {
    **dict.fromkeys((1, 2, 3, 4, 5, 6), "control"),
    MessageType.AUDIO: "audio",
    MessageType.VIDEO: "video",
    MessageType.DATA: "data",
    MessageType.DATA_AMF3: "data",
    MessageType.SHARED_OBJECT: "shared object",
    MessageType.SHARED_OBJECT_AMF3: "shared object",
    MessageType.COMMAND: "command",
    MessageType.COMMAND_AMF3: "command",
    MessageType.AGGREGATE: "aggregate",
}
