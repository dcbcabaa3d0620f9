"""What people are told of tracks, as headers of real encoders say it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis.strategies import binary, sampled_from

from rtmptwist.media.details import Details, read_details
from rtmptwist.media.flv import AUDIO, SCRIPT
from rtmptwist.media.packet import Kind
from tests.media.samples import tags

V, A = Kind.VIDEO, Kind.AUDIO
AAC = Details(A, 0, "mp4a", "mp4a.40.2", "LC", sample_rate=44100, channels=1)


def said(name: str) -> dict[tuple[Kind, int], Details]:
    """What the tracks of a sample say first."""
    found: dict[tuple[Kind, int], Details] = {}
    for tag in tags(name):
        if tag.type != SCRIPT:
            for track in read_details(A if tag.type == AUDIO else V, tag.payload):
                found.setdefault((track.kind, track.number), track)
    return found


@pytest.mark.parametrize(
    ("name", "video"),
    [
        ("h264-b-aac", Details(V, 0, "avc1", "avc1.64000d", "High", "1.3", 320, 180)),
        ("hevc-aac-ertmp", Details(V, 0, "hvc1", "hvc1.1.6.L60.90", "Main", "2.0", 320, 180)),
        ("av1-opus-ertmp", Details(V, 0, "av01", "av01.0.00M.08", "Main", "2.0", 320, 180)),
        ("vp9-opus-ertmp", Details(V, 0, "vp09")),
    ],
)
def test_headers_of_encoders(name: str, video: Details) -> None:
    assert said(name)[V, 0] == video


def test_sound_of_encoders() -> None:
    assert said("h264-b-aac")[A, 0].parameters == "mp4a.40.2"
    assert said("h264-b-aac")[A, 0].sample_rate in (44100, 48000)
    opus = said("av1-opus-ertmp")[A, 0]
    assert (opus.codec, opus.sample_rate) == ("Opus", 48_000)
    assert opus.channels in (1, 2)


FLAC = b"\x90fLaC" + b"fLaC" + bytes(14) + (44100 << 12 | 1 << 9).to_bytes(4) + bytes(20)


@pytest.mark.parametrize(
    ("kind", "payload", "found"),
    [
        (A, b"\xaf\0\x12\x08", [AAC]),
        (A, b"\xaf\0\xff\xff", [Details(A, 0, "mp4a")]),
        (A, b"\xaf\x01\x21", [Details(A, 0, "mp4a")]),
        (A, b"\x2f" + bytes(9), [Details(A, 0, ".mp3", sample_rate=44100, channels=2)]),
        (A, b"\x22" + bytes(9), [Details(A, 0, ".mp3", sample_rate=5512, channels=1)]),
        (A, b"\xb2" + bytes(9), [Details(A, 0, "speex", sample_rate=16000, channels=1)]),
        (A, b"\xe3" + bytes(9), [Details(A, 0, ".mp3", sample_rate=8000, channels=2)]),
        (A, b"\x91Opus" + bytes(9), [Details(A, 0, "Opus")]),
        (A, b"\x90Opus" + bytes(20), [Details(A, 0, "Opus")]),
        (A, FLAC, [Details(A, 0, "fLaC", sample_rate=44100, channels=2)]),
        (A, b"\x90fLaC" + bytes(50), [Details(A, 0, "fLaC")]),
        (V, b"\x17\0\0\0\0\x01\xf4\0\x1f\xff\xe0\0", [
            Details(V, 0, "avc1", "avc1.f4001f", "High 4:4:4", "3.1")
        ]),
        (V, b"\x17\0\0\0\0bad", [Details(V, 0, "avc1")]),
        (V, b"\x17\x02\0\0\0", []),
        (V, b"\x27", []),
        (V, b"\x22" + bytes(9), [Details(V, 0, "h263")]),
    ],
)  # fmt: skip
def test_payloads(kind: Kind, payload: bytes, found: list[Details]) -> None:
    assert list(read_details(kind, payload)) == found


@given(sampled_from(Kind), binary(max_size=80))
def test_any_payload(kind: Kind, payload: bytes) -> None:
    for track in read_details(kind, payload):
        assert track.kind is kind
