"""
One stream to all viewers that understand the same bytes: encoded once, sent to each.

A viewer that keeps up is *flowing*: it gets the batch that all get. One whose kernel buffer is full
is *lagging*: it costs a number, where it stopped, until its writer is idle again; then it catches
up from the window in bursts. A new viewer is the same case, only that it has seen nothing yet. One
that can go on from nowhere in the window is *waiting* for a key frame.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime

from rtmptwist.live.headers import MEDIA, Header
from rtmptwist.live.interfaces import EndReason, Format
from rtmptwist.live.subscriber import State, Subscriber
from rtmptwist.live.window import Window

BURST: Final = 64 * 1024
"""
Bytes of payload that a subscriber gets at once while it is not up to date, and one message more.

With the last batch it is all that waits in memory for a slow viewer. A second of 1 Mbit/s is two.
"""

MAX_BURSTS: Final = 4 << 20
"Bytes of bursts kept for others who want the same: those who join, or stalled, together."


class Fanout:
    """All subscribers of one stream that understand the same bytes."""

    __slots__ = (
        "_base",
        "_batch",
        "_bursts",
        "_bursts_size",
        "_clock",
        "_fresh",
        "_pending",
        "_starting",
        "_timed",
        "bytes_out",
        "cursor",
        "flowing",
        "format",
        "lagging",
        "sent",
        "skipped",
        "waiting",
        "window",
    )

    def __init__(self, form: Format, window: Window, clock: IReactorTime) -> None:
        self.format = form
        self.window = window
        self._clock = clock
        self.cursor = window.edge
        "Number of the message that flowing subscribers get next."
        self.flowing: dict[Subscriber, None] = {}
        self.lagging: dict[Subscriber, float] = {}
        "When they last took something."
        self.waiting: dict[Subscriber, None] = {}
        "For a key frame; some of them are served without pictures by another fan-out till then."
        self._timed: dict[Subscriber, None] = {}
        "Those of the flowing ones that have a duration."
        self._fresh: dict[Subscriber, None] = {}
        "Those of the flowing ones that have had no frame yet."
        self._pending: dict[Subscriber, None] = {}
        "Those that the present sweep has not reached yet,"
        self._batch = b""
        "what it brings them,"
        self._base = 0
        "and where that begins."
        self._starting: dict[Subscriber, bytes] = {}
        "Those that this sweep serves one by one, and what they get first."
        self._bursts: dict[tuple[int, tuple[Header, ...]], tuple[int, bool, bytes]] = {}
        "By cursor and headers: where it ends, whether it is as long as it may be, the bytes."
        self._bursts_size = 0
        self.sent = 0
        "Bytes of all batches: what a subscriber got that was always flowing."
        self.bytes_out = 0
        "Bytes sent to all."
        self.skipped = 0
        "Messages left out for slow viewers."

    @property
    def empty(self) -> bool:
        """Whether nobody needs it."""
        return not (self.flowing or self.lagging or self.waiting or self._starting)

    # ---------------------------------------------------------------- a sweep

    def wake(self, base: int) -> None:
        """
        Ready those who wait, if what came since message `base` has what they wait for.

        All fan-outs of a stream `wake` before the first one `begin`s: a subscriber whose pictures
        reappear leaves the one for the other in between two messages.
        """
        window = self.window
        start = window.start if window.pictures else base
        if not self.waiting or start is None or start < base:
            return
        for subscriber in self.waiting:
            lead = b""
            if subscriber.wanted is self:
                lead = self._take_over(subscriber, start)
            else:
                self._move(subscriber, start)
            self._starting[subscriber] = lead
        self.waiting = {}

    def _take_over(self, subscriber: Subscriber, start: int) -> bytes:
        """Take it from the fan-out that served it without pictures; return what that owes it."""
        other = subscriber.fanout
        assert other is not None
        flowing = subscriber.state is State.FLOWING
        other.release(subscriber)
        subscriber.fanout, subscriber.wanted = self, None
        lead = b""
        if flowing:
            lead = other.format.encode(self.window.since(subscriber.cursor, start))
            subscriber.cursor = start
        self._move(subscriber, start, fresh=True)
        return lead

    def begin(self) -> None:
        """Make the batch of what came since the last sweep. `work` sends it."""
        window = self.window
        base, self.cursor = self.cursor, window.edge
        if not self.flowing:
            return
        if base < window.first:  # more came in one turn than the window holds
            for subscriber in tuple(self.flowing):
                self._set_aside(subscriber, base)
            return
        for subscriber in tuple(self._timed):
            if self._goal(subscriber, base) < self.cursor:  # this batch is more than it wants
                self._set_aside(subscriber, base)
        if self._fresh and self._has_frames(self.cursor):
            for subscriber in self._fresh:
                subscriber.first = self._clock.seconds()
            self._fresh = {}
        self._batch = self.format.encode(window.since(base, window.edge))
        if self._batch:
            self._base = base
            self._pending = self.flowing.copy()
            self.sent += len(self._batch)
            self.bytes_out += len(self._batch) * len(self._pending)

    def _set_aside(self, subscriber: Subscriber, base: int) -> None:
        """Serve a flowing subscriber by itself in this sweep."""
        self.release(subscriber)
        subscriber.cursor = base
        self._starting[subscriber] = b""

    def work(self, budget: int) -> int:
        """Serve at most `budget` subscribers; return what is left of it: 0, call again."""
        pending = self._pending
        batch = self._batch
        # Subscribers may come, go and stall from inside a write. A popped dict is right through
        # all that, for 0.09 µs a subscriber against 0.04 of a plain loop and 8 of a send.
        while pending and budget:
            budget -= 1
            subscriber = pending.popitem()[0]
            if not subscriber.writer.write(batch) and subscriber in self.flowing:
                self.release(subscriber)  # its kernel buffer is full; all up to here is on its way
                self._lag(subscriber)
        starting = self._starting
        while starting and budget:
            budget -= 1
            subscriber, lead = starting.popitem()
            self._lag(subscriber)
            self._send(subscriber, lead)
            if subscriber.state is State.LAGGING:
                self.resume(subscriber)
        return budget

    # ----------------------------------------------------------- a subscriber

    def enter(self, subscriber: Subscriber, cursor: int) -> None:
        """Serve it from message `cursor` on, with the headers that are in force there."""
        subscriber.fanout = self
        self._move(subscriber, cursor, fresh=True)
        self._lag(subscriber)
        self.resume(subscriber)

    def wait(self, subscriber: Subscriber) -> None:
        """Serve it from the next key frame on."""
        subscriber.fanout = self
        self.lagging.pop(subscriber, None)
        subscriber.state = State.WAITING
        self.waiting[subscriber] = None

    def sent_to(self, subscriber: Subscriber) -> int:
        """Bytes that a flowing subscriber got so far."""
        unsent = len(self._batch) if subscriber in self._pending else 0
        return subscriber.sent + self.sent - unsent

    def release(self, subscriber: Subscriber) -> None:
        """Serve it no more for now; its cursor then tells how far it got."""
        if subscriber.state is State.FLOWING:
            del self.flowing[subscriber]
            self._timed.pop(subscriber, None)
            self._fresh.pop(subscriber, None)
            subscriber.cursor = self.cursor
            subscriber.sent = self.sent_to(subscriber)
            if subscriber in self._pending:
                del self._pending[subscriber]
                subscriber.cursor = self._base
                self.bytes_out -= len(self._batch)
        else:
            self.lagging.pop(subscriber, None)
            self.unwait(subscriber)
        subscriber.state = State.WAITING

    def unwait(self, subscriber: Subscriber) -> None:
        """It wants nothing from here any more."""
        self.waiting.pop(subscriber, None)
        self._starting.pop(subscriber, None)

    def _lag(self, subscriber: Subscriber) -> None:
        """It is behind, or new: it is served by `resume`."""
        subscriber.state = State.LAGGING
        self.lagging[subscriber] = self._clock.seconds()

    def resume(self, subscriber: Subscriber) -> None:
        """Bring a lagging subscriber up to date: a new one and a slow one are the same case."""
        window = self.window
        writer = subscriber.writer
        if writer.idle:
            self.lagging[subscriber] = self._clock.seconds()
        while writer.idle and subscriber in self.lagging:
            if subscriber.cursor < window.horizon and not self._catch_up(subscriber):
                self.wait(subscriber)
                return
            if subscriber.unsaid:
                subscriber.say()
                continue
            cursor, headers = subscriber.cursor, subscriber.missing
            goal = self._goal(subscriber, cursor)
            if cursor >= goal and not headers:
                self._arrive(subscriber)
            else:
                subscriber.cursor, data = self._burst(cursor, headers, goal)
                subscriber.missing = ()
                if subscriber.first is None and self._has_frames(subscriber.cursor):
                    subscriber.first = self._clock.seconds()
                self._send(subscriber, data)

    def _arrive(self, subscriber: Subscriber) -> None:
        """It is up to date: it flows, unless that was all it wanted."""
        if subscriber.cursor < self.cursor:
            subscriber.end(EndReason.DURATION)
            return
        del self.lagging[subscriber]
        subscriber.state = State.FLOWING
        subscriber.sent -= self.sent
        self.flowing[subscriber] = None
        if subscriber.first is None:
            self._fresh[subscriber] = None
        if subscriber.duration is not None:
            self._timed[subscriber] = None
        if subscriber.owed:
            subscriber.part()

    def _has_frames(self, end: int) -> bool:
        """Whether there are frames before message `end`, not only headers."""
        begun = self.window.begun
        return begun is not None and begun < end

    def _send(self, subscriber: Subscriber, data: bytes) -> None:
        if data:
            subscriber.sent += len(data)
            self.bytes_out += len(data)
            subscriber.writer.write(data)

    # ------------------------------------------------------------- in a hurry

    def _catch_up(self, subscriber: Subscriber) -> bool:
        """It lags too much, or its messages are gone: skip if possible. False: it has to wait."""
        window = self.window
        cursor = subscriber.cursor
        if not (self.format.video and window.pictures):
            if cursor < self.cursor:
                self._move(subscriber, self.cursor)
            return True
        start = window.start
        if start is not None and cursor < start <= self.cursor:
            self._move(subscriber, start)
            return True
        return cursor >= window.first  # nothing better than to go on from there, if one can

    def _move(self, subscriber: Subscriber, number: int, *, fresh: bool = False) -> None:
        """Let it go on with another message, after the headers that it has not; `fresh`: all."""
        cursor = subscriber.cursor
        headers = self.window.headers.as_of(number)
        if cursor >= 0 and not subscriber.missing and not fresh:
            headers = tuple(header for header in headers if header.number >= cursor)
        subscriber.missing = headers
        subscriber.cursor = number
        if 0 <= cursor < number:
            skipped = number - cursor
            self.skipped += skipped
            subscriber.skips += 1
            subscriber.skipped += skipped
            subscriber.unsaid += skipped

    def _burst(self, cursor: int, headers: tuple[Header, ...], goal: int) -> tuple[int, bytes]:
        """Some of the messages from `cursor` to `goal`: where they end, and their bytes."""
        key = (cursor, headers)
        kept = self._bursts.get(key)
        if kept is not None:
            end, full, data = kept
            if end == goal or (full and end < goal):
                return end, data
            self._bursts_size -= len(data)
        window = self.window
        messages = window.part(cursor, goal, BURST)
        end = cursor + len(messages)
        if headers:
            time = window.time(cursor)
            messages = [*(header.at(time) for header in headers), *messages]
        data = self.format.encode(messages)
        self._bursts[key] = (end, end < goal, data)
        self._bursts_size += len(data)
        if self._bursts_size > MAX_BURSTS:
            self.forget()
        return end, data

    def forget(self) -> None:
        """Give back the memory of kept bursts."""
        self._bursts.clear()
        self._bursts_size = 0

    # --------------------------------------------------------------- duration

    def _goal(self, subscriber: Subscriber, cursor: int) -> int:
        """The number of the first message beyond what it may get now."""
        if subscriber.duration is None:
            return self.cursor
        window = self.window
        begun = self.cursor if window.begun is None else window.begun
        for number, message in enumerate(window.since(cursor, self.cursor), cursor):
            if message.type in MEDIA and not window.origin <= number < begun:
                if subscriber.until is None:
                    subscriber.until = message.timestamp + subscriber.duration
                if message.timestamp >= subscriber.until:
                    return number
        return self.cursor
