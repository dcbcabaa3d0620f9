"""A file that is sent into a stream as if somebody published it now, once or over and over."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from rtmptwist.amf import amf0
from rtmptwist.amf.values import EcmaArray
from rtmptwist.disk.threads import Disk
from rtmptwist.live.health import Trouble
from rtmptwist.live.inlet import Inlet
from rtmptwist.live.names import redacted
from rtmptwist.live.stream import LiveStream
from rtmptwist.media.container import Block, Container, Place
from rtmptwist.media.flv import AUDIO, SCRIPT, VIDEO, FlvTag
from rtmptwist.wire.message import Message, MessageType
from rtmptwist.wire.status import Status

AHEAD: Final = 1000
"Milliseconds of the file that are in memory, about."

TICK: Final = 0.02
"Seconds between two looks at what is due: nothing of a file comes at 200 pictures a second."

LATE: Final = 1.0
"Seconds by which it may be late, and then hurry; after more than that it goes on as if on time."

STEP: Final = 40
"Milliseconds between the end of a round and the next one, where the file does not tell."

LONGEST_STEP: Final = 1000
"Milliseconds of the same; a still picture may be longer, and nobody need wait for it."

_OF_FILES: Final = frozenset(
    ("duration", "filesize", "keyframes", "lasttimestamp", "lastkeyframetimestamp", "datasize")
)
"What onMetaData says of a file, and is not true of what is live."


class Feed:
    """One stream that is fed with a file."""

    log = Logger()
    kind = "live"
    stands_in = True

    def __init__(
        self,
        stream: LiveStream,
        open_file: Callable[[], Container],
        disk: Disk,
        clock: IReactorTime,
        over: Callable[[Feed, str], None],
        *,
        folder: Path,
        loop: bool,
    ) -> None:
        """
        Publish `stream`. `open_file` and what it returns are used in a thread; `folder`: where the
        file is.

        `over` is told when this has ended, and what was wrong; empty: nothing.
        """
        self.name = stream.name
        self._open = open_file
        self._clock = clock
        self._over = over
        self._loop = loop
        self._lane = disk.lane(self._failed, folder)
        self._container: Container | None = None
        self._place: Place = None
        self._waiting: deque[tuple[int, FlvTag]] = deque()
        "What is in memory, with the time at which it is due (ms since the beginning)."
        self._reading = True
        self._ended = False
        "There is no more in the file."
        self._offset = 0
        "Of this round."
        self._last = -1
        "Time of the newest tag in memory,"
        self._step = STEP
        "and how far it is from the one before it, if that is known."
        self._began: float | None = None
        "When time 0 was due (s)."
        self._timer: IDelayedCall | None = None
        self._inlet: Inlet | None = stream.publish(self, self)
        self._lane.put(self._begin, self._got)

    # --------------------------------------------------------- live.Publisher

    def tell(self, status: Status) -> None:
        """`live.Publisher`: a file need not know."""

    def troubled(self, trouble: Trouble, *, begins: bool) -> None:
        """`live.Publisher`: a file is as it is, but whoever chose it may want to know."""
        if begins and not trouble.again:
            shown = redacted(self.name)
            self.log.warn("the file on air as {name}: {words}", name=shown, words=trouble.words)

    def displaced(self, reason: str) -> None:  # noqa: ARG002 - why does not matter
        """`live.Publisher`: somebody publishes, or nobody watches any more."""
        self.stop()

    def stop(self) -> None:
        """End it: viewers wait for somebody else."""
        if self._inlet is not None:
            self._stop("")

    # -------------------------------------------------------------- in a thread

    def _begin(self) -> Block:
        container = self._container = self._open()
        block = container.read(container.seek(0).place)
        values = {k: v for k, v in container.metadata.items() if k not in _OF_FILES}
        if values and block.tags:
            payload = amf0.encode("onMetaData", EcmaArray(values))
            block.tags.insert(0, FlvTag(SCRIPT, block.tags[0].timestamp, payload))
        return block

    def _more(self) -> Block:
        assert self._container is not None
        return self._container.read(self._place)

    def _rewind(self) -> Block:
        assert self._container is not None
        return self._container.read(self._container.seek(0).place)

    def _close(self) -> None:
        if self._container is not None:
            self._container.close()

    # ---------------------------------------------------------------- reading

    def _got(self, block: Block) -> None:
        self._reading = False
        if self._inlet is None:
            return
        if not block.tags:
            self._at_end()
            return
        self._place = block.next
        for tag in block.tags:
            due = tag.timestamp + self._offset
            if tag.type in (AUDIO, VIDEO) and due > self._last:
                self._step = min(due - self._last, LONGEST_STEP) if self._last >= 0 else STEP
                self._last = due
            self._waiting.append((due, tag))
        if self._timer is None:
            self._look()

    def _at_end(self) -> None:
        if not self._loop:
            self._ended = True
            if self._timer is None:
                self._look()
        elif self._last < self._offset:
            self._failed(ValueError("it has neither sound nor pictures"))
        else:
            self._offset = self._last + self._step
            self._reading = True
            self._lane.put(self._rewind, self._got)

    # ---------------------------------------------------------------- sending

    def _look(self) -> None:
        """Send what is due, and see to what comes next."""
        self._timer = None
        waiting, inlet = self._waiting, self._inlet
        assert inlet is not None
        now = self._clock.seconds()
        if waiting and (self._began is None or now - self._due(waiting[0]) > LATE):
            self._began = now - waiting[0][0] / 1000
        while waiting and self._due(waiting[0]) <= now:
            due, tag = waiting.popleft()
            inlet.push(Message(MessageType(tag.type), due, 0, tag.payload))
        inlet.flush()
        if self._inlet is None:  # it was the last straw for its last viewer
            return
        if not waiting and self._ended:
            self._stop("")
            return
        if not self._reading and (not waiting or self._last - waiting[0][0] < AHEAD):
            self._reading = not self._ended
            if self._reading:
                self._lane.put(self._more, self._got)
        if waiting:
            self._timer = self._clock.callLater(max(self._due(waiting[0]) - now, TICK), self._look)

    def _due(self, item: tuple[int, FlvTag]) -> float:
        return (self._began or 0.0) + item[0] / 1000

    # ----------------------------------------------------------------- ending

    def _failed(self, error: Exception) -> None:
        if self._inlet is not None:
            words = error.strerror if isinstance(error, OSError) else ""
            self._stop(words or str(error) or type(error).__name__)

    def _stop(self, problem: str) -> None:
        inlet, self._inlet = self._inlet, None
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._lane.clear()
        self._lane.put(self._close)
        if inlet is not None:
            inlet.end(release=True)
        self._over(self, problem)
