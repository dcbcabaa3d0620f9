"""What a stream consists of: its tracks, as its headers and its newest frames show them."""

from __future__ import annotations

from typing import Final

from rtmptwist.live.headers import Header
from rtmptwist.live.window import Window
from rtmptwist.media.details import Details, read_details
from rtmptwist.media.packet import Kind
from rtmptwist.wire.message import Message, MessageType

_KINDS: Final = {int(MessageType.AUDIO): Kind.AUDIO, int(MessageType.VIDEO): Kind.VIDEO}

_RECENT: Final = 64
"Messages in which a frame of each kind is looked for."


class Programme:
    """Reads when it is asked, and headers only when there are others: one look costs 25 µs."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._headers: tuple[Header, ...] = ()
        self._said: dict[tuple[Kind, int], Details] = {}

    def tracks(self) -> tuple[Details, ...]:
        """All tracks, pictures first. Of codecs without a header, what the newest frame says."""
        window = self._window
        headers = window.headers.said()
        if headers != self._headers:
            self._headers = headers
            self._said = {}
            for header in headers:
                self._read(header.message, self._said)
        found = dict(self._said)
        kinds = set(_KINDS)
        for message in reversed(
            window.since(max(window.first, window.head - _RECENT), window.head)
        ):
            if message.type in kinds:
                kinds.discard(message.type)
                self._read(message, found)
        order = (Kind.VIDEO, Kind.AUDIO)
        return tuple(
            sorted(found.values(), key=lambda track: (order.index(track.kind), track.number))
        )

    def _read(self, message: Message, found: dict[tuple[Kind, int], Details]) -> None:
        kind = _KINDS.get(message.type)
        for track in read_details(kind, message.payload) if kind is not None else ():
            known = found.get((track.kind, track.number))
            if known is None or known.codec != track.codec:
                found[track.kind, track.number] = track
