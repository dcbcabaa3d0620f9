"""Every header of FLV 10.1 and Enhanced RTMP v2, from hand-made single tags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import binary, sampled_from

from rtmptwist.media.errors import MediaError
from rtmptwist.media.multichannel import MultichannelConfig
from rtmptwist.media.packet import (
    KEY_FRAME_TYPES,
    LEGACY_AUDIO,
    LEGACY_VIDEO,
    Content,
    Kind,
    Packet,
    Part,
    read_audio,
    read_video,
)
from tests.media.samples import single_tags

CONTENTS = {
    "sequence-header": Content.SEQUENCE_HEADER,
    "frame": Content.FRAME,
    "sequence-end": Content.SEQUENCE_END,
    "metadata": Content.COLOR_INFO,
    "multichannel-config": Content.MULTICHANNEL_CONFIG,
    "command": Content.COMMAND,
    "empty": Content.EMPTY,
    "unknown": Content.OPAQUE,
}
OUR_CODECS = {"avc": "avc1", "aac": "mp4a", "mp3": ".mp3"}
"One name for a codec, legacy or not."

CODED_PACKETS = ("CodedFrames", "CodedFramesX")


def read(kind: str, payload: str) -> Packet:
    reader = read_audio if kind == "audio" else read_video
    return reader(bytes.fromhex(payload))


@pytest.mark.parametrize("entry", single_tags(), ids=lambda entry: entry["name"])
def test_single_tags(entry: dict[str, Any]) -> None:
    """flv-tags.json, field by field."""
    expected = entry["expect"]
    payload = bytes.fromhex(entry["hex"])
    if "error" in expected:
        with pytest.raises(MediaError):
            read(entry["type"], entry["hex"])
        return
    packet = read(entry["type"], entry["hex"])
    assert packet.kind.value == entry["type"]
    assert packet.nanoseconds == expected.get("nano", 0)
    assert packet.enhanced is expected.get("enhanced", False)
    if expected.get("codec_id") == 12:
        # HEVC as some networks had it before 2023: optional in the table, not understood here
        assert packet.content is Content.OPAQUE
        return
    if expected["kind"] in ("empty", "unknown"):
        assert packet.content is CONTENTS[expected["kind"]]
        assert packet.parts == ()
        return
    if entry["type"] == "video" and "frame_type" in expected:
        assert packet.frame_type == expected["frame_type"]
    if expected["kind"] == "multitrack":
        assert expected["packet"] in CODED_PACKETS
        assert packet.content is Content.FRAME
        tracks = expected["tracks"]
    else:
        assert packet.content is CONTENTS[expected["kind"]]
        tracks = [expected]
    assert len(packet.parts) == len(tracks)
    for part, track in zip(packet.parts, tracks, strict=True):
        check_part(packet, part, track, payload[part.start : part.end])


def check_part(packet: Packet, part: Part, expected: dict[str, Any], body: bytes) -> None:
    assert part.track == expected.get("track", 0)
    assert part.codec == OUR_CODECS.get(codec := expected.get("codec", ""), codec)
    assert part.composition_time == expected.get("composition", 0)
    key = packet.content is Content.FRAME and packet.frame_type in KEY_FRAME_TYPES
    assert key is expected.get("key", False)
    if "body" in expected:
        assert body.hex() == expected["body"]
    elif "command" in expected:
        assert body == bytes((expected["command"],))
    else:
        config = MultichannelConfig.unpack(body)
        assert config.order == expected["order"]
        assert config.channels == expected["channels"]
        assert config.mask == expected.get("mask", 0)
        assert list(config.mapping) == expected.get("mapping", [])


@pytest.mark.parametrize("sound_format", range(16))
def test_legacy_audio_codecs(sound_format: int) -> None:
    packet = read_audio(bytes((sound_format << 4, 1, 2, 3, 4, 5)))
    if sound_format in LEGACY_AUDIO:
        start = 2 if sound_format == 10 else 1
        assert packet.content is Content.FRAME
        assert packet.parts == (Part(0, LEGACY_AUDIO[sound_format], start, 6),)
    elif sound_format == 9:  # Enhanced, with an unknown FourCC
        assert packet.parts == (Part(0, "\1\2\3\4", 5, 6),) or packet.content is Content.EMPTY
    else:
        assert packet == Packet(Kind.AUDIO, Content.OPAQUE)


@pytest.mark.parametrize("codec_id", range(16))
def test_legacy_video_codecs(codec_id: int) -> None:
    packet = read_video(bytes((0x20 | codec_id, 1, 0, 0, 33, 5)))
    if codec_id == 7:
        assert packet.parts == (Part(0, "avc1", 5, 6, 33),)
    elif codec_id in LEGACY_VIDEO:
        assert packet.content is Content.FRAME
        assert packet.parts == (Part(0, LEGACY_VIDEO[codec_id], 1, 6),)
    else:
        assert packet == Packet(Kind.VIDEO, Content.OPAQUE, frame_type=2)


@pytest.mark.parametrize(
    ("kind", "payload", "why"),
    [
        ("audio", "2f", "MP3 of no bytes"),
        ("audio", "af00", "AAC sequence header without a configuration"),
        ("audio", "af01", "AAC frame of no bytes"),
        ("video", "22", "H.263 frame of no bytes"),
        ("video", "1700000000", "AVC sequence header without a record"),
        ("video", "1701000000", "AVC frame of no bytes"),
        ("video", "9068766331", "HEVC SequenceStart without a record"),
        ("video", "9168766331", "CodedFrames of no bytes, not even a composition time"),
        ("video", "9168766331000000", "CodedFrames with nothing but a composition time"),
        ("audio", "91664c6143", "FFmpeg's last FLAC frame"),
        ("audio", "90664c6143", "FLAC SequenceStart without STREAMINFO"),
        ("audio", "944f707573", "MultichannelConfig of no bytes"),
        ("video", "961161766331", "ManyTracks without tracks"),
        ("video", "9614 61766331", "colorInfo of no tracks"),
        ("video", "9611 61766331 00 000000", "ManyTracks whose only track is empty"),
    ],
)
def test_empty(kind: str, payload: str, why: str) -> None:
    """No body where one is needed: neither a frame nor a header."""
    assert read(kind, payload).content is Content.EMPTY


@pytest.mark.parametrize("fourcc", [b"ac-3", b"ec-3", b".mp3", b"Opus"])
def test_headers_that_may_be_empty(fourcc: bytes) -> None:
    packet = read_audio(b"\x90" + fourcc)
    assert packet.content is Content.SEQUENCE_HEADER
    assert packet.parts == (Part(0, fourcc.decode(), 5, 5),)


def test_tracks_without_a_body_are_left_out() -> None:
    packet = read("video", "9611 61766331 00 000000 01 000005 000043 0000".replace(" ", ""))
    assert packet.parts == (Part(1, "avc1", 17, 19, 67),)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("audio", "af02aabb"),
        ("video", "1703000000aa"),
        ("audio", "c0aabb"),
        ("audio", "934d50346101"),
        ("video", "9876703039aa"),
        ("video", "8468766331 020007 6e657754686961 05"),
        ("video", "9617 61766331 00aa"),
    ],
    ids=[
        "AAC packet type",
        "AVC packet type",
        "SoundFormat",
        "AudioPacketType",
        "VideoPacketType",
        "metadata of another name",
        "ModEx inside multitrack",
    ],
)
def test_unknown(kind: str, payload: str) -> None:
    assert read(kind, payload).content is Content.OPAQUE


@pytest.mark.parametrize(
    ("kind", "payload", "words"),
    [
        ("audio", "a0", r"mp4a: 1 bytes \(expected 2 at least\)"),
        ("video", "2701", r"avc1: 2 bytes \(expected 5 at least\)"),
        ("video", "57", r"command: 1 bytes \(expected 2\)"),
        ("video", "d1", r"command: 1 bytes \(expected 2\)"),
        ("video", "96", "cut short"),
        ("video", "960161766331", "cut short"),
        ("video", "97", "cut short"),
        ("video", "9702000001", "cut short"),
        ("video", "97ff01", "cut short"),
        ("video", "9168766331 00", r"hvc1: 1 bytes of frame \(expected 3 at least\)"),
        ("video", "9611 61766331 00 000002 aabb", "avc1: 2 bytes of frame"),
        ("video", "9611 61766331 00 000009 aabb", r"track 0: 9 bytes \(expected 2\)"),
        ("video", "9611 61766331 00 0000", "cut short"),
        ("video", "9621 61766331 00 000000 6176", r"b'av' \(expected 4 bytes\)"),
        ("video", "9613 61766331 05 000001 aa 05 000001 aa", "track 5 twice"),
        ("video", "9631 61766331", r"multitrack type 3 \(expected 0, 1 or 2\)"),
        ("audio", "9555 4d703461", "multitrack inside multitrack"),
        ("video", "97" + "000007" * 16, "more than 16 ModEx"),
    ],
)
def test_what_is_wrong(kind: str, payload: str, words: str) -> None:
    with pytest.raises(MediaError, match=words):
        read(kind, payload)


def test_as_many_modex_as_allowed() -> None:
    packet = read("video", "97" + "00aa17" * 15 + "00aa13" + "687663310000")
    assert packet.parts == (Part(0, "hvc1", 53, 55),)


@pytest.mark.parametrize(
    ("payload", "nanoseconds"),
    [
        ("97 02 0f423f 01 6176303112", 999_999),
        ("97 02 0f4240 01 6176303112", 0),
        ("97 01 0001 01 6176303112", 0),
        ("97 03 000007ff 01 6176303112", 7),
        ("97 02 000007 11 6176303112", 0),
    ],
    ids=["largest", "a millisecond is too much", "too short", "longer", "another extension"],
)
def test_nanoseconds(payload: str, nanoseconds: int) -> None:
    assert read("video", payload).nanoseconds == nanoseconds


def test_modex_before_multitrack() -> None:
    packet = read("audio", "97 02 000007 05 01 4f707573 03 fc".replace(" ", ""))
    assert packet.parts == (Part(3, "Opus", 12, 13),)
    assert packet.nanoseconds == 7


def test_modex_before_a_command() -> None:
    assert read("video", "d7 02 000007 01 01").content is Content.COMMAND


def test_metadata_in_a_multitrack_packet() -> None:
    color = "020009636f6c6f72496e666f05"
    packet = read("video", f"8604 68766331 02 {color}")
    assert packet.content is Content.COLOR_INFO
    assert packet.parts == (Part(2, "hvc1", 7, 20),)


@pytest.mark.parametrize("codec", ["vp08", "vp09", "av01"])
def test_composition_times_are_for_codecs_with_nal_units(codec: str) -> None:
    assert read_video(b"\xa1" + codec.encode() + b"abcd").parts == (Part(0, codec, 5, 9),)


@given(
    sampled_from((read_audio, read_video)),
    sampled_from((b"", b"\x91", b"\x96", b"\x95", b"\x97\x02\x00\x00\x01", b"\x96\x21avc1\x00")),
    binary(),
)
def test_any_bytes_give_a_packet_or_a_media_error(
    reader: Callable[[bytes], Packet], start: bytes, rest: bytes
) -> None:
    payload = start + rest
    try:
        packet = reader(payload)
    except MediaError:
        return
    tracks = [part.track for part in packet.parts]
    assert len(set(tracks)) == len(tracks)
    assert all(0 < part.start <= part.end <= len(payload) for part in packet.parts)
