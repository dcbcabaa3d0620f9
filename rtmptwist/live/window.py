"""
The recent messages of a stream, numbered from 0 for as long as it lives.

It is what slow viewers catch up from and what late ones start with: there is no other queue and no
other GOP cache. Knows nothing of viewers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Final

from rtmptwist.live.headers import MEDIA, Headers
from rtmptwist.live.interfaces import Taker
from rtmptwist.wire.message import Message, MessageType

MAX_COUNT: Final = 16_384
"Messages, whatever their size: a minute of pictures and sound has 4,500; an empty one costs 100 B."

DEFAULT_INTERVAL: Final = 40
"Milliseconds between pictures, where that cannot be seen."

_LOOK_BACK: Final = 64
"""
Messages in which two neighbours are looked for. To look through a full window costs 0.8 ms, and a
publisher can have that done for every 14 bytes that it sends: all it needs is timestamps that leap.
"""

_MARK: Final = 250
"Milliseconds of stream time between two looks at what is too old."

_NEVER: Final = -(1 << 62)


class Window:
    """
    Recent messages. `duration` and `max_lag` in milliseconds, `max_size` in bytes of payload.

    The newest GOP, and what has not been sent yet, is kept even if it is longer than `duration`, as
    long as it fits `max_size`. Beyond that the oldest goes first; nobody can start until the next
    key frame.
    """

    __slots__ = (
        "_duration",
        "_marks",
        "_max_lag",
        "_max_size",
        "_messages",
        "_next",
        "begun",
        "edge",
        "first",
        "frames",
        "gop",
        "head",
        "headers",
        "horizon",
        "key",
        "origin",
        "picture",
        "size",
        "start",
        "takers",
        "total_size",
    )

    def __init__(self, duration: int, max_size: int, max_lag: int) -> None:
        self._duration = duration
        self._max_size = max_size
        self._max_lag = max_lag
        self._messages: list[Message] = []
        self._marks: list[tuple[int, int]] = []
        "Stream time and number of a frame every `_MARK`."
        self._next = _NEVER
        "When the next of these is due."
        self.first = 0
        "Number of the oldest message,"
        self.head = 0
        "and of the one that comes next."
        self.horizon = 0
        "Who wants messages before this is too late, or lags too much."
        self.edge = 0
        "Viewers that keep up have been sent what is before this; the rest waits for a sweep."
        self.origin = 0
        "Where the present publication began,"
        self.begun: int | None = None
        "and the number of its first frame: what comes before are headers, with odd timestamps."
        self.picture = -1
        "Number of the newest video message of the present publication."
        self.frames = 0
        "Pictures ever."
        self.gop: int | None = None
        "Milliseconds between the two newest key frames of the present publication."
        self.key: int | None = None
        "Stream time of the newest of these."
        self.headers = Headers()
        self.size = 0
        "Bytes of payload in here,"
        self.total_size = 0
        "and ever."
        self.start: int | None = None
        "Number of the newest key frame, if a viewer can begin there."
        self.takers: list[Taker] = []
        "Who must have seen what goes, and keeps the publication going when nobody watches."

    def append(self, message: Message) -> None:
        """Take the next message, a frame."""
        # one comparison in place of all that depends on time: 0.06 of 0.25 µs
        if message.timestamp >= self._next:
            self._mark(message)
        self._messages.append(message)
        self.head += 1
        size = len(message.payload)
        self.total_size += size
        self.size += size
        if self.size > self._max_size or self.head - self.first > MAX_COUNT:
            self._shrink()

    def append_start(self, message: Message) -> None:
        """Take the next message, which viewers can begin with."""
        self.start = self.head
        time = message.timestamp
        if self.key is not None:
            self.gop = time - self.key
        self.key = time
        self.append(message)

    def append_aside(self, message: Message) -> None:
        """Take the next message, a header or data, whose timestamp says nothing about time."""
        due, self._next = self._next, -_NEVER
        self.append(message)
        self._next = due

    @property
    def pictures(self) -> bool:
        """Whether the present publication has any video."""
        return self.picture >= 0

    def since(self, number: int, end: int) -> list[Message]:
        """The messages from one number up to another. They must not be older than `first`."""
        first = self.first
        return self._messages[number - first : end - first]

    def part(self, number: int, end: int, size: int) -> list[Message]:
        """The same, but no more than exceed so many bytes of payload."""
        messages = self.since(number, end)
        for count, message in enumerate(messages, 1):
            size -= len(message.payload)
            if size <= 0:
                return messages[:count]
        return messages

    def after(self, is_it: Callable[[Message], bool]) -> int | None:
        """The number of the message after the newest one that is meant; None: it is not here."""
        for number in range(self.head - 1, self.first - 1, -1):
            if is_it(self._messages[number - self.first]):
                return number + 1
        return None

    def time(self, number: int) -> int:
        """Stream time at a message: that of the next media, else of the last; 0 without any."""
        index = number - self.first
        for message in self._messages[index:]:
            if message.type in MEDIA:
                return message.timestamp
        for message in reversed(self._messages[:index]):
            if message.type in MEDIA:
                return message.timestamp
        return 0

    def interval(self) -> int:
        """Milliseconds between the last two pictures, or pieces of sound if there are none."""
        recent = self._messages[-_LOOK_BACK:]
        for kind in (MessageType.VIDEO, MessageType.AUDIO):
            times = [message.timestamp for message in recent if message.type == kind][-2:]
            if len(times) == 2 and 0 < times[1] - times[0] < 1000:
                return times[1] - times[0]
        return DEFAULT_INTERVAL

    @property
    def duration(self) -> int:
        """Milliseconds of media in here."""
        if self.head == self.first:
            return 0
        return max(self.time(self.head - 1) - self.time(self.first), 0)

    def skew(self) -> int | None:
        """
        Milliseconds from the newest sound to the newest picture; None: one of them is missing.

        Encoders send in turns, so that some tens to either side mean nothing.
        """
        times: dict[int, int] = {}
        for message in reversed(self._messages[-_LOOK_BACK:]):
            times.setdefault(message.type, message.timestamp)
        audio, video = times.get(MessageType.AUDIO), times.get(MessageType.VIDEO)
        return None if audio is None or video is None else video - audio

    def behind(self, number: int) -> tuple[int, int]:
        """Bytes of payload from a message on, and the milliseconds that they last."""
        messages = self.since(max(number, self.first), self.head)
        size = sum(len(message.payload) for message in messages)
        times = [message.timestamp for message in messages if message.type in MEDIA]
        return size, max(times[-1] - times[0], 0) if times else 0

    def lose_pictures(self) -> None:
        """The publication goes on without video."""
        self.gop = self.key = None
        self.start = None
        self.picture = -1

    def bound(self, size: int) -> None:
        """Keep so many bytes at most from now on."""
        self._max_size = size
        if self.size > size:
            self._shrink()

    def end(self) -> None:
        """The publication is over: nobody begins with what is left of it."""
        self._offer(self.head)
        self.lose_pictures()
        self.origin = self.head
        self.begun = None
        self.headers.clear(self.head - 1)

    def clear(self) -> None:
        """Forget all messages; numbers go on."""
        self._offer(self.head)
        self.start = None
        self._messages.clear()
        self._marks.clear()
        self._next = _NEVER
        self.first = self.horizon = self.edge = self.head
        self.headers.forget(self.head)
        self.size = 0

    def _mark(self, message: Message) -> None:
        """Note the time, and look what is too old."""
        time = message.timestamp
        self._next = time + _MARK
        marks = self._marks
        marks.append((time, self.head))
        old = bisect_right(marks, (time - self._duration, self.head)) - 1
        if old > 0:
            number = marks[old][1]
            del marks[:old]
            kept = self.edge if self.start is None else min(self.start, self.edge)
            self._drop(min(number, kept))
        late = bisect_right(marks, (time - self._max_lag, self.head)) - 1
        self.horizon = max(self.first, marks[late][1] if late >= 0 else 0)

    def _shrink(self) -> None:
        """Drop the oldest until there is some room again, but never what has just come."""
        size = self._max_size * 7 // 8
        count = MAX_COUNT * 7 // 8
        messages = self._messages
        index = 0
        total = self.size
        while index < len(messages) - 1 and (total > size or len(messages) - index > count):
            total -= len(messages[index].payload)
            index += 1
        self._drop(self.first + index)
        self.horizon = max(self.first, self.horizon)

    def _drop(self, number: int) -> None:
        """Forget what is older than `number`."""
        count = number - self.first
        if count <= 0:
            return
        self._offer(number)
        self.size -= sum(len(message.payload) for message in self._messages[:count])
        del self._messages[:count]
        self.first = number
        self.headers.forget(number)
        if self.start is not None and self.start < number:
            self.start = None

    def _offer(self, number: int) -> None:
        """What is older than `number` is about to go: who wants it takes it now."""
        for taker in tuple(self.takers):
            if taker.cursor < number:
                taker.take()
