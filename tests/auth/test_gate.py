"""Who may do what, by address."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from rtmptwist.auth.gate import AddressGate
from rtmptwist.config.convert import ANYONE, NOBODY, Access
from rtmptwist.live.access import Account, Action, Visitor
from rtmptwist.live.application import Application
from rtmptwist.live.errors import Refused
from rtmptwist.wire.status import StatusCode
from tests.support.live import Settings
from tests.support.memory import failure_of, result_of

LIVE = Application("live", Settings(), Clock())
OTHER = Application("other", Settings(), Clock())


def account(address: str, publish: Access = NOBODY, play: Access = ANYONE) -> Account:
    """Somebody who was let in from this address."""
    rules = {
        LIVE: {Action.PUBLISH: publish, Action.PLAY: play},
        OTHER: {Action.PUBLISH: NOBODY, Action.PLAY: NOBODY},
    }
    gate = AddressGate(rules)
    return result_of(Deferred.fromCoroutine(gate.login(Visitor(address, LIVE))))


def asked(who: Account, action: Action, application: Application = LIVE) -> Deferred[None]:
    return Deferred.fromCoroutine(who.authorize(action, application, "show", {"key": "geheim"}))


@pytest.mark.parametrize(
    ("address", "networks", "allowed"),
    [
        ("192.0.2.1", ("192.0.2.0/24",), True),
        ("192.0.2.1", ("198.51.100.0/24", "192.0.2.0/24"), True),
        ("192.0.3.1", ("192.0.2.0/24",), False),
        ("192.0.2.1", (), False),
        ("2001:db8::7", ("2001:db8::/32",), True),
        ("2001:db8::7", ("0.0.0.0/0",), False),
        ("fe80::1%eth0", ("fe80::/10",), True),
        ("unix", ("127.0.0.0/8",), True),
        ("unix", ("192.0.2.0/24",), False),
        ("", ("127.0.0.0/8", "::/0"), False),
        ("somewhere", ("127.0.0.0/8", "0.0.0.0/0"), False),
    ],
)
def test_networks(address: str, networks: tuple[str, ...], allowed: bool) -> None:
    """What is no address is in no network, least of all this machine's."""
    deferred = asked(account(address, Access(tuple(map(ip_network, networks)))), Action.PUBLISH)
    if allowed:
        result_of(deferred)
    else:
        assert isinstance(failure_of(deferred), Refused)


def test_what_anyone_may() -> None:
    result_of(asked(account("somewhere", publish=ANYONE), Action.PUBLISH))


@pytest.mark.parametrize(
    ("action", "code", "words"),
    [
        (Action.PUBLISH, StatusCode.PUBLISH_DENIED, "192.0.2.1 may not publish in other."),
        (Action.PLAY, StatusCode.PLAY_FAILED, "192.0.2.1 may not play in other."),
    ],
)
def test_each_application_has_its_own_rules(action: Action, code: StatusCode, words: str) -> None:
    who = account("192.0.2.1", publish=ANYONE)
    error = failure_of(asked(who, action, OTHER))
    assert isinstance(error, Refused)
    assert (error.status.code, error.status.description) == (code, words)


def test_an_application_without_rules_lets_nobody() -> None:
    unknown = Application("unknown", Settings(), Clock())
    assert isinstance(failure_of(asked(account("192.0.2.1"), Action.PLAY, unknown)), KeyError)


def test_who_somebody_is() -> None:
    """The same address is the same publisher, who may take its own name over."""
    who = account("192.0.2.1")
    assert who.name == "anyone"
    assert who.identity == account("192.0.2.1", publish=ANYONE).identity
    assert who.identity != account("192.0.2.2").identity
    assert "networks" not in repr(who)
