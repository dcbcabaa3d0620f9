"""Files that were cut are completed, files that are old are removed."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from rtmptwist.disk.chores import Chores
from rtmptwist.outlets.flvfile import FlvFile
from rtmptwist.outlets.recorder import Recorder
from rtmptwist.outlets.upkeep import INTERVAL, MOST_LINES, Report, Upkeep, look
from tests.support.live import feed, gop, headers
from tests.support.logs import Logs
from tests.support.recordings import Studio, plan, raising

NOW = 1_700_000_000.0


def make(root: Path, name: str, age: float = 0.0, size: int = 1000) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (NOW - age, NOW - age))
    return path


def names(report: Report) -> list[str]:
    return ["/".join(entry.names) for entry in report.removed]


def test_old_files_are_removed(tmp_path: Path) -> None:
    for name, age in ("old.flv", 200.0), ("a/older.flv", 300.0), ("new.flv", 50.0):
        make(tmp_path, name, age)
    report = look(plan(tmp_path, keep=100.0), NOW, first=True)
    assert names(report) == ["a/older.flv", "old.flv"]
    assert report.errors == []
    assert (tmp_path / "new.flv").exists()


def test_the_oldest_files_are_removed_when_there_is_too_much(tmp_path: Path) -> None:
    for number in range(10):
        make(tmp_path, f"{number}.flv", age=number * 10, size=100)
    report = look(plan(tmp_path, keep_size=350), NOW, first=True)
    assert names(report) == [f"{number}.flv" for number in (9, 8, 7, 6, 5, 4, 3)]


def test_nothing_is_removed_where_nothing_says_so(tmp_path: Path) -> None:
    make(tmp_path, "old.flv", 1e9)
    assert look(plan(tmp_path), NOW, first=True) == Report()


def test_only_files_of_the_pattern_are_touched(tmp_path: Path) -> None:
    """There may be other things in the folder, and other recorders."""
    for name in "notes.txt", "show.mp4", "show.flv", "x/show-1.flv.part", "show-1.txt":
        make(tmp_path, name, 1e9)
    make(tmp_path, "a/show-1.flv", 1e9)
    (tmp_path / "link-1.flv").symlink_to(tmp_path / "notes.txt")
    report = look(plan(tmp_path, "{name}-{part}.flv", keep=100.0), NOW, first=True)
    assert names(report) == ["a/show-1.flv"]
    assert (tmp_path / "notes.txt").exists()
    assert (tmp_path / "x" / "show-1.flv.part").exists(), "it is no FLV"


def test_folders_that_nothing_is_in_any_more_are_removed(tmp_path: Path) -> None:
    make(tmp_path, "2023/11/show.flv", 1e6)
    kept = make(tmp_path, "2023/12/show.flv", 10)
    made = plan(tmp_path, "{name}.flv", keep=1000.0)
    assert names(look(made, NOW, first=True)) == ["2023/11/show.flv"]
    assert (tmp_path / "2023" / "11").exists(), "it may be in use again"
    os.utime(tmp_path / "2023" / "11", (0, 0))
    make(tmp_path, "2023/11/show.flv", 1e6)
    look(made, NOW + 1e9, first=True)
    assert not kept.exists()
    assert list(tmp_path.iterdir()) == []


def test_there_may_be_no_folder_yet(tmp_path: Path) -> None:
    assert look(plan(tmp_path / "nothing"), NOW, first=True) == Report()


def test_what_cannot_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "show.flv")
    monkeypatch.setattr(os, "fwalk", raising(PermissionError(errno.EACCES, "Permission denied")))
    assert look(plan(tmp_path), NOW, first=True).errors == [f"{tmp_path}: Permission denied"]


def test_what_cannot_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "show.flv", 1e9)
    monkeypatch.setattr(os, "unlink", raising(PermissionError(errno.EACCES, "Permission denied")))
    report = look(plan(tmp_path, keep=1.0), NOW, first=True)
    assert report.errors == [f"{tmp_path}/show.flv: Permission denied"]
    assert report.removed == []


def cut(studio: Studio) -> None:
    """The process is killed amid a recording: the system closes its files."""
    feed(studio.publish(), *headers(), *gop(0))
    studio.pass_time(2)
    assert studio.files == ["show.flv.part"]
    file = studio.recording._file
    assert isinstance(file, FlvFile)
    file.close()


def test_what_was_cut_is_completed(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    cut(studio)
    report = look(studio.recorder.plan, NOW, first=True)
    (repaired,) = report.repaired
    assert repaired.path == tmp_path / "show.flv"
    assert studio.files == ["show.flv"]
    assert studio.metadata()["duration"] == 0.08


def test_what_is_being_recorded_is_left_alone(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    feed(studio.publish(), *headers(), *gop(0))
    studio.pass_time(2)
    assert look(studio.recorder.plan, NOW, first=True) == Report()
    assert studio.files == ["show.flv.part"]


@pytest.mark.parametrize(
    ("error", "errors"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file"), []),
        (OSError(errno.ENOSPC, "No space left"), ["{root}/…: No space left"]),
    ],
)
def test_what_cannot_be_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, errors: list[str]
) -> None:
    cut(Studio(tmp_path))
    monkeypatch.setattr(FlvFile, "repair", raising(error))
    report = look(plan(tmp_path), NOW, first=True)
    assert report.repaired == []
    assert [line.partition("/sho")[0] for line in report.errors] == [str(tmp_path) for _ in errors]
    assert [line.rpartition(": ")[2] for line in report.errors] == [
        line.rpartition(": ")[2] for line in errors
    ]


# ----------------------------------------------------------------------------- the service


class Janitor:
    """The service, with its studio."""

    def __init__(self, root: Path, **keys: Any) -> None:
        self.studio = Studio(root, **keys)
        self.studio.application.outlets.clear()
        clock: Clock = self.studio.clock
        chores = Chores(self.studio.disk, clock)
        self.upkeep = Upkeep(self.studio.recorder, chores, clock, lambda: NOW)

    def start(self) -> None:
        self.upkeep.startService()
        self.studio.write()

    def stop(self) -> None:
        self.upkeep.stopService()
        self.studio.write()
        self.studio.clock.advance(1)
        assert self.studio.clock.getDelayedCalls() == []


def test_it_looks_at_once_and_from_time_to_time(tmp_path: Path, logs: Logs) -> None:
    janitor = Janitor(tmp_path, keep=100.0)
    make(tmp_path, "one.flv", 200)
    make(tmp_path, "two.flv", 200)
    janitor.start()
    assert janitor.studio.files == []
    assert janitor.studio.recorder.meter.counts.removed == 2
    make(tmp_path, "three.flv", 200)
    janitor.studio.clock.advance(INTERVAL - 1)
    janitor.studio.write()
    assert janitor.studio.files == ["three.flv"]
    janitor.studio.clock.advance(1)
    janitor.studio.write()
    assert janitor.studio.files == []
    assert logs.lines() == [
        f"removed 2 old recordings of 2000 bytes from {tmp_path}",
        f"removed 1 old recordings of 1000 bytes from {tmp_path}",
    ]
    janitor.stop()


@pytest.mark.parametrize("recorded", [True, False])
def test_who_comes_with_a_reload_leaves_alone_what_is_being_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorded: bool
) -> None:
    """There are file systems without locks."""
    monkeypatch.setattr(fcntl, "flock", raising(OSError(errno.ENOLCK, "No locks")))
    studio = Studio(tmp_path)
    feed(studio.publish(), *headers(), *gop(0))
    studio.pass_time(2)
    if not recorded:
        studio.application.recorders.clear()
    other = Recorder(
        studio.application, studio.recorder.plan, studio.disk, studio.clock, studio.now
    )
    upkeep = Upkeep(other, Chores(studio.disk, studio.clock), studio.clock, lambda: NOW)
    upkeep.startService()
    studio.write()
    assert studio.files == ["show.flv.part" if recorded else "show.flv"]
    upkeep.stopService()


def test_it_tells_what_was_completed(tmp_path: Path, logs: Logs) -> None:
    cut(Studio(tmp_path))
    (tmp_path / "empty.flv.part").touch()
    janitor = Janitor(tmp_path)
    janitor.start()
    (line,) = logs.lines()[1:]
    assert line.startswith(f"completed {tmp_path}/show.flv, which was left unfinished: 0.1 s, ")
    assert line.endswith("0 bytes at its end were of no use")
    assert janitor.studio.files == ["show.flv"]
    janitor.stop()


def test_it_does_not_fill_the_log(
    tmp_path: Path, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(MOST_LINES + 3):
        make(tmp_path, f"{number}.flv", 200)
    monkeypatch.setattr(os, "unlink", raising(PermissionError(errno.EACCES, "Permission denied")))
    janitor = Janitor(tmp_path, keep=100.0)
    janitor.start()
    lines = logs.lines("error")
    assert len(lines) == MOST_LINES + 1
    assert lines[0].startswith("looking after recordings: ")
    assert lines[-1] == f"and 3 more in {tmp_path}"
    janitor.stop()


def test_a_bug_does_not_end_it(tmp_path: Path, logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "one.flv", 200)
    janitor = Janitor(tmp_path, keep=100.0)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fwalk", raising(ValueError("a bug")))
        janitor.start()
    assert [str(failure) for failure in logs.forgive()] == ["a bug"]
    janitor.studio.clock.advance(INTERVAL)
    janitor.studio.write()
    assert janitor.studio.files == []
    janitor.stop()
