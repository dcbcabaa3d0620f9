"""
How many may come: connections, publishers and viewers, in all and of each account and address.

`LimitedGate` stands around all other gates: it counts whom they let in, under the names that they
decided on, and makes what each application allows to everybody part of every grant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Final, NamedTuple

from rtmptwist.auth.gate import GUEST
from rtmptwist.auth.places import Full, Places, Seat
from rtmptwist.auth.proofs import refusal
from rtmptwist.live.access import (
    FREE,
    Account,
    Action,
    Gate,
    Grant,
    Request,
    Terms,
    Usage,
    Visitor,
)
from rtmptwist.live.application import Application
from rtmptwist.live.errors import Refused
from rtmptwist.live.names import redacted
from rtmptwist.live.networks import place, within
from rtmptwist.wire.status import StatusCode


class What(StrEnum):
    """What is counted."""

    __hash__ = str.__hash__  # Enum's own is Python code: 0.2 µs, ten times for each connection

    CONNECTIONS = "connections"
    PUBLISHERS = "publishers"
    VIEWERS = "viewers"


class Scope(StrEnum):
    """Of whom it is counted, as the names of the keys end."""

    __hash__ = str.__hash__

    ALL = ""
    STREAM = "_per_stream"
    ACCOUNT = "_per_account"
    ADDRESS = "_per_address"


@dataclass(frozen=True, slots=True)
class AppLimits:
    """What one application allows."""

    most: Mapping[tuple[What, Scope], int | None] = field(default_factory=dict)
    "At one time; None, and what is not there: as many as come."

    terms: Terms = FREE
    "For everybody."


class _Room(NamedTuple):
    """Something of which there may be so many."""

    application: Application
    what: What
    scope: Scope
    who: str
    "Which stream, account or address."


class LimitedGate:
    """`live.Gate`: around another one, which decides everything else."""

    def __init__(
        self,
        inner: Gate,
        limits: Mapping[Application, AppLimits],
        trusted: Sequence[IPv4Network | IPv6Network],
        banned: Callable[[str], str],
    ) -> None:
        """
        `trusted`: networks that are not counted by address; `banned`: why an account may not come,
        empty: it may.
        """
        self.limits = limits
        self.places = Places()
        self._inner = inner
        self.trusted = trusted
        self._banned = banned

    async def login(self, visitor: Visitor) -> Account:
        """
        Count it in: by address before it is asked who it is, for that costs more; among all only
        then, so that nobody is kept out by strangers who never get in.
        """
        application = visitor.application
        everybody = _Room(application, What.CONNECTIONS, Scope.ALL, "")
        if self.places.full(everybody, None, self._most(everybody)):
            raise self._refusal(everybody)
        seat = Seat(self.places)
        self._take_by_address(seat, application, What.CONNECTIONS, visitor.address)
        account = None
        try:
            account = await self._inner.login(visitor)
            # what let it in may be gone by now: a hook takes its time
            if words := self._banned(account.name) or account.objection():
                raise Refused(StatusCode.CONNECT_REJECTED, words)
            self._take(seat, everybody)
            self._take_by_account(seat, application, What.CONNECTIONS, account.name)
        except BaseException:  # cancelled as well
            seat.leave()
            if account is not None:
                account.left()
            raise
        return _Counted(self, account, seat)

    def enter(self, request: Request) -> Seat:
        """
        Count somebody in who comes by the name of a stream, which may lead into another application
        than the connection was made to.

        Raises:
            Refused: that one is full.
        """
        seat = Seat(self.places)
        application = request.application
        try:
            self._take(seat, _Room(application, What.CONNECTIONS, Scope.ALL, ""))
            self._take_by_address(seat, application, What.CONNECTIONS, request.visitor.address)
        except Refused as refused:  # who is connected already has to read it as an answer
            raise refusal(request, refused.status.description) from None
        return seat

    def admit(self, request: Request, grant: Grant) -> Grant:
        """
        Count what somebody begins to do; the grant gives it back when it ends.

        Raises:
            Refused: there are too many, or this account is banned. Nothing is counted, and the
                grant not ended.
        """
        application, address = request.application, request.visitor.address
        if words := self._banned(grant.account):
            raise refusal(request, words)
        if request.action is Action.PUBLISH:
            # by name: whoever takes a stream over has the place of its publisher
            what, seat = What.PUBLISHERS, Seat(self.places, grant.path)
        else:
            what, seat = What.VIEWERS, Seat(self.places)
            self._take(seat, _Room(application, what, Scope.STREAM, grant.path))
        self._take(seat, _Room(application, what, Scope.ALL, ""))
        self._take_by_address(seat, application, what, address)
        self._take_by_account(seat, application, what, grant.account)
        return grant.also(self.limits[application].terms, lambda _: seat.leave())

    def _take_by_address(
        self, seat: Seat, application: Application, what: What, address: str
    ) -> None:
        if address != "unix" and not within(address, self.trusted):
            self._take(seat, _Room(application, what, Scope.ADDRESS, place(address)))

    def _take_by_account(
        self, seat: Seat, application: Application, what: What, account: str
    ) -> None:
        if account != GUEST:
            self._take(seat, _Room(application, what, Scope.ACCOUNT, account))

    def _take(self, seat: Seat, room: _Room) -> None:
        try:
            seat.take(room, self._most(room))
        except Full:
            raise self._refusal(room) from None

    def _most(self, room: _Room) -> int | None:
        application, what, scope, _ = room
        return self.limits[application].most.get((what, scope))

    def _refusal(self, room: _Room) -> Refused:
        who = redacted(room.who) if room.scope is Scope.STREAM else room.who
        key = f"max_{room.what}{room.scope}"
        return Refused(
            _CODES[room.what],
            f"{who or room.application.name} has as many {room.what} as it may have"
            f" ({key} = {self._most(room)}).",
        )


class _Counted:
    """`live.Account`: of somebody who was counted in."""

    __slots__ = ("_account", "_elsewhere", "_gate", "_seat")

    def __init__(self, gate: LimitedGate, account: Account, seat: Seat) -> None:
        self._gate = gate
        self._account = account
        self._seat = seat
        self._elsewhere: dict[Application, Seat] = {}
        "Where the names of its streams have led."

    @property
    def name(self) -> str:
        """As it is."""
        return self._account.name

    async def authorize(self, request: Request) -> Grant:
        """Allowed, and not too many."""
        grant = await self._account.authorize(request)
        application, elsewhere = request.application, self._elsewhere
        try:
            if application is not request.visitor.application and application not in elsewhere:
                elsewhere[application] = self._gate.enter(request)
            return self._gate.admit(request, grant)
        except Refused as refused:
            grant.end(Usage(refused.status.description))
            raise

    def objection(self) -> str:
        """As it is."""
        return self._account.objection()

    def left(self) -> None:
        """Count it out."""
        for seat in (self._seat, *self._elsewhere.values()):
            seat.leave()
        self._account.left()


_CODES: Final = {
    What.CONNECTIONS: StatusCode.CONNECT_REJECTED,
    What.PUBLISHERS: StatusCode.PUBLISH_DENIED,
    What.VIEWERS: StatusCode.PLAY_FAILED,
}
