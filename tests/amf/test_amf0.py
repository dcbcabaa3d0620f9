"""AMF0 beyond the vectors: references, texts, errors, AMF3 inside."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Any

import pytest

from rtmptwist.amf import AmfError, AmfLimitExceeded, AmfLimits, amf0
from rtmptwist.amf.values import (
    UNDEFINED,
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
    brief,
)
from tests.amf.neutral import same


class Level(StrEnum):
    STATUS = "status"


class Encoding(IntEnum):
    AMF3 = 3


WRITTEN = [
    # name, value, bytes
    ("integer", 3, "00 4008000000000000"),
    ("enum of text", Level.STATUS, "02 0006 737461747573"),
    ("enum of integers", Encoding.AMF3, "00 4008000000000000"),
    ("tuple", (None, True), "0a 00000002 05 0101"),
    ("E4X XML", Xml("<a/>"), "0f 00000004 3c612f3e"),
    ("object without names", {"": None}, "03 0000 05 000009"),
]


@pytest.mark.parametrize(
    ("value", "data"), [case[1:] for case in WRITTEN], ids=[case[0] for case in WRITTEN]
)
def test_encodes_what_is_close_to_a_value(value: object, data: str) -> None:
    assert amf0.encode(value) == bytes.fromhex(data)


def test_a_command_is_the_sum_of_its_values() -> None:
    info: dict[str, Value] = {"level": "status", "code": "NetStream.Publish.Start"}
    assert amf0.decode(amf0.encode("onStatus", 0, None, info)) == ["onStatus", 0.0, None, info]


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {1: 2},
        {"a": {b"b": 1}},
        "\ud800",
        {"\ud800": 1},
        pytest.param(10**400, id="10**400"),
        pytest.param({"x" * 65536: 1}, id="name"),
        pytest.param(TypedObject(class_name="x" * 65536), id="class name"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_amf0_cannot_say_is_an_amf_error(value: object) -> None:
    with pytest.raises(AmfError):
        amf0.encode(value)


def test_duplicate_names_keep_the_last_value() -> None:
    data = bytes.fromhex("03 000161 05 000162 05 000161 0101 000009")
    assert amf0.decode(data) == [{"a": True, "b": None}]


# References


def test_references_share_across_the_values_of_a_message() -> None:
    shared: dict[str, Value] = {"a": 1.0}
    one, two = amf0.decode(amf0.encode(shared, [shared]))
    assert isinstance(two, list)
    assert two[0] is one


def test_equal_values_are_not_shared() -> None:
    one, two = amf0.decode(amf0.encode({"a": 1.0}, {"a": 1.0}))
    assert one == two
    assert one is not two


@pytest.mark.parametrize("kind", [dict, EcmaArray, TypedObject])
def test_cycles_come_back_as_cycles(kind: type[dict[str, Any]]) -> None:
    value = kind()
    value["me"] = value
    (decoded,) = amf0.decode(amf0.encode(value))
    assert isinstance(decoded, kind)
    assert decoded["me"] is decoded


def test_a_reference_bomb_costs_what_it_weighs() -> None:
    """Sixteen levels of sixteen references unfold to 16 ** 16 values: nobody may copy them."""
    bomb: list[Any] = []
    for _ in range(16):
        bomb = [bomb] * 16
    data = amf0.encode(bomb)
    assert len(data) < 1000
    decoded = amf0.decode(data)
    assert same(decoded, [bomb])
    assert amf0.encode(*decoded) == data
    assert len(brief(decoded)) == 200


def test_values_beyond_the_last_index_are_written_out() -> None:
    """An index has 16 bits; more complex values are legal, but cannot be referred to."""
    items: list[list[Value]] = [[] for _ in range(0x10001)]
    limits = AmfLimits(values=200_000)
    data = amf0.encode([*items, items[0xFFFE], items[0xFFFF]], limits=limits)
    (decoded,) = amf0.decode(data, limits)
    assert isinstance(decoded, list)
    assert decoded[-2] is decoded[0xFFFE]
    assert decoded[-1] is not decoded[0xFFFF]


def test_a_cycle_that_cannot_be_referred_to_is_an_amf_error() -> None:
    cycle: list[object] = []
    cycle.append(cycle)
    with pytest.raises(AmfLimitExceeded, match="cycle"):
        amf0.encode([[] for _ in range(0x10000)], cycle, limits=AmfLimits(values=200_000))


def test_an_encoder_is_not_fooled_by_values_that_die() -> None:
    """CPython gives the address of a dead list to the next one."""
    encoder = amf0.Encoder()
    for number in range(10):
        encoder.write([float(number)])
    assert amf0.decode(encoder.finish()) == [[float(number)] for number in range(10)]


# Texts


BAD_TEXTS = ["02 0002 c328", "02 0003 eda080", "03 0001ff 05 000009", "10 0001ff 000009"]


@pytest.mark.parametrize("data", BAD_TEXTS)
def test_invalid_text_is_replaced_or_refused(data: str) -> None:
    """Old encoders send Latin-1 in metadata; names that select something are another matter."""
    (value,) = amf0.decode(bytes.fromhex(data))
    assert "\ufffd" in repr(value)
    with pytest.raises(AmfError, match="UTF-8"):
        amf0.decode(bytes.fromhex(data), strict=True)


def test_read_string_reads_one_string() -> None:
    data = amf0.encode("@setDataFrame", "onMetaData") + b"\xff"
    name, offset = amf0.read_string(data)
    assert name == "@setDataFrame"
    name, offset = amf0.read_string(data, offset)
    assert (name, offset) == ("onMetaData", len(data) - 1)
    long = bytes.fromhex("0c 00000003 666f6f")
    assert amf0.read_string(long) == ("foo", len(long))


@pytest.mark.parametrize(
    "data", ["", "05", "0f 00000000", "02 0005 66", "02 00", "02 0001 ff", "07 0000"]
)
def test_read_string_refuses_all_else(data: str) -> None:
    with pytest.raises(AmfError):
        amf0.read_string(bytes.fromhex(data))


# Piece by piece


def test_a_decoder_reads_pieces_of_one_message() -> None:
    """Shared object events hold names without markers and values with common references."""
    encoder = amf0.Encoder()
    shared: list[Value] = [1.0]
    encoder.write_name("slot")
    encoder.write(shared)
    first = len(encoder.buffer)
    encoder.write(Amf3(shared))
    encoder.write(shared)
    data = encoder.finish()

    decoder = amf0.Decoder(data[:first])
    assert decoder.read_name() == "slot"
    one = decoder.read()
    assert decoder.offset == first
    decoder.load(data[first:])
    assert decoder.read() == shared
    assert decoder.read() is one
    with pytest.raises(AmfError):
        decoder.read_name()
    with pytest.raises(AmfError):
        decoder.read()


# AMF3 inside


@pytest.mark.parametrize(
    "value",
    [
        b"bytes",
        IntVector([-1]),
        UintVector([1]),
        DoubleVector([1.5]),
        ObjectVector(["a"]),
        Dictionary([("a", 1)]),
        Externalizable("flex.messaging.io.ArrayCollection", [1]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_only_amf3_can_say_becomes_amf3(value: Value) -> None:
    encoder = amf0.Encoder()
    encoder.write({"a": value})
    assert encoder.has_amf3
    assert amf0.decode(encoder.finish()) == [{"a": value}]


def test_what_amf0_can_say_stays_amf0() -> None:
    encoder = amf0.Encoder()
    encoder.write([{}, EcmaArray(), TypedObject(), Date(0.0), XmlDocument(), UNDEFINED, 1])
    assert not encoder.has_amf3


def test_only_the_first_amf3_value_of_a_message_refers() -> None:
    """Some decoders begin new tables at each marker, some do not: both must agree."""
    shared = TypedObject({"foo": "foo"}, "c", ("foo",))
    data = amf0.encode(Amf3([shared, shared]), Amf3([shared, shared]))
    literal = "0a 13 0363 07666f6f 06 07666f6f"
    expected = f"11 09 05 01 0a 13 0363 07666f6f 06 02 0a02 11 09 05 01 {literal} {literal}"
    assert data == bytes.fromhex(expected)
    first, second = amf0.decode(data)
    assert first == second == [shared, shared]


def test_a_cycle_in_a_later_amf3_value_is_an_amf_error() -> None:
    cycle: list[object] = []
    cycle.append(cycle)
    assert amf0.encode(Amf3(cycle)) == bytes.fromhex("11 09 03 01 09 00")
    with pytest.raises(AmfLimitExceeded, match="cycle"):
        amf0.encode(Amf3(1), Amf3(cycle))


def test_an_unknown_externalizable_fails_its_message() -> None:
    with pytest.raises(AmfError, match=r"org\.Thing"):
        amf0.decode(bytes.fromhex("11 0a 07 13") + b"org.Thing" + b"\x01")
