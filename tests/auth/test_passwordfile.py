"""Users in a file: what it says, and whom it lets in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from rtmptwist.auth import passwordfile
from rtmptwist.auth.authmod import SCHEMES, Answer, Scheme
from rtmptwist.auth.credentials import Password
from rtmptwist.auth.errors import Busy, Wrong
from rtmptwist.auth.files import BadFile
from rtmptwist.auth.passwordfile import PasswordFile, parse_users
from rtmptwist.live.access import Visitor
from rtmptwist.live.application import Application
from rtmptwist.live.names import parse_connect
from tests.support.live import Settings
from tests.support.logins import CHEAP, SALT, Encoder, Threads, password_file, user
from tests.support.logs import Logs
from tests.support.memory import failure_of, result_of

VISITOR = Visitor("192.0.2.1", Application("live", Settings(), Clock()))


class Desk:
    """A checker with a file, and people before it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.threads = Threads()
        self.now = 1000.0
        self.file = password_file(path, user("alice", weak=True), user("bob"))
        self.checker = PasswordFile(self.file, self.threads, lambda: self.now)

    def asks(self, name: bytes, password: bytes, address: str = "192.0.2.1") -> Deferred[Any]:
        visitor = Visitor(address, VISITOR.application)
        return _named(self.checker.requestAvatarId(Password(name, password, visitor)))

    def answers(self, answer: Answer) -> Deferred[Any]:
        return _named(self.checker.requestAvatarId(answer))


def _named(asking: Deferred[Any]) -> Deferred[Any]:
    return asking.addCallback(lambda identity: identity.name.encode())


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "publishers.passwd")
    yield desk
    for let_go in desk.threads.pending or ():
        let_go()


def why(attempt: Deferred[Any]) -> str:
    error = failure_of(attempt)
    assert isinstance(error, Wrong)
    return str(error)


# ------------------------------------------------------------------------------ its lines


def test_a_line_is_a_user_and_the_user_is_the_line(tmp_path: Path) -> None:
    users = [user("alice", weak=True), user("b\u00f6b"), user("c.d-e_f+g")]
    text = "# people\n\n" + "\n".join(each.line() for each in users)
    found = parse_users(tmp_path, text)
    assert list(found.values()) == users
    assert list(found) == [b"alice", "b\u00f6b".encode(), b"c.d-e_f+g"]


HASH = f"$scrypt$ln=2,r=8,p=1$c2FsdHNhbHQ${'A' * 43}"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("alice", "expected USER:$scrypt$... as `rtmptwist passwd` writes it"),
        (
            "alice:geheim",
            "the password of alice is no scrypt hash ($scrypt$ln=15,r=8,p=1$salt$hash)",
        ),
        (f":{HASH}", "a user's name may contain no blanks and none of : & ? / @ #"),
        (f"anyone:{HASH}", "nobody can be called anyone, as guests are"),
        (f"al ice:{HASH}", "a user's name may contain no blanks and none of : & ? / @ #"),
        (f"al\0ice:{HASH}", "a user's name may contain no blanks and none of : & ? / @ #"),
        (f"{'a' * 65}:{HASH}", "a user's name may have 64 bytes"),
        (
            f"alice:{HASH}:geheim",
            "alice: expected adobe=... or llnw=... after the password, each once",
        ),
        (
            f"alice:{HASH}:adobe=geheim",
            "alice: adobe= is no verifier; `rtmptwist passwd --adobe` makes one",
        ),
        (
            f"alice:{HASH}:llnw=geheim",
            "alice: llnw= is no verifier; `rtmptwist passwd --llnw` makes one",
        ),
        (
            f"alice:{HASH}:llnw={'0' * 32}:llnw={'0' * 32}",
            "alice: expected adobe=... or llnw=... after the password, each once",
        ),
    ],
)
def test_wrong_lines(tmp_path: Path, line: str, problem: str) -> None:
    with pytest.raises(BadFile) as caught:
        parse_users(tmp_path / "passwd", f"# people\n{line}\n")
    assert str(caught.value) == f"{tmp_path}/passwd:2: {problem}"
    assert "geheim" not in problem


def test_nobody_stands_there_twice(tmp_path: Path) -> None:
    lines = [user("alice").line(), user("bob").line(), user("alice").line()]
    with pytest.raises(BadFile, match=r"passwd:3: alice stands in line 1 already$"):
        parse_users(tmp_path / "passwd", "\n".join(lines))


def test_nothing_secret_shows() -> None:
    made = user("alice", weak=True)
    assert made.adobe is not None
    for secret in (made.adobe[1], made.llnw, str(made.hash).rpartition("$")[2]):
        assert secret not in repr(made)


# ------------------------------------------------------------------------------ passwords


def test_the_right_password(desk: Desk) -> None:
    assert result_of(desk.asks(b"alice", b"geheim")) == b"alice"
    assert result_of(desk.asks(b"bob", b"geheim")) == b"bob"


def test_wrong_passwords_and_unknown_users_cost_the_same(desk: Desk) -> None:
    assert why(desk.asks(b"alice", b"Geheim")) == "a wrong password for alice"
    assert why(desk.asks(b"nobody", b"geheim")) == "no such user"
    assert desk.threads.done == 2
    assert desk.checker._nobody().cost == CHEAP


def test_a_file_without_users_lets_nobody_in(desk: Desk) -> None:
    desk.file.value = {}
    assert why(desk.asks(b"alice", b"geheim")) == "no such user"
    assert desk.threads.done == 1


def test_a_right_password_is_hashed_once(desk: Desk) -> None:
    for _ in range(3):
        result_of(desk.asks(b"alice", b"geheim"))
    assert desk.threads.done == 1
    why(desk.asks(b"alice", b"Geheim"))
    why(desk.asks(b"alicegeheim", b""))
    assert desk.threads.done == 3
    desk.now += 601
    result_of(desk.asks(b"alice", b"geheim"))
    assert desk.threads.done == 4


def test_many_who_come_at_once_are_hashed_once(desk: Desk) -> None:
    """Viewers after a break of the network, with one login."""
    desk.threads.pending = []
    coming = [desk.asks(b"alice", b"geheim", f"192.0.2.{number}") for number in range(50)]
    assert desk.threads.done == 1
    desk.threads.pending.pop()()
    assert [result_of(each) for each in coming] == [b"alice"] * 50
    assert desk.threads.done == 1


def test_what_a_login_rests_on(desk: Desk) -> None:
    """Password and answer alike: the name and the hash."""
    visitor = Visitor("192.0.2.1", VISITOR.application)
    shown = Password(b"alice", b"geheim", visitor)
    identity = result_of(desk.checker.requestAvatarId(shown))
    assert identity.name == "alice"
    assert desk.checker.keeps(identity.basis)
    assert not desk.checker.keeps(desk.checker)
    alice = desk.file.value[b"alice"]
    desk.file.value = {b"alice": replace(alice, adobe=None, llnw="")}
    assert desk.checker.keeps(identity.basis)
    desk.file.value = {b"alice": user("alice", weak=True)}  # the same password with another salt
    assert not desk.checker.keeps(identity.basis)
    desk.file.value = {b"bob": alice}
    assert not desk.checker.keeps(identity.basis)
    assert str(alice.hash).rpartition("$")[2] not in repr(identity)


def test_what_is_remembered_ends_with_the_line(desk: Desk, logs: Logs) -> None:
    result_of(desk.asks(b"alice", b"geheim"))
    desk.file.take({b"alice": user("alice", b"anders")})
    assert why(desk.asks(b"alice", b"geheim")) == "a wrong password for alice"
    assert result_of(desk.asks(b"alice", b"anders")) == b"alice"
    desk.file.take({})
    assert why(desk.asks(b"alice", b"anders")) == "no such user"


def test_few_passwords_are_remembered(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwordfile, "REMEMBERED", 1)
    for name in (b"alice", b"bob", b"bob", b"alice"):
        result_of(desk.asks(name, b"geheim"))
    assert desk.threads.done == 3
    assert len(desk.checker._right) == 1


def test_what_has_expired_is_forgotten(desk: Desk) -> None:
    result_of(desk.asks(b"alice", b"geheim"))
    desk.now += 601
    result_of(desk.asks(b"bob", b"geheim"))
    assert len(desk.checker._right) == 1


def test_too_many_at_once(desk: Desk) -> None:
    desk.threads.pending = []
    coming = [desk.asks(b"alice", b"%d" % number) for number in range(70)]
    assert sum(each.called for each in coming) == 5
    assert all(isinstance(failure_of(each), Busy) for each in coming[65:])
    assert not desk.asks(b"bob", b"geheim", "192.0.2.2").called
    for each in coming[1:65]:
        each.cancel()
        failure_of(each)
    desk.threads.pending.pop()()
    failure_of(coming[0])


# -------------------------------------------------------------------------------- answers


def answer(scheme: Scheme, name: str, password: bytes = b"geheim") -> Answer:
    encoder = Encoder(name, password, scheme.name)
    asked = scheme.ask(name, SALT, "c" * 40)
    query = parse_connect(f"live{encoder.second(asked)}").query
    return scheme.answer(query, SALT, "live")


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_answers(desk: Desk, scheme: Scheme) -> None:
    assert result_of(desk.answers(answer(scheme, "alice"))) == b"alice"
    assert why(desk.answers(answer(scheme, "alice", b"Geheim"))) == "a wrong answer for alice"
    assert why(desk.answers(answer(scheme, "nobody"))) == "no such user"
    assert why(desk.answers(answer(scheme, "nobody", b""))) == "no such user"
    assert desk.threads.done == 0


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_who_has_no_verifier_is_told_how_to_get_one(desk: Desk, scheme: Scheme) -> None:
    """Else the right password in OBS is refused, and nobody knows why."""
    assert why(desk.answers(answer(scheme, "bob"))) == (
        f"bob has no verifier for this; `rtmptwist passwd --{scheme.name}` makes one"
    )


def test_salts(desk: Desk) -> None:
    assert desk.checker.salt(b"alice") == SALT
    assert desk.checker.salt(b"bob") is None
    assert desk.checker.salt(b"nobody") is None
