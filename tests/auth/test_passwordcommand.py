"""`rtmptwist passwd` and `rtmptwist token`, as an operator uses them."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rtmptwist.auth.passwordfile import read_users
from rtmptwist.auth.passwords import Cost, PasswordHash, adobe_verifier, llnw_verifier
from rtmptwist.auth.tokenfile import hash_of, read_tokens
from rtmptwist.cli import main

Command = Callable[..., str]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "publishers.passwd"


@pytest.fixture
def passwd(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Runs the command with something on its standard input, and keeps what it said."""

    def run(*words: str, typed: str = "geheim\n", status: int = 0) -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        assert main(["passwd", str(path), *words]) == status
        out, err = capsys.readouterr()
        return f"{out}{err}"

    return run


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    made = PasswordHash.of
    monkeypatch.setattr(PasswordHash, "of", lambda password: made(password, Cost(log_n=2)))


def test_a_new_user(passwd: Command, path: Path) -> None:
    assert passwd("alice") == f"{path}: alice is new\n"
    assert path.stat().st_mode & 0o777 == 0o600
    (user,) = read_users(path).values()
    assert user.name == "alice"
    assert user.hash.matches(b"geheim")
    assert (user.adobe, user.llnw) == (None, "")
    assert "geheim" not in path.read_text()
    assert path.read_text().startswith("# Users of rtmptwist")


def test_another_password(passwd: Command, path: Path) -> None:
    passwd("bob")
    passwd("alice")
    passwd("carol")
    path.write_text(path.read_text().replace("carol:", "# a comment\n\n  carol:"))
    before = path.read_text().split("\n")
    assert passwd("alice", typed="anders\n") == f"{path}: alice has a new password\n"
    after = path.read_text().split("\n")
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert [line.partition(":")[0] for line in changed] == ["alice"]
    assert read_users(path)[b"alice"].hash.matches(b"anders")


def test_for_encoders(passwd: Command, path: Path) -> None:
    said = passwd("alice", "--adobe", "--llnw")
    assert "alice can log in from encoders (adobe and llnw)" in said
    assert "guess" in said
    user = read_users(path)[b"alice"]
    assert user.adobe is not None
    salt, verifier = user.adobe
    assert verifier.encode() == adobe_verifier(b"alice", salt.encode(), b"geheim")
    assert user.llnw.encode() == llnw_verifier(b"alice", b"geheim")


def test_who_could_log_in_from_encoders_can_go_on(passwd: Command, path: Path) -> None:
    passwd("alice", "--llnw")
    assert "(llnw)" in passwd("alice", typed="anders\n")
    assert "(adobe and llnw)" in passwd("alice", "--adobe", typed="anders\n")
    user = read_users(path)[b"alice"]
    assert user.llnw.encode() == llnw_verifier(b"alice", b"anders")
    assert user.adobe is not None


def test_the_same_password_stays_the_same(passwd: Command, path: Path) -> None:
    """A server that runs would end whoever is there by another one."""
    passwd("alice")
    (before,) = read_users(path).values()
    assert passwd("alice", "--llnw").startswith(f"{path}: alice keeps the password\n")
    (after,) = read_users(path).values()
    assert after.hash == before.hash
    assert after.llnw


@pytest.mark.parametrize("typed", ["", "\n", f"{'x' * 513}\n"])
def test_no_password(passwd: Command, path: Path, typed: str) -> None:
    with pytest.raises(SystemExit, match="expected a password of 1 to 512 bytes"):
        passwd("alice", typed=typed)
    assert not path.exists()


def test_no_user(passwd: Command, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        passwd("al:ice")
    assert caught.value.code == 2
    assert "a user's name may contain no blanks" in capsys.readouterr().err
    assert not path.exists()


def test_a_file_of_another_kind_is_left_alone(passwd: Command, path: Path) -> None:
    path.write_text("geheim\n")
    path.chmod(0o600)
    said = passwd("alice", status=1)
    assert said == (
        f"rtmptwist: {path}:1: expected USER:$scrypt$... as `rtmptwist passwd` writes it\n"
    )
    assert path.read_text() == "geheim\n"


def test_loose_permissions_are_told(passwd: Command, path: Path) -> None:
    passwd("alice")
    path.chmod(0o644)
    assert f"rtmptwist: others may read {path}" in passwd("alice")


@pytest.mark.parametrize("second", ["geheim", "Geheim"])
def test_what_is_typed_must_be_the_same_twice(
    path: Path, monkeypatch: pytest.MonkeyPatch, second: str
) -> None:
    typed = iter(["geheim", second])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(typed))
    if second == "geheim":
        assert main(["passwd", str(path), "alice"]) == 0
        assert read_users(path)[b"alice"].hash.matches(b"geheim")
    else:
        with pytest.raises(SystemExit, match="the two differ"):
            main(["passwd", str(path), "alice"])
        assert not path.exists()


def test_a_terminal_is_asked_twice(path: Path) -> None:
    """And shows nothing of what is typed."""
    for words, status in (((b"geheim", b"geheim"), 0), ((b"geheim", b"Geheim"), 1)):
        main_end, terminal = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "rtmptwist", "passwd", str(path), "alice"],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)
        shown = b""
        for prompt, word in zip((b"Password for alice: ", b"Once more: "), words, strict=True):
            while not shown.endswith(prompt):
                shown += os.read(main_end, 1000)
            os.write(main_end, word + b"\n")
        assert process.wait(60) == status
        try:
            while more := os.read(main_end, 1000):
                shown += more
        except OSError:  # Linux, when the other end has gone
            pass
        os.close(main_end)
        assert b"heim" not in shown
        assert (b"the two differ" in shown) is bool(status)
    assert read_users(path)[b"alice"].hash.matches(b"geheim")


def test_a_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tokens"
    made = []
    for name in ("alice", "alice", "bob"):
        assert main(["token", str(path), name]) == 0
        made.append(capsys.readouterr().out.strip())
    assert all(re.fullmatch("[0-9a-f]{32}", token) for token in made)
    tokens = read_tokens(path)
    assert [tokens[hash_of(token)] for token in made] == ["alice", "alice", "bob"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert not any(token in path.read_text() for token in made)
    assert path.read_text().startswith("# Tokens of rtmptwist")


def test_tokens_go_into_no_other_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tokens"
    path.write_text("geheim\n")
    path.chmod(0o600)
    assert main(["token", str(path), "alice"]) == 1
    assert "tokens:1: expected NAME sha256:HASH" in capsys.readouterr().err
    assert path.read_text() == "geheim\n"
