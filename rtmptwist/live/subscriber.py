"""
One viewer of a stream: what its owner does with it, and where it stands.

How it is moved from one state to another is `live.fanout`'s and `live.audience`'s.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from rtmptwist.live.headers import Header
from rtmptwist.live.interfaces import EndReason, Format, Player, Writer
from rtmptwist.live.meters import SubscriberMeter

if TYPE_CHECKING:
    from rtmptwist.live.audience import Audience
    from rtmptwist.live.fanout import Fanout


class State(Enum):
    """How a subscriber gets its messages."""

    NEW = "new"
    "Not at all yet: its first `resume` is to come."

    FLOWING = "flowing"
    LAGGING = "lagging"
    WAITING = "waiting"
    "For a key frame, or on its way from one place to another."

    PAUSED = "paused"
    CLOSED = "closed"


class Subscriber:
    """One viewer of a stream. Its owner says when it can take more, and when it has enough."""

    __slots__ = (
        "_audience",
        "began",
        "cursor",
        "duration",
        "fanout",
        "first",
        "format",
        "missing",
        "owed",
        "player",
        "sent",
        "since",
        "skipped",
        "skips",
        "state",
        "unsaid",
        "until",
        "wanted",
        "writer",
    )

    def __init__(
        self,
        audience: Audience,
        form: Format,
        writer: Writer,
        player: Player,
        duration: int | None,
        now: float,
    ) -> None:
        self._audience = audience
        self.format = form
        "What it asked for."
        self.writer = writer
        self.player = player
        self.duration = duration
        "Milliseconds to send, if limited,"
        self.until: int | None = None
        "and the stream time that follows from it once the first frame is known."
        self.began = now
        self.first: float | None = None
        "When its first frame was on its way."
        self.since = now
        "When it came, or was last told that nobody publishes."
        self.owed = False
        "It has yet to be told so, for it lagged."
        self.state = State.NEW
        self.fanout: Fanout | None = None
        "That it takes messages from,"
        self.wanted: Fanout | None = None
        "and that it goes to with the next key frame, when its pictures (re)appear."
        self.cursor = -1
        "Number of the message that it wants next; -1: has seen nothing. A flowing one's is old."
        self.missing: tuple[Header, ...] = ()
        "Headers to be sent before that."
        self.sent = 0
        "Bytes; while it is flowing, what all flowing ones got is still to be added."
        self.skips = 0
        self.skipped = 0
        self.unsaid = 0
        "Messages that it was not told yet were skipped."

    def resume(self) -> None:
        """Begin, or go on because the writer is idle. Harmless at any time."""
        if self.state is State.LAGGING:
            assert self.fanout is not None
            self.fanout.resume(self)
        elif self.state is State.NEW:
            self._audience.start(self)

    def pause(self) -> None:
        """Send nothing until `unpause`."""
        if self.state is not State.CLOSED:
            self._audience.detach(self)
            self.state = State.PAUSED

    def unpause(self) -> None:
        """Rejoin what is live now, as a new viewer."""
        if self.state is State.PAUSED:
            self.state = State.NEW
            self.cursor = -1
            self.resume()

    def rejoin(self, number: int) -> None:
        """Go on with a message of the stream, where others are further."""
        if self.state is State.PAUSED:
            self.cursor = -1
            self._audience.rejoin(self, number)

    def receive(self, *, audio: bool | None = None, video: bool | None = None) -> None:
        """Leave sound or pictures out, or take them back: pictures with the next key frame."""
        self._audience.change(self, self.format.select(audio=audio, video=video))

    def say(self) -> None:
        """Tell the player what was skipped."""
        messages, self.unsaid = self.unsaid, 0
        self.player.skipped(messages)

    def part(self) -> None:
        """Nobody publishes any more: tell the player, and end it if it is not to stay."""
        self._audience.part(self)

    def close(self) -> None:
        """Leave. Nothing is sent and nobody is told from here on; may be called again."""
        if self.state is not State.CLOSED:
            self._audience.leave(self)

    def end(self, reason: EndReason) -> None:
        """Close it from this side, and tell its player."""
        if self.state is not State.CLOSED:
            self._audience.leave(self)
            self.player.ended(reason)

    @property
    def meter(self) -> SubscriberMeter:
        """What it got and did not get so far."""
        sent = self.sent
        if self.fanout is not None and self.state is State.FLOWING:
            sent = self.fanout.sent_to(self)
        return SubscriberMeter(
            self.state.value,
            sent,
            self.skips,
            self.skipped,
            None if self.first is None else self.first - self.began,
        )

    def behind(self) -> tuple[int, int]:
        """Bytes that it has yet to be sent of what is there, and the milliseconds these last."""
        if self.fanout is None or self.state is not State.LAGGING:
            return 0, 0
        return self.fanout.window.behind(self.cursor)
