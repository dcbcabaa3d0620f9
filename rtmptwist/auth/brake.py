"""
Slows down whoever logs in wrongly again and again.

What counts is the address (of IPv6 the /64), because it is all that a stranger cannot choose at
will. Not the user's name: whoever tried somebody else's would lock that user out. No network is
trusted here: a right password is never slowed down by the wrong ones of others elsewhere, and a
machine of ours that guesses should not guess faster for being ours.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from rtmptwist.auth.errors import Busy
from rtmptwist.live.fairtable import FairTable
from rtmptwist.live.networks import holder, place

FREE: Final = 5
"Failures in a row that cost nothing: people mistype, and encoders try again by themselves."

FORGOTTEN_AFTER: Final = 6.0
"Seconds after which one failure is forgotten: ten in a minute may go on for ever."

FIRST_DELAY: Final = 0.5
LONGEST_DELAY: Final = 8.0
"Seconds; it doubles from one failure to the next. Encoders give up after 30."

WORST: Final = 10
"Failures that are counted: with these the delay is the longest."

HELD_PER_PLACE: Final = 8
"Logins of one address that wait for their delay; more are refused at once."

HELD: Final = 512
"Logins of all addresses that wait: each keeps a connection."

FLOOD: Final = 20
"Logins of one address in a second that were refused at once: more, and it may not even connect."

CLOSED_FOR: Final = 5.0
"Seconds for which it may not."

PLACES: Final = 10_000
"Addresses that are remembered; of those who have most, those go first that were quiet longest."


@dataclass(slots=True)
class _Record:
    """Of one address."""

    failures: float = 0.0
    "As of `at`."
    at: float = 0.0
    held: int = 0
    refused: int = 0
    "At once, within the second that ..."
    since: float = 0.0
    "... began then."


class Brake:
    """Remembers failures, and has those wait from whose address they came."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._records: FairTable[str, _Record] = FairTable(PLACES)
        "By place."
        self._held = 0
        self._closed: dict[str, float] = {}
        "Places whose connections are not worth a handshake, and until when."

    def closed_to(self, address: str) -> str:
        """
        Why an address may not even connect; empty: it may.

        A connection that is refused costs as much as one that is let in. Whoever guesses a thousand
        times a second would take half a processor, which others need.
        """
        if not self._closed or address == "unix":  # all who come through a proxy of this machine
            return ""
        until = self._closed.get(place(address), 0.0)
        if self._clock.seconds() >= until:
            return ""
        return f"too many logins from {address} were wrong; it may not connect for a few seconds"

    async def wait(self, address: str) -> None:
        """
        Let an address wait as long as its failures make it, before its next login is looked at.

        Raises:
            Busy: too many wait already, of this address or of all.
        """
        record = self._records.get(place(address))
        delay = self._delay(record) if record is not None else 0.0
        if record is None or not delay:
            return
        if record.held >= HELD_PER_PLACE or self._held >= HELD:
            self._refused(place(address), record)
            raise Busy(f"too many logins from {address} were wrong, and too many wait already")
        record.held += 1
        self._held += 1
        try:
            await deferLater(self._clock, delay)
        finally:
            record.held -= 1
            self._held -= 1

    def failed(self, address: str) -> None:
        """A login from there was wrong."""
        where, now = place(address), self._clock.seconds()
        record = self._records.get(where) or _Record()
        record.failures = min(WORST, self._failures(record) + 1)
        record.at = now
        self._records.put(where, record, holder(address))

    async def hold(self, address: str) -> None:
        """
        What was shown from there was wrong: the answer comes as late as the next login would.

        For what nobody can guess, such as stream keys: there the right ones need not wait for the
        wrong ones of a neighbour.
        """
        self.failed(address)
        with suppress(Busy):
            await self.wait(address)

    def _refused(self, where: str, record: _Record) -> None:
        now = self._clock.seconds()
        if now - record.since >= 1:
            record.since, record.refused = now, 0
        record.refused += 1
        if record.refused > FLOOD:
            self._closed = {each: until for each, until in self._closed.items() if now < until}
            self._closed[where] = now + CLOSED_FOR

    def _failures(self, record: _Record) -> float:
        return max(0.0, record.failures - (self._clock.seconds() - record.at) / FORGOTTEN_AFTER)

    def _delay(self, record: _Record) -> float:
        over = self._failures(record) - FREE
        return min(LONGEST_DELAY, FIRST_DELAY * 2.0**over) if over > 0 else 0.0
