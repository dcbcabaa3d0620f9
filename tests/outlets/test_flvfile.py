"""A recording on the disk: complete, cut, full, shared."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rtmptwist.disk.folder import Folder
from rtmptwist.media.flv import FLV_START
from rtmptwist.media.flvindex import KeyFrames, survey
from rtmptwist.outlets import diskfile
from rtmptwist.outlets.flvfile import CREATOR, FlvFile
from rtmptwist.outlets.recordfile import Finished, Opened
from rtmptwist.outlets.tape import Batch, Take, Tape
from rtmptwist.wire.message import Message
from tests.support.live import aac_header, avc_header, gop, payloads
from tests.support.recordings import metadata_of, raising, tags_of


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def file(folder: Folder, *names: str) -> FlvFile:
    return FlvFile(folder, names or ("show.flv",))


def begun(folder: Folder, *names: str, width: float = 640.0) -> FlvFile:
    made = file(folder, *names)
    made.create({"width": width}, audio=True, video=True)
    return made


def batches(*groups: list[Message]) -> list[Batch]:
    tape = Tape(Take.ALL)
    tape.begin(groups[0], ())
    return [tape.encode(group) for group in groups]


def complete(folder: Folder, *groups: list[Message]) -> Finished:
    made = begun(folder)
    for batch in batches(*(groups or [gop(0)])):
        made.write(batch)
    finished = made.finish()
    assert finished is not None
    return finished


# ----------------------------------------------------------------------------------- complete


def test_a_file_has_its_name_when_it_is_complete(folder: Folder, tmp_path: Path) -> None:
    made = file(folder, "a", "show.flv")
    opened = made.create({"width": 640.0}, audio=True, video=True)
    assert opened == Opened(tmp_path / "a" / "show.flv", headers=[])
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["show.flv.part"]
    for batch in batches([avc_header(), *gop(0)], gop(120)):
        made.write(batch)
    finished = made.finish()
    assert finished == Finished(opened.path, opened.path.stat().st_size, 0.2)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["show.flv"]
    metadata = metadata_of(opened.path)
    assert metadata["duration"] == 0.2
    assert metadata["filesize"] == finished.size
    assert metadata["width"] == 640.0
    assert metadata["metadatacreator"] == CREATOR
    assert metadata["keyframes"]["times"] == [0.0, 0.12]
    data = opened.path.read_bytes()
    for position in metadata["keyframes"]["filepositions"]:
        assert (data[int(position)], data[int(position) + 11]) == (9, 0x17)
    assert [tag.payload for tag in tags_of(opened.path)] == [
        message.payload for message in [avc_header(), *gop(0), *gop(120)]
    ]


def test_it_takes_no_more_of_the_disk_than_it_needs(folder: Folder) -> None:
    """The room for the index is a hole."""
    found = complete(folder).path.stat()
    assert found.st_size > 65_000
    if found.st_blocks == found.st_size // 512 + 1:
        pytest.skip("this file system has no holes")  # pragma: no cover - as the words say
    assert found.st_blocks * 512 <= 4 * 4096


def test_what_has_nothing_in_it_is_removed(folder: Folder, tmp_path: Path) -> None:
    assert begun(folder).finish() is None
    assert list(tmp_path.iterdir()) == []


# -------------------------------------------------------------------------------------- names


def test_names_that_are_taken_get_a_number(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "show.flv").write_text("somebody's")
    (tmp_path / "show-2.flv").symlink_to("nowhere")
    first, second = begun(folder), begun(folder)
    for made in second, first:
        made.write(batches(gop(0))[0])
        made.finish()
    assert (tmp_path / "show.flv").read_text() == "somebody's"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "show-2.flv", "show-3.flv", "show-4.flv", "show.flv",
    ]  # fmt: skip


def test_a_name_that_is_taken_meanwhile(folder: Folder, tmp_path: Path) -> None:
    made = begun(folder)
    made.write(batches(gop(0))[0])
    (tmp_path / "show.flv").write_text("somebody's")
    finished = made.finish()
    assert finished is not None
    assert finished.path == tmp_path / "show-2.flv"
    assert (tmp_path / "show.flv").read_text() == "somebody's"


def test_there_is_an_end_to_numbers(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diskfile, "NUMBERS", 2)
    made = begun(folder)
    made.write(batches(gop(0))[0])
    for name in "show.flv", "show-2.flv":
        (tmp_path / name).touch()
    for attempt in (lambda: begun(folder), made.finish):
        with pytest.raises(OSError, match=r"2 files have that name already: write \{date\}"):
            attempt()
    assert (tmp_path / "show.flv.part").exists()


def test_a_file_that_somebody_repairs_just_now_is_not_ours(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there before it is locked."""
    real, number = fcntl.flock, 0

    def slow(file: int, operation: int) -> None:
        nonlocal number
        number += 1
        if number == 1:
            raise BlockingIOError
        real(file, operation)

    monkeypatch.setattr(fcntl, "flock", slow)
    assert file(folder).create({}, audio=True, video=True).path.name == "show-2.flv"


def test_it_is_told_where_new_headers_stand(folder: Folder) -> None:
    """For whoever begins behind them; what says nothing new is not."""
    made = file(folder)
    opened = made.create({}, audio=True, video=True)
    other = avc_header("other")
    stages = [
        [avc_header(), aac_header(), *gop(0)],
        [avc_header(), aac_header(), *gop(120)],
        [other, *gop(240)],
        [avc_header(), *gop(360)],
    ]
    for batch in batches(*stages):
        made.write(batch)
    finished = made.finish()
    assert finished is not None
    data = finished.path.read_bytes()
    places = [int(place) for place in metadata_of(finished.path)["sequenceheaders"]]
    assert opened.headers == places
    new = payloads((avc_header(), aac_header(), other, avc_header()))
    assert [
        data[place + 11 :].startswith(payload) for place, payload in zip(places, new, strict=True)
    ]
    again = file(folder).append({}, audio=True, video=True)
    assert again.headers == places


# ------------------------------------------------------------------------------------- append


def test_append_goes_on_with_a_file(folder: Folder, tmp_path: Path) -> None:
    before = complete(folder, gop(0), gop(120))
    made = file(folder)
    opened = made.append({"width": 1.0}, audio=True, video=True)
    assert opened == Opened(before.path, 200, before.size, headers=[])
    assert [path.name for path in tmp_path.iterdir()] == ["show.flv.part"]
    tape = Tape(Take.ALL)
    tape.begin(gop(5000), (), opened.last or 0)
    made.write(tape.encode(gop(5000)))
    finished = made.finish()
    assert finished is not None
    assert (finished.path, finished.seconds) == (before.path, 0.28)
    metadata = metadata_of(finished.path)
    assert (metadata["duration"], metadata["width"]) == (0.28, 640.0)
    assert metadata["keyframes"]["times"] == [0.0, 0.12, 0.2]
    data = finished.path.read_bytes()
    assert [data[int(p)] for p in metadata["keyframes"]["filepositions"]] == [9, 9, 9]
    assert [tag.timestamp for tag in tags_of(finished.path)][-6:] == [200, 200, 240, 240, 280, 280]


def test_append_goes_on_with_another_program_s_file(folder: Folder, tmp_path: Path) -> None:
    """As far as there is room in its head."""
    sample = Path(__file__).parents[1] / "media_samples" / "h264-b-aac.flv"
    (tmp_path / "show.flv").write_bytes(sample.read_bytes())
    made = file(folder)
    assert made.append({}, audio=True, video=True).last == 10_052
    made.write(batches(gop(0))[0])
    finished = made.finish()
    assert finished is not None
    data = finished.path.read_bytes()
    assert data[400:].startswith(sample.read_bytes()[400:])
    assert survey(lambda at, size: data[at : at + size], len(data)).end == len(data)


def test_append_makes_a_file_where_there_is_none(folder: Folder, tmp_path: Path) -> None:
    opened = file(folder).append({}, audio=True, video=True)
    assert opened == Opened(tmp_path / "show.flv", headers=[])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes(100))


def behead(path: Path) -> None:
    path.write_bytes(b"FLV\x01\x05\0\0\0\x09\0\0\0\0")


def replace(path: Path) -> None:
    path.write_text("no FLV")


def link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def block(path: Path) -> None:
    path.with_name("show.flv.part").touch()


def test_append_cuts_a_tag_that_is_not_whole(folder: Folder) -> None:
    cut(complete(folder, gop(0)).path)
    assert file(folder).append({}, audio=True, video=True).last == 80


@pytest.mark.parametrize("harm", [spoil, behead, replace, link, block])
def test_append_leaves_alone_what_it_does_not_understand(
    folder: Folder, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    path = complete(folder).path
    harm(path)
    before = path.read_bytes()
    made = file(folder)
    opened = made.append({}, audio=True, video=True)
    assert (opened.path.name, opened.last) == ("show-2.flv", None)
    assert path.read_bytes() == before
    made.close()


def test_append_leaves_alone_what_is_being_written(folder: Folder) -> None:
    path = complete(folder).path
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        opened = file(folder).append({}, audio=True, video=True)
    assert opened.path.name == "show-2.flv"


# ------------------------------------------------------------------------------------- repair


def unfinished(folder: Folder, size: int | None = None) -> Path:
    """A file as a process that was killed leaves it, or the first bytes of it."""
    made = begun(folder)
    for batch in batches([avc_header(), *gop(0)], gop(120), gop(240)):
        made.write(batch)
    made.close()
    path = folder.path(("show.flv.part",))
    if size is not None:
        os.truncate(path, size)
    return path


def test_a_file_that_was_left_is_completed(folder: Folder, tmp_path: Path) -> None:
    size = unfinished(folder).stat().st_size
    repaired = file(folder).repair(alone=False)
    assert repaired is not None
    assert (repaired.path, repaired.size, repaired.lost) == (tmp_path / "show.flv", size, 0)
    metadata = metadata_of(repaired.path)
    assert (metadata["duration"], metadata["filesize"], metadata["width"]) == (0.32, size, 640.0)
    assert metadata["keyframes"]["times"] == [0.0, 0.12, 0.24]
    assert len(tags_of(repaired.path)) == 19


def test_a_file_that_was_cut_anywhere_is_completed(folder: Folder, tmp_path: Path) -> None:
    path = unfinished(folder)
    data = path.read_bytes()
    path.unlink()
    head = data.index(avc_header().payload) - 11
    sizes = [*range(40), head - 5, *range(head - 1, len(data))]
    last = 0
    for size in sizes:
        path.write_bytes(data[:size])
        repaired = file(folder).repair(alone=False)
        assert repaired is not None
        if repaired.size:
            assert repaired.size + repaired.lost == size
            found = repaired.path.read_bytes()
            assert found[head:] == data[head : repaired.size]
            assert len(tags_of(repaired.path)) >= last
            last = len(tags_of(repaired.path))
            repaired.path.unlink()
        assert list(tmp_path.iterdir()) == []
    assert last == 18


def test_what_is_no_tag_stays_where_it_is(folder: Folder) -> None:
    """A page of zeros after a loss of power, for example: what follows may be worth something."""
    path = unfinished(folder)
    data = path.read_bytes()
    path.write_bytes(data + bytes(4096) + data[-500:])
    repaired = file(folder).repair(alone=False)
    assert repaired is not None
    assert (repaired.size, repaired.lost) == (len(data), 4596)
    assert repaired.path.stat().st_size == len(data) + 4596


def test_a_file_without_a_head_is_completed_too(folder: Folder, tmp_path: Path) -> None:
    sample = Path(__file__).parents[1] / "media_samples" / "audio-only-aac.flv"
    data = sample.read_bytes()
    tags = data[13 + 15 + int.from_bytes(data[14:17]) :]
    (tmp_path / "show.flv.part").write_bytes(data[:13] + tags)
    repaired = file(folder).repair(alone=False)
    assert repaired is not None
    assert (repaired.size, repaired.seconds) == (13 + len(tags), 5.015)
    assert repaired.path.read_bytes() == data[:13] + tags


def test_what_is_no_recording_is_left_alone(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "show.flv.part").write_text("somebody's download")
    assert file(folder).repair(alone=True) is None
    assert (tmp_path / "show.flv.part").read_text() == "somebody's download"


def test_what_is_being_recorded_is_left_alone(folder: Folder, tmp_path: Path) -> None:
    made = begun(folder)
    made.write(batches(gop(0))[0])
    assert file(folder).repair(alone=True) is None
    assert made.finish() is not None


def test_without_locks_only_who_is_alone_repairs(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", raising(OSError(errno.ENOLCK, "No locks")))
    unfinished(folder)
    assert file(folder).repair(alone=False) is None
    assert file(folder).repair(alone=True) is not None


# ------------------------------------------------------------------------------------ failure


class FullDisk:
    """Takes so many bytes more, and then says what a full disk says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room = room
        self._pwrite = os.pwrite
        monkeypatch.setattr(os, "pwrite", self.pwrite)

    def pwrite(self, number: int, data: Any, position: int) -> int:
        if data and not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self._pwrite(number, memoryview(data)[: self.room], position)
        self.room -= written
        return written


@pytest.mark.parametrize("room", [0, 1, 70, 200])
def test_a_full_disk_leaves_what_was_written(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    made = begun(folder)
    first, second = batches(gop(0), gop(120, pictures=20))
    made.write(first)
    with monkeypatch.context() as patch:
        FullDisk(patch, room)
        with pytest.raises(OSError, match="No space left"):
            made.write(second)
    finished = made.salvage()
    assert finished is not None
    assert finished.path == tmp_path / "show.flv"
    payloads = [tag.payload for tag in tags_of(finished.path)]
    expected = [message.payload for message in [*gop(0), *gop(120, pictures=20)]]
    assert 6 <= len(payloads) < len(expected)
    assert payloads == expected[: len(payloads)]
    assert metadata_of(finished.path)["duration"] >= 0.08


def test_a_disk_too_full_for_the_index_leaves_it_to_be_repaired(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = begun(folder)
    made.write(batches(gop(0))[0])
    with monkeypatch.context() as patch:
        FullDisk(patch, 0)
        with pytest.raises(OSError, match="No space left"):
            made.finish()
        assert made.salvage() is None
    repaired = file(folder).repair(alone=True)
    assert repaired is not None
    assert repaired.seconds == 0.08


def test_a_short_file_takes_no_more_room_when_it_is_repaired(folder: Folder) -> None:
    """A disk that is full has none to give."""
    before = unfinished(folder).stat().st_blocks
    repaired = file(folder).repair(alone=True)
    assert repaired is not None
    assert repaired.path.stat().st_blocks * 512 < before * 512 + 32_768


def test_nothing_is_left_of_a_longer_head(folder: Folder) -> None:
    complete(folder, *[gop(time) for time in range(0, 12_000, 120)])
    made = file(folder)
    made.append({}, audio=True, video=True)
    made._facts.keyframes = KeyFrames()
    finished = made.finish()
    assert finished is not None
    assert made._head is not None
    expected = made._head.finish(made._facts)
    assert finished.path.read_bytes()[: len(expected)] == expected


def test_a_disk_too_full_for_the_index_for_a_moment_costs_no_more_than_that(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = begun(folder)
    made.write(batches(gop(0))[0])
    with monkeypatch.context() as patch:
        FullDisk(patch, 0)
        with pytest.raises(OSError, match="No space left"):
            made.finish()
    finished = made.salvage()
    assert finished is not None
    assert finished.path == tmp_path / "show.flv"
    assert metadata_of(finished.path)["duration"] == 0.08


def test_a_disk_that_takes_nothing_and_says_nothing(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = begun(folder)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda *_: 0)
        with pytest.raises(OSError, match="takes nothing"):
            made.write(batches(gop(0))[0])
    made.close()


def test_a_disk_that_stays_full(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    made = begun(folder)
    made.write(batches(gop(0))[0])
    FullDisk(monkeypatch, 0)
    with pytest.raises(OSError, match="No space left"):
        made.write(batches(gop(0))[0])
    assert made.salvage() is None
    assert folder.exists(("show.flv.part",))


def test_a_disk_too_full_to_begin(folder: Folder, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        FullDisk(patch, 20)
        made = file(folder)
        with pytest.raises(OSError, match="No space left"):
            made.create({}, audio=True, video=True)
    assert made.salvage() is None
    assert list(tmp_path.iterdir()) == []


def test_salvage_of_nothing(folder: Folder) -> None:
    assert file(folder).salvage() is None


def test_a_folder_that_vanishes_is_told_in_the_end(folder: Folder, tmp_path: Path) -> None:
    made = begun(folder, "a", "show.flv")
    (tmp_path / "a" / "show.flv.part").unlink()
    (tmp_path / "a").rmdir()
    with pytest.raises(FileNotFoundError, match="removed while it was written"):
        made.write(batches(gop(0))[0])
    assert made.salvage() is None


def test_a_folder_that_is_moved_is_told_in_the_end(folder: Folder, tmp_path: Path) -> None:
    made = begun(folder, "a", "show.flv")
    (tmp_path / "a").rename(tmp_path / "b")
    made.write(batches(gop(0))[0])
    with pytest.raises(FileNotFoundError):
        made.finish()
    assert made.salvage() is None
    assert (tmp_path / "b" / "show.flv.part").exists()


def open_files() -> int:
    numbers = Path("/proc/self/fd")
    if not numbers.exists():
        pytest.skip("no /proc here")
    return len(list(numbers.iterdir()))


def test_no_file_stays_open(folder: Folder, tmp_path: Path) -> None:
    before = open_files()
    complete(folder)
    made = file(folder)
    made.append({}, audio=True, video=True)
    made.finish()
    begun(folder).salvage()
    other = Folder(tmp_path / "other")
    unfinished(other)
    file(other).repair(alone=True)
    (tmp_path / "show.flv").write_text("no FLV")
    made = file(folder)
    made.append({}, audio=True, video=True)
    made.close()
    assert open_files() == before


def test_where_the_first_tag_is(folder: Folder) -> None:
    data = complete(folder).path.read_bytes()
    assert data[FLV_START] == 18
