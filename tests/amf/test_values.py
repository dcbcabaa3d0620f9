"""Values: equality by kind, dates, and the bounded view for logs."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from rtmptwist.amf import AmfError
from rtmptwist.amf.values import (
    UNDEFINED,
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
    brief,
)

DIFFERENT: list[Any] = [
    {},
    EcmaArray(),
    EcmaArray(a=1),
    TypedObject(),
    TypedObject((), "c"),
    TypedObject((), "c", ("a",)),
    [],
    IntVector(),
    IntVector(fixed=True),
    UintVector(),
    DoubleVector(),
    ObjectVector(),
    ObjectVector((), "c"),
    Dictionary(),
    Dictionary(weak_keys=True),
    "",
    Xml(),
    XmlDocument(),
    Externalizable("c", None),
    Date(0.0),
    UNDEFINED,
    UNSUPPORTED,
    None,
]


def test_each_kind_equals_only_itself() -> None:
    """They differ in bytes, so a test that compares them must see the difference."""
    for number, one in enumerate(DIFFERENT):
        for other_number, other in enumerate(DIFFERENT):
            assert (one == other) is (number == other_number)
            assert (one != other) is (number != other_number)


def test_equal_contents_are_equal() -> None:
    assert EcmaArray(a=[1]) == EcmaArray({"a": [1]})
    assert TypedObject({"a": 1}, "c", ("a",)) == TypedObject({"a": 1}, "c", ("a",))
    assert hash(Xml("a")) == hash(Xml("a"))
    with pytest.raises(TypeError):
        hash(EcmaArray())


def test_the_kinds_of_nothing_are_false() -> None:
    assert not UNDEFINED
    assert not UNSUPPORTED


def test_repr_names_the_kind() -> None:
    assert repr([EcmaArray(a=UNDEFINED), IntVector([1]), Xml("x")]) == (
        "[EcmaArray({'a': UNDEFINED}), IntVector([1]), Xml('x')]"
    )
    assert repr(TypedObject({"a": 1}, "c")) == "TypedObject({'a': 1}, 'c', ())"


def test_dates_know_datetime() -> None:
    moment = datetime(2000, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    assert Date.from_datetime(moment) == Date(946_684_800_000.0)
    assert Date(946_684_800_000.0).to_datetime() == datetime(2000, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("milliseconds", [math.nan, math.inf, -1e17, 1e300])
def test_dates_beyond_datetime_are_refused_only_when_asked(milliseconds: float) -> None:
    with pytest.raises(AmfError):
        Date(milliseconds).to_datetime()


BRIEF: list[tuple[Value, str]] = [
    (None, "None"),
    ("a\n", r"'a\n'"),
    ({"a": 1.0, "b": [True, UNDEFINED]}, "{'a': 1.0, 'b': [True, UNDEFINED]}"),
    (EcmaArray(a=Xml("x")), "EcmaArray{'a': 'x'}"),
    (Dictionary([("a", 1)]), "Dictionary[['a', 1]]"),
    (Externalizable("c", b"x"), "'c'(b'x')"),
]


@pytest.mark.parametrize(("value", "text"), BRIEF, ids=[text for _, text in BRIEF])
def test_brief(value: Value, text: str) -> None:
    assert brief(value) == text


def test_brief_is_bounded() -> None:
    assert brief("x" * 1_000_000, 20) == "'" + "x" * 18 + "…"
    knot: list[Value] = []
    knot.extend([knot] * 10_000)
    assert len(brief(knot)) == 200
    ring: list[Value] = []
    ring.append(ring)
    assert brief(ring) == "[" * 32 + "…" + "]" * 32
