"""What one message may cost, and the input and output that keep to it."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

from rtmptwist.amf.errors import AmfError, AmfLimitExceeded
from rtmptwist.amf.values import Value

_pack_double: Final = struct.Struct(">d").pack

DEEPEST: Final = 128
"A level takes up to four frames of the thousand that CPython has."


@dataclass(frozen=True, slots=True)
class AmfLimits:
    """Bounds on one message, in either direction."""

    depth: int = 32
    "Containers in containers; the deepest seen in the wild is 4."

    values: int = 65_536
    "Of every kind, names of classes' members and entries of vectors too: a byte can make one."

    size: int = 0xFFFFFF
    "Bytes that an encoder may make: a text that is shared when decoded is written each time."

    def __post_init__(self) -> None:
        if not 0 <= self.depth <= DEEPEST:
            raise ValueError(f"AMF depth {self.depth} (expected 0 to {DEEPEST})")


DEFAULT_LIMITS: Final = AmfLimits()


class Input(ABC):
    """A message being decoded: where we are, and what it may still cost. Dead after an error."""

    def __init__(self, data: bytes, limits: AmfLimits, strict: bool) -> None:
        self.data: bytes = data
        self.offset: int = 0
        self.depth_left: int = limits.depth
        self.values_left: int = limits.values
        self.errors: str = "strict" if strict else "replace"

    def load(self, data: bytes) -> None:
        """Go on with another piece of the same message: reference tables and bounds stay."""
        self.data = data
        self.offset = 0

    def resume(self, other: Input) -> None:
        """Go on where `other`, which reads the same message, has stopped."""
        self.data = other.data
        self.offset = other.offset
        self.depth_left = other.depth_left
        self.values_left = other.values_left

    def read(self) -> Value:
        """
        Read one value.

        Raises:
            AmfError: the bytes are no value, or end within one.
            AmfLimitExceeded: it is too deep, or one too many.
        """
        self.claim(1, 1)
        try:
            return self.read_claimed()
        except (IndexError, struct.error) as error:
            raise AmfError(f"the {len(self.data)} bytes end within a value") from error

    @abstractmethod
    def read_claimed(self) -> Value:
        """Read one value of those that `claim` has counted. May raise what `read` catches."""

    def take(self, size: int) -> bytes:
        """Read bytes."""
        start = self.offset
        end = start + size
        if end > len(self.data):
            raise AmfError(f"{size} bytes at {start} (expected at most {len(self.data) - start})")
        self.offset = end
        return self.data[start:end]

    def text(self, raw: bytes) -> str:
        """Decode UTF-8."""
        try:
            return raw.decode("utf-8", self.errors)
        except UnicodeDecodeError as error:
            raise AmfError(f"text {raw!r:.80} (expected UTF-8)") from error

    def claim(self, count: int, size: int) -> None:
        """Check that so many values, of at least `size` bytes each, can and may still come."""
        left = len(self.data) - self.offset
        if count * size > left:
            raise AmfError(f"{count} values at {self.offset} (expected at most {left // size})")
        if count > self.values_left:
            raise AmfLimitExceeded(f"{count} more values (expected at most {self.values_left})")
        self.values_left -= count

    def enter(self) -> None:
        """Begin the content of a container; `leave` ends it."""
        if not self.depth_left:
            raise AmfLimitExceeded(f"nested too deep at {self.offset}")
        self.depth_left -= 1

    def leave(self) -> None:
        """End what `enter` began."""
        self.depth_left += 1


class Output(ABC):
    """A message being encoded, and what it may still cost. Dead after an error."""

    def __init__(self, buffer: bytearray, limits: AmfLimits) -> None:
        self.buffer: bytearray = buffer
        self.size: int = limits.size
        self.depth_left: int = limits.depth
        self.values_left: int = limits.values

    def resume(self, other: Output) -> None:
        """Go on where `other`, which writes the same message, has stopped."""
        self.depth_left = other.depth_left
        self.values_left = other.values_left

    @abstractmethod
    def write(self, value: object) -> None:
        """
        Append one value.

        Raises:
            AmfError: it cannot be said in AMF.
            AmfLimitExceeded: it is too deep or too much, or a cycle that cannot be referred to.
        """

    def finish(self) -> bytes:
        """Return all that was written."""
        self.put(b"")
        return bytes(self.buffer)

    def put(self, data: bytes) -> None:
        """Append bytes of any number."""
        if len(self.buffer) + len(data) > self.size:
            raise AmfLimitExceeded(f"more than {self.size} bytes of AMF")
        self.buffer += data

    def enter(self, count: int) -> None:
        """Begin a container of so many values; `leave` ends it."""
        if not self.depth_left:
            raise AmfLimitExceeded("nested too deep, or a cycle that cannot be referred to")
        if count > self.values_left:
            raise AmfLimitExceeded(f"{count} more values (expected at most {self.values_left})")
        self.depth_left -= 1
        self.values_left -= count

    def leave(self) -> None:
        """End what `enter` began."""
        self.depth_left += 1


def double(number: float) -> bytes:
    """Encode a number, which may be an integer of any size."""
    try:
        return _pack_double(number)
    except struct.error as error:
        raise AmfError(f"number {number!r:.80} (expected one that a double can hold)") from error


def utf8(text: str) -> bytes:
    """Encode text, which may come from anywhere."""
    try:
        return str.encode(text)
    except (TypeError, UnicodeEncodeError) as error:
        raise AmfError(f"text {text!a:.80} (expected str without surrogates)") from error
