"""
The gate that asks hooks: whom the site's own gate lets in, they may still refuse, rename, send
elsewhere, or bind to limits.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
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
    ) -> None:
        """An application without hooks is not in `chains`. `now`: seconds since the epoch."""
        self._inner = inner
        self._chains = chains
        self._clock = clock
        self._now = now

    async def login(self, visitor: Visitor) -> Account:
        """Whom all let in."""
        account = await self._inner.login(visitor)
        client = Client.of(visitor, secrets.randbits(53))  # a number that JavaScript can hold
        member = HookedAccount(self, account, client, self._clock)
        try:
            await member.come(visitor.application, visitor.query, account.name)
        except BaseException:
            account.left()
            raise
        return member

    async def agree(
        self,
        event: Event,
        client: Client,
        account: str,
        application: Application,
        query: Mapping[str, str],
        name: str = "",
    ) -> Consent | None:
        """
        Ask the hooks of an application, if it has any.

        Raises:
            Refused: one said no, or could not be asked.
        """
        chain = self._chains.get(application)
        if chain is None:
            return None
        question = Question(
            event,
            new_id(),
            self._now(),
            client,
            account,
            application.name,
            application.host,
            name,
            query,
        )
        return await chain.agree(question)


class HookedAccount:
    """`live.Account`: another one, with what hooks say to what it does."""

    def __init__(
        self, gate: HookedGate, inner: Account, client: Client, clock: IReactorTime
    ) -> None:
        self._gate = gate
        self._inner = inner
        self._client = client
        self._clock = clock
        self._entered: dict[Application, tuple[float, Consent | None]] = {}
        "Which applications it was let into, since when, and what their hooks said."

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
        since = self._clock.seconds()
        consent = await self._gate.agree(Event.CONNECT, self._client, account, application, query)
        self._entered[application] = since, consent

    async def authorize(self, request: Request) -> Grant:
        """What all agree to."""
        if request.application not in self._entered:
            await self._come_by_name(request)
        grant = await self._inner.authorize(request)
        try:
            consent = await self._gate.agree(
                _EVENTS[request.action],
                self._client,
                grant.account,
                request.application,
                request.query,
                grant.path,
            )
        except BaseException as error:
            grant.end(Usage(why(error)))
            raise
        if consent is None:
            return grant
        return replace(
            grant,
            path=consent.name,
            terms=grant.terms.narrowed(consent.terms),
            ended=(*grant.ended, consent.over),
        )

    async def _come_by_name(self, request: Request) -> None:
        """The name of a stream leads into another application, whose hooks were not asked yet."""
        try:
            # as a guest: the login was that of the application it had connected to
            await self.come(request.application, request.query, GUEST)
        except Refused as refused:  # who is connected already has to read it as an answer
            raise refusal(request, refused.status.description) from refused

    def left(self) -> None:
        """The connection has ended."""
        self._inner.left()
        for since, consent in self._entered.values():
            if consent is not None:
                consent.over(Usage("", self._clock.seconds() - since))
