"""What a live stream is told of a payload."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import binary, integers, sampled_from

import rtmptwist.media.tag as tag_module
from rtmptwist.media.aac import AacConfiguration
from rtmptwist.media.av1 import Av1Configuration
from rtmptwist.media.avc import AvcConfiguration
from rtmptwist.media.flv import AUDIO, SCRIPT, VIDEO, FlvTag
from rtmptwist.media.hevc import HevcConfiguration
from rtmptwist.media.packet import (
    ENHANCED_AUDIO,
    ENHANCED_VIDEO,
    Content,
    Kind,
    Packet,
    read_audio,
    read_video,
)
from rtmptwist.media.tag import Slot, Tag, audio_tag, composition_time, video_tag
from tests.media.samples import Facts, facts, single_tags, tags

SAMPLES = pytest.mark.parametrize("sample", facts(), ids=lambda sample: sample.name)


def tag_of(message: FlvTag) -> Tag:
    return audio_tag(message.payload) if message.type == AUDIO else video_tag(message.payload)


def packet_of(message: FlvTag) -> Packet:
    return read_audio(message.payload) if message.type == AUDIO else read_video(message.payload)


def media(name: str) -> list[tuple[FlvTag, Tag]]:
    return [(message, tag_of(message)) for message in tags(name) if message.type in (AUDIO, VIDEO)]


@SAMPLES
def test_counts_and_times(sample: Facts) -> None:
    counts = Counter(tag.type for tag in tags(sample.name))
    assert (counts[SCRIPT], counts[VIDEO], counts[AUDIO]) == (
        sample.script,
        sample.video,
        sample.audio,
    )
    assert max(tag.timestamp for tag in tags(sample.name)) == sample.last


@SAMPLES
def test_key_frames(sample: Facts) -> None:
    """Of the main track only, and no sequence header or end among them."""
    found = [message.timestamp for message, tag in media(sample.name) if tag.keyframe]
    assert found == sample.key_frames


@SAMPLES
def test_tracks(sample: Facts) -> None:
    found = {
        f"{tag.kind.value[0]}{track} {codec}"
        for _, tag in media(sample.name)
        if tag.coded
        for track, codec in zip(tag.tracks, tag.codecs, strict=True)
    }
    assert found == sample.tracks


@SAMPLES
def test_nothing_is_opaque(sample: Facts) -> None:
    assert not [tag for _, tag in media(sample.name) if tag.content is Content.OPAQUE]


@SAMPLES
def test_every_frame_comes_after_the_header_of_its_track(sample: Facts) -> None:
    headed: set[tuple[int, str]] = set()
    for _, tag in media(sample.name):
        tracks = set(zip(tag.tracks, tag.codecs, strict=True))
        if tag.content is Content.SEQUENCE_HEADER:
            headed |= tracks
        elif tag.coded:
            assert {key for key in tracks if key[1] in WITH_HEADER} <= headed


WITH_HEADER = (ENHANCED_VIDEO | ENHANCED_AUDIO) - {".mp3"}

AAC_LC = {
    rate: {channels: AacConfiguration(2, rate, channels, "mp4a.40.2") for channels in (1, 2, 6)}
    for rate in (44100, 48000)
}
HEVC = HevcConfiguration(1, "L", 60, "hvc1.1.6.L60.90", 4, "4:2:0", 8, 320, 180)
HIGH_13 = AvcConfiguration(100, 13, "avc1.64000d", 4, 320, 180, "4:2:0", 8)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("h264-b-aac", [HIGH_13, AAC_LC[44100][2]]),
        (
            "h264-base-aac-25",
            [AvcConfiguration(66, 11, "avc1.42c00b", 4, 176, 144, "4:2:0", 8), AAC_LC[48000][1]],
        ),
        ("aac51-ertmp", [AAC_LC[48000][6]]),
        ("hevc-aac-ertmp", [HEVC, AAC_LC[44100][2]]),
        ("hevc-modex-nano", [HEVC, AAC_LC[44100][2]]),
        (
            "hevc10-hdr-ertmp",
            [HevcConfiguration(2, "L", 60, "hvc1.2.4.L60.90", 4, "4:2:0", 10, 320, 180)],
        ),
        ("av1-opus-ertmp", [Av1Configuration(0, "M", 0, "av01.0.00M.08", "4:2:0", 8, 320, 180)]),
        (
            "multitrack-manytracks",
            [
                HIGH_13,
                AvcConfiguration(100, 11, "avc1.64000b", 4, 160, 90, "4:2:0", 8),
                AAC_LC[44100][1],
                AAC_LC[44100][1],
            ],
        ),
    ],
)
def test_decoder_configurations(name: str, expected: list[object]) -> None:
    """From the message through the packet to the configuration, as statistics go."""
    configurations: dict[str, Any] = {
        "avc1": AvcConfiguration,
        "hvc1": HevcConfiguration,
        "av01": Av1Configuration,
        "mp4a": AacConfiguration,
    }
    found = [
        configurations[part.codec].unpack(message.payload[part.start : part.end])
        for message, tag in media(name)
        if tag.content is Content.SEQUENCE_HEADER
        for part in packet_of(message).parts
        if part.codec in configurations
    ]
    assert found == expected


TABLE = pytest.mark.parametrize("entry", single_tags(), ids=lambda entry: entry["name"])


@TABLE
def test_single_tags(entry: dict[str, Any]) -> None:
    """flv-tags.json, as far as a live stream cares."""
    expected = entry["expect"]
    payload = bytes.fromhex(entry["hex"])
    tag = audio_tag(payload) if entry["type"] == "audio" else video_tag(payload)
    # an unknown FourCC has a key flag in the table; here nobody is to start with what is unknown
    unknown = "error" in expected or expected.get("codec") == "abcd" or "codec_id" in expected
    kind = "unknown" if unknown else expected["kind"]
    tracks = expected.get("tracks", [expected])
    assert tag.coded is (kind in ("frame", "multitrack"))
    assert tag.header is (
        kind in ("sequence-header", "multichannel-config", "metadata") and not tag.clears
    )
    assert tag.clears is (entry["name"] == "ex-metadata-reset")
    assert (tag.slot is not None) is (tag.header or tag.clears)
    assert tag.end is (kind == "sequence-end")
    assert tag.empty is (kind == "empty")
    assert (tag.content is Content.OPAQUE) is (kind == "unknown")
    assert tag.key is (tag.coded and tracks[0].get("key", False))
    assert tag.keyframe is (tag.key and tracks[0].get("track", 0) == 0)
    assert tag.disposable is (entry["name"] == "h263-disposable")
    if tag.tracks:
        assert list(tag.tracks) == [track.get("track", 0) for track in tracks]
    else:
        assert kind in ("unknown", "empty", "command")
        assert tag.codec == ""


def test_slots() -> None:
    """The same track, legacy or Enhanced, is one slot; what stands beside it is another."""
    avc = video_tag(bytes.fromhex("17000000000142c00d")).slot
    hevc = video_tag(b"\x90hvc1\x01").slot
    assert avc == hevc == Slot(Kind.VIDEO, Content.SEQUENCE_HEADER, (0,), ())
    aac = audio_tag(bytes.fromhex("af001210")).slot
    assert aac == Slot(Kind.AUDIO, Content.SEQUENCE_HEADER, (0,), ())
    multichannel = audio_tag(b"\x94mp4a\x01\x06\0\0\0\x3f").slot
    assert multichannel == Slot(Kind.AUDIO, Content.MULTICHANNEL_CONFIG, (0,), ())
    color = video_tag(b"\xd4hvc1\x02\0\x09colorInfo\x03\0\1a\5\0\0\x09").slot
    assert color == Slot(Kind.VIDEO, Content.COLOR_INFO, (0,), ("hvc1",))
    second = video_tag(b"\x96\x00avc1\x01\x01").slot
    assert second == Slot(Kind.VIDEO, Content.SEQUENCE_HEADER, (1,), ())


def test_tracks_ascend() -> None:
    """Whatever their order in the message: the main track is the lowest."""
    tag = video_tag(b"\x96\x20vp09\x02\0\0\1aavc1\x00\0\0\1b")
    assert tag.tracks == (0, 2)
    assert tag.codecs == ("avc1", "vp09")
    assert tag.codec == "avc1"
    assert tag.slot == Slot(Kind.VIDEO, Content.SEQUENCE_HEADER, (0, 2), ())


def test_a_key_frame_of_another_track_does_not_start_a_gop() -> None:
    tag = video_tag(b"\x96\x03hvc1\x01\0\0\0\1\x26")
    assert tag.key
    assert not tag.keyframe
    many = video_tag(b"\x96\x13hvc1\x01\0\0\1\x26\x00\0\0\1\x26")
    assert many.keyframe


def test_unknown_codecs_beside_known_ones() -> None:
    """What is known of the message still counts."""
    tag = video_tag(b"\x96\x23next\x00\0\0\1aavc1\x01\0\0\1b")
    assert tag.tracks == (1,)
    assert tag.key
    assert not tag.keyframe


@pytest.mark.parametrize(
    "payload", [b"\x90h263\x01\x02", b"\x91h263" + bytes(9), b"\x91mp4a" + bytes(9)]
)
def test_names_of_ours_are_no_fourcc(payload: bytes) -> None:
    assert video_tag(payload) == Tag(Kind.VIDEO, Content.OPAQUE)


@pytest.mark.parametrize("frame_type", range(8))
@pytest.mark.parametrize(
    "rest", ["legacy", "avc1", "hvc1", "vp08", "OneTrack"], ids=lambda rest: rest
)
def test_frame_types(frame_type: int, rest: str) -> None:
    """Key and generated key; disposable; 5 is a command, 0, 6 and 7 mean nothing."""
    if rest == "legacy":
        payload = bytes((frame_type << 4 | 2,)) + bytes(20)
    elif rest == "OneTrack":
        payload = bytes((0x86 | frame_type << 4,)) + b"\x03av01\x00" + bytes(20)
    else:
        payload = bytes((0x81 | frame_type << 4,)) + rest.encode() + bytes(20)
    tag = video_tag(payload)
    assert tag.keyframe is tag.key is (frame_type in (1, 4))
    assert tag.disposable is (frame_type == 3)
    assert tag.coded is (frame_type in (1, 2, 3, 4))
    if frame_type == 5:
        assert tag.content is Content.COMMAND
    elif not tag.coded:
        assert tag.content is Content.OPAQUE


def test_tags_of_frames_are_shared() -> None:
    """One is made for each kind of frame, not for each frame."""
    for make, payload in (
        (video_tag, b"\x27\x01\0\0\0\0\0\0\1\x41"),
        (video_tag, b"\x22\0\0\x84"),
        (video_tag, b"\xa3hvc1\0\0\0\1\x02"),
        (video_tag, b"\xa6\x01avc1\x01\0\0\0\0"),
        (audio_tag, b"\xaf\x01\x21\x10\x04"),
        (audio_tag, b"\x2f\xff\xfb"),
        (audio_tag, b"\x91Opus\xfc"),
        (audio_tag, b"\x95\x01mp4a\x01\x21"),
    ):
        assert make(payload + bytes(20)) is make(payload + bytes(30))


HEADS = [
    *(bytes((first,)) for first in range(256)),
    *(bytes((first, 1)) for first in range(256)),
    *(bytes((first,)) + fourcc for first in range(0x80, 0x100) for fourcc in (b"avc1", b"vp08")),
    *(bytes((first,)) + fourcc for first in range(0x90, 0xA0) for fourcc in (b"mp4a", b"Opus")),
    *(bytes((first, 1)) + b"avc1\x01" for first in range(0x80, 0x100)),
    *(bytes((0x95, second)) + b"mp4a\x01" for second in range(48)),
    *(bytes((0x96, second)) + b"hvc1\x02" for second in range(48)),
]


@given(sampled_from(HEADS), binary(max_size=16), integers(0, 20))
def test_the_tables_say_what_the_reader_says(head: bytes, rest: bytes, zeros: int) -> None:
    """A longer message of the same beginning may be longer than the tables can tell."""
    payload = head + rest + bytes(zeros)
    for kind, make in ((Kind.AUDIO, audio_tag), (Kind.VIDEO, video_tag)):
        assert make(payload) == tag_module._read(kind, payload)


@given(binary())
def test_never_raises(payload: bytes) -> None:
    for tag in (audio_tag(payload), video_tag(payload)):
        assert len(tag.tracks) == len(tag.codecs)
        assert tag.key or not tag.keyframe
        assert tag.coded or not tag.key
        assert tag.header <= (tag.slot is not None)
    assert isinstance(composition_time(payload), int)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"\x27\x01\xff\xff\xdf\x00", -33),
        (b"\x17\x00\x00\x00\x43\x01", 0),
        (b"\xa1hvc1\x00\x00\x43\x00", 67),
        (b"\xa3hvc1\x00\x00\x43\x00", 0),
        (b"\x96\x11avc1\x01\0\0\4\0\0\x01a\x00\0\0\4\0\0\x02a", 2),
        (b"\x17", 0),
        (b"", 0),
    ],
)
def test_composition_time(payload: bytes, expected: int) -> None:
    assert composition_time(payload) == expected


def test_composition_times_of_b_frames() -> None:
    """The first frame of FFmpeg's B-frame streams is decoded at 0 and shown at 67 ms."""
    frames = [
        message for message, tag in media("h264-b-aac") if tag.coded and tag.kind is Kind.VIDEO
    ]
    assert composition_time(frames[0].payload) == 67
    assert min(composition_time(frame.payload) for frame in frames) >= 0
    shown = sorted(frame.timestamp + composition_time(frame.payload) for frame in frames)
    assert [b - a for a, b in itertools.pairwise(shown) if b - a not in (33, 34)] == []


def test_nanoseconds_of_the_modex_sample() -> None:
    """333,333 ns more with every frame, modulo a millisecond."""
    found = [
        packet_of(message).nanoseconds
        for message, tag in media("hevc-modex-nano")
        if tag.kind is Kind.VIDEO and tag.coded
    ]
    assert found == [number * 333_333 % 1_000_000 for number in range(len(found))]
