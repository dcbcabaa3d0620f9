"""Which streams are recorded, and what people hear of it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from rtmptwist.live.recordings import CannotRecord, RecordEvent
from rtmptwist.outlets import recorder
from rtmptwist.outlets.flvfile import FlvFile
from rtmptwist.outlets.plan import When
from rtmptwist.outlets.recorder import QUIET
from tests.support.live import FakePublisher, Settings, feed, gop, headers
from tests.support.logs import Logs
from tests.support.recordings import Studio, plan, raising


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path)


def publish(
    studio: Studio, kind: str = "live", name: str = "show", seconds: float = 2
) -> FakePublisher:
    """Publish something that stays on air."""
    publisher = FakePublisher(kind)
    inlet = studio.application.publish(name, publisher, "me")
    feed(inlet, *headers(), *gop(0))
    studio.pass_time(seconds)
    return publisher


# --------------------------------------------------------------------------- which streams


@pytest.mark.parametrize(
    ("when", "kind", "recorded"),
    [
        (When.ALWAYS, "live", True),
        (When.ALWAYS, "record", True),
        (When.ASKED, "live", False),
        (When.ASKED, "record", True),
        (When.ASKED, "append", True),
        (When.ASKED, "appendWithGap", True),
        (When.ASKED, "whatever", False),
        (When.COMMAND, "record", False),
    ],
)
def test_which_streams_are_recorded(tmp_path: Path, when: When, kind: str, recorded: bool) -> None:
    studio = Studio(tmp_path, when=when)
    publisher = publish(studio, kind)
    assert studio.files == (["show.flv.part"] if recorded else [])
    asked = recorded and kind != "live"
    assert publisher.told == (["NetStream.Record.Start"] if asked else [])
    studio.application.close("enough")
    studio.write()
    assert publisher.told == (["NetStream.Record.Start", "NetStream.Record.Stop"] if asked else [])


def test_several_recorders_of_one_application(studio: Studio) -> None:
    studio.record(plan(studio.root, "{name}-{part}.flv", segment=1.0))
    publish(studio)
    studio.application.close("enough")
    studio.write()
    assert studio.files == ["show-1.flv", "show.flv"]


def test_two_recorders_on_one_path(studio: Studio) -> None:
    studio.record(plan(studio.root))
    publish(studio)
    assert studio.files == ["show-2.flv.part", "show.flv.part"]
    studio.application.close("enough")
    studio.write()
    assert studio.tags("show.flv") == studio.tags("show-2.flv")


def test_who_takes_over_may_ask_as_well(tmp_path: Path) -> None:
    studio = Studio(tmp_path, when=When.ASKED, settings=Settings(takeover="any"))
    publish(studio, "live")
    assert studio.files == []
    first = publish(studio, "record")
    second = publish(studio, "record")
    third = publish(studio, "live")
    studio.application.close("enough")
    studio.write()
    assert first.told == ["NetStream.Record.Start"]
    assert second.told == ["NetStream.Record.Start", "NetStream.Record.Stop"]
    assert third.told == []
    assert studio.files == ["show.flv"]


def test_who_takes_over_before_the_file_is_open_is_told_once(tmp_path: Path) -> None:
    studio = Studio(tmp_path, settings=Settings(takeover="any"))
    publish(studio, "record", seconds=0)
    second = publish(studio, "record")
    assert second.told == ["NetStream.Record.Start"]


def test_who_is_taken_over_at_once_is_not_told(tmp_path: Path) -> None:
    studio = Studio(tmp_path, settings=Settings(takeover="any"))
    publish(studio, "record")
    second = publish(studio, "record", seconds=0)
    third = publish(studio, "record")
    assert (second.told, third.told) == ([], ["NetStream.Record.Start"])


def test_one_that_is_retired_takes_what_it_began_with_to_its_end(tmp_path: Path) -> None:
    studio = Studio(tmp_path, settings=Settings(takeover="any"))
    publish(studio)
    studio.recorder.retire()
    publish(studio)
    publish(studio, name="other")
    assert studio.files == ["show.flv.part"]
    studio.application.close("enough")
    studio.write()
    assert studio.files == ["show.flv"]
    assert len(studio.tags()) == 2 + 12
    assert studio.application.outlets == []
    studio.recorder.retire()


def test_one_that_is_new_takes_what_begins_from_then_on(tmp_path: Path) -> None:
    """And what is asked for."""
    studio = Studio(tmp_path, when=When.COMMAND, settings=Settings(takeover="any"))
    studio.watch()
    publish(studio)
    studio.record(plan(tmp_path, "always.flv"))
    studio.record(plan(tmp_path, "asked.flv", when=When.ASKED))
    publish(studio)
    assert studio.files == []
    publish(studio, "record")
    assert studio.files == ["asked.flv.part"]
    publish(studio, name="other")
    assert studio.files == ["always.flv.part", "asked.flv.part"]


# --------------------------------------------------------------------------------- by hand


def test_what_cannot_be_started_or_stopped(tmp_path: Path) -> None:
    studio = Studio(tmp_path, when=When.COMMAND)
    recorder = studio.recorder
    for name in "show", "other":
        with pytest.raises(CannotRecord, match="nobody publishes"):
            recorder.start(name)
        with pytest.raises(CannotRecord, match="is not recorded"):
            recorder.stop(name)
        studio.watch()
    publish(studio)
    with pytest.raises(CannotRecord, match="is not recorded"):
        recorder.stop("show")
    recorder.start("show")
    with pytest.raises(CannotRecord, match="is recorded already"):
        recorder.start("show")
    recorder.stop("show")
    recorder.start("show")
    assert len(studio.recorder.recordings) == 1


def test_what_was_stopped_stays_so_until_it_is_published_anew(studio: Studio) -> None:
    publish(studio)
    studio.recorder.stop("show")
    studio.write()
    publish(studio)
    assert studio.files == ["show.flv"]
    studio.application.close("enough")
    publish(studio)
    assert studio.files == ["show-2.flv.part", "show.flv"]


def test_what_was_stopped_can_be_started(studio: Studio) -> None:
    publish(studio)
    studio.recorder.stop("show")
    studio.recorder.start("show")
    studio.pass_time(2)
    assert studio.files == ["show-2.flv.part", "show.flv"]


def test_what_failed_can_be_started_again(
    studio: Studio, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(FlvFile, "create", raising(OSError(errno.EIO, "Broken disk")))
        publish(studio)
    assert studio.recording.meter.state == "failed"
    studio.recorder.start("show")
    studio.pass_time(2)
    assert studio.files == ["show.flv.part"]


# ------------------------------------------------------------------------------------ told


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.EACCES, "NoAccess"),
        (errno.EPERM, "NoAccess"),
        (errno.EROFS, "NoAccess"),
        (errno.EDQUOT, "DiskQuotaExceeded"),
        (errno.ENOSPC, "Failed"),
        (errno.EIO, "Failed"),
    ],
)
def test_a_publisher_that_asked_hears_why_not(
    studio: Studio, logs: Logs, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    monkeypatch.setattr(FlvFile, "create", raising(OSError(number, "Why not")))
    assert publish(studio, "record").told == [f"NetStream.Record.{code}"]


def test_the_log_has_a_line_for_each_file(studio: Studio, logs: Logs) -> None:
    publish(studio, name="show")
    publish(studio, name="secret-stream-key")
    studio.application.close("enough")
    studio.write()
    root = studio.root
    lines = logs.lines()
    assert f"live/show is recorded to {root}/show.flv" in lines
    assert [line for line in lines if line.startswith(f"recorded {root}/show.flv: 0.1 s of")]
    assert [line for line in lines if f"recorded {root}/sec…" in line]
    assert "secret-stream-key" not in "".join(lines)


def test_a_path_that_does_not_show_the_name_is_cut_where_names_are(
    studio: Studio, logs: Logs
) -> None:
    publish(studio, name="x" * 300)
    assert "x" * 20 not in "".join(logs.lines())


def test_the_log_is_not_filled_with_failures(
    studio: Studio, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FlvFile, "create", raising(OSError(errno.ENOSPC, "Disk full")))
    for number in range(5):
        publish(studio, name=f"show{number}")
    (line,) = logs.lines("error")
    assert line == f"live/show0 is not recorded any more: Disk full ({studio.root})"
    studio.clock.advance(QUIET)
    publish(studio, name="later")
    assert logs.lines("error")[1].endswith("; 4 more failed since the last such line")
    assert studio.recorder.meter.counts.failures == 6


def test_a_listener_that_fails_is_not_the_recording_s_affair(studio: Studio, logs: Logs) -> None:
    def broken(event: RecordEvent) -> None:
        raise ValueError(event.turn)

    studio.application.record_listeners.insert(0, broken)
    publish(studio)
    studio.application.close("enough")
    studio.write()
    assert studio.turns == ["start show.flv", "segment show.flv", "end show.flv"]
    assert len(logs.forgive()) == 3


def test_on_a_disk_that_hangs_only_so_many_recordings_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    """Whoever comes and goes again and again leaves something behind each time."""
    monkeypatch.setattr(recorder, "MOST_LEAVING", 3)
    studio = Studio(tmp_path)

    def show(name: str, kind: str = "live") -> FakePublisher:
        publisher = FakePublisher(kind)
        inlet = studio.application.publish(name, publisher, "me")
        feed(inlet, *gop(0))
        studio.hang(1)
        inlet.end(release=True)
        return publisher

    for number in range(4):
        show(f"show{number}")
    asker = show("show", "record")
    assert asker.told == ["NetStream.Record.Failed"]
    assert studio.recorder.meter.counts.failures == 2
    inlet = studio.application.publish("show", FakePublisher(), "me")
    with pytest.raises(CannotRecord, match="3 recordings wait for it"):
        studio.recorder.start("show")
    inlet.end(release=True)
    assert logs.about("live/show3 is not recorded any more: the disk is too slow")
    studio.write()
    show("last")
    studio.write()
    assert studio.files == ["last.flv", "show0.flv", "show1.flv", "show2.flv"]


def test_nothing_is_kept_of_what_has_ended(studio: Studio) -> None:
    for kind in "record", "live":
        publish(studio, kind)
        studio.application.close("enough")
        studio.write()
    recorder = studio.recorder
    assert (recorder.recordings, recorder._askers, recorder._stopped) == ({}, {}, set())
    studio.clock.advance(1)
    assert studio.clock.getDelayedCalls() == []
