"""
A live stream: from the publisher's messages into the window, and from one publisher to the next.

The stream outlives its inlet: viewers stay through a takeover or the grace time, on one timeline.
Whom its messages go to is the audience's business.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from enum import Enum
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from rtmptwist.live.audience import Audience
from rtmptwist.live.errors import Refused
from rtmptwist.live.interfaces import Publisher, StreamSettings
from rtmptwist.live.meters import InletMeter, StreamMeter
from rtmptwist.live.timeline import Timeline
from rtmptwist.live.window import Window
from rtmptwist.media.packet import Content, Kind
from rtmptwist.media.tag import Tag, audio_tag, video_tag
from rtmptwist.wire.message import Message, MessageType
from rtmptwist.wire.status import StatusCode

PICTURE_TIMEOUT: Final = 3000
"""
Milliseconds of sound after which a publisher that took over a stream with pictures has none itself.
"""

_AUDIO: Final = int(MessageType.AUDIO)
_VIDEO: Final = int(MessageType.VIDEO)
_DATA: Final = int(MessageType.DATA)
_DATA_AMF3: Final = int(MessageType.DATA_AMF3)

_SET: Final = b"\x02\x00\x0d@setDataFrame"
_CLEAR: Final = b"\x02\x00\x0f@clearDataFrame"
_METADATA: Final = b"\x02\x00\x0aonMetaData"
"AMF0 strings: the first value of a data message is the name of its handler."

_LONGEST_NAME: Final = 256
"Bytes by which two handlers are told apart."


class Phase(Enum):
    """How far an inlet has come."""

    NEW = "new"
    "Nothing was pushed."

    OPENING = "opening"
    "Only headers and data so far."

    HELD = "held"
    "Goes on with a stream: nothing but headers counts until its first key frame."

    RUNNING = "running"
    ENDED = "ended"


class Inlet:
    """The right to feed a stream. Whoever has it pushes messages, and flushes after every read."""

    __slots__ = (
        "_dropped",
        "_first_other",
        "_pictures",
        "_start",
        "_steady",
        "_stream",
        "_timeline",
        "_total",
        "_window",
        "identity",
        "phase",
        "publisher",
    )

    def __init__(
        self, stream: LiveStream, publisher: Publisher, identity: Hashable, phase: Phase
    ) -> None:
        self._stream = stream
        self._window = stream.window
        self._timeline = stream.timeline
        self.publisher = publisher
        self.identity = identity
        self.phase = phase
        self._steady = False
        "The phase is RUNNING: one look for every message."
        self._dropped = 0
        self._start = (stream.window.head, stream.window.total_size)
        self._total: InletMeter | None = None
        self._pictures = False
        "While held: it has sent some video,"
        self._first_other: int | None = None
        "and the timestamp of the first message that is none."

    # The path of every message: keep it short.

    def push(self, message: Message) -> None:
        """Take a media or data message. It goes out with the next `flush`."""
        kind = message.type
        if kind == _VIDEO:
            tag = video_tag(message.payload)
        elif kind == _AUDIO:
            tag = audio_tag(message.payload)
        else:
            self._push_data(message)
            return
        if not (tag.coded and self._steady) and not self._admit(tag, message):
            return
        time = self._timeline.media(message.timestamp)
        if time != message.timestamp:
            message = Message(kind, time, message.stream_id, message.payload)
        window = self._window
        if kind == _VIDEO:
            window.picture = window.head
            if tag.keyframe:
                window.append_start(message)
                return
        window.append(message)

    def flush(self) -> None:
        """That was all of this read."""
        self._stream.audience.flush()

    def end(self, *, release: bool = False) -> None:
        """
        The publisher has gone; may be called again.

        `release`: it said goodbye, so the name is free for anybody, although viewers still wait
        out the grace time. Else it is kept for the same publisher that long.
        """
        if self.phase is not Phase.ENDED:
            self.stop()
            self._stream.left(self, release=release)

    def stop(self) -> None:
        """Take nothing any more."""
        self._total = self.meter
        self.phase = Phase.ENDED
        self._steady = False

    @property
    def meter(self) -> InletMeter:
        """What came so far, or until the end."""
        messages, size = self._start
        window = self._window
        return self._total or InletMeter(
            window.head - messages, window.total_size - size, self._dropped
        )

    def _admit(self, tag: Tag, message: Message) -> bool:
        """Do what a message that is no ordinary frame asks for; True: it is one all the same."""
        phase = self.phase
        if phase is Phase.ENDED:
            return False
        if tag.coded:
            return self._begin(tag, message.timestamp)
        if tag.content is Content.OPAQUE:
            if phase is Phase.RUNNING or self._begin(tag, message.timestamp):
                time = self._timeline.media(message.timestamp)
                self._window.append(_at(message, time))
            return False
        self._push_aside(tag, message)
        return False

    def _begin(self, tag: Tag, timestamp: int) -> bool:
        """The first frame came: begin, unless it is one that viewers of the stream cannot use."""
        held = self.phase is Phase.HELD
        if held and not self._usable(tag, timestamp):
            self._dropped += 1
            return False
        if self.phase is not Phase.OPENING:
            self._stream.audience.published()
        window = self._window
        window.headers.settle(window.head - 1)
        if window.begun is None:
            window.begun = window.head
        self.phase = Phase.RUNNING
        self._steady = True
        return True

    def _usable(self, tag: Tag, timestamp: int) -> bool:
        """Whether viewers of another publisher's stream can go on with this frame."""
        window = self._window
        if tag.keyframe or not window.pictures:
            return True
        if tag.coded and tag.kind is Kind.VIDEO:
            self._pictures = True
        elif self._first_other is None:
            self._first_other = timestamp
        elif timestamp - self._first_other >= PICTURE_TIMEOUT and not self._pictures:
            window.lose_pictures()
            return True
        return False

    def _push_aside(self, tag: Tag, message: Message) -> None:
        """Take a header, or a mark without a frame: their timestamps mean little."""
        window = self._window
        headers = window.headers
        held = self.phase is Phase.HELD
        self._open()
        time = self._timeline.other(message.timestamp)
        if tag.slot is None:
            if held:
                self._dropped += 1
                return
        elif tag.clears:
            headers.drop(tag.slot, window.head - 1)
        else:
            new = headers.put(tag.slot, window.head, message)
            if held and not new:
                return  # viewers have it
            if tag.kind is Kind.VIDEO:
                self._pictures = True
                window.picture = window.head
                if new and 0 in tag.slot.tracks and tag.content is Content.SEQUENCE_HEADER:
                    window.start = None  # what came before is for another decoder
        window.append_aside(_at(message, time))

    def _push_data(self, message: Message) -> None:
        """Take a data message; anything else is no business of a stream."""
        if self.phase is Phase.ENDED or message.type not in (_DATA, _DATA_AMF3):
            return
        body = message.payload
        if message.type == _DATA_AMF3 and body[:1] == b"\0":
            body = body[1:]  # then AMF0 follows, in which 0x11 changes over to AMF3
        frame = body.startswith(_SET)
        if frame:
            body = body[len(_SET) :]
        kind, payload = _DATA, body
        if message.type == _DATA_AMF3 and b"\x11" in body:
            kind, payload = _DATA_AMF3, b"\0" + body
        window = self._window
        if body.startswith(_CLEAR):
            window.headers.drop(_handler(body[len(_CLEAR) :]), window.head - 1)
            return
        self._open()
        time = 0
        if frame or body.startswith(_METADATA):
            # state, not an event: late viewers get it too, and a repetition says nothing
            kept = Message(kind, time, message.stream_id, payload)
            if not window.headers.put(_handler(body), window.head, kept):
                return
        elif self.phase is Phase.HELD:
            self._dropped += 1
            return
        else:
            time = self._timeline.other(message.timestamp)
        window.append_aside(Message(kind, time, message.stream_id, payload))

    def _open(self) -> None:
        """Something came."""
        if self.phase is Phase.NEW:
            self.phase = Phase.OPENING
            self._stream.audience.published()


def _at(message: Message, time: int) -> Message:
    """The same message at another time."""
    if time == message.timestamp:
        return message
    return Message(message.type, time, message.stream_id, message.payload)


def _handler(body: bytes) -> bytes:
    """The handler that an AMF0 data message names, as it stands there; all of it if it is none."""
    if body[:1] != b"\x02":
        return body[:_LONGEST_NAME]
    return body[: 3 + int.from_bytes(body[1:3], "big")][:_LONGEST_NAME]


class LiveStream:
    """A named stream, for as long as anybody publishes, watches or may come back to it."""

    def __init__(
        self,
        name: str,
        settings: StreamSettings,
        clock: IReactorTime,
        vanished: Callable[[LiveStream], None],
    ) -> None:
        """`vanished` is called when nobody needs it any more."""
        self.name = name
        self.settings = settings
        self.window = Window(
            int(settings.window * 1000), settings.window_size, int(settings.max_lag * 1000)
        )
        self.timeline = Timeline(self.window.interval)
        self.audience = Audience(self.window, settings, clock, self._leave_if_unneeded)
        self.inlet: Inlet | None = None
        self._clock = clock
        self._vanished = vanished
        self._dropped = 0
        "By inlets that have gone."
        self._grace: IDelayedCall | None = None
        "Ends the publication, unless its publisher, or another, comes first."
        self._owner: tuple[Hashable] | None = None
        "For whom the name is kept meanwhile."

    @property
    def live(self) -> bool:
        """Whether somebody publishes it, or may still come back."""
        return self.inlet is not None or self._grace is not None

    def publish(self, publisher: Publisher, identity: Hashable) -> Inlet:
        """
        Let somebody feed the stream: as its first publisher, again, or in another one's place.

        Raises:
            Refused: `NetStream.Publish.BadName`, for the name is somebody else's.
        """
        self._check_name(identity)
        old = self.inlet
        if old is not None:
            self._stop(old)
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None
        if not self.audience.subscribers:
            self._forget()
        window = self.window
        self.timeline.restart()
        window.headers.doubt()
        phase = Phase.NEW if window.begun is None else Phase.HELD
        self.inlet = inlet = Inlet(self, publisher, identity, phase)
        if old is not None:
            same = "the same publisher" if identity == old.identity else "another publisher"
            old.publisher.displaced(f"{self.name} was taken over by {same}")
        return inlet

    def left(self, inlet: Inlet, *, release: bool) -> None:
        """An inlet's publisher has gone. Viewers may not notice, if it or another one returns."""
        self._dropped += inlet.meter.dropped
        self.inlet = None
        audience = self.audience
        audience.drain()
        self._owner = None if release else (inlet.identity,)
        if not audience.subscribers:
            self._forget()
        if audience.busy or (self.settings.grace > 0 and (audience.subscribers or not release)):
            self._grace = self._clock.callLater(self.settings.grace, self._over)
        else:
            self._over()

    def close(self, reason: str) -> None:
        """End it at once, for its publisher and for all viewers."""
        inlet = self.inlet
        if inlet is not None:
            self._stop(inlet)
            inlet.publisher.displaced(reason)
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None
        self.audience.close()
        self._leave_if_unneeded()

    def sweep(self, now: float) -> None:
        """Once a second: end what takes too long."""
        self.audience.sweep(now)
        if not self.live:
            self.audience.expire(now)
            if not self.audience.lagging:
                self.window.clear()

    @property
    def meter(self) -> StreamMeter:
        """What went in and out so far."""
        window, audience = self.window, self.audience
        state = "live" if self.inlet is not None else "grace" if self.live else "idle"
        return StreamMeter(
            name=self.name,
            state=state,
            viewers=len(audience.subscribers),
            lagging=audience.lagging,
            messages_in=window.head,
            bytes_in=window.total_size,
            bytes_out=audience.bytes_out,
            dropped=self._dropped + (self.inlet.meter.dropped if self.inlet is not None else 0),
            skipped=audience.skipped,
            window_messages=window.head - window.first,
            window_bytes=window.size,
            sweep_cost=audience.pace.cost,
            headers=len(window.headers),
        )

    def _check_name(self, identity: Hashable) -> None:
        takeover = self.settings.takeover
        if takeover == "any":
            return
        if self.inlet is not None:
            if takeover != "same":
                why = "is live already, and may not be taken over here"
            elif identity != self.inlet.identity:
                why = "is live already, and only its own publisher may take it over"
            else:
                return
        elif self._grace is not None and self._owner not in (None, (identity,)):
            why = f"is kept for its publisher, who may return within {self.settings.grace:g} s"
        else:
            return
        raise Refused(StatusCode.PUBLISH_BAD_NAME, f"{self.name} {why}.")

    def _stop(self, inlet: Inlet) -> None:
        """Take it from its publisher."""
        inlet.stop()
        self._dropped += inlet.meter.dropped
        self.inlet = None

    def _over(self) -> None:
        """The grace time is over, or there is none."""
        self._grace = self._owner = None
        self.window.end()
        self.audience.over()
        self._leave_if_unneeded()

    def _forget(self) -> None:
        """Nobody watches, so there is nothing to go on with: the next publication is the first."""
        self.window.end()
        self.window.clear()
        self.timeline = Timeline(self.window.interval)

    def _leave_if_unneeded(self) -> None:
        if not self.live and not self.audience.subscribers:
            self.audience.close()
            self._vanished(self)
