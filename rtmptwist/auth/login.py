"""
The logins of an application: who somebody is, found out at connect.

What was shown is checked and, if it is wrong, refused, even where anyone may come. Where nothing
was shown, encoders are asked for it (`auth.authmod`) if they cannot get further without: they, and
most players, tell their users' names and passwords to nobody who did not ask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final

from twisted.cred.credentials import IUsernameHashedPassword, IUsernamePassword
from twisted.cred.portal import IRealm, Portal
from twisted.logger import Logger
from zope.interface import Interface, implementer

from rtmptwist.amf.values import Value
from rtmptwist.auth.authmod import SCHEMES, Answer, Scheme
from rtmptwist.auth.brake import Brake
from rtmptwist.auth.challenges import Challenges
from rtmptwist.auth.checkers import Checker, InOrder
from rtmptwist.auth.credentials import (
    ICertificate,
    IToken,
    Plain,
    certificate,
    password,
    possible,
    text_of,
    token,
)
from rtmptwist.auth.errors import Busy, Undecided, Wrong
from rtmptwist.auth.identity import NOBODY, Identity
from rtmptwist.auth.passwords import USER_LENGTH, adobe_salt
from rtmptwist.auth.proofs import came_from
from rtmptwist.live.access import Action, Visitor
from rtmptwist.live.errors import Refused
from rtmptwist.wire.client import CLIENT_VERSION
from rtmptwist.wire.status import StatusCode


class IUser(Interface):
    """What a login gives: an `Identity`."""


@implementer(IRealm)
class Realm:
    """Cred's: whoever has logged in is a user. What a user may do, the proofs say."""

    def requestAvatar(
        self,
        avatarId: Any,
        mind: object,  # noqa: ARG002 - cred's
        *interfaces: object,  # noqa: ARG002 - cred's
    ) -> tuple[type[Interface], object, Callable[[], None]]:
        """The user; nothing needs to be done when they leave."""
        return IUser, avatarId, lambda: None


@dataclass(frozen=True, slots=True)
class Way:
    """How one comes to publish, or to play."""

    users: bool = False
    "By a login."

    networks: Sequence[IPv4Network | IPv6Network] = ()
    "By where one comes from."

    later: bool = False
    "By something that is shown later, such as a stream key, or by nothing."

    def open(self, address: str) -> bool:
        """Whether somebody may get there without a login."""
        return self.later or came_from(address, self.networks)


class Logins:
    """`auth.gate.Login` by the checkers of one application, the first that accepts."""

    log = Logger()

    def __init__(
        self,
        checkers: Sequence[Checker],
        ways: Mapping[Action, Way],
        challenges: Challenges,
        brake: Brake,
        scheme: Scheme | None,
    ) -> None:
        """`scheme`: how encoders are asked for user and password."""
        self._checkers = InOrder(checkers)
        self._portal = Portal(Realm(), [self._checkers])
        self._ways = ways
        self._challenges = challenges
        self._brake = brake
        self._scheme = scheme if self._takes(IUsernameHashedPassword) else None

    async def user(self, visitor: Visitor) -> Identity:
        """Whoever it is, by what was shown; a guest, where nothing was, and nothing is needed."""
        scheme = SCHEMES.get(visitor.query.get("authmod", ""))
        if scheme is not None and self._takes(IUsernameHashedPassword):
            return await self._answered(visitor, scheme)
        for interface, find in _PLAIN.items():
            credentials = find(visitor) if self._takes(interface) else None
            if credentials is not None:
                return await self._shown(visitor, credentials)
        if self._asks(visitor):
            raise self._need(visitor)
        return NOBODY

    def objection(self, identity: Identity) -> str:
        """Why somebody who has logged in could not any more; empty: they could."""
        return self._checkers.objection(identity.basis)

    def _takes(self, interface: type[Interface]) -> bool:
        return interface in self._checkers.credentialInterfaces

    # ---- whom to ask

    def _asks(self, visitor: Visitor) -> bool:
        """Whether it is of no use to let somebody in as a guest."""
        address = visitor.address
        wanted = [self._ways[action] for action in _seems_to_want(visitor.properties)]
        if any(way.open(address) for way in wanted):
            return False
        if any(way.users for way in wanted):
            return True
        # what it seems to want is not to be had at all
        return any(way.users and not way.open(address) for way in self._ways.values())

    def _need(self, visitor: Visitor) -> Refused:
        if self._scheme is not None:
            why = f"asked for a login (authmod={self._scheme.name})"
            return Refused(_REJECTED, self._scheme.need()).because(why)
        forms = [form for interface, form in _FORMS.items() if self._takes(interface)]
        return Refused(
            _REJECTED,
            f"{visitor.application.name} needs a login: {' or '.join(forms) or 'see its manual'}.",
        )

    # ---- what was shown

    async def _shown(self, visitor: Visitor, credentials: Plain) -> Identity:
        failed = Refused(_REJECTED, "The login is wrong.")
        await self._slow_down(visitor)
        if not possible(credentials):
            raise self._failed(visitor, failed, "what was shown can be no login")
        return await self._login(visitor, credentials, failed)

    async def _answered(self, visitor: Visitor, scheme: Scheme) -> Identity:
        """The second and the third connection of an encoder."""
        query, challenges = visitor.query, self._challenges
        user, application = query.get("user", ""), visitor.application
        whom = scheme.name, application.host, application.name, user
        failed = Refused(_REJECTED, scheme.failed(query))
        if not (user.isprintable() and 0 < len(user.encode()) <= USER_LENGTH):
            await self._slow_down(visitor)
            raise self._failed(visitor, failed, "no user can be called that")
        salt = self._checkers.salt(user.encode()) or adobe_salt(
            challenges.stable("salt", self._checkers.origin, user)
        )
        if "response" not in query:
            asked = scheme.ask(user, salt, challenges.new(*whom))
            raise Refused(_REJECTED, asked).because(f"challenged (authmod={scheme.name})")
        answer = scheme.answer(query, salt, text_of(visitor.properties, "app"))
        await self._slow_down(visitor)
        if not challenges.fresh(answer.challenge, *whom):
            raise self._failed(visitor, failed, "no answer to a challenge of the last minute")
        identity = await self._login(visitor, answer, failed)
        if not challenges.fresh(answer.challenge, *whom):
            raise self._failed(visitor, failed, "a challenge was answered twice")
        try:
            challenges.spend(answer.challenge)
        except Busy as busy:
            raise Refused(_REJECTED, _LATER).because(str(busy)) from busy
        return identity

    async def _login(
        self, visitor: Visitor, credentials: Plain | Answer, failed: Refused
    ) -> Identity:
        try:
            identity: Any
            _, identity, _ = await self._portal.login(credentials, None, IUser)
        except Wrong as wrong:
            raise self._failed(visitor, failed, str(wrong)) from wrong
        except Undecided as undecided:
            raise Refused(_REJECTED, _LATER).because(str(undecided)) from undecided
        assert isinstance(identity, Identity)
        return identity

    async def _slow_down(self, visitor: Visitor) -> None:
        """Before anything is looked at that can be wrong."""
        try:
            await self._brake.wait(visitor.address)
        except Busy as busy:
            raise Refused(_REJECTED, _SLOWED_DOWN).because(str(busy)) from busy

    def _failed(self, visitor: Visitor, refused: Refused, why: str) -> Refused:
        self._brake.failed(visitor.address)
        return refused.because(f"login failed: {why}")


def _seems_to_want(properties: Mapping[str, Value]) -> Sequence[Action]:
    """FFmpeg, OBS, GStreamer and librtmp say at connect when they publish; Flash never did."""
    agent = text_of(properties, "flashVer")
    if agent == CLIENT_VERSION:  # our own, which says so in any case
        return Action.PUBLISH, Action.PLAY
    if properties.get("type") == "nonprivate" or agent.startswith("FMLE"):
        return (Action.PUBLISH,)
    return (Action.PLAY,)


_REJECTED: Final = StatusCode.CONNECT_REJECTED
_LATER: Final = "Logins cannot be checked at present. Try again later."
_SLOWED_DOWN: Final = "Too many logins from your address were wrong. Try again in a minute."

_PLAIN: Final = {IUsernamePassword: password, IToken: token, ICertificate: certificate}
"Where credentials of each kind are found; what is said most plainly comes first."

_FORMS: Final = {
    IUsernamePassword: "?user=NAME&password=WORD after the application in the server's URL",
    IToken: "?token=TOKEN after the application in the server's URL",
    ICertificate: "a client certificate",
}
