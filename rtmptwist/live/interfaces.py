"""The ports of the middle storey: what `live` needs of others, said by `live`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from rtmptwist.wire.message import Message


class Writer(Protocol):
    """Takes bytes for one peer, in order, and never blocks. One per connection."""

    idle: bool
    "Nothing of ours waits in user space."

    drained: Callable[[], None]
    "Called when `idle` becomes true again. Belongs to the connection, which tells its streams."

    def write(self, data: bytes) -> bool:
        """Take all of it; return `idle`. `data` is shared and must never be changed."""

    def close(self) -> None:
        """Close the connection once everything written is out."""


class Format(Protocol):
    """One way to put messages into bytes. Hashable: equal formats share one fan-out."""

    def encode(self, messages: Sequence[Message]) -> bytes:
        """Put messages, some of which this format may leave out, into one immutable buffer."""


class Player(Protocol):
    """Who watches through a subscriber, and is told what happens to the stream."""

    def published(self) -> None:
        """A publisher (re)appeared; its media follows."""

    def unpublished(self) -> None:
        """The publisher left and the grace time is over. The subscriber may stay and wait."""

    def skipped(self, messages: int) -> None:
        """So many messages were left out because the viewer was slow."""

    def ended(self, reason: str) -> None:
        """The subscription is over and closed: no viewer is kept after the end, or it stalled."""


class Publisher(Protocol):
    """Who feeds an inlet, and is told when the inlet is taken from it."""

    def displaced(self, reason: str) -> None:
        """Another publisher took the stream over; this inlet is dead."""


class StreamSettings(Protocol):
    """What the middle storey needs to know of an application. Times in seconds, sizes in bytes."""

    @property
    def merge(self) -> float:
        """How long messages may be gathered before they are sent; 0: one turn of the reactor."""

    @property
    def window(self) -> float:
        """How much of the past is kept."""

    @property
    def window_size(self) -> int:
        """The bound on that in bytes, which also caps the GOP that a new viewer gets."""

    @property
    def max_lag(self) -> float:
        """A viewer further behind than this is moved to the newest key frame."""

    @property
    def stall_timeout(self) -> float:
        """A viewer that took nothing for so long is closed."""

    @property
    def grace(self) -> float:
        """How long a stream outlives its publisher."""

    @property
    def wait(self) -> float:
        """How long a viewer may wait for a stream that is not live; 0: not at all."""

    @property
    def takeover(self) -> str:
        """Who may take a live name over: `reject` (nobody), `same` (its publisher), `any`."""

    @property
    def join(self) -> str:
        """Where a new viewer starts: `instant`, `keyframe` or `live-edge`."""

    @property
    def after_end(self) -> str:
        """Viewers of a stream that ended: `stay` for the next publisher, or `close`."""
