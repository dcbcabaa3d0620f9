"""The configuration record of VP9, made of a key frame."""

from __future__ import annotations

import pytest

from rtmptwist.media import vp9
from rtmptwist.media.errors import MediaError
from rtmptwist.media.packet import read_video
from rtmptwist.media.tag import video_tag
from tests.media.bitwriter import BitWriter
from tests.media.samples import tags


def key_frame(profile: int, *bits: tuple[int, int], sync: int = 0x498342) -> bytes:
    """The beginning of one: `bits` are what follows the sync code, as value and width."""
    writer = BitWriter()
    writer.put(2, 2)
    writer.put(profile & 1, 1)
    writer.put(profile >> 1, 1)
    if profile == 3:
        writer.put(0, 1)
    writer.put(0b0010, 4)
    writer.put(sync, 24)
    for value, width in bits:
        writer.put(value, width)
    writer.put(0, 16)
    return writer.bytes()


def test_of_a_sample_it_is_what_ffmpeg_wrote() -> None:
    """FFmpeg knows from the container it copied that the matrix is 0."""
    payloads = [tag.payload for tag in tags("vp9-opus-ertmp") if tag.type == 9]
    header = next(payload for payload in payloads if video_tag(payload).header)
    frame = next(payload for payload in payloads if video_tag(payload).keyframe)
    (part,) = read_video(frame).parts
    made = vp9.configuration(frame[part.start :], 320, 180, 30.0, (2, 2, 2))
    (part,) = read_video(header).parts
    assert made == header[part.start :]


@pytest.mark.parametrize(
    ("frame", "depth", "chroma", "full"),
    [
        (key_frame(0, (1, 3), (0, 1)), 8, 1, 0),
        (key_frame(0, (1, 3), (1, 1)), 8, 1, 1),
        (key_frame(0, (7, 3)), 8, 3, 1),
        (key_frame(1, (2, 3), (0, 1), (0, 2)), 8, 3, 0),
        (key_frame(1, (2, 3), (0, 1), (2, 2)), 8, 2, 0),
        (key_frame(1, (2, 3), (0, 1), (3, 2)), 8, 1, 0),
        (key_frame(2, (0, 1), (2, 3), (0, 1)), 10, 1, 0),
        (key_frame(3, (1, 1), (2, 3), (0, 1), (0, 2)), 12, 3, 0),
    ],
)
def test_what_a_key_frame_says(frame: bytes, depth: int, chroma: int, full: int) -> None:
    record = vp9.configuration(frame, 64, 64, 1.0)
    assert record[:4] == b"\x01\0\0\0"
    assert record[6] == depth << 4 | chroma << 1 | full
    assert record[7:] == b"\x02\x02\x02\0\0"


@pytest.mark.parametrize(
    ("width", "height", "rate", "level"),
    [(1920, 1080, 30.0, 40), (1920, 1080, 60.0, 41), (64, 64, 0.0, 10), (32_000, 32_000, 60.0, 62)],
)
def test_the_level_goes_by_size_and_rate(width: int, height: int, rate: float, level: int) -> None:
    assert vp9.configuration(key_frame(0, (1, 3), (0, 1)), width, height, rate)[5] == level


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "cut short"),
        (b"\0" * 8, "no frame marker"),
        (bytes((0b10001000,)) + bytes(8), "no key frame"),
        (bytes((0b10000110,)) + bytes(8), "no key frame"),
        (key_frame(0, sync=1), "no sync code"),
    ],
)
def test_anything_else_is_told(data: bytes, words: str) -> None:
    with pytest.raises(MediaError, match=words):
        vp9.configuration(data, 64, 64, 30.0)
