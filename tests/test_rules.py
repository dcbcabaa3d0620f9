"""What applications say, as rules: which proofs speak, and which files they need."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from rtmptwist.auth.files import BadFile
from rtmptwist.auth.gate import Rules, SiteGate
from rtmptwist.auth.keyfile import StreamKey, hash_of, new_key
from rtmptwist.auth.signing import Secret, canonical
from rtmptwist.config.access import Who
from rtmptwist.config.logins import Login
from rtmptwist.config.schema import App
from rtmptwist.live.access import Action, Grant, Request, Visitor
from rtmptwist.live.application import Application
from rtmptwist.live.errors import Refused
from rtmptwist.rules import RuleBook, secrets_of
from tests.support.live import Settings
from tests.support.memory import failure_of, result_of

pytestmark = pytest.mark.usefixtures("logs")

KEY = new_key()
SECRET = Secret("a1", "1" * 64)
NOW = 1767225600


class House:
    """A folder with both files, and a book of rules."""

    def __init__(self, folder: Path) -> None:
        self.keys, self.signing = folder / "keys", folder / "signing"
        self.keys.write_text(StreamKey("show", hash_of(KEY)).line())
        self.signing.write_text(SECRET.line())
        for file in (self.keys, self.signing):
            file.chmod(0o600)
        self.book = RuleBook(lambda: NOW, Clock())

    def rules(
        self,
        publish: str,
        play: str = "anyone",
        *,
        keys: Path | None = None,
        signing: Path | None = None,
    ) -> Rules:
        """Of an application whose section says so."""
        app = App(name="live", publish=Who().read(publish), play=Who().read(play))
        app = replace(app, keys=keys, signing=signing)
        return self.book.rules(app)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def asked(
    rules: Rules, said: str, action: Action = Action.PUBLISH, address: str = "192.0.2.1"
) -> Deferred[Grant]:
    live = Application("live", Settings(), Clock())
    visitor = Visitor(address, live)
    account = result_of(Deferred.fromCoroutine(SiteGate({live: rules}).login(visitor)))
    path, _, query = said.partition("?")
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    parameters = {key: value for key, _, value in pairs}
    return Deferred.fromCoroutine(
        account.authorize(Request(action, visitor, live, path, parameters))
    )


def refusal(deferred: Deferred[Grant]) -> str:
    error = failure_of(deferred)
    assert isinstance(error, Refused)
    return error.status.description


def signed(action: Action) -> str:
    text = canonical("live", "show", action, NOW + 60)
    return f"show?exp={NOW + 60}&kid=a1&sig={SECRET.sign(text)}"


def test_only_keys(house: House) -> None:
    rules = house.rules("keys", keys=house.keys)
    assert result_of(asked(rules, KEY)).path == "show"
    words = "192.0.2.1 may not publish in live without a stream key."
    assert refusal(asked(rules, "show")) == words
    assert result_of(asked(rules, "show", Action.PLAY)).path == "show"
    assert "only for sending" in refusal(asked(rules, KEY, Action.PLAY))


def test_a_wrong_key_is_refused_although_its_network_is_right(house: House) -> None:
    """Or it would be published under the secret itself, for all to see."""
    rules = house.rules("keys, 192.0.2.0/24", keys=house.keys)
    assert "not known" in refusal(asked(rules, KEY[:-1]))
    assert result_of(asked(rules, KEY)).path == "show"
    assert result_of(asked(rules, "show")).account == "anyone"


def test_keys_and_signed_urls(house: House) -> None:
    rules = house.rules("signed, keys", "signed", keys=house.keys, signing=house.signing)
    assert result_of(asked(rules, KEY)).identity == ("key", "show")
    assert result_of(asked(rules, signed(Action.PUBLISH))).identity == ("signed", "show")
    assert result_of(asked(rules, signed(Action.PLAY), Action.PLAY)).path == "show"
    words = "192.0.2.1 may not publish in live without a stream key or a signed URL."
    assert refusal(asked(rules, "show")) == words
    words = "192.0.2.1 may not play in live without a signed URL."
    assert refusal(asked(rules, "show", Action.PLAY)) == words


def test_signatures_count_where_they_are_asked_for(house: House) -> None:
    rules = house.rules("signed", "anyone", signing=house.signing)
    assert result_of(asked(rules, signed(Action.PUBLISH))).path == "show"
    assert result_of(asked(rules, "show?sig=1", Action.PLAY)).path == "show"


def test_a_host_that_has_keys_but_asks_for_none(house: House) -> None:
    """It has inherited the file; what looks like a key is no name there either."""
    rules = house.rules("anyone", keys=house.keys)
    assert "stream key" in refusal(asked(rules, KEY))
    assert result_of(asked(rules, "show")).path == "show"


def test_a_file_is_read_once(house: House) -> None:
    for _ in range(3):
        house.rules("keys, signed", keys=house.keys, signing=house.signing)
    assert [file.path for file in house.book.files] == [house.keys, house.signing]


def test_a_file_that_is_not_there(house: House, tmp_path: Path) -> None:
    none = tmp_path / "none"
    with pytest.raises(BadFile) as caught:
        house.rules("keys", keys=none)
    assert str(caught.value) == (f"{none}: is not there; `rtmptwist keys make {none} …` makes it")
    with pytest.raises(BadFile, match="rtmptwist secrets make"):
        house.rules("signed", signing=none)


def test_a_file_that_the_server_cannot_reach(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else has made it, with `sudo` perhaps."""

    def refuse(path: str, flags: int) -> NoReturn:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(BadFile) as caught:
        house.rules("keys", keys=house.keys)
    assert str(caught.value) == f"{house.keys}: Permission denied"


def test_a_file_that_means_something_else(house: House) -> None:
    with pytest.raises(BadFile, match=r"signing:1: expected NAME sha256:HASH"):
        house.rules("keys", keys=house.signing)


def test_what_an_application_checks_itself() -> None:
    none = App(name="live")
    assert secrets_of(none) == frozenset()
    assert secrets_of(replace(none, keys=Path("keys"))) == {"key"}
    both = secrets_of(replace(none, logins=(Login("certificate"),), signing=Path("signing")))
    assert {"password", "token", "response", "sig"} < both
    assert {"user", "key", "exp", "kid"}.isdisjoint(both)
