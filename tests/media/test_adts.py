"""Headers of AAC frames in ADTS."""

from __future__ import annotations

import pytest

from rtmptwist.media.aac import AacConfiguration
from rtmptwist.media.adts import audio_specific_config, without_header
from rtmptwist.media.errors import MediaError
from tests.media.samples import FOLDER


def test_a_header_becomes_a_configuration() -> None:
    frame = (FOLDER / "tone-adts.aac").read_bytes()[:116]
    assert audio_specific_config(frame) == bytes.fromhex("1210")
    read = AacConfiguration.unpack(audio_specific_config(frame))
    assert (read.object_type, read.sample_rate, read.channels) == (2, 44_100, 2)
    assert without_header(frame) == frame[7:]


def test_a_checksum_belongs_to_the_header() -> None:
    frame = (FOLDER / "tone-adts.aac").read_bytes()[:116]
    checked = frame[:1] + bytes((frame[1] & 0xFE,)) + frame[2:]
    assert without_header(checked) == frame[9:]


def test_several_frames_behind_one_header_cannot_be_told() -> None:
    frame = (FOLDER / "tone-adts.aac").read_bytes()[:116]
    assert without_header(frame[:6] + bytes((frame[6] | 1,)) + frame[7:]) == b""


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (b"", "ADTS header"),
        (bytes(10), "ADTS header"),
        (bytes.fromhex("fff7508000000000"), "ADTS header"),
        (bytes.fromhex("fff1500000000000"), "channels"),
    ],
)
def test_anything_else_is_told(frame: bytes, words: str) -> None:
    with pytest.raises(MediaError, match=words):
        audio_specific_config(frame)
