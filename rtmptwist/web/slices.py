"""Long work in short pieces, between which everybody else has their turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Final, TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

T = TypeVar("T")

PIECE: Final = 0.002
"Seconds: as long as a slice of a sweep over viewers."

_LOOK: Final = 16
"Items between two looks at the clock."


async def in_slices(items: Iterable[T], clock: IReactorTime) -> AsyncIterator[T]:
    """The same items; after each `PIECE` of work on them the reactor turns."""
    began = clock.seconds()
    for number, item in enumerate(items, 1):
        yield item
        if number % _LOOK == 0 and clock.seconds() - began >= PIECE:
            await deferLater(clock, 0)
            began = clock.seconds()
