"""Who is turned away at the door, and why: told without letting a flood of them flood the log."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from twisted.logger import Logger

_SHOWN: Final = 3
"Addresses in one line of the log."

_CALM: Final = 20
"Refused logins in a second whose lines are worth having: a challenge is one, for all who log in."


class Reason(StrEnum):
    """Why somebody is refused, as a line of the log says it that tells of many."""

    CONNECTIONS = "too many connections"
    ADDRESS = "too many connections from one address"
    RTMPE = "too many RTMPE handshakes from one address"
    TLS = "too many TLS handshakes from one address"
    BANNED = "banned addresses"
    GUESSING = "too many wrong logins from one address"
    NOT_SERVED = "what they speak is not served"
    CONNECT = "connect was refused, or a login asked for"


class Refusals:
    """
    Counts those who are refused, and tells of them.

    The first for a reason has a line of its own at once. While more come for the same reason, they
    are told of together, in one line for each `sweep`.
    """

    log = Logger()

    def __init__(self) -> None:
        self.counts = dict.fromkeys(Reason, 0)
        "Since the start."

        self._more: dict[Reason, _More] = {}
        "Those since the last sweep, for each reason that there were any for."

    def note(self, reason: Reason, address: str, words: str) -> None:
        """Somebody was refused; `words` say it for this one."""
        if self._news(reason, address, 1):
            self.log.warn("{address} refused: {words}", address=address, words=words)

    def at_connect(self, address: str) -> bool:
        """Somebody's connect was refused; whether the log has room for lines about this one."""
        return self._news(Reason.CONNECT, address, _CALM)

    def _news(self, reason: Reason, address: str, room: int) -> bool:
        """Count one; whether it is not to be told of together with others."""
        self.counts[reason] += 1
        more = self._more.setdefault(reason, _More(room))
        if more.room:
            more.room -= 1
            return True
        more.add(address)
        return False

    def sweep(self) -> None:
        """Once a second: tell of those who came since. A reason that had none is news again."""
        for reason, more in tuple(self._more.items()):
            if not more.count:
                del self._more[reason]
                continue
            self._more[reason] = _More(0)
            self.log.warn(
                "{count} more refused, from {addresses}: {reason}",
                count=more.count,
                addresses=str(more),
                reason=str(reason),
            )


class _More:
    """How many, and some of where they came from."""

    def __init__(self, room: int) -> None:
        self.room = room
        "How many may still have lines of their own."
        self.count = 0
        self._addresses: dict[str, None] = {}

    def add(self, address: str) -> None:
        self.count += 1
        if len(self._addresses) <= _SHOWN:
            self._addresses[address] = None

    def __str__(self) -> str:
        shown = list(self._addresses)
        if len(shown) > _SHOWN:
            shown[_SHOWN:] = ["others"]
        return ", ".join(shown)
