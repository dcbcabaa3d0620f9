"""Bounds: just within, just beyond, and what no bound can be raised over."""

from __future__ import annotations

from typing import Any

import pytest

from rtmptwist.amf import AmfError, AmfLimitExceeded, AmfLimits, amf0, amf3
from rtmptwist.amf.limits import DEEPEST
from rtmptwist.amf.values import (
    Amf3,
    Dictionary,
    DoubleVector,
    EcmaArray,
    Externalizable,
    IntVector,
    ObjectVector,
    TypedObject,
)

FLEX = "flex.messaging.io.ObjectProxy"


def lists(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def objects(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


def typed(depth: int) -> TypedObject:
    value = TypedObject((), "c")
    for _ in range(depth - 1):
        value = TypedObject({"a": value}, "c", ("a",))
    return value


def arrays(depth: int) -> EcmaArray:
    value = EcmaArray(a=None)
    for _ in range(depth - 1):
        value = EcmaArray(a=value)
    return value


def dictionaries(depth: int) -> Dictionary:
    value = Dictionary()
    for _ in range(depth - 1):
        value = Dictionary([(value, None)])
    return value


def vectors(depth: int) -> ObjectVector:
    value = ObjectVector()
    for _ in range(depth - 1):
        value = ObjectVector([value])
    return value


def proxies(depth: int) -> Externalizable:
    value = Externalizable(FLEX, None)
    for _ in range(depth - 1):
        value = Externalizable(FLEX, value)
    return value


KINDS = [lists, objects, typed, arrays, dictionaries, vectors, proxies]


@pytest.mark.parametrize("codec", [amf0, amf3])
@pytest.mark.parametrize("nested", KINDS)
def test_depth(codec: Any, nested: Any) -> None:
    """Sixty levels are deeper than the default, in the decoder as well as in the encoder."""
    limits = AmfLimits(depth=60)
    data = codec.encode(nested(60), limits=limits)
    assert len(codec.decode(data, limits)) == 1
    for too_low in (AmfLimits(depth=59), AmfLimits()):
        with pytest.raises(AmfLimitExceeded):
            codec.encode(nested(60), limits=too_low)
        with pytest.raises(AmfLimitExceeded):
            codec.decode(data, too_low)


def test_depth_goes_on_where_amf0_becomes_amf3() -> None:
    data = amf0.encode([Amf3(lists(31)), Amf3(lists(31))])
    assert amf0.decode(data) == [[lists(31), lists(31)]]
    with pytest.raises(AmfLimitExceeded):
        amf0.encode([Amf3(lists(32))])
    with pytest.raises(AmfLimitExceeded):
        amf0.decode(data, AmfLimits(depth=31))


@pytest.mark.parametrize("nested", KINDS)
def test_the_deepest_of_all_fits_the_stack(nested: Any) -> None:
    limits = AmfLimits(depth=DEEPEST)
    for codec in (amf0, amf3):
        (value,) = codec.decode(codec.encode(nested(DEEPEST), limits=limits), limits)
        assert type(value) is type(nested(1))


@pytest.mark.parametrize("depth", [-1, DEEPEST + 1])
def test_a_depth_that_cpython_cannot_take_is_refused(depth: int) -> None:
    with pytest.raises(ValueError, match="depth"):
        AmfLimits(depth=depth)


def test_siblings_are_not_deep() -> None:
    value = [objects(31) for _ in range(100)]
    assert amf0.decode(amf0.encode(value)) == [value]
    assert amf3.decode(amf3.encode(value)) == [value]


COUNTED = [
    # value, number of values in it, of which the encoder counts those inside containers
    [None] * 9,
    dict.fromkeys("abcdefghi"),
    EcmaArray(dict.fromkeys("abcdefghi")),
    {"a": {"b": {"c": [None] * 6}}},
    IntVector(range(9)),
    DoubleVector(map(float, range(9))),
    ObjectVector(range(9)),
    [Dictionary([(1, 2), (3, 4), (5, 6), (7, 8)])],
    Amf3(EcmaArray({"a": 1, "b": 2, "0": 3, "1": 4, "2": [5, 6, 7, 8]})),
]


@pytest.mark.parametrize("value", COUNTED, ids=lambda value: type(value).__name__)
def test_values_are_counted(value: object) -> None:
    data = amf0.encode(value, limits=AmfLimits(values=9))
    assert len(amf0.decode(data, AmfLimits(values=10))) == 1
    with pytest.raises(AmfLimitExceeded):
        amf0.encode(value, limits=AmfLimits(values=8))
    with pytest.raises(AmfLimitExceeded):
        amf0.decode(data, AmfLimits(values=9))


def test_names_of_sealed_members_are_counted() -> None:
    value = TypedObject({"a": 1, "b": 2}, "c", ("a", "b"))
    data = amf3.encode(value)
    assert amf3.decode(data, AmfLimits(values=5)) == [value]
    with pytest.raises(AmfLimitExceeded):
        amf3.decode(data, AmfLimits(values=4))


def test_values_of_a_message_are_counted_together() -> None:
    with pytest.raises(AmfLimitExceeded):
        amf0.decode(b"\x05" * 65_537)
    assert len(amf0.decode(b"\x05" * 65_536)) == 65_536


def test_a_shared_text_may_not_unfold_without_end() -> None:
    """Two bytes of AMF3 repeat 100 kB: writing that as AMF0 would cost 6.5 GB."""
    text = "x" * 100_000
    for value in ([text] * 60_000, {text[:65_000] + str(i): 1 for i in range(300)}):
        with pytest.raises(AmfLimitExceeded, match="16777215"):
            amf0.encode(value)
    decoded = amf3.decode(amf3.encode([text] * 60_000))
    with pytest.raises(AmfLimitExceeded, match="16777215"):
        amf0.encode(*decoded)


def test_size_is_of_all_that_was_encoded() -> None:
    assert len(amf0.encode(1.0, 2.0, limits=AmfLimits(size=18))) == 18
    with pytest.raises(AmfLimitExceeded):
        amf0.encode(1.0, 2.0, limits=AmfLimits(size=17))
    with pytest.raises(AmfLimitExceeded):
        amf3.encode(b"12345", limits=AmfLimits(size=6))


@pytest.mark.parametrize(
    "data",
    [
        "0a 00000003 0505",
        "11 09 07 01 01",
        "11 0d 05 00 00000000 000000",
        "11 0f 03 00 00000000 000000",
        "11 10 05 00 01 01",
        "11 11 03 00 01",
        "11 0a 23 01 01",
    ],
)
def test_a_count_beyond_the_bytes_is_refused_at_once(data: str) -> None:
    with pytest.raises(AmfError, match="expected at most"):
        amf0.decode(bytes.fromhex(data))
