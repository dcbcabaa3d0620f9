"""
What may speak for somebody who wants to publish or play.

An IPv4 address is expected in its usual form, whatever the listener (`net.listen.host_of`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import ClassVar, Protocol

from rtmptwist.live.access import Grant, Request
from rtmptwist.live.networks import within


class Proof(Protocol):
    """One reason to let somebody do something."""

    need: ClassVar[str]
    "What would have to be shown, for those who cannot: `a login`. Empty: nothing can be shown."

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


class Users:
    """Whoever has logged in."""

    need: ClassVar[str] = "a login"

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
        # whoever may open a local socket may do as this machine
        address = "127.0.0.1" if request.visitor.address == "unix" else request.visitor.address
        return _as_one_is(request, user) if within(address, self.networks) else None


def _as_one_is(request: Request, user: str) -> Grant:
    """What was asked for, as oneself: the user, or whoever has the same address."""
    if user:
        return Grant(request.path, ("user", user), user)
    return Grant(request.path, ("address", request.visitor.address), "anyone")
