"""One direction of a TCP connection, put in order: duplicates dropped, holes told."""

from __future__ import annotations

from typing import Final

AHEAD: Final = 512 * 1024
"Bytes that may wait for what comes before them; then that is lost: the capture does not have it."

_SEGMENTS: Final = 512
"The same in segments."

_WRAP: Final = 1 << 32


class Sequence:
    """Takes segments as they were captured, gives bytes in order."""

    def __init__(self) -> None:
        self.next: int | None = None
        "The sequence number of what comes next."
        self.repeated = 0
        "Bytes that came more than once."
        self.held = 0
        "Bytes that wait."
        self._waiting: dict[int, tuple[bytes, int]] = {}

    def begin(self, sequence: int) -> None:
        """The next byte has this number."""
        if self.next is None:
            self.next = sequence % _WRAP

    def take(self, sequence: int, data: bytes, size: int) -> list[bytes | int]:
        """
        Take `size` bytes, of which `data` is the beginning; return what is in order now.

        A number stands for so many bytes that are missing.
        """
        assert self.next is not None
        ahead = self._distance(sequence)
        if ahead > 0:
            old = self._waiting.get(sequence)
            if old is None or old[1] < size:
                self.held += len(data) - (len(old[0]) if old is not None else 0)
                self._waiting[sequence] = data, size
            else:
                self.repeated += size
            if self.held <= AHEAD and len(self._waiting) <= _SEGMENTS:
                return []
            return self._give_up()
        found = self._append(data, size, -ahead)
        if self._waiting:
            found += self._follow()
        return found

    def rest(self) -> list[bytes | int]:
        """What waits for what never came."""
        found: list[bytes | int] = []
        while self._waiting:
            found += self._give_up()
        return found

    def _append(self, data: bytes, size: int, known: int) -> list[bytes | int]:
        """Go on with what is in order; its first `known` bytes were there already."""
        assert self.next is not None
        self.repeated += min(known, size)
        if known >= size:
            return []
        self.next = (self.next + size - known) % _WRAP
        found: list[bytes | int] = []
        if data[known:]:
            found.append(data[known:])
        missing = size - max(known, len(data))
        if missing:
            found.append(missing)
        return found

    def _follow(self) -> list[bytes | int]:
        found: list[bytes | int] = []
        moved = True
        while moved:
            moved = False
            for sequence in sorted(self._waiting, key=self._distance):
                ahead = self._distance(sequence)
                if ahead > 0:
                    break
                data, size = self._waiting.pop(sequence)
                self.held -= len(data)
                found += self._append(data, size, -ahead)
                moved = True
        return found

    def _give_up(self) -> list[bytes | int]:
        """What is missing before the first that waits will not come."""
        assert self.next is not None
        first = min(self._waiting, key=self._distance)
        missing = self._distance(first)
        self.next = first
        return [missing, *self._follow()]

    def _distance(self, sequence: int) -> int:
        assert self.next is not None
        distance = (sequence - self.next) % _WRAP
        return distance if distance < _WRAP // 2 else distance - _WRAP
