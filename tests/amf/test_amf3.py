"""AMF3 beyond the vectors: integers, arrays, classes, errors."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import pytest

from rtmptwist.amf import AmfError, AmfLimits, amf3
from rtmptwist.amf.values import (
    UNSUPPORTED,
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


class MessageType(IntEnum):
    COMMAND = 20


WRITTEN = [
    # name, value, bytes
    ("true", True, "03"),
    ("enum of integers", MessageType.COMMAND, "04 14"),
    ("unsupported", UNSUPPORTED, "00"),
    ("largest integer", 0xFFFFFFF, "04 bfffffff"),
    ("larger", 0x10000000, "05 41b0000000000000"),
    ("array of numbered names", EcmaArray({"1": 2, "0": 1}), "09 05 01 0401 0402"),
    ("object of no known class", TypedObject({"a": 1}), "0a 0b 01 0361 0401 01"),
    ("missing sealed value", TypedObject((), "c", ("a",)), "0a 13 0363 0361 00"),
    ("more than sealed", TypedObject({"b": 1}, "c", ("a",)), "0a 1b 0363 0361 00 0362 0401 01"),
]


@pytest.mark.parametrize(
    ("value", "data"), [case[1:] for case in WRITTEN], ids=[case[0] for case in WRITTEN]
)
def test_encodes(value: object, data: str) -> None:
    assert amf3.encode(value) == bytes.fromhex(data)


READ = [
    # name, bytes, value
    ("sealed members without a class", "0a 13 01 0361 0401", {"a": 1}),
    ("dense part hides a name", "09 03 0330 0401 01 0402", EcmaArray({"0": 2})),
    ("flags of any bit", "0d 01 02", IntVector(fixed=True)),
    ("longest form of a length", "06 80808003 61", "a"),
]


@pytest.mark.parametrize(
    ("data", "value"), [case[1:] for case in READ], ids=[case[0] for case in READ]
)
def test_decodes(data: str, value: Value) -> None:
    assert amf3.decode(bytes.fromhex(data)) == [value]


@pytest.mark.parametrize(
    "value",
    [
        object(),
        pytest.param(10**400, id="10**400"),
        pytest.param(Date(10**400), id="date"),
        "\ud800",
        {"": 1},
        {"a": {1: 2}},
        EcmaArray({"": 1}),
        IntVector([1 << 31]),
        UintVector([-1]),
        pytest.param(DoubleVector([10**400]), id="vector of doubles"),
        DoubleVector(["1"]),  # type: ignore[list-item]
        Externalizable("unknown", None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_amf3_cannot_say_is_an_amf_error(value: object) -> None:
    with pytest.raises(AmfError):
        amf3.encode(value)


def test_lengths_have_29_bits() -> None:
    encoder = amf3.Encoder()
    encoder.write_u29((1 << 29) - 1)
    assert encoder.finish() == b"\xff\xff\xff\xff"
    with pytest.raises(AmfError, match="29 bits"):
        encoder.write_u29(1 << 29)


@pytest.mark.parametrize("number", [0, 127, 128, 16383, 16384, 2097151, 2097152, (1 << 29) - 1])
def test_u29_both_ways(number: int) -> None:
    encoder = amf3.Encoder()
    encoder.write_u29(number)
    assert amf3.Decoder(encoder.finish()).read_u29() == number


@pytest.mark.parametrize("data", ["06 02", "09 03 01 0a05", "0a 13 0363 0361 0a 09", "0c 02"])
def test_references_to_what_was_not_yet_said_are_refused(data: str) -> None:
    with pytest.raises(AmfError, match="reference"):
        amf3.decode(bytes.fromhex(data))


@pytest.mark.parametrize("data", ["06 03 ff", "07 03 ff", "0b 03 ff", "0a 0b 03 ff 01"])
def test_invalid_text_is_replaced_or_refused(data: str) -> None:
    (value,) = amf3.decode(bytes.fromhex(data))
    assert "\ufffd" in repr(value)
    with pytest.raises(AmfError, match="UTF-8"):
        amf3.decode(bytes.fromhex(data), strict=True)


def test_cycles_come_back_as_cycles() -> None:
    cycle = Externalizable("flex.messaging.io.ArrayCollection", None)
    cycle.content = cycle
    (decoded,) = amf3.decode(amf3.encode(cycle))
    assert isinstance(decoded, Externalizable)
    assert decoded.content is decoded
    assert "..." in repr(decoded)


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        EcmaArray(a=1),
        TypedObject(class_name="c"),
        Externalizable("flex.messaging.io.ArrayList", None),
        Date(0.0),
        Xml("x"),
        XmlDocument("x"),
        b"bytes",
        IntVector(),
        UintVector(),
        DoubleVector(),
        ObjectVector(),
        Dictionary(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_complex_kind_is_shared(value: Value) -> None:
    data = amf3.encode([value, value])
    assert data[-1] == 2  # a reference to the second complex value
    (decoded,) = amf3.decode(data)
    assert isinstance(decoded, list)
    assert decoded == [value, value]
    assert decoded[0] is decoded[1]


def test_texts_that_are_not_strings_have_no_place_among_them() -> None:
    document = XmlDocument("foo")
    decoded = amf3.decode(amf3.encode("foo", document, "foo", document))
    assert decoded == ["foo", document, "foo", document]
    assert decoded[1] is decoded[3]


def test_an_application_adds_its_own_externalizable() -> None:
    """Its body is whatever the class makes of the bytes: here a length and flags."""

    def read(decoder: amf3.Decoder) -> Value:
        return decoder.take(decoder.read_u29())

    def write(encoder: amf3.Encoder, content: Value) -> None:
        assert isinstance(content, bytes)
        encoder.write_u29(len(content))
        encoder.put(content)

    externals = {"DSK": amf3.External(read, write)}
    value = Externalizable("DSK", b"\1\2\3")
    data = amf3.encode([value, value, "after"], externals=externals)
    assert data == bytes.fromhex("09 07 01 0a 07 0744534b 03 010203 0a 02 06 0b") + b"after"
    assert amf3.decode(data, externals=externals) == [[value, value, "after"]]
    with pytest.raises(AmfError):
        amf3.decode(data[:14], externals=externals)


def test_an_externalizable_that_reads_further_than_the_message() -> None:
    externals: dict[str, Any] = {"c": amf3.External(amf3.Decoder.read_claimed, amf3.Encoder.write)}
    with pytest.raises(AmfError, match="end within"):
        amf3.decode(bytes.fromhex("0a 07 0363"), AmfLimits(), externals=externals)
