"""AudioSpecificConfigs as encoders write them, and bit by bit."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis.strategies import binary

from rtmptwist.media.aac import AacConfiguration
from rtmptwist.media.errors import MediaError
from tests.media.bitwriter import BitWriter


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("1210", AacConfiguration(2, 44100, 2, "mp4a.40.2")),
        ("121056e500", AacConfiguration(2, 44100, 2, "mp4a.40.2")),  # FFmpeg: "no SBR"
        ("1188", AacConfiguration(2, 48000, 1, "mp4a.40.2")),
        ("11b0", AacConfiguration(2, 48000, 6, "mp4a.40.2")),
        ("11b8", AacConfiguration(2, 48000, 8, "mp4a.40.2")),
        ("139056e598", AacConfiguration(2, 48000, 2, "mp4a.40.5")),  # SBR behind the core
        ("138856e5a54880", AacConfiguration(2, 44100, 2, "mp4a.40.29")),  # and PS behind that
        ("138856e5a54800", AacConfiguration(2, 44100, 1, "mp4a.40.5")),  # "no PS"
        ("2b920800", AacConfiguration(2, 44100, 2, "mp4a.40.5")),  # SBR before the core
        ("eb8a0800", AacConfiguration(2, 44100, 2, "mp4a.40.29")),  # SBR and PS before it
        ("17800bb8084000", AacConfiguration(2, 6000, 1, "mp4a.40.2")),
    ],
)
def test_as_encoders_write_it(config: str, expected: AacConfiguration) -> None:
    assert AacConfiguration.unpack(bytes.fromhex(config)) == expected


def start(object_type: int, channels: int = 2) -> BitWriter:
    return BitWriter().put(object_type, 5).put(4, 4).put(channels, 4)


def unpack(config: BitWriter) -> AacConfiguration:
    return AacConfiguration.unpack(config.bytes())


def test_object_types_above_31() -> None:
    """xHE-AAC is 42; what follows is not that of AAC and stays unread."""
    config = BitWriter().put(31, 5).put(10, 6).put(4, 4).put(2, 4)
    assert unpack(config) == AacConfiguration(42, 44100, 2, "mp4a.40.42")


@pytest.mark.parametrize(
    ("configuration", "channels"), [(3, 3), (4, 4), (5, 5), (7, 8), (11, 7), (12, 8), (13, 24)]
)
def test_channel_configurations(configuration: int, channels: int) -> None:
    assert unpack(start(2, configuration).put(0, 3)).channels == channels


def program(front: list[int], side: list[int], back: list[int], lfe: int) -> BitWriter:
    """AAC-LC with a program config element: 1 for a channel pair, 0 for a single channel."""
    config = start(2, 0).put(0, 3).put(0, 4).put(1, 2).put(4, 4)
    config.put(len(front), 4).put(len(side), 4).put(len(back), 4).put(lfe, 2).put(1, 3).put(2, 4)
    config.put(1, 1).put(5, 4).put(0, 1).put(1, 1).put(3, 3)
    for pair in front + side + back:
        config.put(pair, 1).put(0, 4)
    config.put(0, 4 * lfe + 4 + 2 * 5).align()
    return config.put(3, 8).put(0, 24)


def test_a_program_config_element_names_the_channels() -> None:
    """7.1 with an associated data and two coupling elements, two mixdowns and a comment."""
    config = program([0, 1], [1], [1], 1)
    assert unpack(config).channels == 8
    assert unpack(program([0], [], [], 0)).channels == 1


def test_an_extension_after_a_program_config_element() -> None:
    config = program([1], [], [], 0).put(0x2B7, 11).put(5, 5).put(1, 1).put(3, 4)
    assert unpack(config) == AacConfiguration(2, 48000, 2, "mp4a.40.5")


def test_a_core_coder_delay_is_passed_over() -> None:
    config = start(2).put(0b010, 3).put(0, 14).put(0x2B7, 11).put(5, 5).put(1, 1).put(3, 4)
    assert unpack(config.put(0, 8)).codec == "mp4a.40.5"


def test_layers_are_passed_over() -> None:
    config = start(6).put(0, 3).put(5, 3).put(0x2B7, 11).put(5, 5).put(1, 1).put(3, 4)
    assert unpack(config).codec == "mp4a.40.5"


def test_an_extension_flag_alone() -> None:
    config = start(2).put(0b001, 3).put(0, 1).put(0x2B7, 11).put(5, 5).put(1, 1).put(3, 4)
    assert unpack(config).codec == "mp4a.40.5"


@pytest.mark.parametrize(("object_type", "bits"), [(17, 3 + 1), (22, 16 + 1), (20, 3 + 3 + 1)])
def test_error_resilient_types(object_type: int, bits: int) -> None:
    """They have more fields, and what comes behind is no extension of ours."""
    config = start(object_type).put(0b001, 3).put(0, bits)
    assert unpack(config).codec == f"mp4a.40.{object_type}"
    with pytest.raises(MediaError, match="cut short"):
        AacConfiguration.unpack(config.bytes()[: (16 + bits) // 8 - 1])


def test_bsac_under_sbr() -> None:
    config = start(5).put(3, 4).put(22, 5).put(2, 4).put(0, 3)
    assert unpack(config) == AacConfiguration(22, 48000, 2, "mp4a.40.5")


@pytest.mark.parametrize("other", [(0x2B6, 5), (0x2B7, 22)])
def test_some_other_extension(other: tuple[int, int]) -> None:
    config = start(2).put(0, 3).put(other[0], 11).put(other[1], 5).put(0xFF, 8)
    assert unpack(config) == AacConfiguration(2, 44100, 2, "mp4a.40.2")


def test_something_else_behind_sbr() -> None:
    config = start(2, 1).put(0, 3).put(0x2B7, 11).put(5, 5).put(1, 1).put(3, 4)
    assert unpack(config.put(0x549, 11).put(1, 1)) == AacConfiguration(2, 48000, 1, "mp4a.40.5")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (b"", "cut short"),
        (b"\x12", "cut short"),
        (BitWriter().put(2, 5).put(13, 4).put(2, 4).put(0, 3).bytes(), "rate index 13"),
        (BitWriter().put(2, 5).put(15, 4).put(0, 24).put(2, 4).put(0, 3).bytes(), "rate 0"),
        (start(2, 15).put(0, 3).bytes(), "channel configuration 15"),
        (start(42 % 32, 0).put(0, 3).bytes(), "channel configuration 0"),
        (start(2, 0).put(0, 3).bytes(), "cut short"),
        (program([], [], [], 0).bytes(), "channel configuration 0"),
    ],
)
def test_what_is_wrong(config: bytes, words: str) -> None:
    with pytest.raises(MediaError, match=words):
        AacConfiguration.unpack(config)


@given(binary())
def test_any_bytes_give_an_answer_or_a_media_error(data: bytes) -> None:
    for head in (b"", b"\x12", b"\x13\x88\x56\xe5", b"\x12\x00"):
        with contextlib.suppress(MediaError):
            AacConfiguration.unpack(head + data)
