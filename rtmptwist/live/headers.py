"""What a late viewer must be sent before the first frame: metadata and decoder configurations."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from rtmptwist.wire.message import Message, MessageType

MAX_SIZE: Final = 64 * 1024
"Bytes of one header. Real ones have tens to hundreds; each late viewer gets them all."

MAX_COUNT: Final = 64
"""
Headers of one stream. Eight renditions with sound need 32; a publisher could name every one of
256 tracks, and thousands of data frames.
"""

MEDIA: Final = (int(MessageType.AUDIO), int(MessageType.VIDEO))
"Message types that have a place in time; data has not."

_NUMBER: Final = itemgetter(0)


@dataclass(frozen=True, slots=True, eq=False)
class Header:
    """One message, and where it stood in the window: who has seen more than that has seen it."""

    number: int
    message: Message

    def at(self, timestamp: int) -> Message:
        """
        The message for somebody whose first frame has this timestamp.

        Metadata keeps its 0: FFmpeg makes a text stream of one that has another. A decoder
        configuration must not make time run backwards, and encoders stamp it as they like.
        """
        message = self.message
        if message.type not in MEDIA:
            return message
        return Message(message.type, timestamp, message.stream_id, message.payload)


class Headers:
    """
    The headers that are in force, by slot, at any place of the window.

    A slot is whatever the next of its kind replaces. What is told to happen at message `number`
    counts for those who go on behind it.
    """

    __slots__ = ("_history", "_kept", "_stale")

    def __init__(self) -> None:
        self._kept: dict[Hashable, Header] = {}
        self._stale: set[Hashable] = set()
        self._history: list[tuple[int, tuple[Header, ...]]] = [(-1, ())]
        "What was in force behind which message."

    def __len__(self) -> int:
        return len(self._kept)

    def as_of(self, number: int) -> tuple[Header, ...]:
        """What somebody needs who goes on with message `number`; metadata first."""
        return self._history[max(bisect_left(self._history, number, key=_NUMBER) - 1, 0)][1]

    def said(self) -> tuple[Header, ...]:
        """Those of the present publisher, in no order."""
        return tuple(header for slot, header in self._kept.items() if slot not in self._stale)

    def copy(self) -> Headers:
        """What `as_of` says now, for somebody who has yet to ask when it is forgotten here."""
        copy = Headers()
        copy._history = self._history.copy()
        return copy

    def put(self, slot: Hashable, number: int, message: Message) -> bool:
        """
        Keep a message that is `number` in the window; return whether it says anything new.

        One that is too large, or one too many, is not kept: late viewers then do without.
        """
        self._stale.discard(slot)
        kept = self._kept.get(slot)
        if kept is not None and kept.message.payload == message.payload:
            return False
        if len(message.payload) > MAX_SIZE or (kept is None and len(self._kept) >= MAX_COUNT):
            self.drop(slot, number)
        else:
            self._kept[slot] = Header(number, message)
            self._changed(number)
        return True

    def drop(self, slot: Hashable, number: int) -> None:
        """Keep nothing in a slot."""
        self._stale.discard(slot)
        if self._kept.pop(slot, None) is not None:
            self._changed(number)

    def doubt(self) -> None:
        """Another publisher comes: what is kept was its predecessor's."""
        self._stale = set(self._kept)

    def settle(self, number: int) -> None:
        """Its media begins: drop what it has not said again, such as tracks that it has not."""
        for slot in tuple(self._stale):
            self.drop(slot, number)

    def clear(self, number: int) -> None:
        """Keep nothing at all."""
        self._kept.clear()
        self._stale.clear()
        self._changed(number)

    def forget(self, number: int) -> None:
        """Nobody goes on before message `number` any more."""
        old = bisect_left(self._history, number, key=_NUMBER) - 1
        if old > 0:
            del self._history[:old]

    def _changed(self, number: int) -> None:
        headers = sorted(
            self._kept.values(), key=lambda header: (header.message.type in MEDIA, header.number)
        )
        if self._history[-1][0] >= number:
            del self._history[-1]
        self._history.append((number, tuple(headers)))
