"""What a publisher says of its stream in `onMetaData`. It may be wrong, and is then only words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rtmptwist.amf import amf0
from rtmptwist.amf.limits import AmfLimits
from rtmptwist.amf.values import Value
from rtmptwist.wire.message import Message, MessageType

_LIMITS: Final = AmfLimits(depth=4, values=256)
"Encoders send some twenty values."

_NAME: Final = b"\x02\x00\x0aonMetaData"


def read_metadata(message: Message) -> Mapping[str, Value]:
    """The values of a data message; none if it is another one, or cannot be read."""
    body = message.payload[1:] if message.type == MessageType.DATA_AMF3 else message.payload
    if not body.startswith(_NAME):  # of all that a publisher may have kept, one is worth the work
        return {}
    try:
        _, values, *_ = amf0.decode(body, _LIMITS)
    except ValueError:  # AMF that is none, or a name without a value
        return {}
    return values if isinstance(values, dict) else {}


def number(values: Mapping[str, Value], name: str) -> float:
    """A value that is a number in the range of what streams have, else 0."""
    value = values.get(name)
    return value if isinstance(value, float) and 0 < value < 1e6 else 0.0
