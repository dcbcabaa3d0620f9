"""Every recorded vector, both ways, and every malformed one."""

from __future__ import annotations

from typing import Any

import pytest

from rtmptwist.amf import AmfError, amf0, amf3
from tests.amf.neutral import Amf0Builder, Builder, load, same, wire

AMF0 = load("amf0.json")
AMF3 = load("amf3.json")
MALFORMED = [
    vector
    for vector in load("malformed.json")
    if vector["name"] != "reference-bomb-amf0"  # well-formed for who shares: see test_amf0
]

# Py3AMF's count of an ECMA array is that of its numeric names; ours, like Adobe's, is of all.
NOT_OURS = {"ecma-array"}


def names(vectors: list[dict[str, Any]]) -> list[str]:
    return [f"{vector.get('format', '')}{vector['name']}" for vector in vectors]


@pytest.mark.parametrize("vector", AMF0, ids=names(AMF0))
def test_amf0_decodes(vector: dict[str, Any]) -> None:
    builder = Amf0Builder()
    expected = [builder.build(form) for form in vector["values"]]
    assert same(amf0.decode(wire(vector), strict=True), expected)


@pytest.mark.parametrize("vector", AMF0, ids=names(AMF0))
def test_amf0_encodes(vector: dict[str, Any]) -> None:
    builder = Amf0Builder(wrap=True)
    values = [builder.build(form) for form in vector["values"]]
    encoded = amf0.encode(*values)
    if vector["canonical"] and vector["name"] not in NOT_OURS:
        assert encoded.hex() == wire(vector).hex()
    assert same(amf0.decode(encoded), amf0.decode(wire(vector)))


@pytest.mark.parametrize("vector", AMF3, ids=names(AMF3))
def test_amf3_decodes(vector: dict[str, Any]) -> None:
    builder = Builder()
    expected = [builder.build(form) for form in vector["values"]]
    assert same(amf3.decode(wire(vector), strict=True), expected)
    assert same(amf0.decode(b"\x11" + wire(vector)), expected)


@pytest.mark.parametrize("vector", AMF3, ids=names(AMF3))
def test_amf3_encodes(vector: dict[str, Any]) -> None:
    builder = Builder()
    values = [builder.build(form) for form in vector["values"]]
    encoded = amf3.encode(*values)
    if vector["canonical"]:
        assert encoded.hex() == wire(vector).hex()
    assert same(amf3.decode(encoded), values)


@pytest.mark.parametrize("vector", [*AMF0, *AMF3], ids=names([*AMF0, *AMF3]))
def test_a_cut_vector_gives_values_or_an_amf_error(vector: dict[str, Any]) -> None:
    data = wire(vector)
    decode = amf0.decode if vector in AMF0 else amf3.decode
    whole = len(decode(data))
    for size in range(min(len(data), 200)):
        try:
            assert len(decode(data[:size])) < whole
        except AmfError:
            continue


@pytest.mark.parametrize("vector", MALFORMED, ids=names(MALFORMED))
def test_malformed(vector: dict[str, Any]) -> None:
    """Large counts and depths must be refused before anything is allocated or descended."""
    build = vector["build"]
    data = eval(build) if build else bytes.fromhex(vector["hex"])  # products of literals
    decode = amf0.decode if vector["format"] == "AMF0" else amf3.decode
    with pytest.raises(AmfError):
        decode(data, strict=True)
