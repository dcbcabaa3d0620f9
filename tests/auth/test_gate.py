"""Who may do what: users, guests and what speaks for them."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network
from typing import ClassVar

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from rtmptwist.auth.gate import Login, NoLogin, Rules, SiteGate
from rtmptwist.auth.identity import Identity
from rtmptwist.auth.proofs import Addresses, Anyone, Proof, Users
from rtmptwist.live.access import Account, Action, Grant, Request, Visitor
from rtmptwist.live.application import Application
from rtmptwist.live.errors import Refused
from rtmptwist.wire.status import StatusCode
from tests.support.live import Settings
from tests.support.memory import failure_of, result_of

LIVE = Application("live", Settings(), Clock())
OTHER = Application("other", Settings(), Clock())


class Alice:
    """`Login`: everybody is Alice."""

    async def user(self, visitor: Visitor) -> Identity:
        return Identity("alice", "geheim")

    def objection(self, identity: Identity) -> str:
        return "Alice was removed." if identity.basis == "geheim" else ""


class Stage:
    """A gate with a visitor before it."""

    def __init__(
        self, *publish: Proof, login: Login | None = None, address: str = "192.0.2.1"
    ) -> None:
        self.rules = {
            LIVE: Rules(
                {Action.PUBLISH: publish, Action.PLAY: (Anyone(),)}, login=login or NoLogin()
            ),
            OTHER: Rules({Action.PUBLISH: (Users(),), Action.PLAY: ()}),
        }
        self.visitor = Visitor(address, LIVE)
        gate = SiteGate(self.rules)
        self.account: Account = result_of(Deferred.fromCoroutine(gate.login(self.visitor)))

    def asks(
        self, action: Action = Action.PUBLISH, application: Application = LIVE
    ) -> Deferred[Grant]:
        request = Request(action, self.visitor, application, "show", {"key": "geheim"})
        return Deferred.fromCoroutine(self.account.authorize(request))

    def refusal(
        self, action: Action = Action.PUBLISH, application: Application = LIVE
    ) -> tuple[StatusCode, str]:
        error = failure_of(self.asks(action, application))
        assert isinstance(error, Refused)
        return error.status.code, error.status.description


def inside(*networks: str) -> Addresses:
    return Addresses(tuple(map(ip_network, networks)))


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
    stage = Stage(inside(*networks), address=address)
    if allowed:
        assert result_of(stage.asks()) == Grant("show", ("address", address), "anyone")
    else:
        assert stage.refusal()[0] is StatusCode.PUBLISH_DENIED


def test_what_anyone_may() -> None:
    result_of(Stage(Anyone(), address="somewhere").asks())


def test_users_are_who_they_are_wherever_they_come_from() -> None:
    one, other = (Stage(Users(), login=Alice(), address=a) for a in ("192.0.2.1", "192.0.2.2"))
    assert one.account.name == "alice"
    grant = result_of(one.asks())
    assert (grant.path, grant.account) == ("show", "alice")
    assert grant.identity == result_of(other.asks()).identity


def test_a_guest_is_an_address() -> None:
    one = Stage(Anyone())
    assert one.account.name == "anyone"
    assert result_of(one.asks()).identity == result_of(Stage(Anyone()).asks()).identity
    other = Stage(Anyone(), address="192.0.2.2")
    assert result_of(one.asks()).identity != result_of(other.asks()).identity


def test_no_user_is_named_as_an_address_is() -> None:
    class Named:
        async def user(self, visitor: Visitor) -> Identity:
            return Identity(visitor.address)

        def objection(self, identity: Identity) -> str:
            raise AssertionError(identity)

    user = result_of(Stage(Anyone(), login=Named()).asks())
    assert user.identity != result_of(Stage(Anyone()).asks()).identity


@pytest.mark.parametrize(
    ("proofs", "words"),
    [
        ((), "192.0.2.1 may not publish in live."),
        ((inside("10.0.0.0/8"),), "192.0.2.1 may not publish in live."),
        ((Users(), inside("10.0.0.0/8")), "192.0.2.1 may not publish in live without a login."),
        (
            (Users(asked=False),),
            (
                "192.0.2.1 may not publish in live"
                " without a login in the URL (?user=NAME&password=WORD)."
            ),
        ),
        ((Users(), Users()), "192.0.2.1 may not publish in live without a login or a login."),
    ],
)
def test_a_refusal_says_what_would_help(proofs: Sequence[Proof], words: str) -> None:
    assert Stage(*proofs).refusal() == (StatusCode.PUBLISH_DENIED, words)


def test_nothing_helps() -> None:
    refusal = Stage(Anyone()).refusal(Action.PLAY, OTHER)
    assert refusal == (StatusCode.PLAY_FAILED, "192.0.2.1 may not play in other.")


def test_a_login_counts_in_its_own_application_only() -> None:
    stage = Stage(Users(), login=Alice())
    assert stage.refusal(Action.PUBLISH, OTHER)[0] is StatusCode.PUBLISH_DENIED


def test_the_first_that_knows_wins() -> None:
    class Never:
        need: ClassVar[str] = ""

        async def grant(self, request: Request, user: str) -> Grant:
            raise AssertionError((request, user))

    result_of(Stage(inside("10.0.0.0/8"), inside("192.0.2.0/24"), Never()).asks())


def test_a_login_is_doubted_by_what_its_application_says_now() -> None:
    stage = Stage(Users(), login=Alice())
    assert stage.account.objection() == "Alice was removed."
    stage.rules[LIVE] = Rules(stage.rules[LIVE].proofs)
    assert stage.account.objection() == "Logins are no longer taken here: connect anew."


def test_guests_have_nothing_that_could_be_withdrawn() -> None:
    assert Stage(Anyone()).account.objection() == ""


def test_accounts_show_no_secrets() -> None:
    stage = Stage(Anyone(), login=Alice())
    stage.account.left()
    request = Request(Action.PUBLISH, stage.visitor, LIVE, "geheim", {"key": "geheim"})
    shown = repr(request) + repr(stage.account) + repr(result_of(stage.asks()))
    assert "geheim" not in shown
