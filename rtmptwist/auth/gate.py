"""
The gate of a site: who somebody is, and what speaks for what they want to do.

Two questions, asked one after the other. At connect: who is it? The logins of the application know,
or it is a guest. At publish and play: does anything speak for it? Each application lists its proofs
for either action; the first that knows wins, and where none does, the answer is no.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from rtmptwist.auth.identity import NOBODY, Identity
from rtmptwist.auth.proofs import Proof, refusal
from rtmptwist.live.access import Action, Grant, Request, Visitor
from rtmptwist.live.application import Application

GUEST: Final = "anyone"
"What logs call somebody who has not logged in."


class Login(Protocol):
    """Finds out at connect who somebody is."""

    async def user(self, visitor: Visitor) -> Identity:
        """
        Who it is; without a name: a guest.

        Raises:
            Refused: the credentials are wrong, or needed and not there.
        """

    def objection(self, identity: Identity) -> str:
        """Why somebody who has logged in could not any more; empty: they could."""


class NoLogin:
    """`Login`: everybody is a guest."""

    async def user(self, visitor: Visitor) -> Identity:  # noqa: ARG002 - as Login
        """Nobody."""
        return NOBODY

    def objection(self, identity: Identity) -> str:  # noqa: ARG002 - as Login
        """There were logins here once."""
        return "Logins are no longer taken here: connect anew."


@dataclass(frozen=True, slots=True)
class Rules:
    """What one application says."""

    proofs: Mapping[Action, Sequence[Proof]]
    login: Login = field(default_factory=NoLogin)


class SiteGate:
    """`live.Gate`: asks the rules of each application."""

    def __init__(self, rules: Mapping[Application, Rules]) -> None:
        self._rules = rules

    async def login(self, visitor: Visitor) -> Member:
        """An account for whoever it is."""
        application = visitor.application
        identity = await self._rules[application].login.user(visitor)
        return Member(identity, application, self._rules)


@dataclass(frozen=True, slots=True)
class Member:
    """`live.Account`: a user or a guest of one application."""

    identity: Identity
    application: Application = field(repr=False)
    rules: Mapping[Application, Rules] = field(repr=False)

    @property
    def name(self) -> str:
        """As logs call it."""
        return self.identity.name or GUEST

    async def authorize(self, request: Request) -> Grant:
        """The first proof that knows decides."""
        application = request.application
        proofs = self.rules[application].proofs[request.action]
        # a name that says another virtual host leaves the login behind
        user = self.identity.name if application is self.application else ""
        for proof in proofs:
            grant = await proof.grant(request, user)
            if grant is not None:
                return grant
        raise refusal(
            request,
            f"{request.visitor.address} may not {request.action} in {application.name}"
            f"{_needs(proofs)}.",
        )

    def objection(self) -> str:
        """Guests have shown nothing that could be withdrawn."""
        if not self.identity.name:
            return ""
        return self.rules[self.application].login.objection(self.identity)

    def left(self) -> None:
        """Nothing was kept."""


def _needs(proofs: Sequence[Proof]) -> str:
    needs = [proof.need for proof in proofs if proof.need]
    return f" without {' or '.join(needs)}" if needs else ""
