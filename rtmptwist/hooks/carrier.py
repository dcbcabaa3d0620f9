"""What asking and telling have in common: somebody who carries, and how much it may cost."""

from __future__ import annotations

from typing import Protocol

from rtmptwist.hooks.answer import Answer
from rtmptwist.hooks.question import Question


class Carrier(Protocol):
    """What brings questions to a hook, and its answers back."""

    async def ask(self, question: Question) -> Answer:
        """
        Ask once. Cancelled when nobody waits any more.

        Raises:
            NoAnswer: there was none.
        """

    async def close(self, patience: float) -> None:
        """Leave nothing behind, within so many seconds. Nothing is asked any more."""


class Effort(Protocol):
    """How much is tried."""

    @property
    def name(self) -> str:
        """Of the hook, for logs."""

    @property
    def timeout(self) -> float:
        """Seconds."""

    @property
    def retries(self) -> int:
        """After the first time."""

    @property
    def at_once(self) -> int:
        """What is on its way at one time."""

    @property
    def queue(self) -> int:
        """What waits for that."""
