"""Messages to bytes, once for everybody who understands the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from rtmptwist.media.flv import flv_tag
from rtmptwist.wire.chunk import append_full
from rtmptwist.wire.message import Message, MessageType

AUDIO_CHUNK_STREAM: Final = 4
VIDEO_CHUNK_STREAM: Final = 6
DATA_CHUNK_STREAM: Final = 7
"The session's own encoder never uses these, so neither can disturb the other."

_AUDIO: Final = int(MessageType.AUDIO)
_VIDEO: Final = int(MessageType.VIDEO)
_CHUNK_STREAMS: Final = {_AUDIO: AUDIO_CHUNK_STREAM, _VIDEO: VIDEO_CHUNK_STREAM}


@dataclass(frozen=True, slots=True)
class RtmpFormat:
    """
    RTMP chunks for one NetStream, each message with a full header.

    Such bytes depend on nothing that was sent before: they suit every viewer with the same chunk
    size and stream id, at any point, whatever was left out in between. Nearly all viewers agree in
    both, for the server chooses them.
    """

    chunk_size: int
    "What the session announced."

    stream_id: int = 1
    audio: bool = True
    video: bool = True

    def select(self, *, audio: bool | None = None, video: bool | None = None) -> RtmpFormat:
        """The same with sound or pictures left out or put back; None: as it is."""
        return replace(
            self,
            audio=self.audio if audio is None else audio,
            video=self.video if video is None else video,
        )

    def encode(self, messages: Sequence[Message]) -> bytes:
        """Put messages into one immutable buffer; empty if all of them are left out."""
        if not (self.audio and self.video):
            left_out = {_AUDIO: not self.audio, _VIDEO: not self.video}
            messages = [message for message in messages if not left_out.get(message.type)]
        parts: list[bytes | memoryview] = []
        chunk_size, stream_id = self.chunk_size, self.stream_id
        for message in messages:
            chunk_stream = _CHUNK_STREAMS.get(message.type, DATA_CHUNK_STREAM)
            append_full(parts, message, chunk_stream, chunk_size, stream_id)
        return b"".join(parts)


_FLV: Final = frozenset((_AUDIO, _VIDEO, int(MessageType.DATA), int(MessageType.DATA_AMF3)))


@dataclass(frozen=True, slots=True)
class FlvFormat:
    """FLV tags; whose they are has sent the header of a file before. They suit all viewers, too."""

    audio: bool = True
    video: bool = True

    def select(self, *, audio: bool | None = None, video: bool | None = None) -> FlvFormat:
        """The same with sound or pictures left out or put back; None: as it is."""
        return replace(
            self,
            audio=self.audio if audio is None else audio,
            video=self.video if video is None else video,
        )

    def encode(self, messages: Sequence[Message]) -> bytes:
        """Put messages into one immutable buffer; what FLV has no tags for is left out."""
        left_out = {_AUDIO: not self.audio, _VIDEO: not self.video}
        return b"".join(
            flv_tag(message.type, message.timestamp, message.payload)
            for message in messages
            if message.type in _FLV and not left_out.get(message.type)
        )
