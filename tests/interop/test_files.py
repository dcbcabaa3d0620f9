"""Files by real players: from the beginning and from elsewhere, and every packet is the file's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rtmptwist.media.flvindex import walk
from tests.media.samples import facts
from tests.media.test_flvindex import reading
from tests.support.programs import (
    SAMPLES,
    Packet,
    Programs,
    Site,
    ffmpeg9,
    looped,
    packets,
    parse_packets,
    player,
    program,
    programs,
    serve,
)
from tests.support.variants import LISTENERS, VARIANTS, url
from tests.support.watchers import FFMPEG5, FFMPEG9, RTMP2SRC, by_stream, watch

pytestmark = pytest.mark.interop

SAMPLE = "h264-b-aac"
"Ten seconds, with a key frame every two."

AT_ONCE = ("-rtmp_buffer", "600000")
"For FFmpeg: it keeps all there is."

Streams = dict[str, list[Packet]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where files are."""
    folder = tmp_path_factory.mktemp("files")
    for sample in SAMPLES.glob("*.*[v4a3c]"):
        (folder / sample.name).write_bytes(sample.read_bytes())
    looped(SAMPLES / f"{SAMPLE}.flv", folder / "long.flv", 12)
    return folder


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Site]:
    """A server with all variants, which sends files as fast as players want."""
    with programs() as these:
        yield serve(these, f"files = {folder}\nfiles_ahead = 1h\n", LISTENERS)


def of_file(folder: Path, name: str) -> Streams:
    """What is in a file, counted from its beginning."""
    found = by_stream(packets(ffmpeg9(), folder / f"{name}.flv"))
    first = min(int(packet[0]) for stream in found.values() for packet in stream)
    first = first if first > 1000 else 0
    return {
        stream: [
            (str(int(dts) - first), str(int(pts) - first), *rest) for dts, pts, *rest in theirs
        ]
        for stream, theirs in found.items()
    }


UNREADABLE = {"multitrack-manytracks", "multitrack-manycodecs"}
"FFmpeg cannot read them, from a file either."


@pytest.mark.parametrize("name", sorted({sample.name for sample in facts()} - UNREADABLE))
def test_every_sample(site: Site, folder: Path, started: Programs, name: str) -> None:
    got = watch(started, FFMPEG9, site.url(f"live/{name}"), *AT_ONCE).packets()
    assert by_stream(got) == of_file(folder, name)


@pytest.mark.parametrize("variant", ["rtmpe", "rtmps", "rtmpt", "rtmpte"])
def test_every_variant(site: Site, folder: Path, started: Programs, variant: str) -> None:
    got = watch(started, FFMPEG9, url(site, variant, f"live/{SAMPLE}"), *AT_ONCE).packets()
    assert by_stream(got) == of_file(folder, SAMPLE)


@pytest.mark.parametrize("variant", VARIANTS)
def test_rtmpdump(site: Site, folder: Path, started: Programs, variant: str) -> None:
    file = started.file("flv")
    run = started.start(
        program("rtmpdump"), "-q", "-r", url(site, variant, f"live/{SAMPLE}"), "-o", file
    )
    assert run.wait() == 0, run.words()
    assert by_stream(packets(ffmpeg9(), file)) == of_file(folder, SAMPLE)


@pytest.mark.parametrize("kind", [FFMPEG5, RTMP2SRC])
def test_other_players(site: Site, folder: Path, started: Programs, kind: str) -> None:
    name = "h264-base-aac-25"
    watcher = watch(started, kind, site.url(f"live/flv:{name}"))
    got, wanted = by_stream(watcher.packets()), of_file(folder, name)
    for stream, theirs in wanted.items():
        end = len(theirs) - watcher.missing()
        assert got[stream][:end] == theirs[:end]


CONTAINERS = [
    # what is asked for, the file
    ("h264-b-aac-moov-last.mp4", "h264-b-aac-moov-last.mp4"),  # FFmpeg puts `mp4:` before it
    ("mp4:h264-b-aac-faststart", "h264-b-aac-faststart.mp4"),
    ("mp4:h264-b-aac-frag.mp4", "h264-b-aac-frag.mp4"),
    ("mp4:hevc-aac.mp4", "hevc-aac.mp4"),
    ("mp4:tone.m4a", "tone.m4a"),
    ("mp3:tone", "tone.mp3"),
    ("mp3:tone-adts.aac", "tone-adts.aac"),
]


def remuxed(started: Programs, source: Path) -> Streams:
    """What FFmpeg makes of it when it writes FLV."""
    file = started.file("flv")
    command = ("-v", "error", "-i", source, "-map", "0:v?", "-map", "0:a", "-c", "copy", file)
    assert started.start(ffmpeg9(), *command).wait() == 0
    return by_stream(packets(ffmpeg9(), file))


@pytest.mark.parametrize(("name", "file"), CONTAINERS)
@pytest.mark.parametrize("variant", ["rtmp", "rtmpt"])
def test_containers(site: Site, started: Programs, name: str, file: str, variant: str) -> None:
    wanted = remuxed(started, SAMPLES / file)
    got = watch(started, FFMPEG9, url(site, variant, f"live/{name}"), *AT_ONCE).packets()
    assert by_stream(got) == wanted
    dumped = started.file("flv")
    playpath = ("-r", url(site, variant, "live"), "-y", name)
    run = started.start(program("rtmpdump"), "-q", *playpath, "-o", dumped)
    # 2: it is not complete, for the last frame begins more than 0.1 % before the end
    assert run.wait() in (0, 2), run.words()
    assert by_stream(packets(ffmpeg9(), dumped)) == wanted


def from_time(streams: Streams, time: int, end: int = 1 << 31) -> Streams:
    """What is left of a file from a time on."""
    return {
        stream: [packet for packet in theirs if time <= int(packet[0]) < end]
        for stream, theirs in streams.items()
    }


@pytest.mark.parametrize("variant", ["rtmp", "rtmpt"])
def test_ffmpeg_seeks(site: Site, folder: Path, started: Programs, variant: str) -> None:
    """It plays, seeks, and forgets what came before Seek.Notify."""
    command = player(ffmpeg9(), url(site, variant, "live/long"), "-ss", "55.5", "-t", "3")
    run = started.start(*command)
    run.wait()
    got = by_stream(parse_packets(run.output()))
    wanted = of_file(folder, "long")
    assert got, run.words()
    for stream, theirs in got.items():
        start = int(theirs[0][0])
        assert 53_000 < start < 55_500
        assert theirs == from_time(wanted, start)[stream][: len(theirs)]


@pytest.mark.parametrize("variant", ["rtmp", "rtmpt"])
def test_rtmpdump_from_an_offset(site: Site, folder: Path, started: Programs, variant: str) -> None:
    """It says `play name 3000 2000`, and adds the three seconds to what it is told."""
    file = started.file("flv")
    command = ("-q", "-r", url(site, variant, f"live/{SAMPLE}"), "--start", "3", "--stop", "5")
    run = started.start(program("rtmpdump"), *command, "-o", file)
    assert run.wait() in (0, 2), run.words()
    got, wanted = by_stream(packets(ffmpeg9(), file)), of_file(folder, SAMPLE)
    # the decoder needs what was before, which has no time
    assert from_time(got, 3001) == from_time(wanted, 3001, 5000)
    before = [packet[2:] for packet in from_time(wanted, 2000, 3001)["0"]]
    assert [packet[2:] for packet in got["0"]][: len(before)] == before


def test_rtmpdump_resumes(site: Site, folder: Path, started: Programs) -> None:
    """What was cut off is fetched from the last key frame on, which must be the same again."""
    whole, cut = started.file("flv"), started.file("flv")
    command = (program("rtmpdump"), "-q", "-r", site.url(f"live/{SAMPLE}"), "-o")
    assert started.start(*command, whole).wait() == 0
    data = whole.read_bytes()
    ends = [place.end for place in walk(reading(data), len(data))]
    cut.write_bytes(data[: ends[len(ends) * 2 // 3]])
    run = started.start(*command, cut, "--resume")
    assert run.wait() == 0, run.words()
    assert packets(ffmpeg9(), cut) == packets(ffmpeg9(), whole)


def test_ffmpeg_hears_the_length(site: Site, started: Programs) -> None:
    run = started.start(ffmpeg9(), "-v", "info", "-i", site.url("live/long"))
    run.wait()
    assert "Duration: 00:02:0" in run.words()
