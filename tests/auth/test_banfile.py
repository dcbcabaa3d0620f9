"""Bans in memory and in a file: which soon say the same, wherever they were changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from rtmptwist.auth import banfile
from rtmptwist.auth.banfile import HEADER, BanFile, Keeping
from rtmptwist.auth.bans import Ban, Kind
from rtmptwist.auth.files import BadLine
from tests.support.logs import Logs
from tests.support.memory import result_of
from tests.support.threads import ImpatientClock

ADDRESS, ACCOUNT = Kind.ADDRESS, Kind.ACCOUNT


class Stage:
    """A file of bans that is kept, over a clock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = ImpatientClock()
        self.clock.advance(100)
        self.file = BanFile(path, self.clock.seconds)
        self.told = 0
        self.file.changed.append(self._told)
        self.keeping = Keeping(self.file, self.clock)
        self.keeping.startService()

    def _told(self) -> None:
        self.told += 1

    def ban(self, who: str, until: float | None = None, note: str = "") -> None:
        self.file.ban(Ban.of(ADDRESS, who, self.clock.seconds(), until, note))

    def wait(self, seconds: int = 3) -> Stage:
        for _ in range(seconds):
            self.clock.advance(1)
        return self

    def stop(self) -> None:
        stopping: Deferred[None] = self.keeping.stopService()
        result_of(stopping)
        assert self.clock.calls == []

    @property
    def banned(self) -> list[str]:
        return [ban.who for ban in self.file.bans]

    @property
    def lines(self) -> list[str]:
        """Of the file, without comments."""
        return [line for line in self.path.read_text().split("\n") if line and line[0] != "#"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "bans"


def by_hand(path: Path, text: str) -> None:
    """As an editor saves it."""
    path.parent.mkdir(exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


pytestmark = pytest.mark.usefixtures("logs")


def test_a_ban_is_in_force_at_once_and_soon_in_the_file(path: Path, logs: Logs) -> None:
    stage = Stage(path)
    stage.ban("192.0.2.7", 3600, "floods us")
    assert stage.banned == ["192.0.2.7"]
    assert stage.told == 1
    assert not path.exists()
    stage.wait(1)
    line = "address 192.0.2.7 since=1970-01-01T00:01:40Z until=1970-01-01T01:00:00Z note=floods us"
    assert path.read_text() == f"{HEADER}{line}\n"
    assert path.stat().st_mode & 0o777 == 0o600
    stage.wait(5)
    assert stage.told == 1
    assert logs.lines() == ["192.0.2.7 is banned until 1970-01-01T01:00:00Z: floods us."]
    stage.stop()


def test_it_survives_the_server(path: Path, logs: Logs) -> None:
    first = Stage(path)
    first.ban("192.0.2.0/24")
    first.file.ban(Ban.of(ACCOUNT, "key 1234abcd", 0))
    first.stop()  # before the first second is over
    second = Stage(path)
    assert second.banned == ["192.0.2.0/24", "key 1234abcd"]
    assert second.told == 1
    assert len(logs.about("bans in force: 2")) == 1
    second.stop()


def test_a_ban_is_lifted(path: Path) -> None:
    stage = Stage(path)
    stage.ban("192.0.2.7")
    stage.ban("192.0.2.8")
    stage.wait()
    assert stage.file.unban(ADDRESS, "192.0.2.7/32")
    assert not stage.file.unban(ADDRESS, "192.0.2.7")
    with pytest.raises(BadLine):
        stage.file.unban(ADDRESS, "nobody")
    stage.wait()
    assert stage.banned == ["192.0.2.8"]
    assert [line.split()[1] for line in stage.lines] == ["192.0.2.8"]
    stage.stop()


def test_an_operator_changes_the_file(path: Path, logs: Logs) -> None:
    stage = Stage(path)
    stage.ban("192.0.2.7")
    stage.wait()
    by_hand(path, "# mine\n\naccount alice note=sorry\n  address 10.0.0.0/8\n")
    stage.wait(1)
    assert stage.banned == ["192.0.2.7"]  # it may be half written
    stage.wait(1)
    assert stage.banned == ["alice", "10.0.0.0/8"]
    assert stage.told == 2
    assert len(logs.about("bans in force: 2")) == 1
    assert "alice note" in path.read_text()  # it is left as it is,
    stage.ban("192.0.2.9")
    stage.wait()
    assert path.read_text().startswith("# mine\naccount alice since=")  # until there is more to say
    assert stage.banned == ["alice", "10.0.0.0/8", "192.0.2.9"]
    path.unlink()
    stage.wait()
    assert stage.banned == []
    stage.stop()


def test_what_is_changed_on_both_sides_at_once(path: Path) -> None:
    stage = Stage(path)
    stage.ban("192.0.2.7")
    stage.wait()
    by_hand(path, "account alice\n")
    stage.ban("192.0.2.8")
    stage.wait()
    assert stage.banned == ["alice", "192.0.2.8"]
    assert len(stage.lines) == 2
    stage.stop()


def test_what_is_changed_while_the_file_is_read(path: Path) -> None:
    stage = Stage(path)
    stage.ban("192.0.2.7")
    look = stage.file._look

    def slowly(*arguments: object) -> object:
        found = look(*arguments)  # type: ignore[arg-type]
        stage.ban("192.0.2.8")
        stage.file.unban(ADDRESS, "192.0.2.7")
        stage.file._look = look  # type: ignore[method-assign]
        return found

    stage.file._look = slowly  # type: ignore[method-assign, assignment]
    stage.wait(1)
    assert stage.banned == ["192.0.2.8"]
    stage.wait(1)
    assert [line.split()[1] for line in stage.lines] == ["192.0.2.8"]
    stage.stop()


def test_what_is_over_goes_from_the_file_when_it_is_written(path: Path) -> None:
    stage = Stage(path)
    stage.ban("192.0.2.7", 110)
    stage.wait(20)
    assert stage.banned == []
    stage.ban("192.0.2.8")
    stage.wait()
    assert [line.split()[1] for line in stage.lines] == ["192.0.2.8"]
    stage.stop()


# ------------------------------------------------------------------------ broken files


def test_a_file_that_is_broken_changes_nothing(path: Path, logs: Logs) -> None:
    """As other files: neither is the good part of it in force, nor is anybody let in for it."""
    stage = Stage(path)
    stage.ban("192.0.2.7")
    stage.wait()
    text = "address 192.0.2.8\nban bob\naddress nowhere\n# why\n"
    by_hand(path, text)
    stage.wait()
    assert stage.banned == ["192.0.2.7"]
    assert path.read_text() == text
    (said,) = logs.lines("error")
    assert said.startswith(f"{path}:2: expected `address")
    assert f"{path}:3: expected an address" in said
    assert said.endswith("; what was read before stays in use")
    by_hand(path, text.replace("ban bob", "account bob").replace("nowhere", "192.0.2.9"))
    stage.wait()
    assert stage.banned == ["192.0.2.8", "bob", "192.0.2.9"]
    assert len(logs.lines("error")) == 1
    stage.stop()


def test_what_is_banned_meanwhile_is_kept_beside_what_is_broken(path: Path, logs: Logs) -> None:
    """And is there after a restart, whether somebody has mended the file or not."""
    stage = Stage(path)
    for who in ("192.0.2.7", "192.0.2.8"):
        stage.ban(who)
    stage.wait()
    path.write_bytes(path.read_bytes() + b"ban bob\naccount caf\xe9\n# \xe9\n")
    stage.wait()
    stage.ban("192.0.2.9")
    assert stage.file.unban(ADDRESS, "192.0.2.7")
    stage.wait()
    assert stage.banned == ["192.0.2.8", "192.0.2.9"]
    text = path.read_bytes().removeprefix(HEADER.encode())
    assert text.startswith(b"# \xe9\nban bob\naccount caf\xe9\naddress 192.0.2.8 since=")
    assert b"192.0.2.7" not in text
    assert text.count(b"192.0.2.9") == 1
    assert len(logs.lines("error")) == 1
    stage.stop()
    again = Stage(path)
    assert again.banned == ["192.0.2.8", "192.0.2.9"]
    again.stop()


def test_a_server_that_starts_takes_what_it_can(path: Path, logs: Logs) -> None:
    """There is nothing that could stay, and who is banned by a good line is not to come in."""
    text = "address 192.0.2.7\nban bob\naccount caf\xe9\n"
    by_hand(path, "")
    path.write_bytes(text.encode("latin-1"))
    stage = Stage(path)
    assert stage.banned == ["192.0.2.7"]
    (said,) = logs.lines("error")
    assert f"{path}:2: expected `address" in said
    assert f"{path}:3: expected the name of an account" in said
    assert said.endswith("; its other lines are in force")
    stage.wait()
    assert len(logs.lines("error")) == 1
    assert path.read_bytes() == text.encode("latin-1")
    stage.stop()


def test_a_file_that_cannot_be_read(path: Path, logs: Logs) -> None:
    stage = Stage(path)
    stage.ban("192.0.2.7")
    stage.wait()
    path.write_bytes(b"#" * 17_000_000)
    stage.wait()
    stage.ban("192.0.2.8")
    stage.wait()
    assert stage.banned == ["192.0.2.7", "192.0.2.8"]  # nobody is let in for it
    assert path.stat().st_size == 17_000_000
    (said,) = logs.lines("error")
    assert said.endswith("is it the right file?; the bans are in force all the same")
    stage.stop()
    again = Stage(path)
    assert again.banned == []
    assert logs.lines("error")[-1].endswith("; nobody is banned by it until it can be read")
    path.unlink()
    again.wait()
    again.stop()


def test_more_than_there_may_be(path: Path, logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(banfile, "MOST", 2)
    by_hand(path, "".join(f"account {name}\n" for name in "abc"))
    stage = Stage(path)
    assert stage.banned == ["a", "b"]
    assert len(logs.about(f"{path}:3: 2 bans are as many as may be: ban networks")) == 1
    assert len(stage.lines) == 3
    stage.stop()


def test_a_file_that_cannot_be_written(path: Path, logs: Logs) -> None:
    path.parent.write_text("no folder")
    stage = Stage(path)
    stage.ban("192.0.2.7")
    stage.wait(5)
    assert stage.banned == ["192.0.2.7"]
    assert len(logs.about("the bans are in force all the same")) == 1
    path.parent.unlink()
    stage.wait(1)
    assert len(stage.lines) == 1
    path.parent.rename(path.parent.with_name("away"))
    path.parent.write_text("no folder")
    stage.ban("192.0.2.8")
    stage.stop()
    assert len(logs.about("the bans are in force all the same")) == 2


def test_the_keeping_survives(path: Path, logs: Logs) -> None:
    stage = Stage(path)
    stage.ban("192.0.2.7")
    stage.file._look = None  # type: ignore[assignment, method-assign]
    stage.wait(2)
    del stage.file._look
    assert {type(bug) for bug in logs.forgive()} == {TypeError}
    stage.wait(1)
    assert len(stage.lines) == 1
    stage.stop()
