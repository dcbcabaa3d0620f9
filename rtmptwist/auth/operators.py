"""
Who may operate the server over HTTP: by a bearer token (RFC 6750), by user and password (RFC 7617),
or, where that is allowed, by being on the same machine.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from twisted.cred.credentials import IUsernamePassword

from rtmptwist.auth.brake import Brake
from rtmptwist.auth.checkers import Checker, InOrder
from rtmptwist.auth.credentials import IToken, Password, Token, possible
from rtmptwist.auth.errors import Wrong
from rtmptwist.auth.passwords import normal
from rtmptwist.live.access import Visitor
from rtmptwist.live.application import Application


class Operators:
    """Those of one listener."""

    def __init__(
        self, checkers: Sequence[Checker], brake: Brake, desk: Application, *, loopback: bool
    ) -> None:
        """
        `desk`: what checkers are told that the login is for; `loopback`: whoever is on this machine
        needs none.
        """
        self._desk = desk
        self._checkers = InOrder(checkers)
        self._brake = brake
        self._loopback = loopback

    @property
    def schemes(self) -> list[str]:
        """How a login may be shown, for WWW-Authenticate."""
        taken = self._checkers.credentialInterfaces
        schemes = {IToken: "Bearer", IUsernamePassword: 'Basic realm="rtmptwist", charset="UTF-8"'}
        return [words for interface, words in schemes.items() if interface in taken]

    async def who(self, address: str, authorization: str, *, local: bool) -> str:
        """
        Whose request it is. `authorization`: the header; `local`: sent on this machine, to it.

        Raises:
            Wrong: nobody's who may.
            Undecided: that could not be found out.
        """
        if not authorization and local and self._loopback:
            return "loopback"
        credentials = _credentials(Visitor(address, self._desk), authorization)
        if credentials is None or not possible(credentials):
            raise Wrong("no login that can be one was shown")
        if not any(i.providedBy(credentials) for i in self._checkers.credentialInterfaces):
            raise Wrong("logins of this kind are not taken here")
        await self._brake.wait(address)
        try:
            name: str = await self._checkers.requestAvatarId(credentials)
        except Wrong:
            self._brake.failed(address)
            raise
        return name


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
