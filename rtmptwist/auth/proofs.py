"""
What may speak for somebody who wants to publish or play.

An IPv4 address is expected in its usual form, whatever the listener (`net.listen.host_of`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import ClassVar, Final, Protocol

from rtmptwist.live.access import Action, Grant, Request
from rtmptwist.live.errors import Refused
from rtmptwist.live.networks import within
from rtmptwist.wire.status import StatusCode


class Proof(Protocol):
    """One reason to let somebody do something."""

    @property
    def need(self) -> str:
        """What would have to be shown, for those who cannot: `a login`. Empty: nothing can be."""

    async def grant(self, request: Request, user: str) -> Grant | None:
        """
        Yes, or None: this proof knows nothing of it. `user` is the login; empty: a guest.

        Raises:
            Refused: this proof knows, and says no (a key that has expired).
        """


class Anyone:
    """No question is asked."""

    need: ClassVar[str] = ""

    async def grant(self, request: Request, user: str) -> Grant:
        """Always yes."""
        return _as_one_is(request, user)


@dataclass(frozen=True, slots=True)
class Users:
    """Whoever has logged in."""

    asked: bool = True
    "Encoders are asked for user and password, and show those that were typed; else nobody is."

    @property
    def need(self) -> str:
        """Which login would help."""
        return "a login" if self.asked else "a login in the URL (?user=NAME&password=WORD)"

    async def grant(self, request: Request, user: str) -> Grant | None:
        """Not for guests."""
        return _as_one_is(request, user) if user else None


@dataclass(frozen=True, slots=True)
class Addresses:
    """Whoever comes from certain networks."""

    networks: Sequence[IPv4Network | IPv6Network]
    need: ClassVar[str] = ""

    async def grant(self, request: Request, user: str) -> Grant | None:
        """By the peer's address."""
        if came_from(request.visitor.address, self.networks):
            return _as_one_is(request, user)
        return None


def came_from(address: str, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    """Whether a visitor's address is in one of the networks."""
    # whoever may open a local socket may do as this machine
    return within("127.0.0.1" if address == "unix" else address, networks)


def refusal(request: Request, words: str) -> Refused:
    """A no, as whoever asked understands it."""
    return Refused(_CODES[request.action], words)


def _as_one_is(request: Request, user: str) -> Grant:
    """What was asked for, as oneself: the user, or whoever has the same address."""
    if user:
        return Grant(request.path, ("user", user), user)
    return Grant(request.path, ("address", request.visitor.address), "anyone")


_CODES: Final = {
    Action.PUBLISH: StatusCode.PUBLISH_DENIED,
    Action.PLAY: StatusCode.PLAY_FAILED,
}
