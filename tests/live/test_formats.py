"""Messages as bytes that suit everybody with the same chunk size and stream id."""

from __future__ import annotations

import pytest

from rtmptwist.live.formats import (
    AUDIO_CHUNK_STREAM,
    DATA_CHUNK_STREAM,
    VIDEO_CHUNK_STREAM,
    FlvFormat,
    RtmpFormat,
)
from rtmptwist.media.flv import FlvReader, FlvTag, flv_header
from rtmptwist.wire.chunk import ChunkDecoder, encode_full
from rtmptwist.wire.limits import Limits
from rtmptwist.wire.message import Message, MessageType
from tests.support.live import audio, avc_header, data, metadata, video

MESSAGES = [metadata(), avc_header(), audio(5), video(7, key=True, size=5000), data("onCuePoint")]


def decoded(data: bytes, chunk_size: int) -> list[Message]:
    decoder = ChunkDecoder(Limits())
    decoder.chunk_size = chunk_size
    return decoder.feed(data)


@pytest.mark.parametrize("chunk_size", [128, 4096, 65536])
def test_what_goes_in_comes_out(chunk_size: int) -> None:
    assert decoded(RtmpFormat(chunk_size).encode(MESSAGES), chunk_size) == MESSAGES


def test_every_kind_has_its_chunk_stream() -> None:
    chunk_streams = [DATA_CHUNK_STREAM, VIDEO_CHUNK_STREAM, AUDIO_CHUNK_STREAM]
    messages = [MESSAGES[0], MESSAGES[1], MESSAGES[2]]
    parts = [encode_full(m, c, 4096) for m, c in zip(messages, chunk_streams, strict=True)]
    assert RtmpFormat(4096).encode(messages) == b"".join(parts)


def test_any_message_can_be_left_out() -> None:
    """No header depends on another one: the bytes of a message are the same everywhere."""
    form = RtmpFormat(4096)
    assert form.encode(MESSAGES) == b"".join(form.encode([message]) for message in MESSAGES)


def test_the_viewers_stream_id_replaces_the_publishers() -> None:
    assert [m.stream_id for m in decoded(RtmpFormat(4096, 9).encode(MESSAGES), 4096)] == [9] * 5


@pytest.mark.parametrize(
    ("sound", "pictures", "left"),
    [(True, False, [0, 2, 4]), (False, True, [0, 1, 3, 4]), (False, False, [0, 4])],
)
def test_sound_and_pictures_can_be_left_out(sound: bool, pictures: bool, left: list[int]) -> None:
    form = RtmpFormat(4096).select(audio=sound, video=pictures)
    assert decoded(form.encode(MESSAGES), 4096) == [MESSAGES[index] for index in left]


def test_selecting_changes_what_is_named_and_equal_formats_are_one_key() -> None:
    form = RtmpFormat(4096, 2)
    assert form.select() == form
    assert form.select(audio=False).select(video=False) == RtmpFormat(4096, 2, False, False)
    assert form.select(video=False).select(video=True) == form
    assert len({form, form.select(), RtmpFormat(4096, 2)}) == 1


def test_nothing_is_no_bytes() -> None:
    assert RtmpFormat(4096).encode([]) == b""
    assert RtmpFormat(4096, 1, False, False).encode([audio(0)]) == b""


def tags(data: bytes) -> list[FlvTag]:
    return FlvReader().feed(flv_header(audio=True, video=True) + data)


def test_flv_has_the_same_messages() -> None:
    assert tags(FlvFormat().encode(MESSAGES)) == [
        FlvTag(message.type, message.timestamp, message.payload) for message in MESSAGES
    ]
    assert FlvFormat().encode([]) == b""


def test_flv_leaves_out_what_it_has_no_tags_for() -> None:
    other = Message(MessageType.SHARED_OBJECT, 0, 1, b"x")
    assert FlvFormat().encode([other]) == b""


@pytest.mark.parametrize(
    ("sound", "pictures", "left"),
    [(True, False, [0, 2, 4]), (False, True, [0, 1, 3, 4]), (False, False, [0, 4])],
)
def test_flv_without_sound_or_pictures(sound: bool, pictures: bool, left: list[int]) -> None:
    form = FlvFormat().select(audio=sound, video=pictures)
    payloads = [tag.payload for tag in tags(form.encode(MESSAGES))]
    assert payloads == [MESSAGES[index].payload for index in left]
    assert form.select() == form
    assert form.select(audio=True, video=True) == FlvFormat()
