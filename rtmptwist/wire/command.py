"""
Command messages: name, transaction id, command object, arguments (RTMP 1.0, section 7.2.1).

Knows how a command is put into bytes, in message types 20 (AMF0) and 17 (a zero byte, then AMF0
values that may switch to AMF3); what a command means is the sessions' business.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rtmptwist.amf import amf0
from rtmptwist.amf.errors import AmfError
from rtmptwist.amf.limits import AmfLimits
from rtmptwist.amf.values import Value
from rtmptwist.wire.errors import RemoteProtocolError
from rtmptwist.wire.message import Message, MessageType

NAMED: Final = frozenset(
    {"publish", "play", "releaseStream", "FCPublish", "FCUnpublish", "FCSubscribe"}
    | {"FCUnsubscribe", "deleteStream", "getStreamLength"}
)
"Commands whose first argument is the name of a stream, or its number."

KNOWN: Final = NAMED | frozenset(
    {"connect", "createStream", "closeStream", "initStream", "play2", "seek"}
    | {"pause", "pauseRaw", "pauseraw", "receiveAudio", "receiveVideo"}
    | {"_checkbw", "checkBandwidth", "onBWCheck", "onBWDone"}
    | {"_result", "_error", "onStatus", "onPlayStatus", "onCuePoint", "close"}
    | {"onFCPublish", "onFCUnpublish", "onFCSubscribe", "onFCUnsubscribe"}
)
"""
Names that clients and servers of the field call each other by. What else stands in their place is a
stranger's text, which may be a stream key in the wrong field.
"""


@dataclass(frozen=True, slots=True)
class Command:
    """One command as it stands in its message."""

    name: str

    transaction_id: float = 0.0
    "0: no answer is wanted."

    object: Value = None
    "The command object: properties of a connect, null otherwise."

    arguments: tuple[Value, ...] = ()

    stream_id: int = 0
    "The message stream it came on."

    def argument(self, index: int, default: Value = None) -> Value:
        """The argument at `index`, or `default`: clients leave the last ones out."""
        return self.arguments[index] if index < len(self.arguments) else default

    def message(self) -> Message:
        """The command as an AMF0 message, which every client reads whatever it negotiated."""
        payload = amf0.encode(self.name, self.transaction_id, self.object, *self.arguments)
        return Message(MessageType.COMMAND, 0, self.stream_id, payload)


def parse(message: Message, limits: AmfLimits) -> Command:
    """
    The command in a message of type 20 or 17.

    Raises:
        RemoteProtocolError: no AMF, beyond the limits, or no name in front.
    """
    values = _values(message, limits)
    if not values or not isinstance(values[0], str):
        found = type(values[0]).__name__ if values else "nothing"
        raise RemoteProtocolError(f"command begins with {found} (expected its name, a string)")
    transaction_id = values[1] if len(values) > 1 else 0.0
    if not isinstance(transaction_id, float) or not math.isfinite(transaction_id):
        transaction_id = 0.0
    return Command(
        values[0],
        transaction_id,
        values[2] if len(values) > 2 else None,
        tuple(values[3:]),
        message.stream_id,
    )


def _values(message: Message, limits: AmfLimits) -> Sequence[Value]:
    payload = message.payload
    if message.type == MessageType.COMMAND_AMF3:
        if payload[:1] != b"\0":
            raise RemoteProtocolError(
                f"AMF3 command begins with {payload[:1].hex() or 'nothing'} (expected 00)"
            )
        payload = payload[1:]
    try:
        return amf0.decode(payload, limits)
    except AmfError as error:
        raise RemoteProtocolError(f"command: {error}") from error


def text(value: Value, default: str = "") -> str:
    """A string argument; anything else counts as `default`."""
    return value if isinstance(value, str) else default


def number(value: Value, default: float) -> float:
    """A finite number argument; anything else counts as `default`."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    return default


def truth(value: Value, *, default: bool) -> bool:
    """A Boolean argument, for which some clients send a number."""
    return value != 0 if isinstance(value, bool | int | float) else default
