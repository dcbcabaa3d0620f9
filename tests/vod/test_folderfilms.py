"""What is found in a folder, and what people hear of what is not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from rtmptwist.live.errors import Refused
from rtmptwist.vod.film import OpenFilm
from rtmptwist.wire.status import StatusCode
from tests.media.test_flvcontainer import AAC, AVC, HEAD, META, gops
from tests.support.logs import Logs
from tests.vod.cinema import Cinema


@pytest.fixture
def cinema(tmp_path: Path) -> Cinema:
    """With a film of twenty seconds."""
    (tmp_path / "show.flv").write_bytes(HEAD + META + AAC + AVC + gops(20))
    return Cinema(tmp_path)


def refusal(cinema: Cinema, name: str) -> Refused:
    """Why a file cannot be opened."""
    found: list[Any] = []
    cinema.films.open(name, "", "").addErrback(lambda failure: found.append(failure.value))
    cinema.disk.pump()
    (error,) = found
    assert isinstance(error, Refused)
    return error


def test_what_cannot_be_played_is_told_to_all_who_asked(cinema: Cinema, tmp_path: Path) -> None:
    (tmp_path / "bad.flv").write_bytes(b"nothing of the kind")
    errors: list[Any] = []
    for _ in range(2):
        cinema.films.open("bad", "", "").addErrback(lambda failure: errors.append(failure.value))
    cinema.disk.pump()
    assert [error.status.code for error in errors] == [StatusCode.PLAY_FAILED] * 2
    assert "bad cannot be played: b'noth'" in errors[0].status.description
    assert refusal(cinema, "bad").status.level == "error"


def test_what_is_no_file_is_not_there(cinema: Cinema, tmp_path: Path) -> None:
    (tmp_path / "folder.flv").mkdir()
    (tmp_path / "link.flv").symlink_to("show.flv")
    (tmp_path / "away").symlink_to("/etc")
    os.mkfifo(tmp_path / "pipe.flv")
    for name in ("none", "folder", "link", "pipe", "show.flv/x", "away/passwd", "none/x"):
        assert refusal(cinema, name).status.code is StatusCode.PLAY_STREAM_NOT_FOUND


def test_what_may_not_be_read_is_told_to_operators(
    cinema: Cinema, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cinema.films._folder, "open", forbidden)
    assert refusal(cinema, "show").status.description == "There is no show."
    assert logs.about(": show cannot be opened: Permission denied")


def test_a_folder_that_is_not_there_yet_is_told_to_operators(
    cinema: Cinema, tmp_path: Path, logs: Logs
) -> None:
    cinema.films.serve(tmp_path / "later", public=True)
    assert logs.lines("warn") == []
    cinema.disk.pump()
    missing = f"files: there is no folder {tmp_path / 'later'} yet; nothing is played"
    assert logs.lines("warn") == [missing]


def test_a_folder_that_is_out_of_order_is_told_to_operators(
    cinema: Cinema, tmp_path: Path, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File systems of networks raise what they like: not amid a configuration that is adopted."""
    cinema.disk.pump()

    def stale(_: Path) -> bool:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(Path, "is_dir", stale)
    cinema.films.serve(tmp_path, public=True)
    cinema.disk.pump()
    assert logs.lines("warn") == [f"files: {tmp_path} cannot be looked into: Stale file handle"]
    assert isinstance(cinema.film(), OpenFilm)


def test_a_bug_stays_one(cinema: Cinema, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(cinema.films._folder, "open", broken)
    found: list[Any] = []
    cinema.films.open("show", "", "").addErrback(lambda failure: found.append(failure.value))
    cinema.disk.pump()
    assert isinstance(found[0], ZeroDivisionError)


def test_a_folder_may_be_changed_under_those_who_watch(cinema: Cinema, tmp_path: Path) -> None:
    guest = cinema.guest(ahead=1000)
    cinema.run()
    other = tmp_path / "other"
    other.mkdir()
    cinema.films.serve(other, public=False)
    assert refusal(cinema, "show").status.code is StatusCode.PLAY_STREAM_NOT_FOUND
    cinema.run(25)
    assert guest.ends == [""]
