"""Codecs and sizes, as payloads of real encoders show them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis.strategies import binary, sampled_from

from rtmptwist.media.flv import AUDIO, SCRIPT
from rtmptwist.media.packet import Kind
from rtmptwist.media.tracks import UNKNOWN, Track, read_tracks
from tests.media.samples import Facts, facts, tags

SIZES = {
    "av1-opus-ertmp": {(320, 180)},
    "h264-b-aac": {(320, 180)},
    "hevc-aac-ertmp": {(320, 180)},
    "multitrack-2v2a-ertmp": {(320, 180), (160, 90)},
    "multitrack-manycodecs": {(320, 180), (160, 90)},
    "vp9-opus-ertmp": set(),  # its header does not say
}


def tracks_of(name: str) -> set[Track]:
    return {
        track
        for tag in tags(name)
        if tag.type != SCRIPT
        for track in read_tracks(Kind.AUDIO if tag.type == AUDIO else Kind.VIDEO, tag.payload)
    }


@pytest.mark.parametrize("sample", facts(), ids=[sample.name for sample in facts()])
def test_the_tracks_of_every_sample(sample: Facts) -> None:
    found = {
        f"{track.kind.value[0]}{track.number} {track.codec}" for track in tracks_of(sample.name)
    }
    assert found == sample.tracks


@pytest.mark.parametrize("name", SIZES)
def test_the_sizes_of_the_pictures(name: str) -> None:
    assert {(t.width, t.height) for t in tracks_of(name) if t.width} == SIZES[name]


@pytest.mark.parametrize(
    ("kind", "payload", "codecs"),
    [
        (Kind.VIDEO, b"", []),
        (Kind.VIDEO, b"\x57\x00", []),  # a seek begins
        (Kind.VIDEO, b"\x17\x02\x00\x00\x00", []),  # the end of a sequence
        (Kind.VIDEO, b"\x1c\x01\x00\x00\x00abc", [UNKNOWN]),  # HEVC of before 2023
        (Kind.VIDEO, b"\x27", [UNKNOWN]),
        (Kind.VIDEO, b"\x91xvid" + bytes(9), ["xvid"]),
        (Kind.VIDEO, b"\x94hvc1" + bytes(9), ["hvc1"]),  # metadata that is still to be invented
        (Kind.VIDEO, b"\x17\x00\x00\x00\x00\x01bad", ["avc1"]),
        (Kind.AUDIO, b"\x2f" + bytes(9), [".mp3"]),
        (Kind.AUDIO, b"\xcf" + bytes(9), [UNKNOWN]),
    ],
)
def test_payloads(kind: Kind, payload: bytes, codecs: list[str]) -> None:
    assert [(track.codec, track.width) for track in read_tracks(kind, payload)] == [
        (codec, 0) for codec in codecs
    ]


@given(sampled_from(Kind), binary(max_size=64))
def test_any_payload(kind: Kind, payload: bytes) -> None:
    for track in read_tracks(kind, payload):
        assert track.kind is kind
