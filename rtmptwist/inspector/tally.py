"""Frames and acknowledgements in sum, so that the thousands of them do not hide the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rtmptwist.inspector.messages import Saying


@dataclass(slots=True)
class _Count:
    messages: int = 0
    keys: int = 0
    size: int = 0
    first: int = 0
    last: int = 0


@dataclass(slots=True)
class Tally:
    """What went one way since it was last told."""

    counts: dict[str, _Count] = field(default_factory=dict)
    began: float | None = None
    "When the first of them was captured."

    def add(self, saying: Saying, timestamp: int, size: int) -> None:
        """Count one."""
        count = self.counts.get(saying.kind)
        if count is None:
            count = self.counts[saying.kind] = _Count(first=timestamp)
        count.messages += 1
        count.keys += saying.key
        count.size += size
        count.last = timestamp

    def take(self) -> tuple[str, dict[str, Any]]:
        """All in words and as facts; from here on it is empty."""
        words = []
        facts: dict[str, Any] = {}
        for kind, count in sorted(self.counts.items()):
            if kind == "control":
                words.append(f"{count.messages} acknowledgements")
                facts["acknowledgements"] = count.messages
                continue
            keys = f" ({count.keys} key)" if kind == "video" else ""
            words.append(
                f"{count.messages} {kind} frames{keys}, {count.size} bytes,"
                f" {count.first} to {count.last} ms"
            )
            facts[kind] = {
                "frames": count.messages,
                "keys": count.keys,
                "bytes": count.size,
                "first": count.first,
                "last": count.last,
            }
        self.counts = {}
        self.began = None
        return "; ".join(words), facts
