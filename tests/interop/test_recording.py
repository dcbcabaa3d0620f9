"""What is recorded equals what was sent, whatever happens to the server and its disk."""

from __future__ import annotations

import random
import resource
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rtmptwist.amf import amf0
from rtmptwist.disk.folder import Folder
from rtmptwist.media.flv import FlvReader
from rtmptwist.media.flvhead import Head
from rtmptwist.outlets.flvfile import CREATOR, FlvFile
from rtmptwist.wire.message import Message
from tests.interop.test_relay import ALL, BEYOND_FFMPEG
from tests.support.guests import eventually, visiting
from tests.support.live import gop, headers
from tests.support.programs import (
    IN_A_HURRY,
    PATIENCE,
    SAMPLES,
    Packet,
    Programs,
    Run,
    Site,
    ffmpeg9,
    looped,
    packets,
    programs,
    publisher,
    publishing,
    serve,
)
from tests.support.reactor import reactor_test
from tests.support.recordings import metadata_of, tags_of
from tests.support.watchers import FFMPEG9, by_stream, watch

pytestmark = pytest.mark.interop

SAMPLE = SAMPLES / "h264-b-aac.flv"

STARTED = Head({}, CREATOR).size + 2000
"Bytes of a recording in which there is something behind its head."

CONTAINERS = sorted(
    path.name for path in SAMPLES.iterdir() if path.suffix in {".mp4", ".m4a", ".mp3", ".aac"}
)


class Recorded:
    """A server that records, and its folder."""

    def __init__(self, started: Programs, folder: Path, keys: str = "", options: str = "") -> None:
        self.started = started
        self.folder = folder
        self._configuration = f"{keys}outlets = record:{folder}/{{name}}.flv{options}\n"
        self.site = self.start()

    def start(self) -> Site:
        self.site = serve(self.started, self._configuration)
        return self.site

    def publish(self, name: str, source: Path = SAMPLE) -> None:
        """As fast as it goes."""
        run = self.started.start(*publisher(ffmpeg9(), source, self.site.url(f"live/{name}")))
        assert run.wait() == 0, run.words()

    def going_on(self, name: str, speed: float = 3.0, until: float = 0.1) -> Run:
        """For some seconds."""
        return publishing(self.started, SAMPLE, self.site.url(f"live/{name}"), speed, until=until)

    def file(self, name: str) -> Path:
        """A complete recording."""
        path = self.folder / name
        wait_for(path)
        return path


def wait_for(path: Path, size: int = 0) -> None:
    """Until it is there, and has so much."""
    deadline = time.monotonic() + PATIENCE
    while not (path.exists() and path.stat().st_size >= size):
        assert time.monotonic() < deadline, f"no {path}"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """One server for all tests that do it no harm."""
    with programs() as started:
        yield Recorded(started, tmp_path_factory.mktemp("recordings"), IN_A_HURRY)


@pytest.fixture
def own(started: Programs, tmp_path: Path) -> Recorded:
    """A server for one test."""
    return Recorded(started, tmp_path / "recordings", "grace = 0\n")


def moved(source: list[Packet], to: list[Packet]) -> dict[str, list[Packet]]:
    """The packets of a source, at the time where a recording of it begins."""
    offset = min(int(packet[1]) for packet in source) - min(int(packet[1]) for packet in to)
    return by_stream(
        [
            (stream, str(int(dts) - offset), str(int(pts) - offset), *rest)
            for stream, dts, pts, *rest in source
        ]
    )


# ------------------------------------------------------------------------ every codec


@pytest.mark.parametrize("sample", ALL)
def test_every_sample_published_by_ffmpeg_9(recorded: Recorded, sample: str) -> None:
    source = SAMPLES / f"{sample}.flv"
    recorded.publish(sample, source)
    file = recorded.file(f"{sample}.flv")
    got, sent = packets(ffmpeg9(), file), packets(ffmpeg9(), source)
    assert sent
    assert by_stream(got) == moved(sent, got)
    metadata = metadata_of(file)
    tags = tags_of(file)
    assert metadata["filesize"] == file.stat().st_size
    assert metadata["duration"] == max(tag.timestamp for tag in tags) / 1000
    assert metadata["hasVideo"] == any(tag.type == 9 for tag in tags)


@pytest.mark.parametrize("sample", sorted({*BEYOND_FFMPEG, "hevc-modex-nano", "h264-text"}))
@reactor_test
async def test_every_message_of_our_own_client(recorded: Recorded, sample: str) -> None:
    """Of what FFmpeg cannot send: its tags are the source's, and players find its key frames."""
    tags = FlvReader().feed((SAMPLES / f"{sample}.flv").read_bytes())
    name = f"{sample}-own"
    async with visiting(recorded.site.url("").rstrip("/")) as guests:
        guest = await guests.publish(name)
        for tag in tags:
            frame = amf0.encode("@setDataFrame") if b"onMetaData" in tag.payload[:16] else b""
            guest.send(Message(tag.type, tag.timestamp, 0, frame + tag.payload))
        await guest.settle()
        await guest.leave()
    file = recorded.folder / f"{name}.flv"
    await eventually(file.exists)
    got = tags_of(file)
    assert [(tag.type, tag.payload) for tag in got] == [
        (tag.type, tag.payload) for tag in tags if b"onMetaData" not in tag.payload[:16]
    ]
    data = file.read_bytes()
    index = metadata_of(file)["keyframes"]
    found = [FlvReader().feed(data[:13] + data[int(at) :])[0] for at in index["filepositions"]]
    assert [tag.timestamp / 1000 for tag in found] == index["times"]
    assert found


@pytest.mark.parametrize("sample", CONTAINERS)
def test_every_other_container_published_by_ffmpeg_9(
    recorded: Recorded, sample: str, tmp_path: Path
) -> None:
    """Its packets, at the times that FFmpeg gives them in FLV."""
    source = SAMPLES / sample
    name = sample.replace(".", "-")
    recorded.publish(name, source)
    as_flv = tmp_path / "reference.flv"
    remux = recorded.started.start(*publisher(ffmpeg9(), source, str(as_flv)))
    assert remux.wait() == 0, remux.words()
    got, reference = packets(ffmpeg9(), recorded.file(f"{name}.flv")), packets(ffmpeg9(), as_flv)
    assert reference
    assert by_stream(got) == moved(reference, got)
    if not sample.endswith(".aac"):  # whose packets have a header each, which goes
        sent = Counter(packet[5] for packet in got)
        there = Counter(packet[5] for packet in packets(ffmpeg9(), source))
        assert not sent - there
        assert (there - sent).total() <= 1, "FFmpeg leaves out what is before the beginning"


def test_ffmpeg_seeks_by_the_index(recorded: Recorded) -> None:
    recorded.publish("seek")
    file = recorded.file("seek.flv")
    done = recorded.started.start(
        *(ffmpeg9(), "-v", "error", "-ss", "5", "-i", file, "-c", "copy", "-copyts"),
        *("-frames:v", "1", "-an", "-f", "framemd5", "-"),
    )
    assert done.wait() == 0, done.words()
    assert b"0,       4000," in done.output()
    assert done.words() == ""


# ----------------------------------------------------------------------------- asked for


@reactor_test
async def test_who_asks_hears_of_the_recording(tmp_path: Path) -> None:
    with programs() as started:
        own = Recorded(started, tmp_path, options=":when=asked")
        async with visiting(own.site.url("").rstrip("/")) as guests:
            for kind in "live", "append", "append", "record":
                guest = await guests.guest()
                await guest.stream.publish("show", kind)
                guest.send(*headers(), *gop(0))
                await guest.settle()
                if kind != "live":
                    await guest.until_told("Record.Start")
                guest.connection.session.close_stream(guest.stream.stream_id)
                guest.connection.send()
                if kind != "live":
                    await guest.until_told("Record.Stop")
                await guest.leave()
        assert [len(tags_of(tmp_path / name)) for name in ("show-2.flv", "show.flv")] == [8, 16]


# ---------------------------------------------------------------------------------- killed


def check_prefix(path: Path, source: list[Packet], seconds: float = 0.0) -> None:
    """FFmpeg reads the beginning of the source there, perhaps but for a packet that was cut."""
    got = by_stream(packets(ffmpeg9(), path))
    for stream, sent in by_stream(source).items():
        theirs = got.get(stream, [])
        assert len(theirs) <= len(sent)
        assert theirs[:-1] == sent[: max(0, len(theirs) - 1)]
        assert not theirs or int(theirs[-1][1]) >= seconds * 1000


def test_whatever_moment_it_is_cut_a_file_plays_and_can_be_completed(own: Recorded) -> None:
    """Twenty moments of a file that grows: what the process would leave if it were killed then."""
    chance = random.Random(6)
    source = packets(ffmpeg9(), SAMPLE)
    sending = own.going_on("show", speed=2.0)
    part = own.folder / "show.flv.part"
    wait_for(part, 70_000)
    snapshots = []
    for number in range(20):
        path = own.folder.parent / f"{number}.flv.part"
        shutil.copyfile(part, path)
        snapshots.append(path)
        time.sleep(chance.uniform(0, 0.12))
    sending.kill()
    assert len({path.stat().st_size for path in snapshots}) > 1
    for number, path in enumerate(snapshots):
        check_prefix(path, source)
        with path.open("r+b") as file:  # and amid a write
            file.truncate(path.stat().st_size - chance.randrange(5000))
        repaired = FlvFile(Folder(path.parent), (f"{number}.flv",)).repair(alone=True)
        assert repaired is not None
        if number % 4 == 0:
            check_prefix(repaired.path, source)
        assert metadata_of(repaired.path)["duration"] == repaired.seconds > 0


def kill_and_start(folder: Path, sample: Path, chance: random.Random, times: int) -> None:
    """Kill a server amid recordings, each time the one that has completed the last one."""
    source = packets(ffmpeg9(), sample)
    with programs() as started:
        own = Recorded(started, folder)
        for number in range(times):
            name = f"show{number}"
            sending = publishing(started, sample, own.site.url(f"live/{name}"), 2.0)
            part = folder / f"{name}.flv.part"
            wait_for(part, STARTED)
            time.sleep(chance.uniform(0, 1.2))
            own.site.run.process.kill()
            own.site.run.process.wait(PATIENCE)
            sending.kill()
            check_prefix(part, source)
            before = packets(ffmpeg9(), part)
            own.start()
            file = own.file(f"{name}.flv")
            own.site.wait_for("which was left unfinished", PATIENCE)
            assert not part.exists()
            assert packets(ffmpeg9(), file) == before
            metadata = metadata_of(file)
            assert metadata["duration"] == max(tag.timestamp for tag in tags_of(file)) / 1000
            assert metadata["keyframes"]["times"][0] == 0.0


def test_a_server_killed_at_twenty_moments_leaves_files_that_play_and_completes_them(
    tmp_path: Path,
) -> None:
    """Five of them at the same time, for that takes a while."""
    sample = looped(SAMPLE, tmp_path / "long.flv", 8)
    with ThreadPoolExecutor(5) as pool:
        killing = [
            pool.submit(kill_and_start, tmp_path / f"{seed}", sample, random.Random(seed), 4)
            for seed in range(5)
        ]
    for each in killing:
        each.result()
    sizes = {file.stat().st_size for file in tmp_path.glob("*/*.flv")}
    assert len(list(tmp_path.glob("*/*.flv"))) == 20
    assert len(sizes) > 1


def test_a_server_that_is_stopped_completes_its_files(own: Recorded) -> None:
    sending = own.going_on("show")
    wait_for(own.folder / "show.flv.part", STARTED)
    assert own.site.run.stop(PATIENCE) == 0
    sending.kill()
    assert [path.name for path in own.folder.iterdir()] == ["show.flv"]
    check_prefix(own.folder / "show.flv", packets(ffmpeg9(), SAMPLE))


# ---------------------------------------------------------------------------------- the disk


@pytest.mark.skipif(sys.platform != "linux", reason="limits of other processes: Linux only")
def test_a_full_disk_ends_the_recording_and_not_the_stream(
    started: Programs, tmp_path: Path
) -> None:
    own = Recorded(started, tmp_path, IN_A_HURRY)
    pid = own.site.run.process.pid
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (150_000, resource.RLIM_INFINITY))
    watcher = watch(started, FFMPEG9, own.site.url("live/show"))
    own.site.wait_for("plays live/show ")
    own.publish("show")
    source = packets(ffmpeg9(), SAMPLE)
    assert by_stream(watcher.packets()) == by_stream(source)
    own.site.wait_for("live/show is not recorded any more: File too large")
    file = own.file("show.flv")
    assert file.stat().st_size <= 150_000
    check_prefix(file, source)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    own.publish("show")
    assert by_stream(packets(ffmpeg9(), own.file("show-2.flv"))) == by_stream(source)


@pytest.mark.skipif(sys.platform != "linux", reason="a folder that even root may not write to")
def test_no_permission_ends_the_recording_and_not_the_stream(started: Programs) -> None:
    own = Recorded(started, Path("/sys/kernel"), IN_A_HURRY)
    watcher = watch(started, FFMPEG9, own.site.url("live/show"))
    own.site.wait_for("plays live/show ")
    own.publish("show")
    assert by_stream(watcher.packets()) == by_stream(packets(ffmpeg9(), SAMPLE))
    own.site.wait_for(r"live/show is not recorded any more: \w")


def test_a_folder_that_is_removed_is_made_again_for_the_next_stream(own: Recorded) -> None:
    sending = own.going_on("show")
    wait_for(own.folder / "show.flv.part", STARTED)
    shutil.rmtree(own.folder)
    assert sending.wait() == 0
    own.site.wait_for("live/show is not recorded any more: The file was removed")
    own.publish("show")
    assert by_stream(packets(ffmpeg9(), own.file("show.flv"))) == by_stream(
        packets(ffmpeg9(), SAMPLE)
    )


def test_old_recordings_are_removed(started: Programs, tmp_path: Path) -> None:
    (tmp_path / "old.flv").write_bytes(bytes(2 << 20))
    (tmp_path / "new.flv").write_bytes(bytes(1000))
    own = Recorded(started, tmp_path, options=":keep_size=1M")
    own.site.wait_for("removed 1 old recordings of 2097152 bytes")
    assert [path.name for path in tmp_path.iterdir()] == ["new.flv"]
