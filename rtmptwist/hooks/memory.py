"""The last answers of a hook, for when it cannot be asked."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime

from rtmptwist.hooks.answer import Answer
from rtmptwist.live.fairtable import FairTable
from rtmptwist.live.networks import holder

LARGEST: Final = 10_000
"Answers: some megabytes. Beyond it those go first of whoever has asked for most."


class Memory:
    """Answers by what was asked, each for a time."""

    def __init__(self, clock: IReactorTime, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._answers: FairTable[bytes, tuple[float, Answer]] = FairTable(LARGEST)

    def __len__(self) -> int:
        return len(self._answers)

    def keep(self, question: bytes, answer: Answer, address: str) -> None:
        """Remember what was said about somebody with this address, as the newest."""
        until = self._clock.seconds() + self._seconds
        self._answers.put(question, (until, answer), holder(address))

    def find(self, question: bytes) -> Answer | None:
        """What was the last answer, if that is not too long ago."""
        until, answer = self._answers.get(question) or (0.0, None)
        return answer if self._clock.seconds() < until else None
