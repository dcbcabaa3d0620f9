"""How often one address may make us do what costs much and is asked for with little."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from twisted.internet.interfaces import IReactorTime

from rtmptwist.live.fairtable import FairTable
from rtmptwist.live.networks import holder, place, within

BURST: Final = 4.0
"Seconds: after a rest an address may do at once what it may do in so long. A player opens several."

SIZE: Final = 4096
"Addresses that are remembered: half a megabyte. Each is forgotten after a short rest."


class AddressRate:
    """So many times a second for each address; of IPv6, for each network of 64 bits."""

    def __init__(
        self,
        clock: IReactorTime,
        per_second: float,
        trusted: Sequence[IPv4Network | IPv6Network] = (),
    ) -> None:
        """Who is in `trusted`, or on a local socket, may as often as it likes."""
        self.per_second = per_second
        self._clock = clock
        self._trusted = trusted
        self._due: FairTable[str, float] = FairTable(SIZE)
        "When all that an address did would have been done at an even pace."

    def __len__(self) -> int:
        """Addresses that are remembered."""
        return len(self._due)

    def take(self, address: str) -> bool:
        """Whether it may once more, now. What it may not does not count."""
        if address == "unix" or within(address, self._trusted):
            return True
        where, now = place(address), self._clock.seconds()
        due = self._due.get(where) or now
        # never further ahead than it could have got: the clock may have been set back
        due = min(max(due, now), now + BURST)
        allowed = due - now + 1 / self.per_second <= BURST * (1 + 1e-9)
        due += 1 / self.per_second if allowed else 0
        self._due.put(where, due, holder(address))
        return allowed

    def sweep(self) -> None:
        """Once a second: forget who had its rest."""
        now = self._clock.seconds()
        self._due.retain(lambda due: due > now)
