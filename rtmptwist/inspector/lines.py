"""What an inspection says: one line for each thing that happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Way(Enum):
    """Who sent it."""

    CLIENT = "client"
    SERVER = "server"
    NOBODY = "-"
    "It is about the connection or the capture."


@dataclass(slots=True)
class Line:
    """One of them."""

    way: Way
    kind: str
    "`handshake`, `error`, `note`, `media`, `connection`, or as `messages.Saying` has it."

    words: str
    offset: int | None = None
    "Of its first byte among those that went this way."

    time: float | None = None
    "Seconds; None where the capture has no times."

    connection: int = 0
    chunks: str = ""
    "Chunk stream, format of the first header, number of chunks."

    timestamp: int | None = None
    "Milliseconds, of the message."

    facts: dict[str, Any] = field(default_factory=dict)


Tell = Callable[[Line], None]
