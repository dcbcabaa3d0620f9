"""What payloads say about the tracks of a stream: which codec, and how large the picture is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from rtmptwist.media.av1 import Av1Configuration
from rtmptwist.media.avc import AvcConfiguration
from rtmptwist.media.errors import MediaError
from rtmptwist.media.hevc import HevcConfiguration
from rtmptwist.media.packet import Content, Kind, Part, read_audio, read_video

UNKNOWN: Final = "unknown"
"The codec of a payload that cannot be read."


@dataclass(frozen=True, slots=True)
class Track:
    """One track, as one payload shows it."""

    kind: Kind
    number: int

    codec: str
    "As `media.packet` calls it; UNKNOWN where it cannot be seen."

    width: int = 0
    height: int = 0
    "Pixels, by the sequence header. 0: it does not say, or this payload is none."


def read_tracks(kind: Kind, payload: bytes) -> tuple[Track, ...]:
    """
    The tracks whose frames or headers an audio or video payload carries. Never raises.

    None for what only stands beside them: FFmpeg sends the colorInfo of a track without its id.
    """
    try:
        packet = read_audio(payload) if kind is Kind.AUDIO else read_video(payload)
    except MediaError:
        return (Track(kind, 0, UNKNOWN),)
    content = packet.content
    if content not in (Content.FRAME, Content.SEQUENCE_HEADER, Content.OPAQUE):
        return ()
    if not packet.parts:
        return (Track(kind, 0, UNKNOWN),)
    header = content is Content.SEQUENCE_HEADER
    return tuple(
        Track(kind, part.track, part.codec, *(_size(payload, part) if header else ()))
        for part in packet.parts
    )


class _Sized(Protocol):
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...


_CONFIGURATIONS: Final[dict[str, Callable[[bytes], _Sized]]] = {
    "avc1": AvcConfiguration.unpack,
    "hvc1": HevcConfiguration.unpack,
    "av01": Av1Configuration.unpack,
}


def _size(payload: bytes, part: Part) -> tuple[int, int]:
    unpack = _CONFIGURATIONS.get(part.codec)
    if unpack is None:
        return 0, 0
    try:
        configuration = unpack(payload[part.start : part.end])
    except MediaError:
        return 0, 0
    return configuration.width, configuration.height
