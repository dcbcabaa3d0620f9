"""The last answers of a hook, for when it cannot be asked."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from twisted.internet.interfaces import IReactorTime

from rtmptwist.hooks.answer import Answer

LARGEST: Final = 10_000
"Answers: some megabytes. Beyond it the oldest is forgotten."


class Memory:
    """Answers by what was asked, each for a time."""

    def __init__(self, clock: IReactorTime, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._answers: OrderedDict[bytes, tuple[float, Answer]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._answers)

    def keep(self, question: bytes, answer: Answer) -> None:
        """Remember it, as the newest."""
        self._answers.pop(question, None)
        self._answers[question] = self._clock.seconds() + self._seconds, answer
        if len(self._answers) > LARGEST:
            self._answers.popitem(last=False)

    def find(self, question: bytes) -> Answer | None:
        """What was the last answer, if that is not too long ago."""
        until, answer = self._answers.get(question, (0.0, None))
        return answer if self._clock.seconds() < until else None
