"""H.265 decoder configurations, made by libx265 (named options) or bit by bit."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis.strategies import binary, integers

from rtmptwist.media.errors import MediaError
from rtmptwist.media.hevc import HevcConfiguration
from tests.media.bitwriter import BitWriter

RECORDED = [
    # name, record of FFmpeg 9 with libx265 (VPS and SPS only), what FFmpeg shows of it
    (
        "1080 lines are cropped from 1088: high-tier=1, level-idc=4.1",
        (
            "0121600000009000000000007bf000fcfdf8f800000f02200001001840010c01ffff216000000300900000030000"
            "03007b959409210001002b42010121600000030090000003000003007ba003c0801107cb965654a4c2f016808000"
            "0003008000000c84"
        ),
        HevcConfiguration(1, "H", 123, "hvc1.1.6.H123.90", 4, "4:2:0", 8, 1920, 1080),
    ),
    (
        "several temporal layers: yuv422p10le, temporal-layers=3",
        (
            "0104080000009d08000000003cf000fcfefafa00001b02200001001d40010c04ffff0408000003009d0800000300"
            "003c00009594aca565024021000100304201040408000003009d0800000300003c0000b00a080c1f1ad965652b29"
            "5952930bc05a020000030002000003003210"
        ),
        HevcConfiguration(4, "L", 60, "hvc1.4.10.L60.9D.8", 4, "4:2:2", 10, 320, 180),
    ),
    (
        "12 bit and full chroma: yuv444p12le",
        (
            "0104080000009808000000003cf000fcfffcfc00000f02200001001740010c01ffff040800000300980800000300"
            "003c959409210001002b420101040800000300980800000300003c90015101838f8b294b2b2a5261780b40400000"
            "03004000000642"
        ),
        HevcConfiguration(4, "L", 60, "hvc1.4.10.L60.98.8", 4, "4:4:4", 12, 322, 182),
    ),
]


@pytest.mark.parametrize(
    ("record", "expected"), [row[1:] for row in RECORDED], ids=[row[0] for row in RECORDED]
)
def test_recorded(record: str, expected: HevcConfiguration) -> None:
    assert HevcConfiguration.unpack(bytes.fromhex(record)) == expected


HEAD = bytes.fromhex("0101600000009000000000005df000fcfdf8f800000f")


def record(sps: BitWriter) -> bytes:
    """A record with this SPS, which begins at sps_video_parameter_set_id, and nothing else."""
    nal_unit = b"\x42\x01" + sps.bytes().replace(b"\0\0", b"\0\0\3")
    return HEAD + b"\x01\x21\x00\x01" + len(nal_unit).to_bytes(2) + nal_unit


def start(*sub_layers: tuple[bool, bool]) -> BitWriter:
    """Up to the SPS's number: `sub_layers` tell whether a profile and a level are there."""
    sps = BitWriter().put(0, 4).put(len(sub_layers), 3).put(1, 1).put(2**88 - 1, 88).put(93, 8)
    for profile, level in sub_layers:
        sps.put(profile, 1).put(level, 1)
    if sub_layers:
        sps.put(0, 2 * (8 - len(sub_layers)))
    for profile, level in sub_layers:
        sps.put(0, 88 * profile).put(90, 8 * level)
    return sps.unsigned(0)


def unpacked_size(sps: BitWriter) -> tuple[int, int]:
    configuration = HevcConfiguration.unpack(record(sps))
    return configuration.width, configuration.height


def test_no_cropping() -> None:
    assert unpacked_size(start().unsigned(1, 64, 48).put(0, 1)) == (64, 48)


@pytest.mark.parametrize(
    ("chroma_format", "expected"), [(0, (61, 41)), (1, (58, 34)), (2, (58, 41)), (3, (61, 41))]
)
def test_cropping_counts_chroma_samples(chroma_format: int, expected: tuple[int, int]) -> None:
    sps = start().unsigned(chroma_format)
    if chroma_format == 3:
        sps.put(0, 1)
    assert unpacked_size(sps.unsigned(64, 48).put(1, 1).unsigned(1, 2, 3, 4)) == expected


def test_colour_planes_apart() -> None:
    sps = start().unsigned(3).put(1, 1).unsigned(64, 48).put(1, 1).unsigned(1, 2, 3, 4)
    assert unpacked_size(sps) == (61, 41)


@pytest.mark.parametrize("profile", [True, False])
@pytest.mark.parametrize("level", [True, False])
@pytest.mark.parametrize("layers", [1, 3, 6])
def test_sub_layers_are_passed_over(profile: bool, level: bool, layers: int) -> None:
    sps = start(*[(profile, level)] * layers).unsigned(1, 64, 48).put(0, 1)
    assert unpacked_size(sps) == (64, 48)


def test_codec_string() -> None:
    """Profile space and compatibility flags turned round, constraints without their last zeros."""
    head = bytearray(HEAD)
    head[1] = 0b10_1_00010
    head[2:6] = bytes.fromhex("80000001")
    head[6:12] = bytes.fromhex("0100b0000000")
    assert HevcConfiguration.unpack(bytes(head) + b"\0").codec == "hvc1.B2.80000001.H93.1.0.B0"


def test_no_constraints() -> None:
    head = HEAD[:6] + bytes(6) + HEAD[12:]
    assert HevcConfiguration.unpack(head + b"\0").codec == "hvc1.1.6.L93"


def test_parameter_sets_may_come_with_the_frames() -> None:
    """As in hev1: the record then says nothing of the size."""
    configuration = HevcConfiguration.unpack(HEAD + b"\x01\x20\x00\x01\x00\x02\x40\x01")
    assert (configuration.width, configuration.height) == (0, 0)
    assert configuration.length_size == 4


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", r"0 bytes \(expected 23"),
        (b"\x02" + HEAD[1:] + b"\0", r"version 2 \(expected 1\)"),
        (HEAD + b"\x01", "cut short"),
        (HEAD + b"\x01\x21\x00\x01\x00\x05\x42", "cut short: 8 bits left"),
        (HEAD + b"\x01\x20\xff\xff" + bytes(1000), "more than 64 NAL units"),
        (record(start().unsigned(4)), "number 4"),
        (record(start().unsigned(1, 0, 48).put(0, 1)), "0x48"),
        (record(start().unsigned(1, 64, 4).put(1, 1).unsigned(0, 0, 1, 1)), "64x0"),
    ],
)
def test_what_is_wrong(data: bytes, words: str) -> None:
    with pytest.raises(MediaError, match=words):
        HevcConfiguration.unpack(data)


@given(binary())
def test_any_bytes_give_an_answer_or_a_media_error(data: bytes) -> None:
    with contextlib.suppress(MediaError):
        HevcConfiguration.unpack(HEAD + data)


@given(integers(0, len(RECORDED) - 1), integers(0, 300), integers(1, 255))
def test_a_damaged_record_gives_an_answer_or_a_media_error(row: int, at: int, by: int) -> None:
    data = bytearray.fromhex(RECORDED[row][1])
    data[at % len(data)] ^= by
    with contextlib.suppress(MediaError):
        HevcConfiguration.unpack(bytes(data))
