"""What a late viewer must be sent before the first frame: metadata and decoder configurations."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
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
    """The newest header of every slot. A slot is whatever the next of its kind replaces."""

    __slots__ = ("_kept", "_stale", "all")

    def __init__(self) -> None:
        self._kept: dict[Hashable, Header] = {}
        self._stale: set[Hashable] = set()
        self.all: tuple[Header, ...] = ()
        "As a late viewer gets them, metadata first. A snapshot: changes make a new tuple."

    def put(self, slot: Hashable, number: int, message: Message) -> bool:
        """
        Keep the message that is to become `number`; return whether it says anything new.

        One that is too large, or one too many, is not kept: late viewers then do without.
        """
        self._stale.discard(slot)
        kept = self._kept.get(slot)
        if kept is not None and kept.message.payload == message.payload:
            return False
        if len(message.payload) > MAX_SIZE or (kept is None and len(self._kept) >= MAX_COUNT):
            self.drop(slot)
        else:
            self._kept[slot] = Header(number, message)
            self._changed()
        return True

    def drop(self, slot: Hashable) -> None:
        """Forget what is kept in a slot, if anything."""
        self._stale.discard(slot)
        if self._kept.pop(slot, None) is not None:
            self._changed()

    def doubt(self) -> None:
        """Another publisher comes: what is kept was its predecessor's."""
        self._stale = set(self._kept)

    def settle(self) -> None:
        """Its media begins: drop what it has not said again, such as tracks that it has not."""
        for slot in tuple(self._stale):
            self.drop(slot)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._stale.clear()
        self._changed()

    def _changed(self) -> None:
        headers = sorted(self._kept.values(), key=lambda header: header.number)
        self.all = tuple(sorted(headers, key=lambda header: header.message.type in MEDIA))
