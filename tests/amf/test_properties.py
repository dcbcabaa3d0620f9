"""What must hold for every value and for any bytes."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rtmptwist.amf import AmfError, AmfLimits, amf0, amf3
from rtmptwist.amf.values import (
    UNDEFINED,
    UNSUPPORTED,
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
    Xml,
    XmlDocument,
    brief,
)
from tests.amf.neutral import load, same, wire

Values = st.SearchStrategy[Any]

texts = st.text(max_size=20)
names = st.text(min_size=1, max_size=5)
dates = st.builds(Date, st.floats())
plain: Values = st.one_of(
    st.none(), st.booleans(), st.floats(), texts, dates, st.just(UNDEFINED), texts.map(XmlDocument)
)
vectors: Values = st.one_of(
    st.builds(IntVector, st.lists(st.integers(-(2**31), 2**31 - 1)), fixed=st.booleans()),
    st.builds(UintVector, st.lists(st.integers(0, 2**32 - 1)), fixed=st.booleans()),
    st.builds(DoubleVector, st.lists(st.floats()), fixed=st.booleans()),
)


def amf0_containers(content: Values) -> Values:
    objects = st.dictionaries(texts, content, max_size=5)
    return st.one_of(
        st.lists(content, max_size=5),
        objects,
        objects.map(EcmaArray),
        st.builds(TypedObject, objects, texts),
    )


@st.composite
def typed_objects(draw: st.DrawFn, content: Values) -> TypedObject:
    value = draw(st.dictionaries(names, content, max_size=5))
    sealed = tuple(value)[: draw(st.integers(0, len(value)))]
    return TypedObject(value, draw(names), sealed)


@st.composite
def named_arrays(draw: st.DrawFn, content: Values) -> EcmaArray:
    """Names first, as AMF3 has them; without any it would be a list."""
    letters = st.text("abc", min_size=1, max_size=3)
    value = EcmaArray(draw(st.dictionaries(letters, content, min_size=1, max_size=5)))
    value.update({str(i): item for i, item in enumerate(draw(st.lists(content, max_size=3)))})
    return value


def amf3_containers(content: Values) -> Values:
    return st.one_of(
        st.lists(content, max_size=5),
        st.dictionaries(names, content, max_size=5),
        typed_objects(content),
        named_arrays(content),
        st.builds(ObjectVector, st.lists(content, max_size=5), texts, fixed=st.booleans()),
        st.builds(
            Dictionary, st.lists(st.tuples(content, content), max_size=3), weak_keys=st.booleans()
        ),
        st.builds(Externalizable, st.sampled_from(sorted(amf3.FLEX)), content),
    )


@st.composite
def shared(draw: st.DrawFn, values: Values) -> Any:
    """The same value twice, in something that may contain itself."""
    value = draw(values)
    knot: list[Any] = [value, value]
    if draw(st.booleans()):
        knot.append({"knot": knot})
    return knot


amf0_values = st.recursive(plain | st.just(UNSUPPORTED), amf0_containers, max_leaves=15)
amf3_leaves = st.one_of(
    plain, vectors, st.integers(-(2**28), 2**28 - 1), st.binary(max_size=20), texts.map(Xml)
)
amf3_values = st.recursive(amf3_leaves, amf3_containers, max_leaves=15)


@given(st.lists(amf0_values | shared(amf0_values), max_size=4))
def test_amf0_both_ways(values: list[Any]) -> None:
    assert same(amf0.decode(amf0.encode(*values), strict=True), values)


@given(st.lists(amf3_values | shared(amf3_values), max_size=4))
def test_amf3_both_ways(values: list[Any]) -> None:
    assert same(amf3.decode(amf3.encode(*values), strict=True), values)


@given(amf0_values, amf3_values | shared(amf3_values), amf3_values)
def test_amf3_in_amf0_both_ways(one: Any, two: Any, three: Any) -> None:
    data = amf0.encode(one, Amf3(two), {"a": Amf3(three)}, one)
    assert same(amf0.decode(data, strict=True), amf0.decode(data))
    first, second, third, fourth = amf0.decode(data)
    assert same([first, fourth], [one, one])
    assert same(second, two)
    assert same(third, {"a": three})


fragments: Values = st.sampled_from(
    [bytes.fromhex(data) for data in ("03000161", "0a00000002", "000009", "070000", "11", "06")]
    + [bytes.fromhex(data) for data in ("090501", "0a0b01", "0a01", "0a1301", "1103", "0c02")]
    + [wire(vector) for vector in load("amf0.json") + load("amf3.json") if vector["hex"]]
)
noise: Values = st.binary() | st.lists(st.binary(max_size=4) | fragments).map(b"".join)


@given(noise)
def test_any_bytes_are_values_or_an_amf_error(data: bytes) -> None:
    """And what they are can be shown, and written or refused, whatever refers to whatever."""
    for codec in (amf0, amf3):
        try:
            values = codec.decode(data, AmfLimits(depth=8, values=100))
        except AmfError:
            continue
        assert len(brief(values)) <= 200
        for encode, written in (
            (amf0.encode, [*values, *map(Amf3, values)]),
            (amf3.encode, values),
        ):
            try:
                assert len(encode(*written, limits=AmfLimits(size=10_000))) <= 10_000
            except AmfError:
                continue
