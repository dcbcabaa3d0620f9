"""
Whether what a publisher sends is fit to be watched: signs of trouble, looked for once a second.

Nothing is counted on the way of a message: timestamps are read off the newest few messages of the
window, all else off counters that are there anyway. A look costs 12 µs.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from rtmptwist.live.headers import Header
from rtmptwist.live.health import Health, Sign
from rtmptwist.live.metadata import number, read_metadata
from rtmptwist.media.packet import Content
from rtmptwist.media.tag import audio_tag, video_tag
from rtmptwist.wire.message import Message, MessageType

if TYPE_CHECKING:
    from rtmptwist.live.inlet import Inlet
    from rtmptwist.live.interfaces import StreamSettings
    from rtmptwist.live.timeline import Timeline

_AUDIO: Final = int(MessageType.AUDIO)
_VIDEO: Final = int(MessageType.VIDEO)
_WORDS: Final = {
    _AUDIO: (Sign.NO_AUDIO, "sound", "audiocodecid"),
    _VIDEO: (Sign.NO_VIDEO, "pictures", "videocodecid"),
}

_RECENT: Final = 64
"Messages in which sound and pictures are looked for: half a second or more; mostly three will do."

_MEMORY: Final = 60
"Looks that are remembered."

_SPAN: Final = 5
"Looks over which pictures are counted."

_KNOWN: Final = 10
"Looks after which it is known what is usual."

_COLLAPSED: Final = 0.5
"Of the usual or announced pictures: fewer are a collapse,"

_RECOVERED: Final = 0.6
"which is over with so many."

_CREDIBLE: Final = 300
"Pictures per second: FFmpeg may announce 1000, its time base, of a stream whose rate varies."

_LEAP: Final = 2.0
"Seconds forwards at once, with too few messages for it."

_BACK: Final = 500
"Milliseconds backwards: tracks of one kind are apart by less than that."

_FLOWS: Final = 2.0
"Seconds since which something has come, if it comes at all."


_PAUSE: Final = 5.0
"""
Seconds without a picture, in which there can be no key frame either; or without a look, which is as
good as another beginning.
"""

_EVER: Final = -(1 << 62)


class _Point(NamedTuple):
    time: int
    "Of the stream, in ms."
    pictures: int
    messages: int


class Vitals:
    """Of one publication."""

    __slots__ = (
        "_announced",
        "_came",
        "_first",
        "_gop_from",
        "_headers",
        "_inlet",
        "_jumps",
        "_leads",
        "_looked",
        "_low",
        "_points",
        "_rate",
        "_rates",
        "_settings",
        "_since",
        "_start",
        "_timeline",
        "health",
    )

    def __init__(
        self, inlet: Inlet, timeline: Timeline, settings: StreamSettings, now: float
    ) -> None:
        self.health = Health()
        self._inlet = inlet
        self._timeline = timeline
        self._settings = settings
        self._since = self._looked = now
        self._start = self._first = inlet.window.head
        "Number of the first message, and of the next to be looked at."

        self._jumps = timeline.jumps
        self._came: dict[int, tuple[float, int]] = {}
        "When sound and pictures last came, and their timestamps."

        self._announced: dict[int, float] = {}
        "Since when headers or metadata say that there is such."

        self._rate = 0.0
        "Pictures per second that metadata announces."

        self._headers: tuple[Header, ...] = ()
        self._leads: deque[float] = deque(maxlen=_MEMORY)
        "By how many seconds stream time was ahead of the clock's."

        self._points: deque[_Point] = deque(maxlen=_SPAN + 1)
        self._rates: deque[float] = deque(maxlen=_MEMORY)
        "Pictures per second of stream time, while they did not collapse."

        self._low = False
        self._gop_from = timeline.latest if timeline.begun else None
        "Key frames before this timestamp do not count; None: all do."

    def look(self, now: float) -> None:
        """Once a second: tell `health` what shows."""
        window = self._inlet.window
        head, first = window.head, max(self._first, window.first, window.head - _RECENT)
        messages, self._first = head - self._first, head
        if not 0 <= now - self._looked <= _PAUSE:  # somebody has set the clock
            self._leads.clear()
            self._points.clear()
        self._looked = now
        newest, skew = _newest(window.since(first, head)) if messages else ({}, None)
        self._read_headers(now)
        jumped = self._look_for_jumps(newest, messages, now)
        if jumped:
            self._leads.clear()
            self._points.clear()
            self._gop_from = max(newest.values())
        if _VIDEO in newest:
            self._look_at_key_frames(newest[_VIDEO], now)
        for kind, timestamp in newest.items():
            self._came[kind] = now, timestamp
        if skew is not None and not jumped:
            self._look_at_skew(skew)
        self._look_for_silence(now)
        if self._came:
            time = max(self._came.values())[1]
            self._look_at_pace(time, now)
            self._look_at_pictures(_Point(time, window.frames, head))
        elif head == self._start and self._is_late(now - self._since):
            self.health.see(Sign.SLOW, f"nothing has come for {now - self._since:.0f} s")

    def _read_headers(self, now: float) -> None:
        headers = self._inlet.window.headers.said()
        if headers == self._headers:
            return
        self._headers = headers
        announced = set()
        for header in headers:
            message = header.message
            if message.type in _WORDS:
                announced.add(int(message.type))
                continue
            values = read_metadata(message)
            announced |= {kind for kind, (_, _, name) in _WORDS.items() if number(values, name)}
            rate = number(values, "framerate")
            if rate:
                self._rate = rate if rate <= _CREDIBLE else 0.0
        self._announced = {kind: self._announced.get(kind, now) for kind in announced}

    def _look_for_jumps(self, newest: dict[int, int], messages: int, now: float) -> bool:
        """Whether timestamps have jumped: the timeline mends great leaps, and lets others pass."""
        timeline, before = self._timeline, self._came
        if timeline.jumps != self._jumps:
            self._jumps = timeline.jumps
            self._see_jump(timeline.leap / 1000)
            return False  # for stream time goes on
        backwards = [
            before[kind][1] - timestamp
            for kind, timestamp in newest.items()
            if kind in before and before[kind][1] - timestamp > _BACK
        ]
        if backwards:
            self._see_jump(-max(backwards) / 1000)
            return True
        if len(self._points) < 2 or not newest:
            return False
        time, points = max(newest.values()), self._points
        step, usual = time - points[-1].time, points[-1].time - points[0].time
        expected = (points[-1].messages - points[0].messages) * step / max(usual, 1)
        ahead = time / 1000 - now - max(self._leads)
        if ahead > _LEAP and messages < expected / 2:
            self._see_jump(ahead)
            return True
        return False

    def _see_jump(self, seconds: float) -> None:
        where = "forwards" if seconds > 0 else "back"
        words = f"timestamps have jumped {where} by {abs(seconds):.1f} s"
        self.health.see(Sign.TIMESTAMP_JUMP, words)

    def _look_at_skew(self, skew: int) -> None:
        bound = self._settings.warn_skew
        if bound is not None and abs(skew) > bound * 1000:
            late, other = ("sound", "pictures") if skew > 0 else ("pictures", "sound")
            words = f"{late} come {abs(skew) / 1000:.1f} s after the {other} of the same time"
            self.health.see(Sign.SKEW, words.replace("sound come", "sound comes"))

    def _look_for_silence(self, now: float) -> None:
        bound = self._settings.warn_missing
        if bound is None:
            return
        flows = any(now - when < _FLOWS for when, _ in self._came.values())
        for kind, (sign, what, _) in _WORDS.items():
            when = self._came[kind][0] if kind in self._came else self._announced.get(kind)
            if flows and when is not None and now - when >= bound:
                had = "" if kind in self._came else ", although the encoder announced it"
                self.health.see(sign, f"no {what} for {now - when:.0f} s{had}")

    def _look_at_key_frames(self, timestamp: int, now: float) -> None:
        window, bound = self._inlet.window, self._settings.warn_gop
        key, gop = window.key, window.gop
        before = self._came.get(_VIDEO, (now, 0))[0]
        if now - before > _PAUSE or (key is None and self._gop_from is None):
            self._gop_from = timestamp
        begin = _EVER if self._gop_from is None else self._gop_from
        worst = timestamp - max(begin, _EVER if key is None else key)
        if gop is not None and key is not None and key - gop >= begin:
            worst = max(worst, gop)
        if bound is not None and worst > bound * 1000:
            words = f"{worst / 1000:.1f} s without a key frame: viewers wait that long"
            self.health.see(Sign.LONG_GOP, f"{words}; set the encoder's interval to 2 s")

    def _look_at_pace(self, time: int, now: float) -> None:
        lead = time / 1000 - now
        behind = max(self._leads, default=lead) - lead
        self._leads.append(lead)
        if self._is_late(behind):
            since = now - max(when for when, _ in self._came.values())
            words = f"it has fallen behind by {behind:.1f} s within a minute"
            if self._is_late(since):
                words = f"nothing has come for {since:.0f} s"
            self.health.see(Sign.SLOW, f"{words}: the uplink or the encoder is too slow")

    def _is_late(self, seconds: float) -> bool:
        bound = self._settings.warn_lag
        return bound is not None and seconds > bound

    def _look_at_pictures(self, point: _Point) -> None:
        points = self._points
        points.append(point)
        passed, pictures = point.time - points[0].time, point.pictures - points[0].pictures
        if len(points) <= _SPAN or passed < _SPAN * 500 or not pictures:
            return  # too little stream time to tell; nothing at all is another trouble
        rate, rates = pictures * 1000 / passed, self._rates
        usual = sorted(rates)[len(rates) // 2] if len(rates) >= _KNOWN else 0.0
        most = max(usual, self._rate)
        self._low = rate < most * (_RECOVERED if self._low else _COLLAPSED)
        if not self._low:
            rates.append(rate)
            return
        what = "were announced" if self._rate > usual else "are usual"
        words = f"{rate:.1f} pictures per second, where {most:.1f} {what}"
        self.health.see(Sign.LOW_FRAME_RATE, words)


def _newest(messages: list[Message]) -> tuple[dict[int, int], int | None]:
    """
    The newest timestamps by kind; and of the newest two messages of different kinds that follow
    each other, from sound to picture: pictures that come seldom are not late for that.
    """
    newest: dict[int, int] = {}
    later = 0
    for message in reversed(messages):
        kind, timestamp = message.type, message.timestamp
        if kind not in _WORDS:
            continue
        if kind not in newest:
            tag = (audio_tag if kind == _AUDIO else video_tag)(message.payload)
            if not tag.coded and tag.content is not Content.OPAQUE:
                continue  # headers come whenever they like
            newest[kind] = timestamp
            if len(newest) == 2:
                return newest, later - timestamp if kind == _AUDIO else timestamp - later
        later = timestamp
    return newest, None
