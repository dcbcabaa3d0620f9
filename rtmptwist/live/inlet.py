"""
What a publisher sends, on its way into the window: in stream time, headers kept, data unpacked.

Payloads stay as they were published.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from enum import Enum
from typing import Final

from rtmptwist.live.audience import Audience
from rtmptwist.live.interfaces import Publisher
from rtmptwist.live.meters import InletMeter
from rtmptwist.live.timeline import Timeline
from rtmptwist.live.window import Window
from rtmptwist.media.packet import Content, Kind
from rtmptwist.media.tag import Tag, audio_tag, video_tag
from rtmptwist.wire.message import Message, MessageType

PATIENCE: Final = 3000
"""
Milliseconds that the sound of a publisher who goes on with a stream waits for its first key frame.

Encoders begin with one; who has not sent any by then has a very long GOP, or no pictures at all.
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

    SOUND = "sound"
    "Goes on with a stream, without pictures as long as there is no key frame."

    RUNNING = "running"
    LAST = "last"
    "Runs until its next key frame, which it does not take any more."

    ENDED = "ended"


class Inlet:
    """The right to feed a stream. Whoever has it pushes messages, and flushes after every read."""

    __slots__ = (
        "_audience",
        "_dropped",
        "_first_sound",
        "_left",
        "_start",
        "_steady",
        "_timeline",
        "_total",
        "identity",
        "phase",
        "publisher",
        "window",
    )

    def __init__(
        self,
        publisher: Publisher,
        identity: Hashable,
        window: Window,
        timeline: Timeline,
        audience: Audience,
        phase: Phase,
        left: Callable[[Inlet, bool], None],
    ) -> None:
        """`left` is called when the publisher has gone, and whether it gave the name up."""
        self.publisher = publisher
        self.identity = identity
        self.phase = phase
        self.window = window
        self._timeline = timeline
        self._audience = audience
        self._left = left
        self._steady = False
        "The phase is RUNNING: one look for every message."
        self._dropped = 0
        self._start = (window.head, window.total_size)
        self._total: InletMeter | None = None
        self._first_sound: int | None = None
        "Its timestamp, while it waits for a key frame."

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
        window = self.window
        if kind == _VIDEO:
            window.picture = window.head
            window.frames += 1
            if tag.keyframe:
                window.append_start(message)
                return
        window.append(message)

    def flush(self) -> None:
        """That was all of this read."""
        self._audience.flush()

    def end(self, *, release: bool = False) -> None:
        """
        The publisher has gone; may be called again.

        `release`: it said goodbye, so the name is free for anybody, although viewers still wait
        out the grace time. Else it is kept for the same publisher that long.
        """
        if self.phase is not Phase.ENDED:
            self.stop()
            self._left(self, release)

    def conclude(self) -> None:
        """
        End with the GOP that is being sent, so that its takers get a whole one; at once if there
        are no pictures that could be waited for.
        """
        if self.phase is Phase.RUNNING and self.window.pictures:
            self.phase = Phase.LAST
            self._steady = False
        elif self.phase is not Phase.LAST:
            self.end(release=True)

    def stop(self) -> None:
        """Take nothing any more."""
        self._total = self.meter
        self.phase = Phase.ENDED
        self._steady = False

    @property
    def meter(self) -> InletMeter:
        """What came so far, or until the end."""
        messages, size = self._start
        window = self.window
        return self._total or InletMeter(
            window.head - messages, window.total_size - size, self._dropped
        )

    def _admit(self, tag: Tag, message: Message) -> bool:
        """Do what a message that is no ordinary frame asks for; True: it is one all the same."""
        phase = self.phase
        if phase is Phase.LAST and tag.keyframe:
            self.end(release=True)
            return False
        if phase is Phase.ENDED:
            return False
        runs = phase in (Phase.RUNNING, Phase.LAST)
        if tag.coded:
            return runs or self._counts(tag, message.timestamp)
        if tag.content is Content.OPAQUE:
            if runs or self._counts(tag, message.timestamp):
                time = self._timeline.media(message.timestamp)
                self.window.append(_at(message, time))
            return False
        self._push_aside(tag, message)
        return False

    def _counts(self, tag: Tag, timestamp: int) -> bool:
        """Whether viewers can use a frame that comes before the inlet runs."""
        phase, following = self.phase, Phase.RUNNING
        if phase in (Phase.HELD, Phase.SOUND) and not tag.keyframe:
            if tag.coded and tag.kind is Kind.VIDEO:
                usable = False  # it depends on pictures that they never got
            else:
                usable = phase is Phase.SOUND or self._waited(timestamp)
            if not usable:
                self._dropped += 1
                return False
            following = Phase.SOUND
        if following is not phase:
            self._begin(following)
        return True

    def _waited(self, timestamp: int) -> bool:
        """Whether sound has waited for its picture long enough, if there is one to wait for."""
        if self._first_sound is None:
            self._first_sound = timestamp
        return not self.window.pictures or timestamp - self._first_sound >= PATIENCE

    def _begin(self, following: Phase) -> None:
        """The first frame came, or the first picture after sound."""
        window = self.window
        if self.phase in (Phase.NEW, Phase.HELD):
            self._audience.published()
        if following is Phase.SOUND:
            window.lose_pictures()
        window.headers.settle(window.head - 1)
        if window.begun is None:
            window.begun = window.head
        self.phase = following
        self._steady = following is Phase.RUNNING

    def _push_aside(self, tag: Tag, message: Message) -> None:
        """Take a header, or a mark without a frame: their timestamps mean little."""
        window = self.window
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
        window = self.window
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
            self._audience.published()


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
