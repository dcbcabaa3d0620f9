"""Who may operate the server, and who may not."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from rtmptwist.auth.errors import Wrong
from rtmptwist.auth.operators import Operators
from rtmptwist.auth.tokenfile import hash_of, new_token
from rtmptwist.config.convert import Login
from rtmptwist.rules import RuleBook
from tests.support.memory import failure_of, result_of


def basic(user: str, word: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{word}".encode()).decode()


def operators(*logins: Login) -> Operators:
    return RuleBook(lambda: 0.0, Clock()).operators(logins)


def who(found: Operators, authorization: str = "", *, local: bool = False) -> Deferred[str]:
    return Deferred.fromCoroutine(found.who("192.0.2.1", authorization, local=local))


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
