"""Tracks of files: which are played, and what becomes of odd packets."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rtmptwist.media import avtrack
from rtmptwist.media.avtrack import Track, choose
from rtmptwist.media.errors import MediaError
from rtmptwist.media.mp4container import Mp4Container
from rtmptwist.media.pyav import Input
from rtmptwist.media.soundcontainer import SoundContainer
from tests.media.films import Film, mp4, played
from tests.media.samples import FOLDER
from tests.support.programs import ffmpeg9


class Packet:
    """A packet as PyAV has it."""

    def __init__(self, data: bytes = b"data", pts: int | None = 0, **sides: bytes) -> None:
        self._data = data
        self._sides = sides
        self.pts = self.dts = pts
        self.is_keyframe = True

    def __bytes__(self) -> bytes:
        return self._data

    def has_sidedata(self, kind: str) -> bool:
        return kind in self._sides

    def iter_sidedata(self) -> list[Any]:
        return [Side(kind, data) for kind, data in self._sides.items()]


class Side:
    """What comes beside a packet."""

    def __init__(self, kind: str, data: bytes) -> None:
        self.data_type = kind
        self._data = data

    def __bytes__(self) -> bytes:
        return self._data


def tracks(name: str = "h264-b-aac-faststart.mp4") -> list[Track]:
    return choose(Input(Film(name), "mp4"))


def test_a_header_that_changes_comes_before_its_frame() -> None:
    video, audio = tracks()
    odd: Any = Packet(skip_samples=b"1", new_extradata=b"\x01new")
    header, _ = video.payloads(odd, 0)
    assert header == b"\x17\0\0\0\0\x01new"
    assert video.header == header
    assert len(video.payloads(odd, 40)) == 1
    assert [len(payload) for payload in audio.payloads(odd, 0)] == [6, 6]


def test_a_picture_without_a_time_of_presentation_is_shown_at_once() -> None:
    video, _ = tracks()
    packet: Any = Packet(pts=None)
    assert video.payloads(packet, 40) == [b"\x17\x01\0\0\0data"]


def test_what_no_message_can_carry_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avtrack, "MOST_FRAME", 3)
    video, _ = tracks()
    packet: Any = Packet()
    assert video.payloads(packet, 0) == []


def test_times_are_rounded_as_ffmpeg_does() -> None:
    """Halves away from 0; 16 000 a second."""
    video, _ = tracks()
    times = [(-24, -2), (-8, -1), (-7, 0), (0, 0), (7, 0), (8, 1), (24, 2), (-704, -44)]
    assert [video.milliseconds(time) for time, _ in times] == [after for _, after in times]
    for time in range(20):
        assert video.milliseconds(video.latest(time)) == time
        assert video.milliseconds(video.latest(time) + 1) == time + 1


def test_what_is_encrypted_is_refused(tmp_path: Path) -> None:
    keys = ("-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "0" * 32)
    options = (*keys, "-encryption_kid", "1" * 32)
    path = mp4(tmp_path / "film.mp4", FOLDER / "h264-b-aac.flv", options=options)
    with pytest.raises(MediaError, match="DRM"):
        Mp4Container(Film(path.read_bytes()))


def test_a_cover_is_no_film(tmp_path: Path) -> None:
    cover = tmp_path / "cover.png"
    path = tmp_path / "song.mp3"
    ffmpeg = [ffmpeg9(), "-v", "error", "-nostdin"]
    subprocess.run(
        [*ffmpeg, "-f", "lavfi", "-i", "testsrc2=size=64x64", "-frames:v", "1", str(cover)],
        check=True,
    )
    subprocess.run(
        [*ffmpeg, "-i", str(FOLDER / "tone.mp3"), "-i", str(cover), "-map", "0", "-map", "1",
         "-c", "copy", "-disposition:v", "attached_pic", str(path)],
        check=True,
    )  # fmt: skip
    film = SoundContainer(Film(path.read_bytes()), "mp3")
    assert len(played(film, film.seek(0))) == 193


def test_of_several_tracks_the_default_one_is_played(tmp_path: Path) -> None:
    path = mp4(
        tmp_path / "film.mp4",
        FOLDER / "h264-b-aac.flv",
        FOLDER / "audio-only-mp3.flv",
        options=("-map", "0", "-map", "1", "-disposition:a:0", "0", "-disposition:a:1", "default"),
    )
    assert [track.codec for track in choose(Input(Film(path.read_bytes()), "mp4"))] == [
        "avc1",
        ".mp3",
    ]


def test_a_header_of_adts_that_changes_is_told() -> None:
    data = (FOLDER / "tone-adts.aac").read_bytes()
    mono = bytes((*data[:3], data[3] & 0x3F | 0x40, *data[4:116]))
    (track,) = choose(Input(Film(data), "aac"))
    first: Any = Packet(data[:116])
    track.learn(first)
    assert track.header == b"\xaf\0\x12\x10"
    assert len(track.payloads(first, 0)) == 1
    other: Any = Packet(mono)
    header, _ = track.payloads(other, 23)
    assert header == b"\xaf\0\x12\x08"


def test_what_cannot_be_decoded_is_told() -> None:
    video, _ = tracks()
    context = SimpleNamespace(codec=video.stream.codec_context.codec, extradata=None)
    stream: Any = SimpleNamespace(codec_context=context, type="video")
    with pytest.raises(MediaError, match="avc1: its decoder's configuration is missing"):
        Track(stream, 0)
