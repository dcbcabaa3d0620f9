"""
AMF3, the encoding of ActionScript 3 (Adobe's "Action Message Format -- AMF 3", January 2013).

In RTMP it stands only inside AMF0, behind marker 0x11, so `amf0` is what others call. Three tables
(texts, complex values, traits of classes) hold what was said before in the same message.
"""

# ruff: noqa: SLF001 - the dispatch tables stand beside their classes

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from rtmptwist.amf.errors import AmfError
from rtmptwist.amf.limits import DEFAULT_LIMITS, AmfLimits, Input, Output, double, utf8
from rtmptwist.amf.values import (
    UNDEFINED,
    Absent,
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

_UNDEFINED: Final = 0x00
_NULL: Final = 0x01
_FALSE: Final = 0x02
_TRUE: Final = 0x03
_INTEGER: Final = 0x04
_DOUBLE: Final = 0x05
_STRING: Final = 0x06
_XML_DOCUMENT: Final = 0x07
_DATE: Final = 0x08
_ARRAY: Final = 0x09
_OBJECT: Final = 0x0A
_XML: Final = 0x0B
_BYTE_ARRAY: Final = 0x0C
_INT_VECTOR: Final = 0x0D
_UINT_VECTOR: Final = 0x0E
_DOUBLE_VECTOR: Final = 0x0F
_OBJECT_VECTOR: Final = 0x10
_DICTIONARY: Final = 0x11


def encode(
    *values: object,
    limits: AmfLimits = DEFAULT_LIMITS,
    externals: Mapping[str, External] | None = None,
) -> bytes:
    """
    Put values that share one set of tables into bytes.

    Integers beyond 29 bits become doubles.

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
    externals: Mapping[str, External] | None = None,
) -> list[Value]:
    """
    Take values that share one set of tables out of their bytes; as `amf0.decode`.

    Raises:
        AmfError: the bytes are no AMF3, or hold an externalizable class that is not in `externals`
            (default: `FLEX`), behind which nothing can be read.
        AmfLimitExceeded: too deep, too many.
    """
    decoder = Decoder(data, limits, strict=strict, externals=externals)
    values = []
    while decoder.offset < len(data):
        values.append(decoder.read())
    return values


class _Traits(NamedTuple):
    """What is known of a class, and referred to as one."""

    class_name: str
    sealed: tuple[str, ...]
    dynamic: bool
    external: bool


_ANONYMOUS: Final = _Traits("", (), dynamic=True, external=False)


class Decoder(Input):
    """The AMF3 values of one message, one by one."""

    def __init__(
        self,
        data: bytes,
        limits: AmfLimits = DEFAULT_LIMITS,
        *,
        strict: bool = False,
        externals: Mapping[str, External] | None = None,
    ) -> None:
        super().__init__(data, limits, strict)
        self._texts: list[str] = []
        self._objects: list[Value] = []
        self._traits: list[_Traits] = []
        self._externals: Mapping[str, External] = FLEX if externals is None else externals

    def read_claimed(self) -> Value:
        marker = self.data[self.offset]
        self.offset += 1
        if marker < _XML_DOCUMENT:
            return _READERS[marker](self)
        if marker > _DICTIONARY:
            raise AmfError(f"AMF3 marker {marker:#04x} at {self.offset - 1} (expected a value)")
        head = self.read_u29()
        if head & 1:
            return _COMPLEX_READERS[marker - _XML_DOCUMENT](self, head >> 1)
        index = head >> 1
        if index >= len(self._objects):
            raise AmfError(f"object reference {index} (expected less than {len(self._objects)})")
        return self._objects[index]

    def read_u29(self) -> int:
        """Read an unsigned integer of one to four bytes."""
        value = 0
        for _ in range(3):
            byte = self.data[self.offset]
            self.offset += 1
            if byte < 0x80:
                return value << 7 | byte
            value = value << 7 | byte & 0x7F
        byte = self.data[self.offset]
        self.offset += 1
        return value << 8 | byte

    def read_text(self) -> str:
        """Read text without a marker, as in names of properties and classes."""
        head = self.read_u29()
        if head == 1:  # the empty one, which is never referred to
            return ""
        if not head & 1:
            index = head >> 1
            if index >= len(self._texts):
                raise AmfError(f"text reference {index} (expected less than {len(self._texts)})")
            return self._texts[index]
        text = self.text(self.take(head >> 1))
        self._texts.append(text)
        return text

    def _undefined(self) -> Value:
        return UNDEFINED

    def _null(self) -> Value:
        return None

    def _false(self) -> Value:
        return False

    def _true(self) -> Value:
        return True

    def _integer(self) -> Value:
        value = self.read_u29()
        return value - 0x20000000 if value & 0x10000000 else value

    def _double(self) -> Value:
        start = self.offset
        self.offset = start + 8
        number: float = _read_double(self.data, start)[0]
        return number

    def _string(self) -> Value:
        return self.read_text()

    def _xml_document(self, size: int) -> Value:
        return self._kept(XmlDocument(self.text(self.take(size))))

    def _date(self, _: int) -> Value:
        start = self.offset
        self.offset = start + 8
        return self._kept(Date(_read_double(self.data, start)[0]))

    def _array(self, count: int) -> Value:
        self.claim(count, 1)
        self.enter()
        name = self.read_text()
        if name:
            named = EcmaArray()
            self._objects.append(named)
            self._fill(named, name)
            for index in range(count):
                named[str(index)] = self.read_claimed()
            self.leave()
            return named
        value: list[Value] = []
        self._objects.append(value)
        self._extend(value, count)
        self.leave()
        return value

    def _object(self, head: int) -> Value:
        traits = self._traits_of(head)
        if traits.external:
            return self._externalizable(traits.class_name)
        value: dict[str, Value] = {}
        if traits.class_name:
            value = TypedObject((), traits.class_name, traits.sealed)
        self._objects.append(value)
        self.enter()
        self.claim(len(traits.sealed), 1)
        for name in traits.sealed:
            value[name] = self.read_claimed()
        if traits.dynamic:
            self._fill(value, self.read_text())
        self.leave()
        return value

    def _externalizable(self, class_name: str) -> Value:
        external = self._externals.get(class_name)
        if external is None:
            raise AmfError(f"externalizable {class_name!r:.80} (expected a known class)")
        value = Externalizable(class_name, None)
        self._objects.append(value)
        self.enter()
        value.content = external.read(self)
        self.leave()
        return value

    def _xml(self, size: int) -> Value:
        return self._kept(Xml(self.text(self.take(size))))

    def _byte_array(self, size: int) -> Value:
        return self._kept(self.take(size))

    def _int_vector(self, count: int) -> Value:
        fixed = self._flag()
        return self._kept(IntVector(self._packed(count, 4, "i"), fixed=fixed))

    def _uint_vector(self, count: int) -> Value:
        fixed = self._flag()
        return self._kept(UintVector(self._packed(count, 4, "I"), fixed=fixed))

    def _double_vector(self, count: int) -> Value:
        fixed = self._flag()
        return self._kept(DoubleVector(self._packed(count, 8, "d"), fixed=fixed))

    def _object_vector(self, count: int) -> Value:
        fixed = self._flag()
        value = ObjectVector((), self.read_text(), fixed=fixed)
        self._objects.append(value)
        self.claim(count, 1)
        self.enter()
        self._extend(value, count)
        self.leave()
        return value

    def _dictionary(self, count: int) -> Value:
        value = Dictionary(weak_keys=self._flag())
        self._objects.append(value)
        self.claim(count * 2, 1)  # keys and values
        self.enter()
        for _ in range(count):
            key = self.read_claimed()
            value.append((key, self.read_claimed()))
        self.leave()
        return value

    def _kept(self, value: Value) -> Value:
        """Make a value referable."""
        self._objects.append(value)
        return value

    def _traits_of(self, head: int) -> _Traits:
        """Give what the first number of an object says, or refers to, about its class."""
        if not head & 1:
            index = head >> 1
            if index >= len(self._traits):
                raise AmfError(f"traits reference {index} (expected less than {len(self._traits)})")
            return self._traits[index]
        class_name = self.read_text()
        external = head & 2 != 0
        count = 0 if external else head >> 3
        self.claim(count, 1)
        sealed = tuple([self.read_text() for _ in range(count)])
        traits = _Traits(class_name, sealed, head & 4 != 0, external)
        self._traits.append(traits)
        return traits

    def _fill(self, value: dict[str, Value], name: str) -> None:
        """Read named values, the first of which has its name read, up to the empty name."""
        while name:
            self.claim(1, 1)
            value[name] = self.read_claimed()
            name = self.read_text()

    def _extend(self, value: list[Value], count: int) -> None:
        for _ in range(count):
            value.append(self.read_claimed())  # noqa: PERF401 - an element may refer to the list

    def _flag(self) -> bool:
        return self.take(1) != b"\0"

    def _packed(self, count: int, size: int, code: str) -> tuple[Any, ...]:
        self.claim(count, size)
        return struct.unpack(f">{count}{code}", self.take(count * size))


_READERS: Final[tuple[Callable[[Decoder], Value], ...]] = (
    Decoder._undefined,
    Decoder._null,
    Decoder._false,
    Decoder._true,
    Decoder._integer,
    Decoder._double,
    Decoder._string,
)
_COMPLEX_READERS: Final[tuple[Callable[[Decoder, int], Value], ...]] = (
    Decoder._xml_document,
    Decoder._date,
    Decoder._array,
    Decoder._object,
    Decoder._xml,
    Decoder._byte_array,
    Decoder._int_vector,
    Decoder._uint_vector,
    Decoder._double_vector,
    Decoder._object_vector,
    Decoder._dictionary,
)
"From marker 0x07 on; they take the number behind the marker, without the bit for references."


class Encoder(Output):
    """The AMF3 values of one message, one by one."""

    def __init__(
        self,
        limits: AmfLimits = DEFAULT_LIMITS,
        externals: Mapping[str, External] | None = None,
        buffer: bytearray | None = None,
        *,
        literal: bool = False,
    ) -> None:
        super().__init__(bytearray() if buffer is None else buffer, limits)
        self._externals: Mapping[str, External] = FLEX if externals is None else externals
        self._literal: bool = literal
        "Write no references, for a peer that may have other tables."
        self._texts: dict[str, int] = {}
        self._objects: list[object] = []  # alive, lest another gets the same id
        self._indexes: dict[int, int] = {}
        self._traits: dict[_Traits, int] = {}

    def write(self, value: object) -> None:
        writer = _WRITERS.get(type(value))
        if writer is None:
            writer = _writer_of(value)
        writer(self, value)

    def write_u29(self, number: int) -> None:
        """Append an unsigned integer below 2**29, in the fewest bytes."""
        buffer = self.buffer
        if number < 0x80:
            buffer.append(number)
        elif number < 0x4000:
            buffer.append(number >> 7 | 0x80)
            buffer.append(number & 0x7F)
        elif number < 0x200000:
            buffer.append(number >> 14 | 0x80)
            buffer.append(number >> 7 & 0x7F | 0x80)
            buffer.append(number & 0x7F)
        elif number < 0x20000000:
            buffer.append(number >> 22 | 0x80)
            buffer.append(number >> 15 & 0x7F | 0x80)
            buffer.append(number >> 8 & 0x7F | 0x80)
            buffer.append(number & 0xFF)
        else:
            raise AmfError(f"AMF3 length or index {number} (expected at most 29 bits)")

    def write_text(self, text: str) -> None:
        """Append text without a marker, as in names of properties and classes."""
        index = self._texts.get(text)
        if index is not None:
            self.write_u29(index << 1)
            return
        data = utf8(text)
        if data and not self._literal:
            self._texts[text] = len(self._texts)
        self._sized(data)

    def _none(self, _: None) -> None:
        self.buffer.append(_NULL)

    def _absent(self, _: Absent) -> None:
        self.buffer.append(_UNDEFINED)

    def _boolean(self, value: bool) -> None:
        self.buffer.append(_TRUE if value else _FALSE)

    def _integer(self, value: int) -> None:
        if -0x10000000 <= value < 0x10000000:
            self.buffer.append(_INTEGER)
            self.write_u29(value & 0x1FFFFFFF)
        else:
            self._double(value)

    def _double(self, value: float) -> None:
        self.buffer.append(_DOUBLE)
        self.buffer += double(value)

    def _string(self, value: str) -> None:
        self.buffer.append(_STRING)
        self.write_text(value)

    def _xml_document(self, value: XmlDocument) -> None:
        if not self._referred(_XML_DOCUMENT, value):
            self._sized(utf8(value))

    def _date(self, value: Date) -> None:
        if not self._referred(_DATE, value):
            self.buffer.append(1)
            self.buffer += double(value.milliseconds)

    def _array(self, value: Sequence[object]) -> None:
        if not self._referred(_ARRAY, value):
            self.write_u29(len(value) << 1 | 1)
            self.write_text("")
            self._items(value)

    def _ecma_array(self, value: EcmaArray) -> None:
        if self._referred(_ARRAY, value):
            return
        numbered: dict[str, Value] = {}
        while (name := str(len(numbered))) in value:
            numbered[name] = value[name]
        self.write_u29(len(numbered) << 1 | 1)
        self._properties({name: value[name] for name in value if name not in numbered})
        self._items(numbered.values())

    def _object(self, value: dict[str, object]) -> None:
        if not self._referred(_OBJECT, value):
            self._write_traits(_ANONYMOUS)
            self._properties(value)

    def _typed_object(self, value: TypedObject) -> None:
        if self._referred(_OBJECT, value):
            return
        sealed = value.sealed
        others: dict[str, Value] = dict(value)
        for name in sealed:
            others.pop(name, None)
        dynamic = bool(others) or not sealed
        self._write_traits(_Traits(value.class_name, sealed, dynamic, external=False))
        self._items([value.get(name, UNDEFINED) for name in sealed])
        if dynamic:
            self._properties(others)

    def _externalizable(self, value: Externalizable) -> None:
        external = self._externals.get(value.class_name)
        if external is None:
            raise AmfError(f"externalizable {value.class_name!r:.80} (expected a known class)")
        if not self._referred(_OBJECT, value):
            self._write_traits(_Traits(value.class_name, (), dynamic=False, external=True))
            self.enter(1)
            external.write(self, value.content)
            self.leave()

    def _xml(self, value: Xml) -> None:
        if not self._referred(_XML, value):
            self._sized(utf8(value))

    def _byte_array(self, value: bytes) -> None:
        if not self._referred(_BYTE_ARRAY, value):
            self._sized(value)

    def _int_vector(self, value: IntVector) -> None:
        if not self._referred(_INT_VECTOR, value):
            self._packed(value, value.fixed, "i")

    def _uint_vector(self, value: UintVector) -> None:
        if not self._referred(_UINT_VECTOR, value):
            self._packed(value, value.fixed, "I")

    def _double_vector(self, value: DoubleVector) -> None:
        if not self._referred(_DOUBLE_VECTOR, value):
            self._packed(value, value.fixed, "d")

    def _object_vector(self, value: ObjectVector) -> None:
        if not self._referred(_OBJECT_VECTOR, value):
            self.write_u29(len(value) << 1 | 1)
            self.buffer.append(value.fixed)
            self.write_text(value.class_name)
            self._items(value)

    def _dictionary(self, value: Dictionary) -> None:
        if not self._referred(_DICTIONARY, value):
            self.write_u29(len(value) << 1 | 1)
            self.buffer.append(value.weak_keys)
            self._items([item for pair in value for item in pair])

    def _referred(self, marker: int, value: object) -> bool:
        """Write the marker, and a reference if this very object was written before."""
        self.buffer.append(marker)
        if self._literal:
            return False
        index = self._indexes.get(id(value))
        if index is not None:
            self.write_u29(index << 1)
            return True
        self._indexes[id(value)] = len(self._objects)
        self._objects.append(value)
        return False

    def _write_traits(self, traits: _Traits) -> None:
        index = self._traits.get(traits)
        if index is not None:
            self.write_u29(index << 2 | 1)
            return
        if not self._literal:
            self._traits[traits] = len(self._traits)
        self.write_u29(len(traits.sealed) << 4 | traits.dynamic << 3 | traits.external << 2 | 3)
        self.write_text(traits.class_name)
        for name in traits.sealed:
            self.write_text(name)

    def _properties(self, value: Mapping[str, object]) -> None:
        self.enter(len(value))
        for name, item in value.items():
            if not name:
                raise AmfError("AMF3 property without a name (an empty one ends the object)")
            self.write_text(name)
            self.write(item)
        self.write_text("")
        self.leave()

    def _items(self, values: Collection[object]) -> None:
        self.enter(len(values))
        for value in values:
            self.write(value)
        self.leave()

    def _packed(self, values: Sequence[float], fixed: bool, code: str) -> None:
        self.write_u29(len(values) << 1 | 1)
        self.buffer.append(fixed)
        self.enter(len(values))
        try:
            self.put(struct.pack(f">{len(values)}{code}", *values))
        except struct.error as error:
            raise AmfError(f"vector: {error}") from error
        self.leave()

    def _sized(self, data: bytes) -> None:
        self.write_u29(len(data) << 1 | 1)
        self.put(data)


_WRITERS: Final[dict[type, Callable[[Encoder, Any], None]]] = {
    type(None): Encoder._none,
    Absent: Encoder._absent,
    bool: Encoder._boolean,
    int: Encoder._integer,
    float: Encoder._double,
    str: Encoder._string,
    bytes: Encoder._byte_array,
    dict: Encoder._object,
    list: Encoder._array,
    tuple: Encoder._array,
    EcmaArray: Encoder._ecma_array,
    TypedObject: Encoder._typed_object,
    Externalizable: Encoder._externalizable,
    Date: Encoder._date,
    Xml: Encoder._xml,
    XmlDocument: Encoder._xml_document,
    IntVector: Encoder._int_vector,
    UintVector: Encoder._uint_vector,
    DoubleVector: Encoder._double_vector,
    ObjectVector: Encoder._object_vector,
    Dictionary: Encoder._dictionary,
}


def _writer_of(value: object) -> Callable[[Encoder, Any], None]:
    """Find how to write a subclass of what we know."""
    for base in type(value).__mro__:
        if base in _WRITERS:
            return _WRITERS[base]
    raise AmfError(f"cannot write a {type(value).__name__} as AMF3")


@dataclass(frozen=True, slots=True)
class External:
    """How the body of an externalizable class is read and written; its length is not in it."""

    read: Callable[[Decoder], Value]
    write: Callable[[Encoder, Value], None]


FLEX: Final[Mapping[str, External]] = dict.fromkeys(
    (
        "flex.messaging.io.ArrayCollection",
        "flex.messaging.io.ArrayList",
        "flex.messaging.io.ObjectProxy",
    ),
    External(Decoder.read, Encoder.write),
)
"Classes whose body is exactly one AMF3 value."
