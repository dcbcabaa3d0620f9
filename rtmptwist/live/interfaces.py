"""The ports of the middle storey: what `live` needs of others, said by `live`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Protocol, Self

from rtmptwist.live.health import Trouble
from rtmptwist.wire.message import Message
from rtmptwist.wire.status import Status

if TYPE_CHECKING:
    from rtmptwist.live.stream import LiveStream


class Writer(Protocol):
    """
    Takes bytes for one peer, in order, and never blocks. One per connection.

    It raises nothing: when the peer is gone it swallows, and the connection hears of it.
    """

    @property
    def idle(self) -> bool:
        """Nothing of ours waits in user space."""

    drained: Callable[[], None]
    """
    Called when `idle` becomes true again. Belongs to the connection, several of whose streams may
    share the writer: it calls `Subscriber.resume` for each.
    """

    def write(self, data: bytes) -> bool:
        """Take all of it; return `idle`. `data` is shared and must never be changed."""

    def close(self) -> None:
        """Close the connection once everything written is out."""


class Format(Protocol):
    """One way to put messages into bytes. Hashable: equal formats share one fan-out."""

    @property
    def video(self) -> bool:
        """Whether it has pictures: then it can begin at key frames only."""

    def select(self, *, audio: bool | None = None, video: bool | None = None) -> Self:
        """The same format with sound or pictures left out or put back; None: as it is."""

    def encode(self, messages: Sequence[Message]) -> bytes:
        """Put messages, some of which this format may leave out, into one immutable buffer."""

    def __hash__(self) -> int: ...


class EndReason(Enum):
    """Why a subscription ended without its viewer's doing."""

    NOT_FOUND = "nobody published the stream in time"
    UNPUBLISHED = "the publisher left"
    STALLED = "the viewer took nothing for too long"
    DURATION = "the duration that was asked for is over"
    CLOSED = "the stream was closed here"


class Player(Protocol):
    """
    Who watches through a subscriber, and is told what happens to the stream.

    It may close, pause or change its subscriber then and there. It raises nothing.
    """

    def published(self) -> None:
        """A publisher (re)appeared; its media follows."""

    def unpublished(self) -> None:
        """The publisher left and the grace time is over. The subscriber stays and waits."""

    def skipped(self, messages: int) -> None:
        """So many messages were left out because the viewer was slow."""

    def ended(self, reason: EndReason) -> None:
        """The subscription is over; the subscriber is closed already."""


class Publisher(Protocol):
    """Who feeds an inlet, and is told when the inlet is taken from it. It raises nothing."""

    @property
    def kind(self) -> str:
        """What it asked for: `live`, `record`, `append` or whatever else it said."""

    @property
    def stands_in(self) -> bool:
        """
        It is there only while nobody else is: whoever may publish takes its place, and outlets
        take nothing of it.
        """

    def tell(self, status: Status) -> None:
        """Something that its client may want to show."""

    def troubled(self, trouble: Trouble, *, begins: bool) -> None:
        """Something is wrong with what it sends, or no longer is."""

    def displaced(self, reason: str) -> None:
        """The inlet is dead: another publisher took the stream over, or the stream was closed."""


class Supplier(Protocol):
    """Feeds streams that nobody publishes, as a publisher that stands in: a file."""

    def supply(self, stream: LiveStream) -> bool:
        """
        Publish this stream, which somebody watches. False: it has nothing for it.

        It may begin later: viewers wait as those do whose publisher has not sent anything yet.
        """


class Outlet(Protocol):
    """
    Takes whatever streams of its application it wants: a recorder, a relay to elsewhere.

    It is called at turns of a publication, never for a message. What it needs of those it takes
    from the stream in its own time, as a viewer or as a `Taker`.
    """

    def published(self, stream: LiveStream, *, begins: bool) -> None:
        """
        Somebody feeds it from now on. A publication `begins`, though something may have stood in
        for it until now; else one goes on, or is taken over.
        """

    def ended(self, stream: LiveStream) -> None:
        """The publication is over. Its last messages are still in the window, if they fit."""


class Taker(Protocol):
    """
    Takes what is in a stream's window now and then, without being told of every message.

    Those in `Window.takers` lose nothing: they are asked before anything that they have not seen
    goes. It raises nothing, and may leave the window meanwhile.
    """

    @property
    def cursor(self) -> int:
        """Number of the message that it wants next."""

    def take(self) -> None:
        """Take what there is: the cursor is the window's `head` after that."""


class Connection(Protocol):
    """An open connection, as far as the registry counts it."""

    @property
    def address(self) -> str:
        """The peer's IP address; anything else (a local socket) is not counted by address."""


class StreamSettings(Protocol):
    """What the middle storey needs to know of an application. Times in seconds, sizes in bytes."""

    @property
    def merge(self) -> float:
        """How long messages may be gathered before they are sent; 0: one turn of the reactor."""

    @property
    def window(self) -> float:
        """How much of the past is kept. The newest GOP is kept whole, however long it is."""

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
        """
        Where a new viewer starts.

        `instant`: with the newest whole GOP. `keyframe`: with the next key frame. `live-edge`:
        with the sound of this moment, and the picture from the next key frame.
        """

    @property
    def after_end(self) -> str:
        """Viewers of a stream that ended: `stay` for the next publisher (`wait`), or `close`."""

    @property
    def warn_gop(self) -> float | None:
        """Without a key frame for longer is a trouble; None: never."""

    @property
    def warn_skew(self) -> float | None:
        """Sound and pictures further apart, as they come, are."""

    @property
    def warn_missing(self) -> float | None:
        """Neither of them may be missing for so long, if it was there or was announced."""

    @property
    def warn_lag(self) -> float | None:
        """Nor may a stream fall behind the clock by more."""


class ConnectionLimits(Protocol):
    """How many connections may be open, and what all streams together may keep."""

    @property
    def connections(self) -> int:
        """In all."""

    @property
    def connections_per_address(self) -> int:
        """From one address: a thousand viewers behind one NAT are rare, one flooder is not."""

    @property
    def trusted(self) -> Sequence[IPv4Network | IPv6Network]:
        """Exempt from the bound per address: proxies, relays and load tests live there."""

    @property
    def windows(self) -> int:
        """Bytes of the past of all streams together."""
