"""Who is let in, and how soon an answer that goes on ends for who is not let in any more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from rtmptwist.auth.errors import Undecided, Wrong
from rtmptwist.auth.operators import Desk, Operator, Shown
from rtmptwist.auth.tokenfile import hash_of, new_token
from rtmptwist.web.admission import AGAIN, PATIENCE, watched
from tests.support.eventstreams import Listener
from tests.support.logs import Logs
from tests.support.manned import STRANGER, Manned
from tests.support.memory import result_of
from tests.support.screens import Screen, on_air
from tests.support.web import request

FILE = """
[server]
state = {0}/state

[listener main]
endpoint = tcp:1935:interface=127.0.0.1

[listener admin]
endpoint = tcp:8080
serve = http
api = token:{0}/tokens
    loopback

[app live]
publish = anyone
grace = 0
"""

TOKENS = {"anna": new_token(), "berta": new_token()}


class Guarded(Manned):
    """Its operators have tokens."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hand_out(TOKENS)
        super().__init__(folder, FILE)
        _, self.stream = on_air(self)

    def hand_out(self, tokens: dict[str, str]) -> None:
        lines = [f"{name} sha256:{hash_of(token)}\n" for name, token in tokens.items()]
        (self.folder / "tokens").write_text("".join(lines))

    def reload(self, text: str) -> None:
        (self.folder / "site.ini").write_text(text.format(self.folder))
        result_of(Deferred.fromCoroutine(self.whole.reload()))  # type: ignore[arg-type]

    def screen(self, name: str) -> Screen:
        return Screen(self, self.stream, *bearer(name))

    def listener(self, name: str) -> Listener:
        return Listener(self, "", *bearer(name))


def bearer(name: str) -> tuple[str, ...]:
    """How somebody logs in; nobody: by being here."""
    return (f"Authorization: Bearer {TOKENS[name]}",) if name else ()


@pytest.fixture
def guarded(tmp_path: Path, logs: Logs) -> Iterator[Guarded]:
    house = Guarded(tmp_path)
    yield house
    house.close()


def ended(guarded: Guarded, *answers: Screen | Listener) -> list[bool]:
    """Which have, by the time that a login is looked at again."""
    guarded.pass_time(int(AGAIN) + 2)
    for each in answers:
        each.see() if isinstance(each, Screen) else each.hear(0)
    return [each.ended for each in answers]


def leave(*answers: Screen | Listener) -> None:
    for each in answers:
        each.wire.lose()


def test_a_token_that_is_withdrawn(guarded: Guarded, logs: Logs) -> None:
    mine = guarded.screen("anna"), guarded.listener("anna")
    others = guarded.screen("berta"), guarded.listener("berta"), guarded.screen("")
    assert ended(guarded, *mine, *others) == [False] * 5
    guarded.hand_out({"berta": TOKENS["berta"]})
    assert ended(guarded, *mine, *others) == [True, True, False, False, False]
    assert len(logs.about("operator anna sees no more: no such token")) == 2
    assert [*logs.about(TOKENS["anna"])] == []
    (stream,) = guarded.site.application.streams.values()
    assert len(stream.audience.subscribers) == 2
    leave(*mine, *others)


def test_a_token_that_is_somebody_else_s(guarded: Guarded) -> None:
    mine = guarded.screen("anna")
    guarded.hand_out({"carla": TOKENS["anna"]})
    assert ended(guarded, mine) == [True]
    leave(mine)


@pytest.mark.parametrize(
    "change",
    [
        ("api = token:{0}/tokens\n", "api = memory:anna:secret\n"),
        ("api = token:{0}/tokens\n    loopback", "api = none"),
        ("admin", "other"),
    ],
)
def test_a_configuration_without_it(guarded: Guarded, change: tuple[str, str]) -> None:
    """Over connections too that were there before: the next request is refused."""
    screen, listener, wire = guarded.screen("anna"), guarded.listener("anna"), guarded.wire()
    ask = request("/api/v1/server", b"", *bearer("anna"), method="GET")
    wire.say(ask)
    assert wire.raw().startswith(b"HTTP/1.1 200 ")
    guarded.reload(FILE.replace(*change))
    wire.say(ask)
    assert wire.raw().startswith(b"HTTP/1.1 401 ")
    assert ended(guarded, screen, listener) == [True, True]
    leave(screen, listener)
    wire.lose()


def test_a_configuration_with_it_disturbs_nobody(guarded: Guarded) -> None:
    screen, listener = guarded.screen("anna"), guarded.listener("anna")
    guarded.reload(FILE.replace("\n    loopback", ""))
    assert ended(guarded, screen, listener) == [False, False]
    assert listener.kinds == ["reload"]
    leave(screen, listener)


# ------------------------------------------------------------------ looking again and again


class Login(Desk):
    """A desk that says what a test wants."""

    def __init__(self) -> None:
        super().__init__(None)
        self.answer: Any = "anna"
        self.looks = 0

    @property
    def present(self) -> Any:
        return self

    async def again(self, _: Shown) -> Any:
        self.looks += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return await self.answer if isinstance(self.answer, Deferred) else self.answer


class Watch:
    """For an answer that goes on."""

    def __init__(self) -> None:
        self.login, self.clock, self.ends = Login(), Clock(), 0
        operator = Operator("anna", self.login, Shown("192.0.2.1", "", local=False))
        self._block = watched(operator, self.clock, self._end)
        self._block.__enter__()

    def _end(self) -> None:
        self.ends += 1

    def seconds(self, count: float) -> int:
        """How often it was ended by then."""
        for _ in range(int(count)):
            self.clock.advance(1)
        return self.ends

    def leave(self) -> None:
        self._block.__exit__(None, None, None)
        assert self.clock.getDelayedCalls() == []


@pytest.fixture
def watch(logs: Logs) -> Iterator[Watch]:
    watch = Watch()
    yield watch
    watch.leave()


def test_a_login_that_stays_good(watch: Watch) -> None:
    assert watch.seconds(100 * AGAIN) == 0
    assert watch.login.looks == 100


def test_a_login_that_is_over(watch: Watch) -> None:
    assert watch.seconds(AGAIN) == 0
    watch.login.answer = Wrong("it has expired")
    assert watch.seconds(AGAIN) == 1
    assert watch.seconds(100) == 1


def test_who_cannot_be_asked_for_a_while(watch: Watch) -> None:
    for _ in range(3):
        watch.login.answer = Undecided("down")
        assert watch.seconds(PATIENCE - AGAIN) == 0
        watch.login.answer = "anna"
        assert watch.seconds(AGAIN) == 0
    watch.login.answer = Undecided("down")
    assert watch.seconds(PATIENCE) == 1


def test_who_does_not_answer_at_all(watch: Watch) -> None:
    watch.login.answer = Deferred()
    assert watch.seconds(PATIENCE) == 0
    assert watch.seconds(AGAIN) == 1


def test_a_bug_lets_nobody_see_more(watch: Watch, logs: Logs) -> None:
    watch.login.answer = ZeroDivisionError()
    assert watch.seconds(AGAIN) == 1
    assert [type(error) for error in logs.forgive()] == [ZeroDivisionError]


def test_who_leaves_while_it_is_asked(watch: Watch) -> None:
    asked: Deferred[str] = Deferred()
    watch.login.answer = asked
    assert watch.seconds(AGAIN) == 0
    watch.leave()
    assert asked.called
    assert watch.seconds(100) == 0


# ------------------------------------------------------------------ who is let in


@pytest.fixture
def manned(tmp_path: Path, logs: Logs) -> Iterator[Manned]:
    house = Manned(tmp_path)
    yield house
    house.close()


@pytest.mark.parametrize("host", ["..", "x" * 300, "é" * 100, "xn--é", ":", "[::1", "a:b:c"])
def test_hosts_that_are_none(manned: Manned, host: str) -> None:
    assert manned.get("/api/v1/server", host=host).status == 401
    assert manned.get("/healthz", host=host).status == 200


@pytest.mark.parametrize(
    ("path", "name", "status"),
    [
        ("/api/v1/server", b"Authorization", 401),
        ("/api/v1/server", b"Host", 401),
        ("/api/v1/events", b"Last-Event-ID", 400),
        ("/metrics", b"Authorization", 401),
        ("/metrics", b"Accept", 200),
    ],
)
def test_headers_that_are_no_text(manned: Manned, path: str, name: bytes, status: int) -> None:
    """Strangers send them: that is no error of ours, and no matter for the log."""
    wire = manned.wire()
    said = request(path, b"", "X: ?", method="GET")
    if name == b"Host":
        said = said.replace(b"\r\nHost: example.org", b"")
    said = said.replace(b"example.org", b"localhost").replace(b"X: ?", name + b": \xff\xfe")
    wire.say(said)
    manned.reactor.advance(0)
    assert int(wire.raw().split()[1]) == status
    wire.lose()


def test_only_for_those_on_this_machine(manned: Manned) -> None:
    assert manned.get("/api/v1/server").status == 200
    for answer in (
        manned.get("/api/v1/server", peer=STRANGER),
        manned.get("/api/v1/server", host="rebound.example"),
        manned.get("/api/v1/server", "X-Forwarded-For: 192.0.2.1"),
        manned.get("/api/v1/server", "Authorization: Bearer guess"),
        manned.get("/api/v1/server", "Authorization: a", "Authorization: b"),
    ):
        if answer.status == 200:
            continue
        assert answer.status == 401
        assert "WWW-Authenticate" in answer.headers
    for host in ("localhost", "127.0.0.1", "[::1]", "[::1]:8080"):
        assert manned.get("/api/v1/server", host=host).status == 200


def test_a_local_socket_is_on_this_machine(manned: Manned) -> None:
    """Who may open it, its mode says."""
    assert manned.get("/api/v1/server", peer=UNIXAddress(None)).status == 200


LOGINS = """
[server]
state = {0}/state

[listener main]
endpoint = tcp:1935:interface=127.0.0.1

[listener admin]
endpoint = tcp:8080
serve = http
api = memory:anna:secret

[app live]
publish = anyone
"""


def test_by_login(tmp_path: Path, logs: Logs) -> None:
    house = Manned(tmp_path, LOGINS)
    login = "Authorization: Basic YW5uYTpzZWNyZXQ="
    assert house.get("/api/v1/server").status == 401
    assert house.get("/api/v1/server", login, peer=STRANGER).status == 200
    wrong = house.get("/api/v1/server", "Authorization: Basic YW5uYTp4", peer=STRANGER)
    assert wrong.status == 401
    assert wrong.headers["WWW-Authenticate"].startswith("Basic")
    house.site.client()
    assert house.ask("POST", "connections/1/kick", {}, login) == (204, None)
    assert len(logs.about("operator anna kicks #1")) == 1
    assert logs.about("secret") == []
    house.close()


def test_too_many_guesses_have_to_wait(tmp_path: Path, logs: Logs) -> None:
    house = Manned(tmp_path, LOGINS)
    wires = []
    for _ in range(20):
        wire = house.wire(peer=STRANGER)
        wire.say(b"GET /api/v1/server HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YW5uYTp4\r\n\r\n")
        wires.append(wire)
    answers = [wire.raw() for wire in wires]
    assert answers[0].startswith(b"HTTP/1.1 401 ")
    assert b"" in answers  # some wait
    assert answers[-1].startswith(b"HTTP/1.1 503 ")
    for wire in wires:
        wire.lose()
    house.close()


def test_who_leaves_while_waiting_is_forgotten(tmp_path: Path, logs: Logs) -> None:
    house = Manned(tmp_path, LOGINS)
    wrong = "Authorization: Basic YW5uYTp4"
    for _ in range(6):
        house.get("/api/v1/server", wrong, peer=STRANGER)
    wire = house.wire(peer=STRANGER)
    wire.say(f"GET /api/v1/server HTTP/1.1\r\nHost: x\r\n{wrong}\r\n\r\n".encode())
    assert wire.raw() == b""
    wire.lose()
    house.pass_time(10)
    assert wire.raw() == b""
    house.close()
