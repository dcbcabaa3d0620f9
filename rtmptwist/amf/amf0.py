"""
AMF0, the encoding of commands and metadata (Adobe's "Action Message Format -- AMF 0", 2007).

Reads and writes whole messages: the values of one message share one table of references, and one
set of AMF3 tables behind marker 0x11. Knows nothing of what a message means.
"""

# ruff: noqa: SLF001 - the dispatch tables stand beside their classes

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from rtmptwist.amf import amf3
from rtmptwist.amf.errors import AmfError, AmfLimitExceeded
from rtmptwist.amf.limits import DEFAULT_LIMITS, AmfLimits, Input, Output, double, utf8
from rtmptwist.amf.values import (
    UNDEFINED,
    UNSUPPORTED,
    Absent,
    Amf3,
    Date,
    Dictionary,
    DoubleVector,
    EcmaArray,
    Externalizable,
    IntVector,
    ObjectVector,
    TypedObject,
    UintVector,
    Value,
    Xml,
    XmlDocument,
)

_read_double: Final = struct.Struct(">d").unpack_from
_read_u32: Final = struct.Struct(">I").unpack_from
_pack_long: Final = struct.Struct(">BI").pack
_pack_short: Final = struct.Struct(">BH").pack
_pack_u16: Final = struct.Struct(">H").pack

_NUMBER: Final = 0x00
_STRING: Final = 0x02
_OBJECT: Final = 0x03
_NULL: Final = 0x05
_UNDEFINED: Final = 0x06
_REFERENCE: Final = 0x07
_ECMA_ARRAY: Final = 0x08
_OBJECT_END: Final = 0x09
_STRICT_ARRAY: Final = 0x0A
_DATE: Final = 0x0B
_LONG_STRING: Final = 0x0C
_UNSUPPORTED: Final = 0x0D
_XML_DOCUMENT: Final = 0x0F
_TYPED_OBJECT: Final = 0x10
_AVMPLUS: Final = 0x11


def encode(
    *values: object,
    limits: AmfLimits = DEFAULT_LIMITS,
    externals: Mapping[str, amf3.External] | None = None,
) -> bytes:
    """
    Put the values of one message into bytes.

    Integers become Numbers. Whatever only AMF3 can say is written as AMF3.

    Raises:
        AmfError: a value cannot be said in AMF.
        AmfLimitExceeded: it would be too deep, too many, too long.
    """
    encoder = Encoder(limits, externals)
    for value in values:
        encoder.write(value)
    return encoder.finish()


def decode(
    data: bytes,
    limits: AmfLimits = DEFAULT_LIMITS,
    *,
    strict: bool = False,
    externals: Mapping[str, amf3.External] | None = None,
) -> list[Value]:
    """
    Take the values of one message out of its bytes.

    References give the very object they refer to, which may be an ancestor. Invalid UTF-8 is
    replaced by U+FFFD, or refused when `strict`.

    Raises:
        AmfError: the bytes are no AMF0.
        AmfLimitExceeded: too deep, too many.
    """
    decoder = Decoder(data, limits, strict=strict, externals=externals)
    values = []
    while decoder.offset < len(data):
        values.append(decoder.read())
    return values


def read_string(data: bytes, offset: int = 0) -> tuple[str, int]:
    """
    Read one String or Long string; return it and the offset behind it.

    For the handler name of a data message, whose values nobody here needs. Always strict,
    because such a string selects something.

    Raises:
        AmfError: something else is there.
    """
    decoder = Decoder(data, strict=True)
    decoder.offset = offset
    marker = data[offset] if offset < len(data) else None
    if marker not in (_STRING, _LONG_STRING):
        raise AmfError(f"AMF0 marker {marker} at {offset} (expected a string)")
    text = decoder.read()
    assert isinstance(text, str)
    return text, decoder.offset


class Decoder(Input):
    """The values of one message, one by one. Use `decode` if there is nothing else in between."""

    def __init__(
        self,
        data: bytes,
        limits: AmfLimits = DEFAULT_LIMITS,
        *,
        strict: bool = False,
        externals: Mapping[str, amf3.External] | None = None,
    ) -> None:
        super().__init__(data, limits, strict)
        self._referable: list[Value] = []
        self._externals: Mapping[str, amf3.External] | None = externals
        self._amf3: amf3.Decoder | None = None

    def read_claimed(self) -> Value:
        marker = self.data[self.offset]
        self.offset += 1
        return _READERS[marker](self)

    def read_name(self) -> str:
        """Read text without a marker, as in names of properties and classes."""
        size = self.take(2)
        return self.text(self.take(size[0] << 8 | size[1]))

    def _number(self) -> Value:
        start = self.offset
        self.offset = start + 8
        number: float = _read_double(self.data, start)[0]
        return number

    def _boolean(self) -> Value:
        start = self.offset
        self.offset = start + 1
        return self.data[start] != 0

    def _string(self) -> Value:
        data = self.data
        start = self.offset
        self.offset = start + 2
        return self.text(self.take(data[start] << 8 | data[start + 1]))

    def _long_string(self) -> Value:
        return self._long_text()

    def _long_text(self) -> str:
        start = self.offset
        self.offset = start + 4
        return self.text(self.take(_read_u32(self.data, start)[0]))

    def _object(self) -> Value:
        value: dict[str, Value] = {}
        self._fill(value)
        return value

    def _null(self) -> Value:
        return None

    def _undefined(self) -> Value:
        return UNDEFINED

    def _unsupported(self) -> Value:
        return UNSUPPORTED

    def _reference(self) -> Value:
        size = self.take(2)
        index = size[0] << 8 | size[1]
        if index >= len(self._referable):
            raise AmfError(f"reference {index} (expected less than {len(self._referable)})")
        return self._referable[index]

    def _ecma_array(self) -> Value:
        self.take(4)  # a count, which many encoders get wrong
        value = EcmaArray()
        self._fill(value)
        return value

    def _strict_array(self) -> Value:
        start = self.offset
        self.offset = start + 4
        count: int = _read_u32(self.data, start)[0]
        self.claim(count, 1)
        self.enter()
        value: list[Value] = []
        self._referable.append(value)
        for _ in range(count):
            value.append(self.read_claimed())  # noqa: PERF401 - an element may refer to the array
        self.leave()
        return value

    def _date(self) -> Value:
        start = self.offset
        self.take(10)  # the last two are a time zone, "reserved"
        return Date(_read_double(self.data, start)[0])

    def _xml_document(self) -> Value:
        return XmlDocument(self._long_text())

    def _typed_object(self) -> Value:
        value = TypedObject(class_name=self.read_name())
        self._fill(value)
        return value

    def _avmplus(self) -> Value:
        inner = self._amf3
        if inner is None:  # kept, because its tables live as long as the message
            strict = self.errors == "strict"
            inner = self._amf3 = amf3.Decoder(b"", strict=strict, externals=self._externals)
        inner.resume(self)
        value = inner.read_claimed()
        self.resume(inner)
        return value

    def _no_value(self) -> Value:
        marker = self.data[self.offset - 1]
        raise AmfError(f"AMF0 marker {marker:#04x} at {self.offset - 1} (expected a value)")

    def _fill(self, value: dict[str, Value]) -> None:
        """Read properties up to the end marker. The object is referable before its content."""
        self._referable.append(value)
        self.enter()
        data = self.data
        offset = self.offset
        while True:
            start = offset + 2
            end = start + (data[offset] << 8 | data[offset + 1])
            marker = data[end]
            self.offset = end + 1
            if marker == _OBJECT_END and end == start:
                break
            if not self.values_left:
                raise AmfLimitExceeded(f"1 more value at {end} (expected the end)")
            self.values_left -= 1
            name = self.text(data[start:end])
            value[name] = _READERS[marker](self)
            offset = self.offset
        self.leave()


_READERS: Final[tuple[Callable[[Decoder], Value], ...]] = (
    Decoder._number,
    Decoder._boolean,
    Decoder._string,
    Decoder._object,
    Decoder._no_value,  # movie clip
    Decoder._null,
    Decoder._undefined,
    Decoder._reference,
    Decoder._ecma_array,
    Decoder._no_value,  # object end
    Decoder._strict_array,
    Decoder._date,
    Decoder._long_string,
    Decoder._unsupported,
    Decoder._no_value,  # record set
    Decoder._xml_document,
    Decoder._typed_object,
    Decoder._avmplus,
    *[Decoder._no_value] * 238,
)


class Encoder(Output):
    """The values of one message, one by one, into `buffer`, where others may put bytes too."""

    def __init__(
        self,
        limits: AmfLimits = DEFAULT_LIMITS,
        externals: Mapping[str, amf3.External] | None = None,
    ) -> None:
        super().__init__(bytearray(), limits)
        self._limits: AmfLimits = limits
        self._externals: Mapping[str, amf3.External] | None = externals
        self._amf3: amf3.Encoder | None = None
        self._referable: list[object] = []  # alive, lest another gets the same id
        self._indexes: dict[int, int] = {}

    @property
    def has_amf3(self) -> bool:
        """A value was written as AMF3, so the message must be of an AMF3 type."""
        return self._amf3 is not None

    def write(self, value: object) -> None:
        writer = _WRITERS.get(type(value))
        if writer is None:
            writer = _writer_of(value)
        writer(self, value)

    def write_name(self, name: str) -> None:
        """Append text without a marker, as in names of properties and classes."""
        data = utf8(name)
        size = len(data)
        if size > 0xFFFF:
            raise AmfError(f"name of {size} bytes (expected at most 65535)")
        self.put(_pack_u16(size) + data)

    def _none(self, _: None) -> None:
        self.buffer.append(_NULL)

    def _absent(self, value: Absent) -> None:
        self.buffer.append(_UNDEFINED if value is UNDEFINED else _UNSUPPORTED)

    def _boolean(self, value: bool) -> None:
        self.buffer += b"\x01\x01" if value else b"\x01\x00"

    def _number(self, value: float) -> None:
        self.buffer.append(_NUMBER)
        self.buffer += double(value)

    def _string(self, value: str) -> None:
        data = utf8(value)
        size = len(data)
        if size > 0xFFFF:
            self.put(_pack_long(_LONG_STRING, size) + data)
        else:
            self.put(_pack_short(_STRING, size) + data)

    def _xml(self, value: Xml) -> None:
        data = utf8(value)
        self.put(_pack_long(_XML_DOCUMENT, len(data)) + data)

    def _date(self, value: Date) -> None:
        self.buffer.append(_DATE)
        self.buffer += double(value.milliseconds)
        self.buffer += b"\0\0"  # the time zone, reserved

    def _object(self, value: dict[str, object]) -> None:
        if not self._referred(value):
            self.buffer.append(_OBJECT)
            self._properties(value)

    def _ecma_array(self, value: EcmaArray) -> None:
        if not self._referred(value):
            self.buffer += _pack_long(_ECMA_ARRAY, len(value))
            self._properties(value)

    def _typed_object(self, value: TypedObject) -> None:
        if not self._referred(value):
            self.buffer.append(_TYPED_OBJECT)
            self.write_name(value.class_name)
            self._properties(value)

    def _strict_array(self, value: Sequence[object]) -> None:
        if not self._referred(value):
            self.enter(len(value))
            self.buffer += _pack_long(_STRICT_ARRAY, len(value))
            for item in value:
                self.write(item)
            self.leave()

    def _avmplus(self, value: object) -> None:
        inner = self._amf3
        if inner is None:
            inner = amf3.Encoder(self._limits, self._externals, self.buffer)
        self.buffer.append(_AVMPLUS)
        inner.resume(self)
        inner.write(value)
        self.resume(inner)
        if self._amf3 is None:
            # Some decoders begin new tables at each marker, some do not: refer in the first only.
            self._amf3 = amf3.Encoder(self._limits, self._externals, self.buffer, literal=True)

    def _wrapped(self, value: Amf3) -> None:
        self._avmplus(value.value)

    def _properties(self, value: Mapping[str, object]) -> None:
        self.enter(len(value))
        for name, item in value.items():
            self.write_name(name)
            self.write(item)
        self.buffer += b"\x00\x00\x09"
        self.leave()

    def _referred(self, value: object) -> bool:
        """Write a reference if this very object was written before; number it if not."""
        index = self._indexes.get(id(value))
        if index is not None:
            self.buffer += _pack_short(_REFERENCE, index)
            return True
        index = len(self._referable)
        if index <= 0xFFFF:  # more are legal but cannot be referred to
            self._indexes[id(value)] = index
        self._referable.append(value)
        return False


_WRITERS: Final[dict[type, Callable[[Encoder, Any], None]]] = {
    type(None): Encoder._none,
    Absent: Encoder._absent,
    bool: Encoder._boolean,
    float: Encoder._number,
    int: Encoder._number,
    str: Encoder._string,
    Xml: Encoder._xml,
    Date: Encoder._date,
    dict: Encoder._object,
    EcmaArray: Encoder._ecma_array,
    TypedObject: Encoder._typed_object,
    list: Encoder._strict_array,
    tuple: Encoder._strict_array,
    Amf3: Encoder._wrapped,
    bytes: Encoder._avmplus,
    IntVector: Encoder._avmplus,
    UintVector: Encoder._avmplus,
    DoubleVector: Encoder._avmplus,
    ObjectVector: Encoder._avmplus,
    Dictionary: Encoder._avmplus,
    Externalizable: Encoder._avmplus,
}


def _writer_of(value: object) -> Callable[[Encoder, Any], None]:
    """Find how to write a subclass of what we know."""
    for base in type(value).__mro__:
        if base in _WRITERS:
            return _WRITERS[base]
    raise AmfError(f"cannot write a {type(value).__name__} as AMF0")
