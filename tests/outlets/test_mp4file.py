"""Recordings in MP4: complete, cut, full, and what begins another file."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from rtmptwist.disk.folder import Folder
from rtmptwist.live.inlet import Inlet
from rtmptwist.media.errors import MediaError
from rtmptwist.media.flv import AUDIO, SCRIPT, VIDEO, FlvTag
from rtmptwist.media.mp4container import Mp4Container
from rtmptwist.outlets import mp4file
from rtmptwist.outlets.mp4file import Mp4File
from rtmptwist.outlets.recordfile import Finished, Opened
from rtmptwist.outlets.tape import Take, Tape
from rtmptwist.wire.message import Message
from tests.media.films import Film
from tests.media.samples import tags
from tests.media.test_mux import frames, read
from tests.support.live import feed
from tests.support.recordings import Studio, raising


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def messages(some: Sequence[FlvTag], start: int = 0) -> list[Message]:
    """As they come from a publisher."""
    return [Message(tag.type, tag.timestamp + start, 1, tag.payload) for tag in some]


SHOW = messages([tag for tag in tags("h264-b-aac") if tag.type != SCRIPT and len(tag.payload) > 5])
OTHER = messages([tag for tag in tags("video-only") if tag.type != SCRIPT and len(tag.payload) > 5])


def begun(folder: Folder, *names: str) -> tuple[Mp4File, Tape]:
    made = Mp4File(folder, names or ("show.mp4",))
    made.create({}, audio=True, video=True)
    tape = Tape(Take.ALL, settled=True)
    tape.begin(SHOW[:75], ())
    return made, tape


def complete(folder: Folder) -> Finished:
    made, tape = begun(folder)
    made.record(tape, SHOW[:300])
    made.record(tape, SHOW[300:])
    finished = made.finish()
    assert finished is not None
    return finished


def sent(some: Sequence[Message]) -> object:
    return frames([FlvTag(m.type, m.timestamp, m.payload) for m in some])


def test_a_file_has_its_name_when_it_is_complete(folder: Folder, tmp_path: Path) -> None:
    made = Mp4File(folder, ("a", "show.mp4"))
    opened = made.create({"width": 640.0}, audio=True, video=True)
    assert opened == Opened(tmp_path / "a" / "show.mp4")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["show.mp4.part"]
    tape = Tape(Take.ALL)
    tape.begin(SHOW[:75], ())
    made.record(tape, SHOW)
    finished = made.finish()
    assert finished == Finished(opened.path, opened.path.stat().st_size, 10.052)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["show.mp4"]
    assert read(opened.path.read_bytes()) == sent(SHOW)


def test_names_that_are_taken_get_a_number(folder: Folder) -> None:
    assert [complete(folder).path.name for _ in range(3)] == [
        "show.mp4",
        "show-2.mp4",
        "show-3.mp4",
    ]


def test_what_is_appended_is_another_file(folder: Folder) -> None:
    complete(folder)
    made = Mp4File(folder, ("show.mp4",))
    assert made.append({}, audio=True, video=True).path.name == "show-2.mp4"
    assert made.finish() is None


def test_what_has_nothing_in_it_is_removed(folder: Folder, tmp_path: Path) -> None:
    made, _ = begun(folder)
    assert made.finish() is None
    assert list(tmp_path.iterdir()) == []


def test_what_turns_out_only_in_the_end_to_fit_into_no_mp4_leaves_nothing_behind(
    folder: Folder, tmp_path: Path
) -> None:
    made = Mp4File(folder, ("show.mp4",))
    made.create({}, audio=True, video=False)
    tape = Tape(Take.ALL)
    alaw = [Message(AUDIO, 0, 1, b"\x72" + bytes(160))]
    tape.begin(alaw, ())
    made.record(tape, alaw)
    with pytest.raises(MediaError, match="cannot hold alaw"):
        made.finish()
    assert made.salvage() is None
    assert list(tmp_path.iterdir()) == []


def test_whatever_moment_it_is_cut_it_plays_and_can_be_completed(
    folder: Folder, tmp_path: Path
) -> None:
    data = complete(folder).path.read_bytes()
    whole = frames(tags("h264-b-aac"))
    for size in range(60_000, len(data), 16_001):
        cut = tmp_path / f"{size}.mp4.part"
        cut.write_bytes(data[:size])
        repaired = Mp4File(folder, (f"{size}.mp4",)).repair(alone=True)
        assert repaired is not None
        assert repaired.path == tmp_path / f"{size}.mp4"
        found = repaired.path.read_bytes()
        assert repaired.size == len(found)
        assert size - repaired.lost == found.rindex(b"mfra") - 4
        got = read(found)
        for key, some in got.items():
            assert some == whole[key][: len(some)]
        assert repaired.seconds > got[VIDEO, 0][-1].time / 1000 - 0.001
        assert not cut.exists()


def test_a_cut_file_plays_without_an_index_for_which_there_is_no_room(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = complete(folder).path.read_bytes()
    (tmp_path / "cut.mp4.part").write_bytes(data[:60_000])
    full = raising(OSError(errno.ENOSPC, "No space left on device"))
    monkeypatch.setattr(os, "pwrite", full)
    repaired = Mp4File(folder, ("cut.mp4",)).repair(alone=True)
    assert repaired is not None
    assert repaired.size == repaired.path.stat().st_size == 60_000 - repaired.lost
    assert read(repaired.path.read_bytes())


def test_a_cut_file_without_a_whole_fragment_is_removed(folder: Folder, tmp_path: Path) -> None:
    data = complete(folder).path.read_bytes()
    for number, size in enumerate((0, 20, 2000, 15_000)):
        (tmp_path / f"{number}.mp4.part").write_bytes(data[:size])
        repaired = Mp4File(folder, (f"{number}.mp4",)).repair(alone=True)
        assert repaired is not None
        assert (repaired.size, repaired.lost) == (0, size)
    assert [path.name for path in tmp_path.iterdir()] == ["show.mp4"]


def test_what_is_no_mp4_is_left_alone(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "show.mp4.part").write_text("somebody's notes")
    assert Mp4File(folder, ("show.mp4",)).repair(alone=True) is None
    assert (tmp_path / "show.mp4.part").read_text() == "somebody's notes"


def test_what_somebody_writes_is_left_alone(folder: Folder) -> None:
    made, tape = begun(folder)
    made.record(tape, SHOW[:300])
    assert Mp4File(folder, ("show.mp4",)).repair(alone=True) is None
    assert made.finish() is not None


def test_of_a_file_that_libav_does_not_understand_the_length_is_unknown(
    folder: Folder, tmp_path: Path
) -> None:
    data = b"\0\0\0\x0cftypisom" + b"\0\0\0\x0cmdat1234"
    (tmp_path / "show.mp4.part").write_bytes(data)
    repaired = Mp4File(folder, ("show.mp4",)).repair(alone=True)
    assert repaired is not None
    assert (repaired.size, repaired.seconds) == (24, 0.0)


def test_after_a_failure_what_there_is_is_completed(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, tape = begun(folder)
    made.record(tape, SHOW[:300])
    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", raising(OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            made.record(tape, SHOW[300:])
    finished = made.salvage()
    assert finished is not None
    assert finished.path == tmp_path / "show.mp4"
    got = read(finished.path.read_bytes())
    assert 60 < len(got[VIDEO, 0]) <= 120
    assert made.salvage() is None


def test_a_failure_at_the_end_leaves_it_to_be_salvaged(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, tape = begun(folder)
    made.record(tape, SHOW)
    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", raising(OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            made.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["show.mp4.part"]
    assert made.salvage() is not None
    assert [path.name for path in tmp_path.iterdir()] == ["show.mp4"]


@pytest.mark.parametrize("fails", [True, False])
def test_what_cannot_be_salvaged_stays(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    made, tape = begun(folder)
    made.record(tape, SHOW[:300] if fails else SHOW[:10])
    if fails:
        monkeypatch.setattr(Folder, "rename", raising(OSError(errno.EROFS, "Read-only")))
    assert made.salvage() is None
    assert [path.name for path in tmp_path.iterdir()] == ["show.mp4.part"] * fails


def test_a_file_that_is_removed_is_missed_at_once(folder: Folder, tmp_path: Path) -> None:
    made, tape = begun(folder)
    (tmp_path / "show.mp4.part").unlink()
    with pytest.raises(FileNotFoundError, match="removed"):
        made.record(tape, SHOW[:300])
    made.close()


def test_without_pyav_no_file_is_made(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mp4file, "Fragments", raising(RuntimeError("no PyAV")))
    with pytest.raises(RuntimeError):
        begun(folder)
    assert list(tmp_path.iterdir()) == []


# -------------------------------------------------------------------------------- streams


def on_air(studio: Studio, some: Sequence[Message], seconds: float = 1.0) -> None:
    """Publish a second at a time."""
    inlet = studio.publish()
    for start in range(0, 11_000, 1000):
        part = [message for message in some if start <= message.timestamp < start + 1000]
        send(studio, inlet, part)
    inlet.end(release=True)
    studio.pass_time(seconds)


def send(studio: Studio, inlet: Inlet, some: Sequence[Message]) -> None:
    feed(inlet, *some)
    studio.pass_time(1.0)


def test_a_stream_is_recorded(tmp_path: Path) -> None:
    studio = Studio(tmp_path, "{name}.mp4")
    on_air(studio, SHOW)
    assert studio.files == ["show.mp4"]
    assert read((tmp_path / "show.mp4").read_bytes()) == sent(SHOW)
    assert studio.turns == ["start show.mp4", "segment show.mp4", "end show.mp4"]
    assert studio.events[1].seconds == 10.052


def test_segments_begin_with_key_frames(tmp_path: Path) -> None:
    studio = Studio(tmp_path, "{name}-{part}.mp4", segment=3.0)
    on_air(studio, SHOW)
    assert studio.files == ["show-1.mp4", "show-2.mp4", "show-3.mp4"]
    parts = [read((tmp_path / name).read_bytes()) for name in studio.files]
    assert all(part[VIDEO, 0][0].key for part in parts)
    for key, whole in frames(tags("h264-b-aac")).items():
        data = [frame.data for part in parts for frame in part[key]]
        assert data == [frame.data for frame in whole]


def test_new_headers_begin_another_file(tmp_path: Path) -> None:
    """An encoder with another size of picture: one file cannot hold both."""
    studio = Studio(tmp_path, "{name}.mp4")
    inlet = studio.publish()
    send(studio, inlet, SHOW[:150])
    send(studio, inlet, SHOW[150:300])
    after = messages([FlvTag(m.type, m.timestamp, m.payload) for m in OTHER], 20_000)
    changed = b"\x17\0\0\0\0" + OTHER[0].payload[5:].replace(b"\x64\0", b"\x64\x10", 1)
    send(studio, inlet, [Message(VIDEO, 20_000, 1, changed), *after[1:]])
    inlet.end(release=True)
    studio.pass_time()
    assert studio.files == ["show-2.mp4", "show.mp4"]
    first, second = (read((tmp_path / n).read_bytes()) for n in ("show.mp4", "show-2.mp4"))
    assert first == sent(SHOW[:300])
    assert (
        second[VIDEO, 0]
        == frames([FlvTag(m.type, m.timestamp, m.payload) for m in OTHER])[VIDEO, 0]
    )


def test_sound_that_begins_later_begins_another_file(tmp_path: Path) -> None:
    studio = Studio(tmp_path, "{name}.mp4")
    mute = [m for m in SHOW if m.type == VIDEO or m.timestamp > 3000]
    at = next(index for index, m in enumerate(mute) if m.type == AUDIO)
    header = next(m for m in SHOW if m.type == AUDIO)
    mute.insert(at, Message(AUDIO, mute[at].timestamp, 1, header.payload))
    on_air(studio, mute)
    assert studio.files == ["show-2.mp4", "show.mp4"]
    assert set(read((tmp_path / "show.mp4").read_bytes())) == {(VIDEO, 0)}
    assert set(read((tmp_path / "show-2.mp4").read_bytes())) == {(VIDEO, 0), (AUDIO, 0)}


def test_a_codec_that_mp4_cannot_hold_is_told(tmp_path: Path) -> None:
    studio = Studio(tmp_path, "{name}.mp4")
    on_air(studio, messages(tags("flv1-speex")[1:]))
    assert studio.files == []
    (end,) = (event for event in studio.events if event.error)
    assert end.error.startswith("MP4 cannot hold speex (expected one of .mp3, Opus")
    assert end.error.endswith("record such streams to .flv")


def test_only_sound_is_taken(tmp_path: Path) -> None:
    studio = Studio(tmp_path, "{name}.mp4", take=Take.AUDIO)
    on_air(studio, SHOW)
    film = Mp4Container(Film((tmp_path / "show.mp4").read_bytes()))
    assert film.duration > 9900
    assert set(read((tmp_path / "show.mp4").read_bytes())) == {(AUDIO, 0)}
