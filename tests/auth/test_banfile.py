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


def test_a_broken_file_is_said_and_set_aside(path: Path, logs: Logs) -> None:
    text = "address 192.0.2.7\nban bob\naddress nowhere\n# why\n"
    by_hand(path, text)
    stage = Stage(path)
    assert stage.banned == ["192.0.2.7"]  # what can be used is
    (said,) = logs.lines("error")
    assert f"{path}:2: expected `address" in said
    assert f"{path}:3: expected an address" in said
    assert f"it is now {path}.broken, and what can be used of it stays in force" in said
    assert path.with_name("bans.broken").read_text() == text
    assert path.read_text().startswith("# why\naddress 192.0.2.7 since=")
    stage.wait()
    assert len(logs.lines("error")) == 1
    stage.stop()


@pytest.mark.parametrize("data", [b"\xff\xfe\0", b"#" * 17_000_000])
def test_a_file_of_which_nothing_can_be_used(path: Path, data: bytes, logs: Logs) -> None:
    stage = Stage(path)
    stage.ban("192.0.2.7")
    stage.wait()
    path.write_bytes(data)
    stage.wait()
    assert stage.banned == ["192.0.2.7"]  # nobody is let in for it
    assert len(stage.lines) == 1
    assert path.with_name("bans.broken").read_bytes() == data
    assert len(logs.lines("error")) == 1
    stage.stop()


def test_more_than_there_may_be(path: Path, logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(banfile, "MOST", 2)
    by_hand(path, "".join(f"account {name}\n" for name in "abc"))
    stage = Stage(path)
    assert stage.banned == ["a", "b"]
    assert len(logs.about("3 bans are more than 2: ban networks")) == 1
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


def test_a_file_that_cannot_be_set_aside(path: Path, logs: Logs) -> None:
    by_hand(path, "garbage\n")
    path.with_name("bans.broken").mkdir()
    (path.with_name("bans.broken") / "file").touch()
    stage = Stage(path)
    stage.ban("192.0.2.7")
    stage.wait()
    assert stage.banned == ["192.0.2.7"]
    assert len(logs.about("Is a directory")) == 1
    stage.stop()
    assert path.read_text() == "garbage\n"


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
