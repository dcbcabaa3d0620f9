"""
The gate that asks hooks: whom the site's own gate lets in, they may still refuse, rename, send
elsewhere, or bind to limits.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from twisted.internet.interfaces import IReactorTime

from rtmptwist.auth.gate import GUEST
from rtmptwist.auth.proofs import refusal
from rtmptwist.hooks.chain import Chain, Consent, new_id, why
from rtmptwist.hooks.events import Event
from rtmptwist.hooks.question import Client, Question
from rtmptwist.live.access import Account, Action, Gate, Grant, Request, Usage, Visitor
from rtmptwist.live.application import Application
from rtmptwist.live.errors import Refused

_EVENTS: Final = {Action.PUBLISH: Event.PUBLISH, Action.PLAY: Event.PLAY}


class HookedGate:
    """`live.Gate`: asks another one, and then the hooks of the application."""

    def __init__(
        self,
        inner: Gate,
        chains: Mapping[Application, Chain],
        clock: IReactorTime,
        now: Callable[[], float],
        secrets: Mapping[Application, frozenset[str]] = MappingProxyType({}),
    ) -> None:
        """
        An application without hooks is not in `chains`. `now`: seconds since the epoch. `secrets`:
        parts of queries by which an application knows people.
        """
        self._inner = inner
        self.chains = chains
        self.clock = clock
        self.now = now
        self.secrets = secrets

    async def login(self, visitor: Visitor) -> Account:
        """Whom all let in."""
        account = await self._inner.login(visitor)
        member = HookedAccount(self, account, visitor)
        try:
            await member.come(visitor.application, visitor.query, account.name)
        except BaseException:
            account.left()
            raise
        return member


class HookedAccount:
    """`live.Account`: another one, with what hooks say to what it does."""

    __slots__ = ("_client", "_consents", "_elsewhere", "_gate", "_inner", "_visitor")

    def __init__(self, gate: HookedGate, inner: Account, visitor: Visitor) -> None:
        self._gate = gate
        self._inner = inner
        self._visitor = visitor
        self._client: Client | None = None
        "What hooks hear of it: made for the first that is asked, which most never need (8 µs)."
        self._elsewhere: tuple[Application, ...] = ()
        "Into which the names of its streams have led."
        self._consents: tuple[tuple[float, Consent], ...] = ()
        "What hooks said to its coming, and when."

    @property
    def name(self) -> str:
        """As logs call it."""
        return self._inner.name

    async def come(self, application: Application, query: Mapping[str, str], account: str) -> None:
        """
        Ask whether it may connect.

        Raises:
            Refused: it may not.
        """
        chain = self._gate.chains.get(application)
        if chain is not None:
            since = self._gate.clock.seconds()
            question = self._question(Event.CONNECT, account, application, query)
            consent = await chain.agree(question)  # others may come meanwhile, by other names
            self._consents += ((since, consent),)

    async def authorize(self, request: Request) -> Grant:
        """What all agree to."""
        application = request.application
        if application is not self._visitor.application and application not in self._elsewhere:
            await self._come_by_name(request)
        grant = await self._inner.authorize(request)
        chain = self._gate.chains.get(application)
        if chain is None:
            return grant
        try:
            event, query = _EVENTS[request.action], request.query
            question = self._question(event, grant.account, application, query, grant.path)
            consent = await chain.agree(question)
        except BaseException as error:
            grant.end(Usage(why(error)))
            raise
        return replace(grant.also(consent.terms, consent.over), path=consent.name)

    async def _come_by_name(self, request: Request) -> None:
        """The name of a stream leads into another application, whose hooks were not asked yet."""
        try:
            # as a guest: the login was that of the application it had connected to
            await self.come(request.application, request.query, GUEST)
        except Refused as refused:  # who is connected already has to read it as an answer
            raise refusal(request, refused.status.description) from refused
        self._elsewhere += (request.application,)

    def _question(
        self,
        event: Event,
        account: str,
        application: Application,
        query: Mapping[str, str],
        name: str = "",
    ) -> Question:
        if self._client is None:
            number = secrets.randbits(53)  # that JavaScript can hold
            self._client = Client.of(self._visitor, number)
        return Question(
            event,
            new_id(),
            self._gate.now(),
            self._client,
            account,
            application.name,
            application.host,
            name,
            query,
            # what it showed to the application that it connected to is in all its queries
            secrets=self._secrets(application) | self._secrets(self._visitor.application),
        )

    def _secrets(self, application: Application) -> frozenset[str]:
        return self._gate.secrets.get(application, frozenset())

    def objection(self) -> str:
        """As it is: hooks are asked once."""
        return self._inner.objection()

    def left(self) -> None:
        """The connection has ended."""
        self._inner.left()
        for since, consent in self._consents:
            consent.over(Usage("", self._gate.clock.seconds() - since))
