"""One stream on its way to files."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from rtmptwist.outlets import recording
from rtmptwist.outlets.flvfile import FlvFile
from rtmptwist.outlets.plan import When
from rtmptwist.outlets.recording import LONGEST, RETRY
from rtmptwist.outlets.tape import Take, Tape
from rtmptwist.wire.message import Message, MessageType
from tests.support.live import (
    FakePublisher,
    Settings,
    aac_header,
    audio,
    avc_header,
    data,
    feed,
    gop,
    headers,
    metadata,
    payloads,
    video,
)
from tests.support.logs import Logs
from tests.support.recordings import Studio, raising

HEADERS = payloads(headers()[1:])


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path)


def show(studio: Studio, name: str = "show.flv") -> list[bytes]:
    return [tag.payload for tag in studio.tags(name)]


def times(studio: Studio, name: str = "show.flv") -> list[int]:
    return [tag.timestamp for tag in studio.tags(name)]


# --------------------------------------------------------------------- a whole publication


def test_a_publication_is_recorded_from_its_first_message(studio: Studio) -> None:
    inlet = studio.publish()
    feed(inlet, *headers(), *gop(5000), data("onCuePoint", timestamp=5100))
    studio.pass_time(2)
    assert studio.files == ["show.flv.part"]
    feed(inlet, *gop(5120))
    inlet.end(release=True)
    studio.write()
    assert studio.files == ["show.flv"]
    assert show(studio) == [
        *HEADERS, *payloads(gop(5000)), data("onCuePoint").payload, *payloads(gop(5120)),
    ]  # fmt: skip
    assert times(studio)[:4] == [0, 0, 0, 0]
    assert times(studio)[-1] == 200
    assert studio.metadata()["width"] == 640.0
    assert studio.metadata()["duration"] == 0.2
    assert studio.turns == ["start show.flv", "segment show.flv", "end show.flv"]
    assert studio.events[1].seconds == 0.2
    assert studio.events[1].size == (studio.root / "show.flv").stat().st_size


def test_what_was_sent_a_second_ago_is_in_the_file(studio: Studio) -> None:
    """Whatever happens to this process then."""
    inlet = studio.publish()
    feed(inlet, *headers())
    sent = 0
    for second in range(5):
        messages = gop(second * 1000, pictures=5)
        feed(inlet, *messages)
        sent += len(messages)
        studio.pass_time(2 if second == 0 else 1)
        assert len(show(studio, "show.flv.part")) == 2 + sent
    assert "duration" not in studio.metadata("show.flv.part")


def test_nothing_is_made_of_a_publication_without_a_frame(studio: Studio) -> None:
    inlet = studio.publish()
    feed(inlet, *headers())
    studio.pass_time(5)
    assert studio.recording.meter.state == "waiting"
    inlet.end(release=True)
    studio.write()
    assert (studio.files, studio.turns) == ([], [])


def test_headers_that_come_long_before_the_first_frame(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "MOST_HEADERS", 10)
    inlet = studio.publish()
    feed(inlet, *headers(), *(data("onCuePoint", float(n), timestamp=n) for n in range(20)))
    studio.pass_time()
    feed(inlet, *gop(0))
    inlet.end(release=True)
    studio.write()
    assert show(studio) == [*HEADERS, *payloads(gop(0))]
    assert studio.metadata()["width"] == 640.0


def test_grace_and_takeover_are_one_recording_on_one_timeline(tmp_path: Path) -> None:
    studio = Studio(tmp_path, settings=Settings(takeover="any"))
    first = studio.publish("first")
    feed(first, *headers(), *gop(0))
    studio.pass_time()
    first.end()
    studio.pass_time(3)
    feed(studio.publish("first"), *headers(), video(80_000), *gop(80_040))
    studio.pass_time()
    last = studio.publish("other")
    feed(last, *headers(), *gop(7))
    last.end(release=True)
    studio.write()
    assert studio.files == ["show.flv"]
    assert times(studio)[2:] == [
        time for begin in (0, 120, 240) for step in (0, 40, 80) for time in [begin + step] * 2
    ]
    assert studio.turns == ["start show.flv", "segment show.flv", "end show.flv"]


def test_the_grace_time_passes_and_the_recording_ends(studio: Studio) -> None:
    inlet = studio.publish()
    feed(inlet, *headers(), *gop(0))
    inlet.end()
    studio.pass_time(4.5)
    assert studio.files == ["show.flv.part"]
    studio.pass_time(1)
    assert studio.files == ["show.flv"]


def test_the_next_publication_is_another_recording(studio: Studio) -> None:
    for text in "one", "two":
        inlet = studio.publish()
        feed(inlet, *gop(0, name=text))
        inlet.end(release=True)
        studio.write()
    assert studio.files == ["show-2.flv", "show.flv"]
    assert show(studio, "show-2.flv") == payloads(gop(0, name="two"))


def test_a_stream_that_is_closed_is_recorded_to_its_end(studio: Studio) -> None:
    inlet = studio.publish()
    feed(inlet, *headers(), *gop(0))
    studio.application.close("the server is shutting down")
    studio.write()
    assert show(studio) == HEADERS + payloads(gop(0))


def test_windows_may_be_smaller_than_what_comes_between_two_looks(tmp_path: Path) -> None:
    """In time, and in bytes."""
    studio = Studio(tmp_path, settings=Settings(window=0.1, window_size=3000, max_lag=0.1))
    inlet = studio.publish()
    sent = [*headers()[1:]]
    feed(inlet, *sent)
    for second in range(10):
        messages = gop(second * 1000, pictures=20, step=50)
        for message in messages:
            feed(inlet, message)
        sent += messages
        studio.pass_time(0.25)
    inlet.end(release=True)
    studio.write()
    assert show(studio) == payloads(sent)


def test_a_whole_recording_may_be_shorter_than_the_first_look(studio: Studio) -> None:
    inlet = studio.publish()
    feed(inlet, *headers(), *gop(0))
    inlet.end(release=True)
    studio.write()
    assert show(studio) == HEADERS + payloads(gop(0))
    assert studio.turns == ["start show.flv", "segment show.flv", "end show.flv"]


# ------------------------------------------------------------------------------- on demand


def test_by_hand_it_begins_with_the_newest_key_frame(tmp_path: Path) -> None:
    studio = Studio(tmp_path, when=When.COMMAND)
    inlet = studio.publish()
    feed(inlet, *headers(), *gop(0), *gop(1000))
    studio.recorder.start("show")
    feed(inlet, *gop(2000))
    studio.pass_time(3)
    studio.recorder.stop("show")
    feed(inlet, *gop(3000))
    studio.pass_time(2)
    assert show(studio) == HEADERS + payloads([*gop(1000), *gop(2000)])
    assert times(studio)[:3] == [0, 0, 0]
    assert studio.metadata()["width"] == 640.0
    assert studio.turns == ["start show.flv", "segment show.flv", "end show.flv"]
    assert studio.stream.window.takers == []


def test_by_hand_it_waits_for_a_key_frame(tmp_path: Path) -> None:
    studio = Studio(tmp_path, when=When.COMMAND, settings=Settings(window_size=4000))
    inlet = studio.publish()
    feed(inlet, *headers(), *gop(0), video(200, size=5000), audio(210))
    assert studio.stream.window.start is None
    studio.recorder.start("show")
    feed(inlet, video(240), audio(250))
    studio.pass_time(2)
    assert studio.files == []
    feed(inlet, video(280), *gop(320))
    inlet.end(release=True)
    studio.write()
    assert show(studio) == HEADERS + payloads(gop(320))


def test_by_hand_sound_begins_at_once(tmp_path: Path) -> None:
    studio = Studio(tmp_path, when=When.COMMAND)
    inlet = studio.publish()
    feed(inlet, aac_header(), audio(0), audio(20))
    studio.recorder.start("show")
    feed(inlet, audio(40), audio(60))
    inlet.end(release=True)
    studio.write()
    assert show(studio) == payloads([aac_header(), audio(40), audio(60)])
    assert times(studio) == [0, 0, 20]


def test_nothing_is_recorded_that_stops_before_it_began(tmp_path: Path) -> None:
    studio = Studio(tmp_path, when=When.COMMAND)
    inlet = studio.publish()
    feed(inlet, *headers(), video(0))
    studio.recorder.start("show")
    studio.pass_time()
    studio.recorder.stop("show")
    studio.write()
    assert (studio.files, studio.turns) == ([], [])


# -------------------------------------------------------------------------------- segments


def test_segments_begin_with_key_frames_and_are_whole(tmp_path: Path) -> None:
    studio = Studio(tmp_path, "{name}-{part}.flv", segment=2.0)
    inlet = studio.publish()
    feed(inlet, *headers())
    sent = []
    for second in range(7):
        messages = gop(second * 1000, pictures=5, step=200)
        sent += messages
        feed(inlet, *messages)
        studio.pass_time()
    inlet.end(release=True)
    studio.write()
    assert studio.files == [f"show-{number}.flv" for number in (1, 2, 3, 4)]
    found = []
    for name in studio.files:
        payload = show(studio, name)
        assert payload[:2] == HEADERS
        assert times(studio, name)[2] == 0
        assert studio.metadata(name)["width"] == 640.0
        found += payload[2:]
    assert found == payloads(sent)
    assert [studio.metadata(name)["duration"] for name in studio.files] == [1.8, 1.8, 1.8, 0.8]
    assert studio.turns == [
        "start show-1.flv",
        *(f"segment show-{number}.flv" for number in (1, 2, 3, 4)),
        "end show-4.flv",
    ]
    assert [event.part for event in studio.events] == [1, 1, 2, 3, 4, 4]


def test_segments_that_are_shorter_than_a_look(tmp_path: Path) -> None:
    studio = Studio(tmp_path, "{part}.flv", segment=0.1)
    inlet = studio.publish()
    feed(inlet, *headers(), *gop(0), *gop(120), *gop(240), *gop(360))
    studio.pass_time(8)
    inlet.end(release=True)
    studio.write()
    assert [show(studio, f"{n}.flv")[2:] for n in (1, 2, 3, 4)] == [
        payloads(gop(begin)) for begin in (0, 120, 240, 360)
    ]


def test_segments_by_size(tmp_path: Path) -> None:
    studio = Studio(tmp_path, "{part}.flv", segment_size=3000)
    inlet = studio.publish()
    for second in range(6):
        feed(inlet, video(second * 1000, key=True, size=1400), audio(second * 1000 + 10))
        studio.pass_time()
    inlet.end(release=True)
    studio.write()
    assert [len(show(studio, name)) for name in studio.files] == [6, 6]


def test_headers_that_change_are_those_of_the_segment(tmp_path: Path) -> None:
    studio = Studio(tmp_path, "{part}.flv", segment=1.0)
    inlet = studio.publish()
    feed(inlet, *headers(), *gop(0))
    studio.pass_time(2)
    feed(inlet, metadata(1920), avc_header("new"), *gop(1000))
    inlet.end(release=True)
    studio.write()
    assert show(studio, "2.flv") == payloads([aac_header(), avc_header("new"), *gop(1000)])
    assert studio.metadata("1.flv")["width"] == 640.0
    assert studio.metadata("2.flv")["width"] == 1920.0


def test_a_segment_has_what_it_began_with_whatever_its_time(tmp_path: Path) -> None:
    """Sound a segment's length before the key frame that the file begins with makes it due."""
    studio = Studio(tmp_path, "{part}.flv", segment=1.0)
    inlet = studio.publish()
    feed(inlet, avc_header(), video(9000, key=True), audio(2000), video(9040, key=True))
    inlet.end(release=True)
    studio.write()
    assert [len(studio.tags(name)) for name in studio.files] == [3, 2]


def test_a_segment_has_what_it_began_with_however_large_its_headers_are(tmp_path: Path) -> None:
    studio = Studio(tmp_path, "{part}.flv", segment_size=500)
    inlet = studio.publish()
    large = Message(MessageType.VIDEO, 0, 1, avc_header().payload + bytes(600))
    feed(inlet, large, video(0, key=True))
    studio.pass_time(2)
    feed(inlet, *(video(second * 1000, key=True) for second in (1, 2, 3)))
    inlet.end(release=True)
    studio.write()
    assert [len(studio.tags(name)) for name in studio.files] == [2, 2, 2, 2]


def test_what_is_no_sound_or_picture_makes_no_file_longer(studio: Studio) -> None:
    inlet = studio.publish()
    feed(inlet, *headers(), *gop(0), data("onCuePoint", timestamp=5000))
    inlet.end(release=True)
    studio.write()
    assert studio.tags()[-1].timestamp == 5000
    assert studio.metadata()["duration"] == 0.08


def test_segments_of_sound(tmp_path: Path) -> None:
    studio = Studio(tmp_path, "{part}.flv", segment=1.0)
    inlet = studio.publish()
    sent = [audio(n * 100) for n in range(25)]
    feed(inlet, aac_header(), *sent)
    inlet.end(release=True)
    studio.write()
    assert [len(show(studio, name)) for name in studio.files] == [11, 11, 6]


@pytest.mark.parametrize(
    ("take", "kept"),
    [
        (Take.AUDIO, [aac_header(), *gop(0)[1::2], *gop(120)[1::2]]),
        (Take.VIDEO, [avc_header(), *gop(0)[::2], *gop(120)[::2]]),
        (Take.KEYS, [avc_header(), gop(0)[0], gop(120)[0]]),
    ],
)
def test_only_what_is_wanted(tmp_path: Path, take: Take, kept: list[Any]) -> None:
    studio = Studio(tmp_path, take=take)
    inlet = studio.publish()
    feed(inlet, *headers(), *gop(0))
    studio.pass_time(2)
    assert (studio.root / "show.flv.part").read_bytes()[4] == (4 if take is Take.AUDIO else 1)
    feed(inlet, *gop(120))
    inlet.end(release=True)
    studio.write()
    assert show(studio) == payloads(kept)


# ---------------------------------------------------------------------------------- append


def test_append_goes_on_with_the_file(studio: Studio) -> None:
    for _ in range(2):
        inlet = studio.publish(publisher=FakePublisher("append"))
        feed(inlet, *headers(), *gop(7000))
        inlet.end(release=True)
        studio.write()
    assert studio.files == ["show.flv"]
    assert show(studio) == (HEADERS + payloads(gop(7000))) * 2
    assert times(studio) == [0, 0, 0, 0, 40, 40, 80, 80, *[120] * 4, 160, 160, 200, 200]
    assert studio.metadata()["duration"] == 0.2


def test_only_the_first_segment_is_appended(tmp_path: Path) -> None:
    studio = Studio(tmp_path, segment=0.1)
    for _ in range(2):
        inlet = studio.publish(publisher=FakePublisher("append"))
        feed(inlet, *gop(0), *gop(120))
        inlet.end(release=True)
        studio.write()
    assert studio.files == ["show-2.flv", "show-3.flv", "show.flv"]
    assert len(studio.tags()) == 12


# -------------------------------------------------------------------------------- failures


def failing(studio: Studio, error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk takes no more."""
    monkeypatch.setattr(os, "pwrite", raising(error))


FULL = OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_ends_the_recording_and_not_the_stream(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    inlet = studio.publish()
    viewer = studio.watch()
    feed(inlet, *headers(), *gop(0))
    studio.pass_time(2)
    with monkeypatch.context() as patch:
        failing(studio, FULL, patch)
        feed(inlet, *gop(120))
        studio.hang(1)
        studio.disk.do()
    studio.write()
    assert studio.turns == [
        "start show.flv",
        "end show.flv: No space left on device",
        "segment show.flv",
    ]
    assert studio.recording.meter.state == "failed"
    assert studio.recording.meter.error == "No space left on device"
    assert show(studio) == HEADERS + payloads(gop(0))
    feed(inlet, *gop(240))
    studio.pass_time(100)
    assert viewer.payloads[-6:] == payloads(gop(240))
    assert studio.files == ["show.flv"]
    assert studio.stream.window.takers == []
    inlet.end(release=True)
    studio.write()
    assert len(studio.turns) == 3
    (line,) = logs.lines("error")
    assert line.startswith("live/show is not recorded any more: No space left on device (")


@pytest.mark.parametrize(
    ("names", "files", "error"),
    [
        (("show", "show.flv/x"), ["show.flv"], "Not a directory"),
        (("show.flv/x", "show"), ["show-2.flv", "show.flv/x.flv"], ""),
    ],
)
def test_a_part_of_a_name_is_a_folder_even_if_it_is_called_like_a_file(
    studio: Studio, logs: Logs, names: tuple[str, str], files: list[str], error: str
) -> None:
    """Whoever came first has the path: the other gets a number, or is told."""
    for name in names:
        inlet = studio.application.publish(name, FakePublisher(), "me")
        feed(inlet, *headers(), *gop(0))
        studio.pass_time(2)
        inlet.end(release=True)
        studio.write()
    assert studio.files == files
    assert studio.events[-1].error == error
    assert len(logs.lines("error")) == bool(error)


def test_it_tries_again_with_the_next_segment(tmp_path: Path, logs: Logs) -> None:
    studio = Studio(tmp_path / "x", "{part}.flv", segment=5.0, settings=Settings(window=100))
    studio.root.write_text("no folder")
    inlet = studio.publish()
    feed(inlet, *headers(), *gop(0))
    studio.pass_time(2)
    assert studio.recording.meter.state == "failed"
    studio.root.unlink()
    for second in range(1, 12):
        feed(inlet, *gop(second * 1000))
        studio.pass_time()
    inlet.end(release=True)
    studio.write()
    assert studio.turns[0].startswith("end : ")
    assert studio.turns[1] == "start 2.flv"
    assert studio.turns[-1] == "end 3.flv"
    begin = studio.tags("2.flv")[2].payload
    assert begin in payloads([message for n in range(4, 8) for message in gop(n * 1000)[:1]])


def test_with_segments_by_size_it_tries_again_after_a_while(
    tmp_path: Path, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = Studio(tmp_path, "{part}.flv", segment_size=1 << 20)
    inlet = studio.publish()
    feed(inlet, *headers(), *gop(0))
    with monkeypatch.context() as patch:
        patch.setattr(FlvFile, "create", raising(PermissionError(errno.EACCES, "Denied")))
        studio.pass_time(2)
    assert studio.recording.meter.state == "failed"
    studio.pass_time(RETRY - 2)
    assert studio.recording.meter.state == "failed"
    studio.pass_time(4)
    assert studio.recording.meter.state == "recording"
    inlet.end(release=True)
    studio.write()
    assert studio.turns[-1] == "end 2.flv"


def test_it_may_fail_again_and_again(tmp_path: Path, logs: Logs) -> None:
    studio = Studio(tmp_path / "file" / "x", segment=2.0)
    (tmp_path / "file").write_text("no folder")
    inlet = studio.publish()
    feed(inlet, *headers(), *gop(0))
    for second in range(20):
        feed(inlet, *gop(second * 1000))
        studio.pass_time()
    inlet.end(release=True)
    studio.write()
    assert len(studio.events) >= 4
    assert {event.turn for event in studio.events} == {"end"}
    assert studio.recorder.meter.counts.failures == len(studio.events)
    assert len(logs.lines("error")) == 1, "the log is not filled with it"


def test_a_failure_at_the_very_end(
    studio: Studio, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    inlet = studio.publish()
    feed(inlet, *headers(), *gop(0))
    studio.pass_time(2)
    with monkeypatch.context() as patch:
        patch.setattr(FlvFile, "finish", raising(FULL))
        inlet.end(release=True)
        studio.write()
    assert studio.turns == ["start show.flv", "end show.flv: No space left on device"]
    assert studio.files == ["show.flv.part"], "to be repaired"


def test_a_failure_to_open_after_the_end(studio: Studio, logs: Logs) -> None:
    inlet = studio.publish()
    feed(inlet, *headers(), *gop(0))
    inlet.end(release=True)
    studio.root.rmdir()
    studio.root.write_text("no folder")
    studio.write()
    assert [turn.partition(":")[0] for turn in studio.turns] == ["end "]


def test_a_folder_that_is_removed_meanwhile(studio: Studio, logs: Logs) -> None:
    """The system takes what is written, but nobody will find it."""
    for _ in range(2):
        inlet = studio.publish()
        feed(inlet, *headers(), *gop(0))
        studio.pass_time(2)
        if not studio.events[1:]:
            (studio.root / "show.flv.part").unlink()
            studio.root.rmdir()
        inlet.end(release=True)
        studio.write()
    assert studio.turns == [
        "start show.flv",
        "end show.flv: No such file or directory",
        "start show.flv",
        "segment show.flv",
        "end show.flv",
    ]
    assert show(studio) == HEADERS + payloads(gop(0))


def test_a_disk_that_hangs_ends_the_fullest_recording(tmp_path: Path, logs: Logs) -> None:
    studio = Studio(tmp_path, bound=100_000)
    small, large = studio.publish(), studio.application.publish("large", FakePublisher(), "x")
    for inlet in small, large:
        feed(inlet, *headers(), *gop(0))
    studio.pass_time(2)
    for second in range(1, 20):
        feed(small, *gop(second * 1000))
        feed(large, video(second * 1000, key=True, size=9000))
        studio.hang(1)
    assert [event.error for event in studio.events if event.error] == [
        next(event.error for event in studio.events if event.name == "large" and event.error)
    ]
    assert "the disk is too slow: " in studio.turns[-1]
    studio.application.close("enough")
    studio.write()
    assert len(studio.tags("show.flv")) == 2 + 20 * 6
    assert studio.disk.waiting == 0
    assert studio.files == ["large.flv", "show.flv"]


def test_a_disk_that_hangs_and_then_fails(
    tmp_path: Path, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = Studio(tmp_path, bound=20_000)
    inlet = studio.publish()
    feed(inlet, *headers(), *gop(0))
    studio.pass_time(2)
    feed(inlet, video(1000, key=True, size=9000))
    studio.hang(1)
    results: list[Any] = []
    with monkeypatch.context() as patch:
        failing(studio, OSError(errno.EIO, "Broken disk"), patch)
        patch.setattr(studio.disk._reactor, "callFromThread", lambda *a: results.append(a))
        studio.disk.do()  # it fails, but nobody knows yet
    for second in 2, 3:
        feed(inlet, video(second * 1000, key=True, size=9000))
        studio.hang(1)
    for call, *arguments in results:
        call(*arguments)
    studio.write()
    assert [turn.partition(":")[0] for turn in studio.turns] == [
        "start show.flv", "end show.flv", "segment show.flv",
    ]  # fmt: skip
    assert "too slow" in studio.turns[1]
    assert studio.files == ["show.flv"]


def test_a_disk_that_hangs_when_a_file_is_opened(
    studio: Studio, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "MOST_HELD", 5000)
    inlet = studio.publish()
    feed(inlet, *headers(), *gop(0))
    studio.hang(1)
    assert studio.recording.meter.state == "opening"
    for second in range(5):
        feed(inlet, video(second * 1000, key=True, size=2000))
        studio.hang(1)
    assert studio.recording.meter.state == "failed"
    assert studio.turns == ["end : the disk is too slow: 6110 bytes waited for a new file"]
    studio.write()
    assert studio.files == []


def test_a_disk_that_hangs_when_a_file_of_little_is_opened(studio: Studio, logs: Logs) -> None:
    """What waits there would take an hour to be too much."""
    inlet = studio.publish()
    feed(inlet, *headers(), *gop(0))
    for _ in range(recording.PATIENCE):
        studio.hang(1)
        assert studio.recording.meter.state != "failed"
    studio.hang(1)
    assert studio.recording.meter.state == "failed"
    assert studio.turns == ["end : the disk is too slow: no file was opened in 30 seconds"]
    studio.write()
    assert studio.files == []


def test_what_waits_for_files_to_be_opened_is_bounded_for_all_together(
    tmp_path: Path, logs: Logs
) -> None:
    studio = Studio(tmp_path, bound=50_000)
    inlets = [
        studio.application.publish(f"show{number}", FakePublisher(), "me") for number in range(8)
    ]
    for second in range(4):
        for inlet in inlets:
            feed(inlet, video(second * 1000, key=True, size=2000))
        studio.hang(1)
        assert studio.disk.waiting <= 50_000
    studio.application.close("enough")
    failed = {event.name for event in studio.events if "too slow" in event.error}
    studio.write()
    assert studio.disk.waiting == 0
    assert len(failed) == 2
    assert {name.removesuffix(".flv") for name in studio.files}.isdisjoint(failed)
    assert [len(studio.tags(name)) for name in studio.files] == [4] * 6


def test_a_file_that_is_opened_too_late_is_not_taken_for_the_next_one(
    tmp_path: Path, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "MOST_HELD", 5000)
    studio = Studio(tmp_path, "{part}.flv", segment=2.0)
    inlet = studio.publish()
    feed(inlet, *headers(), *gop(0))
    studio.hang(1)
    results: list[Any] = []
    monkeypatch.setattr(studio.disk._reactor, "callFromThread", lambda *a: results.append(a))
    studio.disk.do()  # it is opened, but not told yet
    for second in range(4):
        feed(inlet, video(second * 1000, key=True, size=2000))
        studio.hang(1)
    monkeypatch.undo()
    for call, *arguments in results:
        call(*arguments)
    studio.write()
    for second in range(4, 9):
        feed(inlet, *gop(second * 1000))
        studio.pass_time()
    inlet.end(release=True)
    studio.write()
    assert "1.flv" not in studio.files
    assert "2.flv" in studio.files
    assert not [name for name in studio.files if name.endswith(".part")]


@pytest.mark.parametrize("where", ["cut", "encode"])
def test_a_bug_ends_the_recording_and_not_the_stream(
    studio: Studio, logs: Logs, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """In the reactor's thread and in the disk's."""
    inlet = studio.publish()
    viewer = studio.watch()
    feed(inlet, *headers(), *gop(0))
    studio.pass_time(2)
    monkeypatch.setattr(Tape, where, raising(ValueError("a bug")))
    feed(inlet, *gop(120))
    studio.pass_time(2)
    assert [str(failure) for failure in logs.forgive()] == ["a bug"]
    assert studio.turns[1] == "end show.flv: a bug"
    feed(inlet, *gop(240))
    assert viewer.payloads[-6:] == payloads(gop(240))
    assert show(studio) == HEADERS + payloads(gop(0))


# ----------------------------------------------------------------------------------- meter


def test_meter(studio: Studio) -> None:
    inlet = studio.publish()
    feed(inlet, *headers(), *gop(0))
    studio.pass_time(2)
    feed(inlet, *gop(1000))
    studio.hang(1)
    meter = studio.recording.meter
    assert (meter.name, meter.state, meter.part, meter.error) == ("show", "recording", 1, "")
    assert (meter.seconds, Path(meter.path).name) == (0.08, "show.flv")
    assert meter.waiting == sum(map(len, payloads(gop(1000))))
    studio.write()
    written = studio.recording.meter
    assert (written.seconds, written.waiting) == (1.08, 0)
    assert written.size > meter.size > 0
    inlet.end(release=True)
    studio.write()
    total = studio.recorder.meter
    assert (total.description, total.recordings, total.counts.files) == ("record:{name}.flv", (), 1)
    assert total.counts.size == (studio.root / "show.flv").stat().st_size


def test_no_file_is_longer_than_its_clock(studio: Studio) -> None:
    """A picture a minute, for four weeks: the timestamps of FLV end after 24.8 days."""
    inlet = studio.publish()
    step, days = 55_000, 28
    feed(inlet, *headers())
    times = range(0, days * 24 * 3600 * 1000, step)
    for number, time in enumerate(times):
        feed(inlet, video(time, key=True))
        if number % 1000 == 0:
            studio.pass_time()
    inlet.end(release=True)
    studio.write()
    assert studio.files == ["show-2.flv", "show.flv"]
    first, second = (
        [tag.timestamp for tag in studio.tags(name)] for name in reversed(studio.files)
    )
    assert LONGEST <= first[-1] + step < 1 << 31
    assert second[-1] == times[-1] - first[-1] - step
    pictures = len(first) + len(second) - 2 * len(HEADERS)
    assert pictures == len(times)
