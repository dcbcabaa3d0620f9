"""Files with secrets: what they say, when they change, who may read them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from twisted.internet import reactor

from rtmptwist.auth import files
from rtmptwist.auth.files import (
    LARGEST,
    BadFile,
    BadLine,
    SecretFile,
    entries,
    loose,
    read_text,
    rewrite,
    watching,
)
from tests.support.guests import eventually
from tests.support.logs import Logs, logs_of_test
from tests.support.reactor import reactor_test
from tests.support.threads import ImpatientClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "secrets"
    file.write_text("one\n")
    file.chmod(0o600)
    return file


def lines(path: Path) -> list[str]:
    """One word on each line."""
    return [word for _, word in entries(path, read_text(path), one_word)]


def one_word(line: str) -> str:
    if " " in line:
        raise BadLine("expected one word")
    return line


def written(path: Path, text: str) -> None:
    """As an editor does it: another inode, whatever the clock says."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.chmod(0o600)
    new.replace(path)


# ------------------------------------------------------------------------------- reading


def test_comments_and_empty_lines_say_nothing(path: Path) -> None:
    path.write_text("\ufeff# one\n\n  two  \r\n\t#three\nfour")
    assert entries(path, read_text(path), one_word) == [(3, "two"), (5, "four")]


def test_every_wrong_line_is_told_with_its_number(path: Path) -> None:
    path.write_text("one\ntwo words\n# no matter\nthree more words")
    with pytest.raises(BadFile) as caught:
        lines(path)
    assert str(caught.value) == f"{path}:2: expected one word\n{path}:4: expected one word"


def test_of_a_wholly_wrong_file_some_lines_are_told(path: Path) -> None:
    path.write_text("two words\n" * 1000)
    with pytest.raises(BadFile) as caught:
        lines(path)
    said = str(caught.value).split("\n")
    assert len(said) == 6
    assert said[-1] == f"{path}: and 995 more lines that are wrong"


def test_what_cannot_be_read(path: Path) -> None:
    path.write_bytes(b"one\n\xff\n")
    with pytest.raises(BadFile, match=r"secrets:2: is not UTF-8"):
        read_text(path)
    with path.open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(BadFile, match=r"secrets: is larger than 16 MB"):
        read_text(path)
    path.unlink()
    with pytest.raises(BadFile, match=r"secrets: No such file or directory"):
        read_text(path)
    path.mkdir()
    with pytest.raises(BadFile, match=r"secrets: Is a directory"):
        read_text(path)
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(BadFile, match=r"secrets: is no file"):  # and does not wait for its writer
        read_text(path)


# ------------------------------------------------------------------------------- changes


@pytest.mark.usefixtures("logs")
def test_a_change_counts_when_it_is_seen_twice(path: Path) -> None:
    """An editor may be half through with it."""
    file = SecretFile(path, lines)
    assert file.value == ["one"]
    assert file.look() is None
    written(path, "half")
    assert file.look() is None
    written(path, "half a line is wrong")
    assert file.look() is None
    written(path, "two\n")
    assert file.look() is None
    assert file.look() == ["two"]
    assert file.look() is None
    assert file.value == ["one"]


@pytest.mark.usefixtures("logs")
def test_a_change_that_was_taken_back_is_none(path: Path) -> None:
    file = SecretFile(path, lines)
    hidden = path.rename(path.with_suffix(".hidden"))
    assert file.look() is None
    hidden.rename(path)
    assert [file.look(), file.look()] == [None, None]


@pytest.mark.usefixtures("logs")
def test_a_file_that_is_gone_is_an_error_once_and_may_come_back(path: Path) -> None:
    file = SecretFile(path, lines)
    path.unlink()
    assert file.look() is None
    with pytest.raises(BadFile, match="No such file"):
        file.look()
    assert [file.look(), file.look()] == [None, None]
    path.write_text("two\n")
    assert file.look() is None
    assert file.look() == ["two"]


def test_who_wants_to_know_is_told(path: Path, logs: Logs) -> None:
    file = SecretFile(path, lines)
    heard: list[list[str]] = []
    file.changed.append(lambda: heard.append(file.value))
    file.take(["two"])
    assert heard == [["two"]]
    assert logs.lines() == [f"{path} has changed and was read again"]


@pytest.mark.parametrize(
    ("mode", "verbs", "better"),
    [
        (0o600, "", ""),
        (0o400, "", ""),
        (0o640, "", ""),
        (0o644, "read", "640"),
        (0o604, "read", "600"),
        (0o660, "change", "640"),
        (0o622, "change", "600"),
        (0o666, "read and change", "640"),
        (0o601, "use", "600"),
    ],
)
def test_permissions(path: Path, logs: Logs, mode: int, verbs: str, better: str) -> None:
    path.chmod(mode)
    SecretFile(path, lines)
    assert logs.lines("warn") == (
        [f"others may {verbs} {path}, which holds secrets (its mode is {mode:04o}): chmod {better}"]
        if verbs
        else []
    )


def test_a_file_that_is_gone_has_no_permissions(path: Path) -> None:
    path.unlink()
    assert loose(path) == ""


@reactor_test
async def test_files_are_read_again_while_the_server_runs(path: Path) -> None:
    with logs_of_test() as logs:
        file = SecretFile(path, lines)
        service = watching([file], reactor, interval=0.01, named=lambda path: f" (as {path.name})")
        service.startService()
        try:
            written(path, "two\n")
            await eventually(lambda: file.value == ["two"])
            written(path, "two words\n")
            await eventually(lambda: logs.lines("error"))
            written(path, "three\n")
            await eventually(lambda: file.value == ["three"])
        finally:
            await service.stopService()
    assert logs.lines("error") == [
        f"{path}:1: expected one word; what was read before stays in use (as {path.name})"
    ]


def test_a_reader_that_fails_ends_nothing(path: Path, logs: Logs) -> None:
    def fails(path: Path) -> list[str]:
        if read_text(path) == "two\n":
            raise ZeroDivisionError
        return lines(path)

    clock = ImpatientClock()
    file = SecretFile(path, fails)
    service = watching([file], clock)
    service.startService()
    written(path, "two\n")
    clock.pump([1] * 2)
    assert [type(failure) for failure in logs.forgive()] == [ZeroDivisionError]
    assert len(logs.about(f"{path} could not be read again")) == 1
    written(path, "three\n")
    clock.pump([1] * 2)
    assert file.value == ["three"]
    service.stopService()


# ------------------------------------------------------------------------------- writing


def test_a_new_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new"
    old = os.umask(0)
    try:
        rewrite(path, lambda text: f"{text}hello")
    finally:
        os.umask(old)
    assert path.read_text() == "hello"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_an_old_file_keeps_its_mode_and_owner(path: Path) -> None:
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 12345, 23456)
    before = path.stat()
    rewrite(path, lambda text: text + "two\n")
    after = path.stat()
    assert path.read_text() == "one\ntwo\n"
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )


def test_a_link_stays_one(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(path)
    rewrite(link, lambda text: text + "two\n")
    assert link.is_symlink()
    assert path.read_text() == "one\ntwo\n"


def test_nothing_is_left_when_the_change_fails(path: Path, tmp_path: Path) -> None:
    def fails(text: str) -> str:
        raise BadFile(path, [(0, "no")])

    with pytest.raises(BadFile, match="no"):
        rewrite(path, fails)
    assert path.read_text() == "one\n"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_left_when_writing_fails(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadFile, match="secrets: cannot be written: No space left on device"):
        rewrite(path, lambda text: text)
    assert path.read_text() == "one\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"keys: cannot be written: there is no folder .*/none$"):
        rewrite(tmp_path / "none" / "keys", lambda text: text)


def test_two_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "shared"
    code = (
        "import sys, pathlib; from rtmptwist.auth.files import rewrite\n"
        "for _ in range(20):\n"
        "    rewrite(pathlib.Path(sys.argv[1]), lambda text: text + sys.argv[2])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(path), letter], env=environment)
        for letter in "ab"
    ]
    assert [process.wait(60) for process in running] == [0, 0]
    assert sorted(path.read_text()) == ["a"] * 20 + ["b"] * 20


def test_a_program_that_holds_the_folder_is_not_waited_for_for_ever(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "PATIENCE", 0.05)

    def inner(text: str) -> str:
        with pytest.raises(BadFile, match="another program has held"):
            rewrite(path, lambda text: text)
        return text

    rewrite(path, inner)
