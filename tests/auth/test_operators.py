"""Who may operate the server, and who may not."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from rtmptwist.auth.errors import Wrong
from rtmptwist.auth.operators import Desk, Operators, Shown
from rtmptwist.auth.tokenfile import hash_of, new_token
from rtmptwist.config.logins import Login
from rtmptwist.rules import RuleBook
from tests.support.memory import failure_of, result_of


def basic(user: str, word: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{word}".encode()).decode()


def operators(*logins: Login) -> Operators:
    return RuleBook(lambda: 0.0, Clock()).operators(logins)


def who(found: Operators, authorization: str = "", *, local: bool = False) -> Deferred[str]:
    return Deferred.fromCoroutine(found.who(Shown("192.0.2.1", authorization, local)))


def test_a_token(tmp_path: Path) -> None:
    token = new_token()
    file = tmp_path / "tokens"
    file.write_text(f"grafana sha256:{hash_of(token)}\n")
    found = operators(Login("token", str(file)))
    assert found.schemes == ["Bearer"]
    assert result_of(who(found, f"Bearer {token}")) == "grafana"
    assert result_of(who(found, f"bearer  {token}")) == "grafana"
    for wrong in ("", "Bearer", "Bearer x", f"Token {token}", basic("grafana", token)):
        assert isinstance(failure_of(who(found, wrong)), Wrong)
        assert isinstance(failure_of(who(found, wrong, local=True)), Wrong)


def test_a_user() -> None:
    found = operators(Login("memory", "anna:secret"))
    assert found.schemes == ['Basic realm="rtmptwist", charset="UTF-8"']
    assert result_of(who(found, basic("anna", "secret"))) == "anna"
    for wrong in (basic("anna", "x"), "Basic !", "Basic YW5uYQ==", "Basic /w==", "Bearer secret"):
        assert isinstance(failure_of(who(found, wrong)), Wrong)


def test_this_machine() -> None:
    found = operators(Login("loopback"))
    assert found.schemes == []
    assert result_of(who(found, local=True)) == "loopback"
    assert isinstance(failure_of(who(found)), Wrong)
    assert isinstance(failure_of(who(found, "Bearer x", local=True)), Wrong)


def test_who_guesses_waits() -> None:
    clock = Clock()
    found = RuleBook(lambda: 0.0, clock).operators([Login("memory", "anna:secret")])
    for _ in range(6):
        failure_of(who(found, basic("anna", "x")))
    waiting = who(found, basic("anna", "secret"))
    assert not waiting.called
    clock.advance(10)
    assert result_of(waiting) == "anna"


@pytest.mark.parametrize("word", ["a" * 2000, "\x00"])
def test_what_can_be_no_login_is_not_looked_at(word: str) -> None:
    found = operators(Login("memory", "anna:secret"))
    assert isinstance(failure_of(who(found, basic(word, word))), Wrong)


def test_what_was_right_is_not_slowed_down_by_the_wrong_ones_of_others() -> None:
    found = operators(Login("memory", "anna:secret"))
    shown = Shown("192.0.2.1", basic("anna", "secret"), local=False)
    operator = result_of(Deferred.fromCoroutine(Desk(found).admit(shown)))
    assert operator.name == "anna"
    for _ in range(6):
        failure_of(who(found, basic("anna", "x")))
    assert not who(found, basic("anna", "secret")).called
    assert result_of(Deferred.fromCoroutine(operator.confirm())) is None
    assert "secret" not in repr(operator)
    assert basic("anna", "secret") not in repr(operator)


@pytest.mark.parametrize("logins", [None, "memory:anna:other", "memory:berta:secret", "loopback"])
def test_a_desk_with_other_operators(logins: str | None) -> None:
    desk = Desk(operators(Login("memory", "anna:secret")))
    shown = Shown("192.0.2.1", basic("anna", "secret"), local=True)
    operator = result_of(Deferred.fromCoroutine(desk.admit(shown)))
    desk.operators = None if logins is None else operators(Login(*logins.partition(":")[::2]))
    assert isinstance(failure_of(Deferred.fromCoroutine(operator.confirm())), Wrong)
    assert isinstance(failure_of(Deferred.fromCoroutine(desk.admit(shown))), Wrong)
    assert (desk.schemes == []) is (logins in (None, "loopback"))


def test_a_token_that_is_somebody_else_s_now(tmp_path: Path) -> None:
    token, file = new_token(), tmp_path / "tokens"
    desks = []
    for name in ("anna", "berta"):
        file.write_text(f"{name} sha256:{hash_of(token)}\n")
        desks.append(Desk(operators(Login("token", str(file)))))
    first, second = desks
    shown = Shown("192.0.2.1", f"Bearer {token}", local=False)
    operator = result_of(Deferred.fromCoroutine(first.admit(shown)))
    first.operators = second.operators
    assert isinstance(failure_of(Deferred.fromCoroutine(operator.confirm())), Wrong)


def test_this_machine_for_as_long_as_that_is_enough() -> None:
    desk = Desk(operators(Login("loopback")))
    operator = result_of(Deferred.fromCoroutine(desk.admit(Shown("127.0.0.1", "", local=True))))
    assert result_of(Deferred.fromCoroutine(operator.confirm())) is None
    desk.operators = operators(Login("memory", "anna:secret"))
    assert isinstance(failure_of(Deferred.fromCoroutine(operator.confirm())), Wrong)
