"""The headers of a file that takes no others, once it has begun: MP4 says all in its beginning."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from rtmptwist.media.packet import Content
from rtmptwist.media.tag import Slot, Tag, audio_tag, video_tag
from rtmptwist.wire.message import Message, MessageType

READERS: Final[Mapping[int, Callable[[bytes], Tag]]] = {
    MessageType.AUDIO: audio_tag,
    MessageType.VIDEO: video_tag,
}


class Settled:
    """What one file has in it."""

    def __init__(self, kinds: Iterable[MessageType]) -> None:
        """`kinds`: of messages that are recorded."""
        self._readers = {int(kind): READERS[kind] for kind in kinds if kind in READERS}
        self._headers: dict[Slot, bytes] = {}
        self._closed = False

    def news(self, messages: Iterable[Message]) -> int | None:
        """
        The index of the first message with which another file is due; None: there is none.

        What comes with the first frames, a second of them or what there is, belongs to the file.
        """
        frames = False
        for index, message in enumerate(messages):
            read = self._readers.get(message.type)
            if read is None:
                continue
            tag = read(message.payload)
            frames = frames or tag.coded
            if tag.content is not Content.SEQUENCE_HEADER or tag.slot is None:
                continue
            known = self._headers.get(tag.slot)
            if known == message.payload:
                continue
            if self._closed or (frames and known is not None):
                return index
            self._headers[tag.slot] = message.payload
        self._closed = self._closed or frames
        return None
