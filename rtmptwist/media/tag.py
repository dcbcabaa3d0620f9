"""
What a live stream must know of an audio or video payload, from its first few bytes.

Knows no more than `media.packet` (FLV 10.1, Annex E; Enhanced RTMP v2) and never raises: what is
not understood is opaque, relayed and neither header nor key frame.

Frames are nearly all that comes, and there are few kinds of them, so their tags are made once and
shared: tables by the first byte, by the first two (AVC, AAC) and by the first five (Enhanced RTMP),
and a small memory for single tracks of a Multitrack stream. All are filled by the full reader,
which also answers whatever is not in them. Measured: legacy 0.04 to 0.13 µs, Enhanced 0.18, one
track of several 0.5, the full reader 6 to 9.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from rtmptwist.media.errors import MediaError
from rtmptwist.media.packet import (
    DISPOSABLE_FRAME_TYPE,
    ENHANCED_AUDIO,
    ENHANCED_VIDEO,
    INTER_FRAME_TYPE,
    KEY_FRAME_TYPES,
    Content,
    Kind,
    read_audio,
    read_video,
)


class Slot(NamedTuple):
    """
    Where a header is kept for late viewers: the next one of the same slot replaces it.

    Legacy and Enhanced headers of a track share a slot, for a track has one codec at a time. What
    may stand beside a sequence header (multichannel config, colorInfo) has a slot of its own, so
    legacy AAC and its Enhanced MultichannelConfig are both kept.
    """

    kind: Kind
    content: Content
    tracks: tuple[int, ...]
    "Ascending; several for a ManyTracks message, which is kept whole."

    codecs: tuple[str, ...]
    """
    Of the tracks. Empty for a sequence header, which replaces one of any codec.

    FFmpeg sends the colorInfo of every track without a track id: only the codec tells whose it is.
    """


@dataclass(frozen=True, slots=True)
class Tag:
    """
    One payload as a live stream sees it. Shared and frozen: compare and keep it at will.

    Track ids: 0 is the main track, which every encoder sends plain or as Multitrack 0. `keyframe`
    looks at that one alone, so a message that carries only tracks above 0 never starts a GOP;
    `key` tells whether it is a key frame of its own `tracks`.
    """

    kind: Kind
    content: Content
    tracks: tuple[int, ...] = ()
    "Ascending; (0,) when nothing is said of tracks; () in what is opaque, empty or a command."

    codecs: tuple[str, ...] = ()
    "Of `tracks`, one by one: FourCCs, and names such as h263 where there is none."

    header: bool = False
    "To be kept in `slot` and sent to a late viewer before its first frame."

    clears: bool = False
    "Makes void what is kept in `slot`, and need not be kept: a colorInfo that says nothing."

    coded: bool = False
    "Carries coded frames."

    key: bool = False
    "Carries key frames of all its tracks (never true for audio)."

    keyframe: bool = False
    "Carries a key frame of the main video track: a viewer can start here."

    disposable: bool = False
    "Frames that no other frame needs: the first to drop."

    slot: Slot | None = None
    "Of a header, and of what clears one."

    @property
    def codec(self) -> str:
        """The codec of the lowest track; "" if unknown."""
        return self.codecs[0] if self.codecs else ""

    @property
    def end(self) -> bool:
        """The end of a sequence. Its header stays valid until the next one."""
        return self.content is Content.SEQUENCE_END

    @property
    def empty(self) -> bool:
        """No body: silence, or the end mark of some encoders. Relayed, kept in no cache."""
        return self.content is Content.EMPTY


def audio_tag(payload: bytes) -> Tag:
    """Tell what an audio payload is. Never raises."""
    if len(payload) >= _SURE_AUDIO:
        tag = _AUDIO_BY_1[payload[0]] or _AAC.get(payload[:2]) or _AUDIO_BY_5.get(payload[:5])
        if tag is None and payload[0] == 0x95 and payload[1] <= 0x0F:
            tag = _one_track(Kind.AUDIO, payload[:7])
        if tag is not None:
            return tag
    return _read(Kind.AUDIO, payload)


def video_tag(payload: bytes) -> Tag:
    """Tell what a video payload is. Never raises."""
    if len(payload) >= _SURE_VIDEO:
        tag = _VIDEO_BY_1[payload[0]] or _AVC.get(payload[:2]) or _VIDEO_BY_5.get(payload[:5])
        if tag is None and payload[0] & 0x8F == 0x86 and payload[1] <= 0x0F:
            tag = _one_track(Kind.VIDEO, payload[:7])
        if tag is not None:
            return tag
    return _read(Kind.VIDEO, payload)


def composition_time(payload: bytes) -> int:
    """
    Milliseconds from the decoding to the presentation of a video payload, signed.

    Of its lowest track; 0 where there is none to read.
    """
    try:
        parts = read_video(payload).parts
    except MediaError:
        return 0
    return min(parts, key=lambda part: part.track).composition_time if parts else 0


_SURE_AUDIO: Final = 8
"Bytes from which on the tables are right: two of header, FourCC, track id, one of frame."

_SURE_VIDEO: Final = 11
"The same with a composition time."

_FRAME_TYPES: Final = (*KEY_FRAME_TYPES, INTER_FRAME_TYPE, DISPOSABLE_FRAME_TYPE)
_WITHOUT_TRACKS: Final = (Content.COMMAND, Content.EMPTY, Content.OPAQUE)
_KEPT: Final = (Content.SEQUENCE_HEADER, Content.MULTICHANNEL_CONFIG, Content.COLOR_INFO)
_ENHANCED: Final = {Kind.AUDIO: ENHANCED_AUDIO, Kind.VIDEO: ENHANCED_VIDEO}
_OPAQUE: Final = {kind: Tag(kind, Content.OPAQUE) for kind in Kind}
_NO_COLOR_INFO: Final = frozenset(
    b"\x02\x00\x09colorInfo" + value
    for value in (
        b"\x06",  # undefined: back to the original colours (Enhanced RTMP, "Metadata Frame")
        b"\x05",
        b"\x03\x00\x00\x09",
        # FFmpeg 9 says so when it knows nothing, and as a player takes it for RGB
        b"\x03\x00\x0bcolorConfig\x03\x00\x00\x09\x00\x00\x09",
    )
)


def _read(kind: Kind, payload: bytes) -> Tag:
    """Make a tag from all that the full reader finds."""
    try:
        packet = read_audio(payload) if kind is Kind.AUDIO else read_video(payload)
    except MediaError:
        return _OPAQUE[kind]
    content = packet.content
    if content in _WITHOUT_TRACKS:
        return Tag(kind, content)
    parts = sorted(
        (part.track, part.codec)
        for part in packet.parts
        if not packet.enhanced or part.codec in _ENHANCED[kind]
    )
    coded = content is Content.FRAME
    if not parts or (coded and kind is Kind.VIDEO and packet.frame_type not in _FRAME_TYPES):
        return _OPAQUE[kind]
    tracks = tuple(track for track, _ in parts)
    codecs = tuple(codec for _, codec in parts)
    slot = None
    if content in _KEPT:
        slot = Slot(kind, content, tracks, codecs if content is Content.COLOR_INFO else ())
    clears = content is Content.COLOR_INFO and all(
        payload[part.start : min(part.end, part.start + 64)] in _NO_COLOR_INFO
        for part in packet.parts
    )
    key = coded and packet.frame_type in KEY_FRAME_TYPES
    return Tag(
        kind,
        content,
        tracks,
        codecs,
        header=slot is not None and not clears,
        clears=clears,
        coded=coded,
        key=key,
        keyframe=key and tracks[0] == 0,
        disposable=coded and packet.frame_type == DISPOSABLE_FRAME_TYPE,
        slot=slot,
    )


def _frame(kind: Kind, head: bytes) -> Tag | None:
    """The tag of a frame that begins with these bytes, whatever follows; None if it is none."""
    tag = _read(kind, head.ljust(_SURE_VIDEO, b"\0"))
    return tag if tag.coded else None


def _frames(kind: Kind, heads: Iterable[bytes]) -> dict[bytes, Tag]:
    return {head: tag for head in heads if (tag := _frame(kind, head)) is not None}


@lru_cache(maxsize=256)
def _one_track(kind: Kind, head: bytes) -> Tag | None:
    """Frames of a second rendition or language; track ids are too many for a table."""
    return _frame(kind, head)


_AUDIO_BY_1: Final = tuple(_frame(Kind.AUDIO, bytes((first,))) for first in range(256))
_VIDEO_BY_1: Final = tuple(_frame(Kind.VIDEO, bytes((first,))) for first in range(256))
_AAC: Final = _frames(Kind.AUDIO, (bytes((0xA0 | bits, 1)) for bits in range(16)))
_AVC: Final = _frames(Kind.VIDEO, (bytes((frame_type << 4 | 7, 1)) for frame_type in range(8)))
_AUDIO_BY_5: Final = _frames(
    Kind.AUDIO, (b"\x91" + fourcc.encode() for fourcc in sorted(ENHANCED_AUDIO))
)
_VIDEO_BY_5: Final = _frames(
    Kind.VIDEO,
    (
        bytes((0x80 | frame_type << 4 | packet_type,)) + fourcc.encode()
        for frame_type in range(8)
        for packet_type in (1, 3)
        for fourcc in sorted(ENHANCED_VIDEO)
    ),
)
