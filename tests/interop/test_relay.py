"""What arrives equals what was sent, packet by packet: real encoders, real players, our server."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.support.programs import (
    SAMPLES,
    Programs,
    Site,
    ffmpeg9,
    packets,
    parse_packets,
    player,
    program,
    publisher,
)

pytestmark = pytest.mark.interop

_numbers = itertools.count()

BEYOND_FFMPEG = {"multitrack-manytracks", "multitrack-manycodecs"}
"FFmpeg 9 cannot demux them (tests/media_samples/README.md); our own client relays them below."

LEGACY = [
    "h264-b-aac", "h264-base-aac-25", "h264-longgop-aac", "video-only", "audio-only-aac",
    "audio-only-mp3", "flv1-mp3", "flv1-nelly", "flv1-speex", "screen1-pcm", "screen2-adpcm",
    "audio-alaw-8k", "ts-cross-24bit",
]  # fmt: skip
"What FFmpeg 5.1 can publish: no Enhanced RTMP."

ALL = sorted(path.stem for path in SAMPLES.glob("*.flv") if path.stem not in BEYOND_FFMPEG)

Packet = tuple[str, ...]


def by_stream(found: list[Packet]) -> dict[str, list[Packet]]:
    """Packets by elementary stream: (dts, pts, size, hash). Durations are guessed by demuxers."""
    streams: dict[str, list[Packet]] = {}
    for stream, dts, pts, _, size, digest in found:
        streams.setdefault(stream, []).append((dts, pts, size, digest))
    return streams


def unique(kind: str) -> str:
    return f"live/{kind}-{next(_numbers)}"


def relay(
    started: Programs, site: Site, encoder: str, viewer: str, sample: Path
) -> tuple[list[Packet], list[Packet]]:
    """What a viewer that was there first got, and what the file holds."""
    url = site.url(unique("early"))
    watching = started.start(*player(viewer, url))
    site.wait_for(rf"plays {url.split('/', 3)[3]}")
    sending = started.start(*publisher(encoder, sample, url))
    assert sending.wait() == 0, sending.words()
    watching.wait()
    return parse_packets(watching.output()), packets(viewer, sample)


@pytest.mark.parametrize("sample", ALL)
def test_ffmpeg_9_relays_every_sample(started: Programs, site: Site, sample: str) -> None:
    path = SAMPLES / f"{sample}.flv"
    got, sent = relay(started, site, ffmpeg9(), ffmpeg9(), path)
    assert sent
    assert by_stream(got) == by_stream(sent)


@pytest.mark.parametrize("sample", LEGACY)
def test_ffmpeg_of_debian_relays_every_legacy_sample(
    started: Programs, site: Site, sample: str
) -> None:
    ffmpeg5 = program("ffmpeg")
    got, sent = relay(started, site, ffmpeg5, ffmpeg5, SAMPLES / f"{sample}.flv")
    assert sent
    assert by_stream(got) == by_stream(sent)
