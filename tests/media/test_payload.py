"""Frames and headers to payloads: what comes out is read back by `media.packet`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmptwist.media.errors import MediaError
from rtmptwist.media.packet import (
    ENHANCED_AUDIO,
    ENHANCED_VIDEO,
    Content,
    read_audio,
    read_video,
)
from rtmptwist.media.payload import audio_frame, audio_header, video_frame, video_header

TIMED = {"avc1", "hvc1", "vvc1"}


@pytest.mark.parametrize("codec", sorted(ENHANCED_VIDEO))
@given(key=st.booleans(), shift=st.integers(-8_388_607, 8_388_607), data=st.binary(min_size=1))
def test_video_frames_are_read_back(codec: str, key: bool, shift: int, data: bytes) -> None:
    payload = video_frame(codec)(data, key, shift)
    packet = read_video(payload)
    (part,) = packet.parts
    assert (packet.content, packet.frame_type) == (Content.FRAME, 1 if key else 2)
    assert (part.codec, payload[part.start : part.end]) == (codec, data)
    assert part.composition_time == (shift if codec in TIMED else 0)


@pytest.mark.parametrize("codec", sorted(ENHANCED_VIDEO))
def test_video_headers_are_read_back(codec: str) -> None:
    payload = video_header(codec, b"record")
    packet = read_video(payload)
    (part,) = packet.parts
    assert packet.content is Content.SEQUENCE_HEADER
    assert (part.codec, payload[part.start : part.end]) == (codec, b"record")


@pytest.mark.parametrize("codec", sorted(ENHANCED_AUDIO))
def test_audio_is_read_back(codec: str) -> None:
    payload = audio_frame(codec, 44_100, 2) + b"sound"
    packet = read_audio(payload)
    (part,) = packet.parts
    assert packet.content is Content.FRAME
    assert (part.codec, payload[part.start : part.end]) == (codec, b"sound")
    header = audio_header(codec, b"record")
    assert (header == b"") is (codec == ".mp3")
    if header:
        packet = read_audio(header)
        (part,) = packet.parts
        assert packet.content is Content.SEQUENCE_HEADER
        assert (part.codec, header[part.start : part.end]) == (codec, b"record")


def test_a_composition_time_of_no_sense_is_bounded() -> None:
    frame = video_frame("avc1")
    assert frame(b"", True, 1 << 40) == bytes.fromhex("17017fffff")
    assert frame(b"", False, -(1 << 40)) == bytes.fromhex("2701800001")


@pytest.mark.parametrize(
    ("rate", "channels", "first"),
    [
        (44_100, 2, 0x2F),
        (44_100, 1, 0x2E),
        (22_050, 1, 0x2A),
        (11_025, 2, 0x27),
        (8_000, 1, 0xE2),
        (8_000, 2, 0xE3),
        (48_000, 2, 0x2F),
        (32_000, 1, 0x2E),
    ],
)
def test_mp3_says_its_rate_as_well_as_it_can(rate: int, channels: int, first: int) -> None:
    assert audio_frame(".mp3", rate, channels) == bytes((first,))


def test_other_codecs_are_refused() -> None:
    with pytest.raises(MediaError, match="mp4v"):
        video_frame("mp4v")
    with pytest.raises(MediaError, match="mp4v"):
        video_header("mp4v", b"")
    with pytest.raises(MediaError, match="alaw"):
        audio_frame("alaw", 8000, 1)
    with pytest.raises(MediaError, match="alaw"):
        audio_header("alaw", b"")
