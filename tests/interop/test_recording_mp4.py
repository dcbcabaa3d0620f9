"""Recordings in MP4: FFmpeg reads them, whatever happened, and their packets are the stream's."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from tests.interop.test_recording import wait_for
from tests.interop.test_relay import ALL
from tests.media.films import mp4
from tests.media.test_mux import UNFIT
from tests.support.programs import (
    IN_A_HURRY,
    PATIENCE,
    SAMPLES,
    Programs,
    Site,
    ffmpeg9,
    player,
    programs,
    publisher,
    publishing,
    serve,
)

pytestmark = pytest.mark.interop

SAMPLE = SAMPLES / "h264-b-aac.flv"

FIT = sorted({*ALL} - {*UNFIT})


class Recorded:
    """A server that records to MP4, and its folder."""

    def __init__(self, started: Programs, folder: Path, keys: str = "", options: str = "") -> None:
        self.started = started
        self.folder = folder
        self._configuration = f"{keys}outlets = record:{folder}/{{name}}.mp4{options}\n"
        self.site = self.start()

    def start(self) -> Site:
        self.site = serve(self.started, self._configuration)
        return self.site

    def publish(self, name: str, source: Path = SAMPLE) -> None:
        run = self.started.start(*publisher(ffmpeg9(), source, self.site.url(f"live/{name}")))
        assert run.wait() == 0, run.words()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """One server for all tests that do it no harm."""
    with programs() as started:
        yield Recorded(started, tmp_path_factory.mktemp("recordings"), IN_A_HURRY)


Packets = list[tuple[int, int, str, str]]
"Milliseconds of decoding and presentation, size and hash."


def packets(path: Path) -> dict[str, Packets]:
    """What is in a file, by its streams, counted from its beginning."""
    command = player(ffmpeg9(), str(path))
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    bases: dict[str, Fraction] = {}
    found: dict[str, Packets] = {}
    for line in done.stdout.splitlines():
        if line.startswith("#tb"):
            number, text = line.removeprefix("#tb ").split(":")
            bases[number] = Fraction(text.strip()) * 1000
        elif not line.startswith("#"):
            number, dts, pts, _, size, mark, *_ = (part.strip() for part in line.split(","))
            base = bases[number]
            packet = round(int(dts) * base), round(int(pts) * base), size, mark
            found.setdefault(number, []).append(packet)
    first = min((theirs[0][0] for theirs in found.values()), default=0)
    return {
        number: [(dts - first, pts - first, size, mark) for dts, pts, size, mark in theirs]
        for number, theirs in found.items()
    }


@pytest.mark.parametrize("sample", FIT)
def test_every_sample_published_by_ffmpeg_9(
    recorded: Recorded, sample: str, tmp_path: Path
) -> None:
    source = SAMPLES / f"{sample}.flv"
    recorded.publish(sample, source)
    file = recorded.folder / f"{sample}.mp4"
    wait_for(file)
    got, sent = packets(file), packets(source)
    assert sent
    if sample == "av1-opus-ertmp":  # what MP4 leaves out of AV1, FFmpeg leaves out as well
        sent["0"] = packets(mp4(tmp_path / "source.mp4", source))["0"]
    assert got == sent


def test_what_mp4_cannot_hold_ends_the_recording_and_not_the_stream(recorded: Recorded) -> None:
    recorded.publish("speex", SAMPLES / "flv1-speex.flv")
    recorded.site.wait_for(r"speex is not recorded any more: MP4 cannot hold speex \(")
    assert not list(recorded.folder.glob("speex*"))


def test_segments_are_whole_files(started: Programs, tmp_path: Path) -> None:
    own = Recorded(started, tmp_path, "grace = 0\n", options=":segment=3s")
    own.publish("show")
    last = tmp_path / "show-3.mp4"
    wait_for(last)
    sent = packets(SAMPLE)
    parts = [packets(tmp_path / name) for name in ("show.mp4", "show-2.mp4", "show-3.mp4")]
    for stream, theirs in sent.items():
        got = [packet[2:] for part in parts for packet in part[stream]]
        assert got == [packet[2:] for packet in theirs]


def test_a_server_that_is_killed_leaves_files_that_play_and_completes_them(
    started: Programs, tmp_path: Path
) -> None:
    chance = random.Random(8)
    source = packets(SAMPLE)
    own = Recorded(started, tmp_path)
    for number in range(2):
        name = f"show{number}"
        sending = publishing(started, SAMPLE, own.site.url(f"live/{name}"), 2.0, until=0.1)
        part = tmp_path / f"{name}.mp4.part"
        wait_for(part, 30_000 + chance.randrange(90_000))
        own.site.run.process.send_signal(signal.SIGKILL)
        own.site.run.process.wait(PATIENCE)
        sending.kill()
        cut = tmp_path.parent / f"{name}.mp4"
        shutil.copyfile(part, cut)
        for path in (cut, tmp_path / f"{name}.mp4"):
            if path is not cut:
                own.start()
                wait_for(path)
                assert not part.exists()
            got = packets(path)
            for stream, theirs in got.items():
                whole = theirs[:-1] if path is cut else theirs
                assert len(whole) > 20
                assert whole == source[stream][: len(whole)]
