"""Whoever is here by a login that is taken away leaves within seconds, and hears why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from rtmptwist.auth.checkers import WITHDRAWN
from rtmptwist.auth.tokenfile import hash_of
from rtmptwist.net.client import NetConnection, Refusal
from rtmptwist.net.connection import ServerConnection
from tests.support.logins import Threads, password_file, user
from tests.support.logs import Logs
from tests.support.memory import Spectator, result_of
from tests.test_service import House

pytestmark = pytest.mark.usefixtures("logs")

FILE = """
[server]
state = {folder}/state

[listener main]
endpoint = tcp:1935

[app live]
logins = file:passwd
    token:tokens
    memory:dora:geheim
publish = users
play = anyone
grace = 0
"""

ALICE, BOB, DORA = (f"?user={name}&password=geheim" for name in ("alice", "bob", "dora"))


class Members(House):
    """A server with users in two files, and in its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.text = FILE.format(folder=folder)
        self.write_users("alice", "bob")
        self.write_tokens("t0ken", "an0ther")
        super().__init__(folder, self.text)
        self.start()

    def write_users(self, *names: str, password: bytes = b"geheim") -> None:
        self.users = [user(name, password, weak=True) for name in names]
        password_file(self.folder / "passwd", *self.users)

    def write_tokens(self, *tokens: str) -> None:
        path = self.folder / "tokens"
        path.write_text("# people\n" + "".join(f"carol sha256:{hash_of(t)}\n" for t in tokens))
        path.chmod(0o600)

    def client(self, login: str) -> NetConnection:
        return self.site.client(f"rtmp://h/live{login}")

    def publisher(self, login: str, name: str) -> Spectator:
        return Spectator(self.site.publish(name, self.client(login)))

    def reload(self, old: str, new: str) -> Sequence[str]:
        assert old in self.text
        (self.folder / "site.ini").write_text(self.text.replace(old, new))
        done: Deferred[Sequence[str]] = Deferred.fromCoroutine(self.whole.reload())  # type: ignore[arg-type]
        self.site.pump()
        return result_of(done)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Members]:
    monkeypatch.setattr("rtmptwist.rules.Hashing", lambda _: Threads())
    house = Members(tmp_path)
    yield house
    house.stop()
    house.pass_time(5)


def words(publisher: Spectator) -> str:
    """What it heard last; it must be gone."""
    assert publisher.connection.closed
    return str(publisher.infos[-1]["description"])


def test_a_user_who_is_removed(house: Members, logs: Logs) -> None:
    alice, bob = house.publisher(ALICE, "one"), house.publisher(BOB, "two")
    viewer = house.site.play("one")
    idle = house.client(ALICE)
    (house.folder / "passwd").write_text(f"{house.users[1].line()}\n")
    house.pass_time(3)
    assert words(alice) == WITHDRAWN
    assert idle.closed
    assert not bob.connection.closed
    assert not viewer.connection.closed
    (line,) = logs.about("no longer publishes live/one")
    assert "Your login was removed or changed" in line
    assert len(logs.about("connections ended whose logins are gone: 2")) == 1
    assert house.site.failure(house.site.connect(f"rtmp://h/live{ALICE}"))


def test_a_password_that_is_changed(house: Members) -> None:
    alice = house.publisher(ALICE, "one")
    house.write_users("alice", "bob", password=b"anders")
    house.pass_time(3)
    assert words(alice) == WITHDRAWN
    house.publisher("?user=alice&password=anders", "one")


def test_what_else_changes_in_the_file_is_nothing_to_who_is_there(house: Members) -> None:
    alice = house.publisher(ALICE, "one")
    kept = replace(house.users[0], adobe=None, llnw="")
    (house.folder / "passwd").write_text(f"# hello\n{kept.line()}\n{user('zoe').line()}\n")
    house.pass_time(3)
    assert not alice.connection.closed


def test_a_file_that_is_broken_ends_nobody(house: Members, logs: Logs) -> None:
    alice = house.publisher(ALICE, "one")
    (house.folder / "passwd").write_text("alic\n")
    house.pass_time(3)
    assert not alice.connection.closed
    site = house.folder / "site.ini"
    (line,) = logs.lines("error")
    assert line == (
        f"{house.folder}/passwd:1: expected USER:$scrypt$... as `rtmptwist passwd` writes it;"
        f" what was read before stays in use (named in {site}:9: [app live] logins)"
    )
    logs.forgive()


def test_a_token_that_is_removed(house: Members) -> None:
    """Of two with one name."""
    one, two = house.publisher("?token=t0ken", "one"), house.publisher("?token=an0ther", "two")
    house.write_tokens("an0ther")
    house.pass_time(3)
    assert words(one) == WITHDRAWN
    assert not two.connection.closed


def test_a_user_whose_line_of_the_configuration_is_gone(house: Members) -> None:
    dora, alice = house.publisher(DORA, "one"), house.publisher(ALICE, "two")
    house.reload("grace = 0", "grace = 1s")
    house.pass_time(2)
    assert not dora.connection.closed
    house.reload("memory:dora:geheim", "memory:emil:geheim")
    house.pass_time(2)
    assert words(dora) == WITHDRAWN
    assert not alice.connection.closed


def test_a_file_by_another_name_is_as_good(house: Members) -> None:
    alice = house.publisher(ALICE, "one")
    password_file(house.folder / "people", *house.users[:1])
    house.reload("file:passwd", "file:people")
    house.pass_time(2)
    assert not alice.connection.closed
    (house.folder / "people").write_text("# nobody\n")
    house.pass_time(3)
    assert words(alice) == WITHDRAWN


def test_logins_that_are_no_more(house: Members) -> None:
    alice = house.publisher(ALICE, "one")
    logins = "file:passwd\n    token:tokens\n    memory:dora:geheim\npublish = users"
    house.reload(logins, "none\npublish = anyone")
    house.pass_time(2)
    assert words(alice) == "Logins are no longer taken here: connect anew."


def test_a_user_who_is_removed_while_coming(house: Members) -> None:
    """The password was right when it was looked at, and no longer when that was done."""
    threads = house.whole._book._hashing
    assert isinstance(threads, Threads)
    threads.pending = []
    coming = house.site.connect(f"rtmp://h/live{ALICE}")
    house.site.pump()
    (house.folder / "passwd").write_text("# nobody\n")
    house.pass_time(3)
    threads.pending.pop()()
    refusal = house.site.failure(coming)
    assert isinstance(refusal, Refusal)
    assert refusal.description == WITHDRAWN
    assert len(house.gate.places) == 0


def test_many_are_ended_in_slices(house: Members, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others are heard between; and as long as nothing changes nobody is asked."""
    asked: list[int] = []
    breaks: list[int] = []
    reconsider = house.whole.reconsider

    def watched(connection: ServerConnection) -> bool:
        if not asked:
            house.reactor.callLater(0, lambda: breaks.append(len(asked)))
        asked.append(connection.id)
        return reconsider(connection)

    monkeypatch.setattr("rtmptwist.service.SLICE", 2)
    monkeypatch.setattr(house.whole, "reconsider", watched)
    clients = [house.client(ALICE) for _ in range(7)]
    house.whole.doubtful = False  # as after the first second
    house.pass_time(2)
    assert asked == []
    house.write_users("bob")
    house.pass_time(3)
    assert breaks == [2]
    assert len(asked) == len(set(asked)) == 7
    assert all(client.closed for client in clients)
