"""MP4, M4A, MP3 and AAC files by real players: what comes is what FFmpeg makes of the files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.test_files import AT_ONCE, Streams, from_time
from tests.media.films import mp4
from tests.support.programs import (
    SAMPLES,
    Programs,
    Site,
    ffmpeg9,
    packets,
    parse_packets,
    player,
    program,
    programs,
    serve,
)
from tests.support.variants import LISTENERS, url
from tests.support.watchers import FFMPEG9, by_stream, watch

pytestmark = pytest.mark.interop

FILES = {
    "mp4:h264-b-aac-faststart": "h264-b-aac-faststart.mp4",
    "mp4:h264-b-aac-frag.mp4": "h264-b-aac-frag.mp4",
    "h264-b-aac-moov-last.mp4": "h264-b-aac-moov-last.mp4",
    "mp4:hevc-aac": "hevc-aac.mp4",
    "mp4:tone": "tone.m4a",
    "mp3:tone": "tone.mp3",
    "mp3:tone-adts": "tone-adts.aac",
}
"Files, by the names that players say."

MADE = {
    "mp4:av1": "av1-opus-ertmp.flv",
    "mp4:vp9": "vp9-opus-ertmp.flv",
    "mp4:ac3": "h264-ac3-ertmp.flv",
    "mp4:flac": "h264-flac-ertmp.flv",
}
"MP4 files that FFmpeg makes of others."

LONG = "h264-b-aac-faststart"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where files are."""
    folder = tmp_path_factory.mktemp("files")
    for file in FILES.values():
        shutil.copyfile(SAMPLES / file, folder / file)
    for name, source in MADE.items():
        mp4(folder / f"{name[4:]}.mp4", SAMPLES / source)
    return folder


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Site]:
    """A server that sends files as fast as players want."""
    with programs() as these:
        yield serve(these, f"files = {folder}\nfiles_ahead = 1h\n", LISTENERS)


def of_file(started: Programs, file: Path) -> Streams:
    """What FFmpeg makes an FLV of."""
    flv = started.file("flv")
    run = started.start(ffmpeg9(), "-v", "error", "-y", "-i", file, "-c", "copy", flv)
    assert run.wait() == 0, run.words()
    return by_stream(packets(ffmpeg9(), flv))


def check(site: Site, folder: Path, started: Programs, variant: str, name: str, file: str) -> None:
    got = watch(started, FFMPEG9, url(site, variant, f"live/{name}"), *AT_ONCE).packets()
    assert got
    assert by_stream(got) == of_file(started, folder / file)


@pytest.mark.parametrize("name", FILES)
def test_every_container(site: Site, folder: Path, started: Programs, name: str) -> None:
    check(site, folder, started, "rtmp", name, FILES[name])


@pytest.mark.parametrize("name", MADE)
def test_other_codecs(site: Site, folder: Path, started: Programs, name: str) -> None:
    check(site, folder, started, "rtmp", name, f"{name[4:]}.mp4")


@pytest.mark.parametrize("name", ["mp4:h264-b-aac-faststart", "mp3:tone"])
def test_through_a_tunnel(site: Site, folder: Path, started: Programs, name: str) -> None:
    check(site, folder, started, "rtmpt", name, FILES[name])


@pytest.mark.parametrize("name", ["mp4:h264-b-aac-faststart", "mp4:h264-b-aac-frag", "mp3:tone"])
@pytest.mark.parametrize("variant", ["rtmp", "rtmpt"])
def test_rtmpdump(site: Site, folder: Path, started: Programs, variant: str, name: str) -> None:
    file = started.file("flv")
    run = started.start(
        program("rtmpdump"), "-q", "-r", url(site, variant, "live"), "-y", name, "-o", file
    )
    assert run.wait() == 0, run.words()
    source = FILES.get(name) or FILES[f"{name}.mp4"]
    assert by_stream(packets(ffmpeg9(), file)) == of_file(started, folder / source)


@pytest.mark.parametrize("variant", ["rtmp", "rtmpt"])
def test_rtmpdump_from_an_offset(site: Site, folder: Path, started: Programs, variant: str) -> None:
    """Of an MP4 as of an FLV: from the key frame before it."""
    file = started.file("flv")
    command = ("-q", "-r", url(site, variant, "live"), "-y", f"mp4:{LONG}", "--start", "5")
    run = started.start(program("rtmpdump"), *command, "-o", file)
    assert run.wait() in (0, 2), run.words()
    got = by_stream(packets(ffmpeg9(), file))
    wanted = of_file(started, folder / f"{LONG}.mp4")
    # the decoder needs what was before, which has no time
    assert from_time(got, 5001) == from_time(wanted, 5001)
    before = [packet[2:] for packet in from_time(wanted, 4000, 5001)["0"]]
    assert [packet[2:] for packet in got["0"]][: len(before)] == before


@pytest.mark.parametrize("variant", ["rtmp", "rtmpt"])
@pytest.mark.parametrize("name", ["mp4:h264-b-aac-faststart.mp4", "mp4:h264-b-aac-frag.mp4"])
def test_ffmpeg_seeks(site: Site, folder: Path, started: Programs, variant: str, name: str) -> None:
    command = player(ffmpeg9(), url(site, variant, f"live/{name}"), "-ss", "5.5", "-t", "2")
    run = started.start(*command)
    run.wait()
    got = by_stream(parse_packets(run.output()))
    wanted = of_file(started, folder / FILES.get(name, name[4:]))
    assert got, run.words()
    for stream, theirs in got.items():
        start = int(theirs[0][0])
        assert 3_900 < start < 5_500
        assert theirs == from_time(wanted, start)[stream][: len(theirs)]


def test_without_pyav_the_rest_works(folder: Path, started: Programs, tmp_path: Path) -> None:
    """The operator reads what to install, and FLV files are played as ever."""
    (tmp_path / "av.py").write_text("raise ImportError('No module named av')\n")
    shutil.copyfile(SAMPLES / "h264-b-aac.flv", tmp_path / "show.flv")
    shutil.copyfile(folder / f"{LONG}.mp4", tmp_path / "film.mp4")
    site = serve(started, f"files = {tmp_path}\nfiles_ahead = 1h\n", PYTHONPATH=str(tmp_path))
    run = started.start(*player(ffmpeg9(), site.url("live/mp4:film.mp4")))
    assert run.wait() != 0
    assert "needs PyAV" in run.words()
    site.wait_for(r"needs PyAV .*pip install 'rtmptwist\[media\]'")
    assert watch(started, FFMPEG9, site.url("live/show"), *AT_ONCE).packets()


def test_a_filler_may_be_an_mp4(folder: Path, started: Programs) -> None:
    site = serve(started, f"inlet = file:{folder}/{LONG}.mp4?loop\n")
    *command, form, framemd5, output = player(ffmpeg9(), site.url("live/show"))
    run = started.start(*command, "-t", "1", form, framemd5, output)
    assert run.wait() == 0, run.words()
    got = by_stream(parse_packets(run.output()))
    wanted = of_file(started, folder / f"{LONG}.mp4")
    for stream, theirs in got.items():
        marks = [packet[2:] for packet in theirs]
        assert len(marks) > 20
        assert marks == [packet[2:] for packet in wanted[stream]][: len(marks)]
