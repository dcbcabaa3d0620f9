"""
Who may operate the server over HTTP: by a bearer token (RFC 6750), by user and password (RFC 7617),
or, where that is allowed, by being on the same machine.

Nobody is let in for good: what was shown can be looked at again. A login may have been withdrawn
meanwhile, in its file, by whoever is asked or by another configuration, or have expired.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from twisted.cred.credentials import IUsernamePassword

from rtmptwist.auth.brake import Brake
from rtmptwist.auth.checkers import Checker, InOrder
from rtmptwist.auth.credentials import IToken, Password, Token, possible
from rtmptwist.auth.errors import Wrong
from rtmptwist.auth.identity import Identity
from rtmptwist.auth.passwords import normal
from rtmptwist.live.access import Visitor
from rtmptwist.live.application import Application

LOOPBACK: Final = "loopback"
"The name of whoever needs no login."


@dataclass(frozen=True, slots=True)
class Shown:
    """By what somebody wants to be known."""

    address: str

    authorization: str = field(repr=False)
    "The header; empty: there is none."

    local: bool
    "Sent on this machine, to it."


class Operators:
    """Those of one listener, as one configuration has them."""

    def __init__(
        self, checkers: Sequence[Checker], brake: Brake, place: Application, *, loopback: bool
    ) -> None:
        """
        `place`: what checkers are told that the login is for; `loopback`: who is on this machine
        needs none.
        """
        self._place = place
        self._checkers = InOrder(checkers)
        self._brake = brake
        self._loopback = loopback

    @property
    def schemes(self) -> list[str]:
        """How a login may be shown, for WWW-Authenticate."""
        taken = self._checkers.credentialInterfaces
        schemes = {IToken: "Bearer", IUsernamePassword: 'Basic realm="rtmptwist", charset="UTF-8"'}
        return [words for interface, words in schemes.items() if interface in taken]

    async def who(self, shown: Shown) -> str:
        """
        Whose request it is. Who fails again and again has to wait.

        Raises:
            Wrong: nobody's who may.
            Undecided: that could not be found out.
        """
        credentials = self._credentials(shown)
        if credentials is None:
            return LOOPBACK
        await self._brake.wait(shown.address)
        try:
            return await self._name(credentials)
        except Wrong:
            self._brake.failed(shown.address)
            raise

    async def again(self, shown: Shown) -> str:
        """The same for what was right before: nobody guesses, and nobody waits for those who do."""
        credentials = self._credentials(shown)
        return LOOPBACK if credentials is None else await self._name(credentials)

    async def _name(self, credentials: Password | Token) -> str:
        found: Identity = await self._checkers.requestAvatarId(credentials)
        return found.name

    def _credentials(self, shown: Shown) -> Password | Token | None:
        """None: none are needed."""
        if not shown.authorization and shown.local and self._loopback:
            return None
        credentials = _credentials(Visitor(shown.address, self._place), shown.authorization)
        if credentials is None or not possible(credentials):
            raise Wrong("no login that can be one was shown")
        if not any(i.providedBy(credentials) for i in self._checkers.credentialInterfaces):
            raise Wrong("logins of this kind are not taken here")
        return credentials


class Desk:
    """Where the operators of a listener are known, whoever they are at present."""

    def __init__(self, operators: Operators | None) -> None:
        self.operators = operators
        "A reload changes them for those, too, who are here already. None: there are none any more."

    @property
    def schemes(self) -> list[str]:
        """How a login may be shown, for WWW-Authenticate."""
        return self.operators.schemes if self.operators is not None else []

    @property
    def present(self) -> Operators:
        """
        Those of now.

        Raises:
            Wrong: there are none.
        """
        if self.operators is None:
            raise Wrong("there are no operators here any more")
        return self.operators

    async def admit(self, shown: Shown) -> Operator:
        """
        Let somebody in.

        Raises:
            Wrong, Undecided: as `Operators.who`.
        """
        return Operator(await self.present.who(shown), self, shown)


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody who was let in."""

    name: str
    desk: Desk
    shown: Shown

    async def confirm(self) -> None:
        """
        Look again at the login.

        Raises:
            Wrong: it is none any more, or somebody else's.
            Undecided: that could not be found out.
        """
        if await self.desk.present.again(self.shown) != self.name:
            raise Wrong("the login is somebody else's now")


def _credentials(visitor: Visitor, authorization: str) -> Password | Token | None:
    scheme, _, rest = authorization.partition(" ")
    rest = rest.strip()
    if scheme.lower() == "bearer":
        return Token(rest) if rest else None
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, word = base64.b64decode(rest, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return Password(normal(user), normal(word), visitor) if colon else None
