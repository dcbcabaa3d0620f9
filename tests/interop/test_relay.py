"""What arrives equals what was sent, packet by packet: real encoders, real players, our server."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rtmptwist.amf import amf0
from rtmptwist.media.flv import SCRIPT, VIDEO, FlvReader
from rtmptwist.media.tag import video_tag
from rtmptwist.wire.message import Message
from tests.support.guests import visiting
from tests.support.programs import (
    SAMPLES,
    Packet,
    Programs,
    Site,
    ffmpeg9,
    packets,
    parse_packets,
    program,
    publisher,
    publishing,
)
from tests.support.reactor import reactor_test
from tests.support.watchers import (
    FFMPEG5,
    FFMPEG9,
    RTMP2SRC,
    RTMPDUMP,
    RTMPSRC,
    Watcher,
    by_stream,
    payloads,
    watch,
)

pytestmark = pytest.mark.interop

BEYOND_FFMPEG = {"multitrack-manytracks", "multitrack-manycodecs"}
"FFmpeg 9 cannot demux them (tests/media_samples/README.md): our own client does it."

LEGACY = [
    "h264-b-aac", "h264-base-aac-25", "h264-longgop-aac", "video-only", "audio-only-aac",
    "audio-only-mp3", "flv1-mp3", "flv1-nelly", "flv1-speex", "screen1-pcm", "screen2-adpcm",
    "audio-alaw-8k", "ts-cross-24bit",
]  # fmt: skip
"What FFmpeg 5.1 can publish: no Enhanced RTMP."

ALL = sorted(path.stem for path in SAMPLES.glob("*.flv") if path.stem not in BEYOND_FFMPEG)

OTHERS = [RTMPDUMP, RTMPSRC, RTMP2SRC]
"Players that write FLV as it comes, whatever is in it."


def watchers(started: Programs, site: Site, path: str, kinds: Sequence[str]) -> list[Watcher]:
    """Players of one stream, which play when this returns."""
    watching = [watch(started, kind, site.url(path)) for kind in kinds]
    site.wait_for(rf"plays {path} ", times=len(kinds))
    return watching


def send(started: Programs, site: Site, path: str, encoder: str, sample: str) -> None:
    """Publish a file as fast as it goes."""
    sending = started.start(*publisher(encoder, SAMPLES / f"{sample}.flv", site.url(path)))
    assert sending.wait() == 0, sending.words()


# ------------------------------------------------------------------- there before it began


@pytest.mark.parametrize("sample", ALL)
def test_ffmpeg_9_relays_every_sample(
    started: Programs, site: Site, path: str, sample: str
) -> None:
    (watcher,) = watchers(started, site, path, [FFMPEG9])
    send(started, site, path, ffmpeg9(), sample)
    source = by_stream(packets(ffmpeg9(), SAMPLES / f"{sample}.flv"))
    assert source
    assert by_stream(watcher.packets()) == source


@pytest.mark.parametrize("sample", LEGACY)
def test_ffmpeg_of_debian_relays_every_legacy_sample(
    started: Programs, site: Site, path: str, sample: str
) -> None:
    ffmpeg5 = program("ffmpeg")
    (watcher,) = watchers(started, site, path, [FFMPEG5])
    send(started, site, path, ffmpeg5, sample)
    source = by_stream(packets(ffmpeg5, SAMPLES / f"{sample}.flv"))
    assert source
    assert by_stream(watcher.packets()) == source


@pytest.mark.parametrize(
    "sample",
    [
        "h264-b-aac", "hevc-aac-ertmp", "av1-opus-ertmp", "multitrack-2v2a-ertmp",
        "audio-only-aac", "flv1-mp3", "ts-cross-24bit",
    ],
)  # fmt: skip
def test_librtmp_and_gstreamer_play_what_ffmpeg_sends(
    started: Programs, site: Site, path: str, sample: str
) -> None:
    watching = watchers(started, site, path, OTHERS)
    send(started, site, path, ffmpeg9(), sample)
    source = packets(ffmpeg9(), SAMPLES / f"{sample}.flv")
    for watcher in watching:
        got = watcher.packets()
        expected = source[: max(len(got), len(source) - watcher.missing())]
        assert by_stream(got) == by_stream(expected), watcher


@pytest.mark.parametrize("encoder", ["rtmp2sink", "rtmpsink"])
@pytest.mark.parametrize("sample", ["h264-b-aac", "h264-base-aac-25"])
def test_gstreamer_publishes(
    started: Programs, site: Site, path: str, sample: str, encoder: str
) -> None:
    """Its muxer makes other timestamps; what it encodes nothing of is the same."""
    watching = watchers(started, site, path, [FFMPEG9, FFMPEG5, *OTHERS])
    sending = started.start(
        *(program("gst-launch-1.0"), "-q", "filesrc", f"location={SAMPLES / sample}.flv"),
        *("!", "flvdemux", "name=from", "flvmux", "streamable=true", "name=to"),
        *("from.video", "!", "queue", "!", "h264parse", "!", "to."),
        *("from.audio", "!", "queue", "!", "aacparse", "!", "to."),
        *("to.", "!", encoder, "sync=false", f"location={site.url(path)}"),
    )
    assert sending.wait() == 0, sending.words()
    first, *others = watching
    got = first.packets()
    assert payloads(got) == payloads(packets(ffmpeg9(), SAMPLES / f"{sample}.flv"))
    for watcher in others:
        theirs = watcher.packets()
        expected = got[: max(len(theirs), len(got) - watcher.missing())]
        assert by_stream(theirs) == by_stream(expected), watcher


def test_texts_pass_in_their_place(started: Programs, site: Site, path: str) -> None:
    """onTextData, which FFmpeg makes a third stream of."""
    sample = SAMPLES / "h264-text.flv"
    everything = ("-map", "0", "-c", "copy", "-copyts", "-f")
    head = (ffmpeg9(), "-v", "error", "-nostdin", "-i")
    watching = started.start(*head, site.url(path), *everything, "framemd5", "-")
    site.wait_for(rf"plays {path} ")
    sending = started.start(*head, sample, *everything, "flv", site.url(path))
    assert sending.wait() == 0, sending.words()
    assert watching.wait() == 0, watching.words()
    reading = started.start(*head, sample, *everything, "framemd5", "-")
    assert reading.wait() == 0, reading.words()
    source = by_stream(parse_packets(reading.output()))
    assert len(source) == 3
    assert len(source["2"]) == 2
    assert by_stream(parse_packets(watching.output())) == source


@pytest.mark.parametrize("sample", sorted({*BEYOND_FFMPEG, "hevc-modex-nano"}))
@reactor_test
async def test_our_own_client_relays_what_ffmpeg_cannot(site: Site, path: str, sample: str) -> None:
    """Every bit of every message, in order; for hevc-modex-nano its nanoseconds as well."""
    tags = FlvReader().feed((SAMPLES / f"{sample}.flv").read_bytes())
    name = path.removeprefix("live/")
    async with visiting(site.url("").rstrip("/")) as guests:
        viewer = await guests.play(name)
        publisher = await guests.publish(name)
        for tag in tags:
            frame = amf0.encode("@setDataFrame") if tag.type == SCRIPT else b""
            publisher.send(Message(tag.type, tag.timestamp, 0, frame + tag.payload))
        await publisher.settle()
        await viewer.settle()
        _, *got = viewer.messages  # |RtmpSampleAccess
        assert [(m.type, m.timestamp, m.payload) for m in got] == [
            (tag.type, tag.timestamp, tag.payload) for tag in tags
        ]


# ------------------------------------------------------------------------------ joined late

LATE = [
    # sample, how many times as fast as it plays, seconds of it after which the others join
    ("h264-b-aac", 3.0, 4.5),
    ("hevc-aac-ertmp", 2.0, 2.3),
    ("av1-opus-ertmp", 2.0, 2.3),
    ("multitrack-2v2a-ertmp", 1.5, 2.2),
    ("audio-only-aac", 2.0, 1.5),
    ("flv1-mp3", 2.0, 2.3),
    ("ts-cross-24bit", 2.0, 1.3),
]
"The crossing in the last one's 3.2nd second is before all of them."


@pytest.mark.parametrize(("sample", "speed", "after"), LATE, ids=[case[0] for case in LATE])
def test_joined_late(
    started: Programs, site: Site, path: str, sample: str, speed: float, after: float
) -> None:
    """A viewer gets everything from a key frame on that was there when it came."""
    kinds = [FFMPEG9, *OTHERS] if sample not in LEGACY else [FFMPEG9, FFMPEG5, *OTHERS]
    file = SAMPLES / f"{sample}.flv"
    sending = publishing(started, file, site.url(path), speed, until=after)
    watching = watchers(started, site, path, kinds)
    source = by_stream(packets(ffmpeg9(), file))
    assert sending.wait() == 0, sending.words()
    for watcher in watching:
        got = by_stream(watcher.packets())
        assert got.keys() == source.keys(), watcher
        for stream, theirs in got.items():
            check_suffix(theirs, source[stream], watcher)
        if sample != "audio-only-aac":
            assert int(got["0"][0][0]) in key_frames(sample), watcher


def key_frames(sample: str) -> set[int]:
    """When they are to be decoded."""
    tags = FlvReader().feed((SAMPLES / f"{sample}.flv").read_bytes())
    return {t.timestamp for t in tags if t.type == VIDEO and video_tag(t.payload).keyframe}


def check_suffix(got: list[Packet], source: list[Packet], watcher: Watcher) -> None:
    """Something is missing in front, nothing else."""
    start = source.index(got[0])
    assert start > 0, watcher
    end = max(start + len(got), len(source) - watcher.missing())
    assert got == source[start:end], watcher


def test_the_first_picture_is_there_at_once(started: Programs, site: Site, path: str) -> None:
    """The only key frame is long gone, and the next would be never."""
    file = SAMPLES / "h264-longgop-aac.flv"
    sending = publishing(started, file, site.url(path), 1.0, until=0.5)
    for ffmpeg in ffmpeg9(), program("ffmpeg"):
        watching = started.start(
            *(ffmpeg, "-v", "error", "-nostdin", "-i", site.url(path)),
            *("-frames:v", "1", "-an", "-f", "framemd5", "-"),
        )
        assert watching.wait() == 0, watching.words()
        assert len(parse_packets(watching.output())) == 1
    assert sending.process.poll() is None  # 10 s have not passed
