"""H.264 decoder configurations, made by libx264 (named options) or bit by bit."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis.strategies import binary, integers

from rtmptwist.media.avc import AvcConfiguration
from rtmptwist.media.errors import MediaError
from tests.media.bitwriter import BitWriter

RECORDED = [
    # name, record of FFmpeg 9 with libx264, what FFmpeg shows of it
    (
        "1080 lines are cropped from 1088, field coding: flags +ilme+ildct",
        "014d4028ffe10019674d4028f403c0227ef011000003000100000300321f162ea001000468de0fc8",
        AvcConfiguration(77, 40, "avc1.4d4028", 4, 1920, 1080, "4:2:0", 8),
    ),
    (
        "scaling lists, 10 bit: yuv422p10le, cqm=jvt",
        (
            "017a000cffe1001a677a000cb6cd941419f8dc0440000003004000000c83c50a658001000768ebe3cb3002c0fef"
            "afa00"
        ),
        AvcConfiguration(122, 12, "avc1.7a000c", 4, 320, 180, "4:2:2", 10),
    ),
    (
        "chroma as large as luma: yuv444p",
        (
            "01f4000dffe1001b67f4000d919b282a33c7c5e022000003000200000300641e28532c01001368ebe3c44e10fff"
            "d1087ffe884010c20084044fff8f800"
        ),
        AvcConfiguration(244, 13, "avc1.f4000d", 4, 322, 182, "4:4:4", 8),
    ),
    (
        "no chroma: gray",
        (
            "0164000dffe1001b6764000df365054678f8bc05b2000003000200000300641e28532c01000668ebe3cb22c0fcf"
            "8f800"
        ),
        AvcConfiguration(100, 13, "avc1.64000d", 4, 322, 182, "4:0:0", 8),
    ),
]


@pytest.mark.parametrize(
    ("record", "expected"), [row[1:] for row in RECORDED], ids=[row[0] for row in RECORDED]
)
def test_recorded(record: str, expected: AvcConfiguration) -> None:
    assert AvcConfiguration.unpack(bytes.fromhex(record)) == expected


def record(sps: BitWriter) -> bytes:
    """A record with this SPS, which begins at profile_idc."""
    nal_unit = b"\x67" + sps.bytes()
    return (
        b"\x01\x42\x00\x1e\xfd\xe1"  # two-byte lengths, one SPS
        + len(nal_unit).to_bytes(2)
        + nal_unit
    )


def start(profile: int = 66) -> BitWriter:
    return BitWriter().put(profile, 8).put(0, 8).put(30, 8).unsigned(0)


def size(sps: BitWriter, width: int, height: int, crop: tuple[int, ...] | None = None) -> BitWriter:
    """What follows the picture order count: a progressive picture, in macroblocks."""
    sps.unsigned(1).put(0, 1).unsigned(width - 1, height - 1).put(0b11, 2)
    return sps.put(0, 1) if crop is None else sps.put(1, 1).unsigned(*crop)


def test_no_cropping() -> None:
    sps = size(start().unsigned(0, 0, 0), 2, 3)
    assert AvcConfiguration.unpack(record(sps)) == AvcConfiguration(
        66, 30, "avc1.42001e", 2, 32, 48, "4:2:0", 8
    )


def test_picture_order_by_frame_offsets() -> None:
    """Type 1, which no encoder at hand uses, has a list before the size."""
    sps = start().unsigned(0, 1).put(0, 1).signed(-3, 2).unsigned(3).signed(1, -1, 5)
    assert AvcConfiguration.unpack(record(size(sps, 2, 3))).height == 48


def test_picture_order_as_sent() -> None:
    assert AvcConfiguration.unpack(record(size(start().unsigned(0, 2), 2, 3))).height == 48


def test_colour_planes_apart_are_cropped_by_single_pixels() -> None:
    """4:4:4 coded as three monochrome pictures (separate_colour_plane_flag)."""
    sps = start(244).unsigned(3).put(1, 1).unsigned(2, 2).put(0, 2).unsigned(0, 2)
    configuration = AvcConfiguration.unpack(record(size(sps, 2, 2, (1, 2, 3, 4))))
    assert (configuration.width, configuration.height) == (29, 25)
    assert (configuration.chroma, configuration.bit_depth) == ("4:4:4", 10)


def test_half_width_chroma_is_cropped_by_pairs_of_pixels() -> None:
    sps = start(122).unsigned(2, 0, 0).put(0, 2).unsigned(0, 2)
    configuration = AvcConfiguration.unpack(record(size(sps, 2, 2, (1, 2, 3, 4))))
    assert (configuration.width, configuration.height) == (26, 25)


def test_a_scaling_list_may_end_early() -> None:
    """A next scale of 0 repeats the last one: no more numbers follow (7.3.2.1.1.1)."""
    sps = start(100).unsigned(1, 0, 0).put(0b011, 3).signed(-8).put(0, 7).unsigned(0, 2)
    assert AvcConfiguration.unpack(record(size(sps, 2, 3))).height == 48


def test_twelve_scaling_lists_with_full_chroma() -> None:
    sps = start(244).unsigned(3).put(0, 1).unsigned(0, 0).put(0b01, 2).put(0, 12).unsigned(0, 2)
    assert AvcConfiguration.unpack(record(size(sps, 2, 3))).height == 48


def test_parameter_sets_may_come_with_the_frames() -> None:
    """As in avc3: the record then has none, and says nothing of the size."""
    configuration = AvcConfiguration.unpack(bytes.fromhex("0164001fffe0 00".replace(" ", "")))
    assert configuration == AvcConfiguration(100, 31, "avc1.64001f", 4)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "0 bytes"),
        (bytes.fromhex("0142c00dff"), r"5 bytes \(expected 6"),
        (bytes.fromhex("0242c00dffe1"), r"version 2 \(expected 1\)"),
        (bytes.fromhex("0142c00dffe1"), r"SPS of 0 bytes \(expected 4\)"),
        (bytes.fromhex("0142c00dffe10009674d"), r"SPS of 2 bytes \(expected 9\)"),
        (record(size(start().unsigned(0, 2), 1, 1, (4, 4, 0, 0))), "0x16 after cropping"),
        (record(size(start().unsigned(0, 2), 1, 1, (0, 0, 8, 1))), "16x-2 after cropping"),
        (record(start(100).unsigned(4)), "number 4"),
        (record(start().unsigned(0, 3)), "number 3"),
        (record(start()), "cut short"),
    ],
)
def test_what_is_wrong(data: bytes, words: str) -> None:
    with pytest.raises(MediaError, match=words):
        AvcConfiguration.unpack(data)


@given(binary())
def test_any_bytes_give_an_answer_or_a_media_error(data: bytes) -> None:
    with contextlib.suppress(MediaError):
        AvcConfiguration.unpack(b"\x01\x64\x00\x1f\xff\xe1\x00\x20\x67\x64" + data)


@given(integers(0, len(RECORDED) - 1), integers(0, 300), integers(1, 255))
def test_a_damaged_record_gives_an_answer_or_a_media_error(row: int, at: int, by: int) -> None:
    data = bytearray.fromhex(RECORDED[row][1])
    data[at % len(data)] ^= by
    with contextlib.suppress(MediaError):
        AvcConfiguration.unpack(bytes(data))
