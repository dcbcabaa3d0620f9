"""AV1 configurations, made by libsvtav1 or bit by bit."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis.strategies import binary

from rtmptwist.media.av1 import Av1Configuration
from rtmptwist.media.errors import MediaError
from tests.media.bitwriter import BitWriter


def test_recorded() -> None:
    """FFmpeg 9 with libsvtav1, yuv420p10le of 322 by 182 pixels."""
    record = bytes.fromhex("81004c000a0b0200000521e836a017c202")
    assert Av1Configuration.unpack(record) == Av1Configuration(
        0, "M", 0, "av01.0.00M.10", "4:2:0", 10, 322, 182
    )


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("81080c00", Av1Configuration(0, "M", 8, "av01.0.08M.08", "4:2:0", 8)),
        ("812dc000", Av1Configuration(1, "H", 13, "av01.1.13H.10", "4:4:4", 10)),
        ("81546800", Av1Configuration(2, "M", 20, "av01.2.20M.12", "4:2:2", 12)),
        ("81081c00", Av1Configuration(0, "M", 8, "av01.0.08M.08", "4:0:0", 8)),
    ],
)
def test_the_four_bytes_of_every_record(record: str, expected: Av1Configuration) -> None:
    """The sequence header may be left to the frames: no size then."""
    assert Av1Configuration.unpack(bytes.fromhex(record)) == expected


HEAD = bytes.fromhex("81080c00")


def record(sequence_header: BitWriter) -> bytes:
    body = sequence_header.bytes()
    return HEAD + b"\x0a" + bytes((len(body),)) + body


def size(header: BitWriter, width: int, height: int) -> BitWriter:
    return header.put(10, 4).put(9, 4).put(width - 1, 11).put(height - 1, 10)


def unpacked_size(record: bytes) -> tuple[int, int]:
    configuration = Av1Configuration.unpack(record)
    return configuration.width, configuration.height


def test_a_still_picture() -> None:
    header = BitWriter().put(0, 3).put(1, 1).put(1, 1).put(8, 5)
    assert unpacked_size(record(size(header, 1280, 720))) == (1280, 720)


def test_one_operating_point() -> None:
    header = BitWriter().put(0, 5).put(0, 1).put(0, 1).put(0, 5).put(0, 12).put(7, 5)
    assert unpacked_size(record(size(header, 1280, 720))) == (1280, 720)


@pytest.mark.parametrize("equal_interval", [True, False])
def test_timing_without_decoder_model(equal_interval: bool) -> None:
    header = BitWriter().put(0, 5).put(1, 1).put(1000, 32).put(30000, 32).put(equal_interval, 1)
    if equal_interval:
        header.unsigned(1000)
    header.put(0, 1).put(0, 1).put(0, 5).put(0, 12).put(8, 5).put(1, 1)
    assert unpacked_size(record(size(header, 1280, 720))) == (1280, 720)


def test_everything_that_may_be_there() -> None:
    header = BitWriter().put(0, 5).put(1, 1).put(1000, 32).put(30000, 32).put(0, 1)
    header.put(1, 1).put(9, 5).put(1, 32).put(0, 10)  # a decoder model with delays of 10 bits
    header.put(1, 1).put(2, 5)  # display delays, three operating points
    header.put(0x101, 12).put(8, 5).put(1, 1).put(1, 1).put(0, 21).put(1, 1).put(9, 4)
    header.put(0x102, 12).put(7, 5).put(0, 1).put(0, 1)
    header.put(0x103, 12).put(31, 5).put(0, 1).put(1, 1).put(0, 21).put(0, 1)
    assert unpacked_size(record(size(header, 1280, 720))) == (1280, 720)


STILL = size(BitWriter().put(0b00011, 5).put(8, 5), 1280, 720).bytes()


@pytest.mark.parametrize(
    ("obu", "expected"),
    [
        (b"\x08" + STILL, (1280, 720)),
        (b"\x0c\x20" + STILL, (1280, 720)),
        (b"\x0e\x20" + bytes((len(STILL),)) + STILL, (1280, 720)),
        (b"\x0a" + bytes((0x80 | len(STILL), 0x80, 0)) + STILL, (1280, 720)),
        (b"\x2a\x01\x00", (0, 0)),
    ],
    ids=["no size", "extension", "extension and size", "long size", "metadata instead"],
)
def test_forms_of_the_first_obu(obu: bytes, expected: tuple[int, int]) -> None:
    assert unpacked_size(HEAD + obu) == expected


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "cut short"),
        (bytes.fromhex("01080c00"), "0x01 .expected 0x81"),
        (bytes.fromhex("81080c"), "cut short"),
        (bytes.fromhex("81080400"), "vertically only"),
        (HEAD + b"\x0a" + b"\x80" * 9, "OBU size"),
        (HEAD + b"\x0a", "OBU size"),
        (HEAD + b"\x0a\x02" + STILL, "cut short"),
    ],
)
def test_what_is_wrong(data: bytes, words: str) -> None:
    with pytest.raises(MediaError, match=words):
        Av1Configuration.unpack(data)


@given(binary())
def test_any_bytes_give_an_answer_or_a_media_error(data: bytes) -> None:
    for start in (b"", HEAD, HEAD + b"\x08"):
        with contextlib.suppress(MediaError):
            Av1Configuration.unpack(start + data)
