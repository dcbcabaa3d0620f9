"""Bit fields and Exp-Golomb numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis.strategies import binary, integers, lists, tuples

from rtmptwist.media.bits import BitReader, unescape
from rtmptwist.media.errors import MediaError
from tests.media.bitwriter import BitWriter


@given(
    lists(tuples(integers(0, 70), integers(min_value=0)).map(lambda t: (t[1] % 2 ** t[0], t[0])))
)
def test_reads_what_was_written(fields: list[tuple[int, int]]) -> None:
    writer = BitWriter()
    for value, bits in fields:
        writer.put(value, bits)
    reader = BitReader(writer.bytes())
    assert [(reader.read(bits), bits) for _, bits in fields] == fields
    assert reader.left < 8


@given(lists(integers(0, 2**32 - 2)), lists(integers(-(2**31) + 1, 2**31 - 1)))
def test_exp_golomb_numbers(unsigned: list[int], signed: list[int]) -> None:
    reader = BitReader(BitWriter().unsigned(*unsigned).signed(*signed).bytes())
    assert [reader.unsigned() for _ in unsigned] == unsigned
    assert [reader.signed() for _ in signed] == signed


def test_the_table_of_h264_9_1_1() -> None:
    """k: 0, 1, 2, 3, 4 stand for 0, 1, -1, 2, -2."""
    reader = BitReader(BitWriter().unsigned(0, 1, 2, 3, 4).bytes())
    assert [reader.signed() for _ in range(5)] == [0, 1, -1, 2, -2]


def test_never_reads_beyond_the_end() -> None:
    reader = BitReader(b"\xff")
    reader.skip(3)
    assert reader.left == 5
    with pytest.raises(MediaError, match=r"5 bits left \(expected 6\)"):
        reader.read(6)
    assert reader.read(5) == 31
    with pytest.raises(MediaError):
        reader.flag()
    assert reader.read(0) == 0


def test_an_exp_golomb_number_has_at_most_31_zeros() -> None:
    """32 zeros would promise a number that H.264 does not have."""
    assert BitReader(b"\x00\x00\x00\x01" + bytes(4)).unsigned() == 2**31 - 1
    with pytest.raises(MediaError, match="32 zeros"):
        BitReader(bytes(100)).unsigned()


def test_an_exp_golomb_number_may_be_limited() -> None:
    data = BitWriter().unsigned(13).bytes()
    assert BitReader(data).unsigned(13) == 13
    with pytest.raises(MediaError, match=r"13 \(expected 0 to 12\)"):
        BitReader(data).unsigned(12)


@pytest.mark.parametrize(
    ("escaped", "plain"),
    [
        ("000003", "0000"),
        ("00000301", "000001"),
        ("000003000003", "00000000"),
        ("00000300000302", "0000000002"),
        ("0000030003", "00000003"),
        ("0003", "0003"),
        ("010203", "010203"),
    ],
)
def test_emulation_prevention(escaped: str, plain: str) -> None:
    assert unescape(bytes.fromhex(escaped)).hex() == plain


@given(binary())
def test_emulation_prevention_is_undone(data: bytes) -> None:
    """Against the definition: a 03 goes in before a byte up to 3 that follows two zeros."""
    escaped = bytearray()
    zeros = 0
    for byte in data:
        if zeros == 2 and byte <= 3:
            escaped.append(3)
            zeros = 0
        escaped.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    assert unescape(bytes(escaped)) == data
