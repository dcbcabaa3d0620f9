"""Who is let in, and how soon an answer that goes on ends for who is not let in any more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from rtmptwist.auth.errors import Undecided, Wrong
from rtmptwist.auth.operators import Desk, Operator, Shown
from rtmptwist.auth.tokenfile import hash_of, new_token
from rtmptwist.web.admission import AGAIN, PATIENCE, watched
from tests.support.eventstreams import Listener
from tests.support.logs import Logs
from tests.support.manned import Manned
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
