"""What a late viewer must get before its first frame. Knows tags, not what a message is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from rtmptwist.media.packet import Content, Kind
from rtmptwist.media.tag import Slot, Tag


class HasPayload(Protocol):
    """An RTMP message or an FLV tag."""

    @property
    def payload(self) -> bytes: ...


M = TypeVar("M", bound=HasPayload)


class Headers(Generic[M]):
    """
    The headers in force: of each track its sequence header and what stands beside it.

    Iterating gives the messages in the order in which a viewer can take them: sequence headers
    first, each group as it came. For one publisher: `clear` when another takes over, for he may
    not repeat what he does not need (5.1 sound, then stereo without a MultichannelConfig).
    """

    def __init__(self, *, entries: int = 64, size: int = 256 * 1024) -> None:
        """
        `entries` and `size` (bytes) bound what is kept.

        A publisher may use 256 tracks, in any combination, with headers of 16 MiB. Real ones have
        a handful of tracks with some hundred bytes each.
        """
        self._entries = entries
        self._size = size
        self._kept: dict[Slot, tuple[Tag, M]] = {}

    def __iter__(self) -> Iterator[M]:
        kept = sorted(
            self._kept.values(), key=lambda entry: entry[0].content is not Content.SEQUENCE_HEADER
        )
        return (message for _, message in kept)

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, tag: Tag, message: M) -> bool:
        """
        Take notice of a message; false if it ought to be kept and is one too many.

        What it makes void is forgotten: the same slot, the same of fewer tracks and, after a
        change of codec, what stood beside the old sequence header.
        """
        slot = tag.slot
        if slot is None:
            return True
        kept = {old: entry for old, entry in self._kept.items() if not _replaces(slot, old)}
        if tag.header:
            size = sum(len(entry[1].payload) for entry in kept.values()) + len(message.payload)
            if len(kept) < self._entries and size <= self._size:
                kept[slot] = (tag, message)
        codecs = {
            kind: {
                track: codec
                for old in (entry[0] for entry in kept.values())
                if old.kind is kind and old.content is Content.SEQUENCE_HEADER
                for track, codec in zip(old.tracks, old.codecs, strict=True)
            }
            for kind in Kind
        }
        self._kept = {
            old: entry for old, entry in kept.items() if not _is_stale(entry[0], codecs[old.kind])
        }
        return slot in kept or not tag.header

    def clear(self) -> None:
        """Forget all: a new publisher."""
        self._kept = {}


def _replaces(new: Slot, old: Slot) -> bool:
    """A ManyTracks header stands for those of each of its tracks."""
    return (
        new.kind is old.kind
        and new.content is old.content
        and set(new.tracks) >= set(old.tracks)
        and set(new.codecs) >= set(old.codecs)
    )


def _is_stale(tag: Tag, codecs: dict[int, str]) -> bool:
    """Whether it stands beside a sequence header of another codec: see what is in use by track."""
    if tag.content is Content.SEQUENCE_HEADER:
        return False
    if tag.content is Content.COLOR_INFO:
        # FFmpeg names no track: it belongs to whichever has its codec
        return bool(codecs) and not set(tag.codecs) & set(codecs.values())
    return any(
        codecs.get(track, codec) != codec
        for track, codec in zip(tag.tracks, tag.codecs, strict=True)
    )
