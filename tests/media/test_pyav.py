"""FFmpeg's libraries: what they are let do, and what is said without them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rtmptwist.media import pyav
from rtmptwist.media.errors import MediaError
from rtmptwist.media.mp4container import Mp4Container
from rtmptwist.media.soundcontainer import SoundContainer
from tests.media.films import Film, played
from tests.media.samples import FOLDER


def test_without_pyav_one_hears_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(pyav.NotInstalled, match=r"pip install 'rtmptwist\[media\]'"):
        Mp4Container(Film("h264-b-aac-faststart.mp4"))
    with pytest.raises(MediaError, match="PyAV"):
        SoundContainer(Film("tone.mp3"), "mp3")


def test_nothing_is_loaded_before_it_is_needed() -> None:
    code = "import sys; import rtmptwist.media.mp4container; print('av' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"False"


def test_opening_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyav, "MOST_READS", 2)
    with pytest.raises(MediaError, match="after 2 reads"):
        Mp4Container(Film("h264-b-aac-frag.mp4"))


def test_playing_reads_as_often_as_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyav, "MOST_READS", 3)
    source = Film("h264-b-aac-faststart.mp4")
    film = Mp4Container(source)
    assert played(film, film.seek(0))
    assert source.reads > 3


def test_a_file_that_names_another_does_not_get_it() -> None:
    """QuickTime may say that its media are elsewhere (`dref`)."""
    data = (FOLDER / "h264-b-aac-faststart.mp4").read_bytes()
    at = data.index(b"url \0\0\0\x01")
    other = data[:at] + b"alis\0\0\0\0" + data[at + 8 :]
    film = Mp4Container(Film(other))
    assert played(film, film.seek(0))


def test_other_files_are_refused() -> None:
    with pytest.raises(MediaError, match="another file"):
        pyav._refuse("file:/etc/passwd", 1, {})


def test_opening_a_long_file_reads_little() -> None:
    source = Film("h264-b-aac-moov-last.mp4")
    Mp4Container(source)
    assert source.reads <= 6


class Stubborn:
    """A container of libav in which one cannot seek."""

    def __init__(self, failures: int, error: type[Exception]) -> None:
        self.failures = failures
        self.error = error
        self.any_frame = False

    def seek(self, *_: object, any_frame: bool = False, **__: object) -> None:
        self.any_frame = any_frame
        self.failures -= 1
        if self.failures >= 0:
            raise self.error("no")


@pytest.mark.parametrize("failures", [1, 2])
def test_where_there_is_no_key_frame_any_will_do(failures: int) -> None:
    source = pyav.Input(Film("h264-b-aac-faststart.mp4"), "mp4")
    stream = source.streams[0]
    stubborn = Stubborn(failures, ValueError)
    source._container = stubborn
    source._errors = ValueError
    if failures == 1:
        source.seek(0, stream)
        assert stubborn.any_frame
    else:
        with pytest.raises(MediaError, match="cannot seek"):
            source.seek(0, stream)


def test_a_position_that_cannot_be_reached_is_told() -> None:
    source = pyav.Input(Film("tone.mp3"), "mp3")
    stubborn = Stubborn(1, ValueError)
    source._container = stubborn
    source._errors = ValueError
    with pytest.raises(MediaError, match="cannot seek"):
        source.seek_byte(5)
