"""Files that are cut, broken or none: real players hear why, or play what is there."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from rtmptwist.media.flv import flv_header
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
from tests.support.watchers import payloads

pytestmark = pytest.mark.interop

GOOD = (SAMPLES / "h264-b-aac.flv").read_bytes()
MP4 = (SAMPLES / "h264-b-aac-faststart.mp4").read_bytes()


def broken(kind: bytes, offset: int, value: int) -> bytes:
    """An MP4 of which one number of a table is wrong."""
    found = bytearray(MP4)
    struct.pack_into(">I", found, MP4.index(kind) + offset, value)
    return bytes(found)


NONE = {
    "empty.flv": (b"", "0 bytes (expected an FLV header of 9)"),
    "noise.flv": (bytes(range(256)) * 400, "(expected FLV and version 1)"),
    "endless.flv": (b"FLV\x01\x05\xff\xff\xff\xff" + bytes(99), "FLV header of 4294967295 bytes"),
    "head.flv": (flv_header(audio=True, video=True), "an FLV without tags"),
    "cut-head.mp4": (MP4[:3000], "no MP4 that can be read"),
    "huge.mp4": (broken(b"stsz", 12, 0xFFFFFF), "samples (expected"),
}
"What cannot be played, and why."

CUT = {
    "cut.flv": (GOOD[: len(GOOD) * 2 // 3], ""),
    "broken.flv": (GOOD[: len(GOOD) // 3] + bytes(5000) + GOOD[len(GOOD) // 3 :], "cut or broken"),
    "cut.mp4": (MP4[: len(MP4) // 3], "cut or broken"),
}
"What is played as far as it goes, and what the operator hears."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where they are."""
    folder = tmp_path_factory.mktemp("bad")
    for name, (data, _) in {**NONE, **CUT}.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Site]:
    """A server that plays them as fast as players want."""
    with programs() as these:
        yield serve(these, f"files = {folder}\nfiles_ahead = 1h\n")


def playpath(name: str) -> str:
    return f"mp4:{name}" if name.endswith("mp4") else name.removesuffix(".flv")


@pytest.mark.parametrize("name", NONE)
def test_players_hear_why(site: Site, started: Programs, name: str) -> None:
    _, why = NONE[name]
    url = site.url(f"live/{playpath(name)}")
    run = started.start(*player(ffmpeg9(), url))
    assert run.wait() != 0
    assert "cannot be played" in run.words()
    assert why in run.words()
    dump = (program("rtmpdump"), "-r", site.url("live"), "-y", playpath(name))
    run = started.start(*dump, "-o", started.file("flv"))
    assert run.wait() == 1
    assert "Closing connection: NetStream.Play.Failed" in run.words()
    assert why in site.log()


@pytest.mark.parametrize("name", CUT)
def test_what_is_there_is_played(site: Site, started: Programs, name: str) -> None:
    _, told = CUT[name]
    url = site.url(f"live/{playpath(name)}")
    run = started.start(*player(ffmpeg9(), url, "-rtmp_buffer", "600000"))
    assert run.wait() == 0, run.words()
    got = payloads(parse_packets(run.output()))
    whole = payloads(packets(ffmpeg9(), SAMPLES / "h264-b-aac.flv"))
    for stream, theirs in whole.items():
        assert len(got[stream]) > 70
        end = len(got[stream]) - 1  # what the cut goes through
        assert got[stream][:end] == theirs[:end]
    if told:
        site.wait_for(f"plays live/\\S+: the file is {told}")
