"""
The plain gate: everybody is known by address, and applications say which networks may do what.

An IPv4 address is expected in its usual form, whatever the listener (`net.listen.host_of`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Final, Protocol

from rtmptwist.live.access import Action, Visitor
from rtmptwist.live.application import Application
from rtmptwist.live.errors import Refused
from rtmptwist.live.networks import within
from rtmptwist.wire.status import StatusCode


class Access(Protocol):
    """Who may do one thing: anyone, or whoever comes from certain networks; nobody without any."""

    @property
    def anyone(self) -> bool:
        """No question is asked."""

    @property
    def networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Asked only when not `anyone`."""


Rules = Mapping[Application, Mapping[Action, Access]]
"What each application says."

_CODES: Final = {
    Action.PUBLISH: StatusCode.PUBLISH_DENIED,
    Action.PLAY: StatusCode.PLAY_FAILED,
}


class AddressGate:
    """`live.Gate`: lets everybody in, and asks by address when they want to do something."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    async def login(self, visitor: Visitor) -> AddressAccount:
        """An account for the address; nobody is refused yet."""
        return AddressAccount(visitor.address, self._rules)


@dataclass(frozen=True, slots=True)
class AddressAccount:
    """`live.Account`: somebody of whom we know only where they come from."""

    address: str
    rules: Rules = field(repr=False)

    @property
    def name(self) -> str:
        """As logs call it."""
        return "anyone"

    @property
    def identity(self) -> str:
        """The same address is the same publisher, until logins say more."""
        return self.address

    async def authorize(
        self,
        action: Action,
        application: Application,
        path: str,  # noqa: ARG002 - only the address counts here
        query: Mapping[str, str],  # noqa: ARG002
    ) -> None:
        """Let pass or raise `Refused`."""
        access = self.rules[application][action]
        # whoever may open a local socket may do as this machine
        address = "127.0.0.1" if self.address == "unix" else self.address
        if access.anyone or within(address, access.networks):
            return
        raise Refused(
            _CODES[action],
            f"{self.address} may not {action} in {application.name}.",
        )
