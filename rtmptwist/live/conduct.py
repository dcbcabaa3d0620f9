"""
Whether a publication keeps to the terms it was granted on. Looked at once a second.

Nothing is counted or parsed on the way of a message: the bitrate is read off the inlet's counters,
codecs off what lies in the window, sizes off the headers that are kept for late viewers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from rtmptwist.live.access import Terms
from rtmptwist.live.headers import Header
from rtmptwist.live.inlet import Inlet
from rtmptwist.live.metadata import number, read_metadata
from rtmptwist.media.packet import Content, Kind
from rtmptwist.media.tag import audio_tag, video_tag
from rtmptwist.media.tracks import read_tracks
from rtmptwist.wire.message import Message, MessageType

WINDOW: Final = 10.0
"""
Seconds over which the bitrate is measured: in no such time may there come more than belongs to it.

So a key frame is no excess, nor is what an encoder sends at once when its network is back.
"""

GRACE: Final = 10.0
"Seconds from the warning that the bitrate is too high until the stream is cut."

_KINDS: Final = {int(MessageType.AUDIO): Kind.AUDIO, int(MessageType.VIDEO): Kind.VIDEO}


@dataclass(frozen=True, slots=True)
class Finding:
    """What is not as it should be."""

    words: str
    "For the client and the log."

    final: bool = True
    "The publication must end; else it is warned."


def overdue(terms: Terms, since: float, now: float) -> str:
    """Why something that began at `since` must end now; empty: it need not. Clock: the epoch's."""
    if terms.until is not None and now >= terms.until:
        return "What allowed this has expired."
    if terms.duration is not None and now - since >= terms.duration:
        return f"The {_time(terms.duration)} that this may last are over."
    return ""


class Conduct:
    """The conduct of one publication."""

    def __init__(self, terms: Terms, inlet: Inlet, now: float) -> None:
        self._terms = terms
        self._inlet = inlet
        self._since = now
        self._rate = _Rate(terms.bitrate, now) if terms.bitrate is not None else None
        self._seen = inlet.window.head
        self._headers: tuple[Header, ...] = ()

    def look(self, now: float) -> Finding | None:
        """What is wrong, if anything is."""
        terms = self._terms
        words = overdue(terms, self._since, now)
        if not words and (terms.codecs is not None or terms.width or terms.height):
            headers = self._inlet.window.headers.said()
            if headers != self._headers:
                self._headers = headers
                words = self._look_at_headers()
            if not words and terms.codecs is not None:
                words = self._look_at_frames()
        if words:
            return Finding(words)
        return self._rate.look(now, self._inlet.meter.bytes) if self._rate is not None else None

    def _look_at_headers(self) -> str:
        sizes = []
        claimed = (0, 0)
        for message in (header.message for header in self._headers):
            kind = _KINDS.get(message.type)
            if kind is None:
                claimed = _claimed_size(message) or claimed
                continue
            for track in read_tracks(kind, message.payload):
                if words := self._against(track.codec):
                    return words
                sizes.append((track.width, track.height))
        # metadata may be wrong, and counts only for codecs whose headers do not say
        return self._too_large([size for size in sizes if any(size)] or [claimed])

    def _look_at_frames(self) -> str:
        """Some codecs have no header, and some publishers send none."""
        window = self._inlet.window
        seen, self._seen = self._seen, window.head
        for codec in _codecs(window.since(max(seen, window.first), window.head)):
            if words := self._against(codec):
                return words
        return ""

    def _against(self, codec: str) -> str:
        allowed = self._terms.codecs
        if allowed is None or codec in allowed:
            return ""
        shown = codec if codec.isalnum() else ascii(codec)
        return f"{shown} is not allowed here, but {', '.join(sorted(allowed)) or 'nothing'}."

    def _too_large(self, sizes: list[tuple[int, int]]) -> str:
        most = self._terms.width, self._terms.height
        for size in sizes:
            if any(bound and pixels > bound for pixels, bound in zip(size, most, strict=True)):
                bounds = "x".join(str(bound or "any") for bound in most)
                return f"The picture has {size[0]}x{size[1]} pixels; {bounds} are allowed."
        return ""


class _Rate:
    """Whether a bitrate is kept."""

    def __init__(self, most: int, now: float) -> None:
        """`most`: bits per second."""
        self._most = most
        self._samples = deque([(now, 0)])
        "When, and how many bytes there were until then."
        self._first = 0.0
        "When it began to be too high,"
        self._last: float | None = None
        "and when it was last seen to be; None: it is not."

    def look(self, now: float, size: int) -> Finding | None:
        """Once a second, with the bytes so far."""
        samples = self._samples
        if now < samples[-1][0]:  # somebody has set the clock
            samples.clear()
        samples.append((now, size))
        while len(samples) > 1 and samples[1][0] <= now - WINDOW:
            samples.popleft()
        since, before = samples[0]
        rate = (size - before) * 8 / max(WINDOW, now - since)
        if rate <= self._most:
            if self._last is not None and abs(now - self._last) >= WINDOW:
                self._last = None
            return None
        begins, self._last = self._last is None, now
        figures = f"{rate / 1000:.0f} kbit/s, and {self._most / 1000:.0f} are allowed"
        if begins:
            self._first = now
            words = f"{figures}: lower the bitrate, or the stream is cut in {GRACE:g} s."
            return Finding(words, final=False)
        return Finding(f"Cut, for it had {figures}.") if now - self._first >= GRACE else None


def _codecs(messages: list[Message]) -> Iterator[str]:
    for message in messages:
        kind = _KINDS.get(message.type)
        if kind is None:
            continue
        tag = audio_tag(message.payload) if kind is Kind.AUDIO else video_tag(message.payload)
        if tag.coded:
            yield from tag.codecs
        elif tag.content is Content.OPAQUE:
            yield from (track.codec for track in read_tracks(kind, message.payload))


def _claimed_size(message: Message) -> tuple[int, int] | None:
    """What onMetaData says of the picture."""
    values = read_metadata(message)
    width, height = number(values, "width"), number(values, "height")
    return (int(width), int(height)) if width and height else None


def _time(seconds: float) -> str:
    """A duration in the largest units that say it exactly enough."""
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} seconds"
