"""
What is inside one audio or video payload: the grammar of FLV 10.1, Annex E, and Enhanced RTMP v2.

An RTMP audio or video message and the FLV tag of the same type have the same bytes. This module
reads their headers in full, track by track, and finds where the codecs' own bytes lie; it does not
look into those. `media.tag` is the quick answer for the live path and is derived from this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from rtmptwist.media.errors import MediaError


class Kind(Enum):
    """Which of the two message types a payload belongs to."""

    AUDIO = "audio"
    VIDEO = "video"


class Content(Enum):
    """What a payload carries."""

    FRAME = "frame"
    "Coded picture or sound."

    SEQUENCE_HEADER = "sequence header"
    "A decoder configuration (SequenceStart, MPEG2TSSequenceStart; AVC and AAC packet type 0)."

    MULTICHANNEL_CONFIG = "multichannel config"
    "Which channel is which loudspeaker (`media.multichannel`); stands beside a sequence header."

    COLOR_INFO = "color info"
    "Metadata named colorInfo: HDR and colour space of a video track."

    SEQUENCE_END = "sequence end"
    "The track ends here; its headers stay valid until the next sequence header."

    COMMAND = "command"
    "Frame type 5: start (0) or end (1) of a client-side seek; one byte."

    EMPTY = "empty"
    "No body: silence, or the end mark of some encoders."

    OPAQUE = "opaque"
    "Anything else: to be relayed, never to be understood."


@dataclass(frozen=True, slots=True)
class Part:
    """One track's share of a payload: `payload[start:end]` are the codec's own bytes."""

    track: int
    "0 unless a Multitrack packet says otherwise."

    codec: str
    "As in the tables below; an unknown FourCC stands as it came;  in an Enhanced command."

    start: int
    end: int

    composition_time: int = 0
    "Milliseconds from decoding to presentation, signed."


@dataclass(frozen=True, slots=True)
class Packet:
    """The headers of one payload."""

    kind: Kind
    content: Content
    parts: tuple[Part, ...] = ()
    "Tracks as they came, each at most once; those without a body that needs one are left out."

    frame_type: int = 0
    "1 key, 2 inter, 3 disposable inter, 4 generated key, 5 command; 0 for audio."

    enhanced: bool = False
    nanoseconds: int = 0
    "To be added to the presentation time of this packet only (ModEx TimestampOffsetNano)."


KEY_FRAME_TYPES: Final = (1, 4)
INTER_FRAME_TYPE: Final = 2
DISPOSABLE_FRAME_TYPE: Final = 3
COMMAND_FRAME_TYPE: Final = 5

LEGACY_AUDIO: Final = {
    0: "pcm",  # in the byte order of whoever made it
    1: "adpcm",
    2: ".mp3",
    3: "pcm-le",
    4: "nellymoser",  # 16 kHz
    5: "nellymoser",  # 8 kHz
    6: "nellymoser",
    7: "alaw",
    8: "ulaw",
    10: "mp4a",
    11: "speex",
    14: ".mp3",  # 8 kHz
    15: "device",
}
"Codec by SoundFormat (FLV 10.1, E.4.2.1), by FourCC where Enhanced RTMP has one."

LEGACY_VIDEO: Final = {
    2: "h263",  # Sorenson's
    3: "screen",
    4: "vp6",
    5: "vp6a",
    6: "screen2",
    7: "avc1",
    8: "h263-itu",  # FFmpeg only
    9: "mp4v",  # FFmpeg only
}
"Codec by CodecID (E.4.3.1). 12 and 13 were HEVC and AV1 on some networks before 2023: no."

ENHANCED_AUDIO: Final = frozenset({"ac-3", "ec-3", "Opus", ".mp3", "fLaC", "mp4a"})
ENHANCED_VIDEO: Final = frozenset({"vp08", "vp09", "av01", "avc1", "hvc1", "vvc1"})
_WITH_COMPOSITION_TIME: Final = frozenset({"avc1", "hvc1", "vvc1"})

_AAC_FORMAT: Final = 10
_ENHANCED_AUDIO_FORMAT: Final = 9
_AVC_CODEC_ID: Final = 7
_AVC_CONTENTS: Final = (Content.SEQUENCE_HEADER, Content.FRAME, Content.SEQUENCE_END)
_AAC_CONTENTS: Final = (Content.SEQUENCE_HEADER, Content.FRAME)

_CODED_FRAMES: Final = 1
_METADATA: Final = 4
_MODEX: Final = 7
_MODEX_NANO: Final = 0
_MODEX_CHAIN: Final = 16
"Extensions in one packet: three bytes each could fill a message, and one type exists so far."

_MULTITRACK: Final = {Kind.AUDIO: 5, Kind.VIDEO: 6}
_ONE_TRACK, _MANY_TRACKS, _MANY_CODECS = 0, 1, 2
_CONTENTS: Final = {
    Kind.AUDIO: {
        0: Content.SEQUENCE_HEADER,
        1: Content.FRAME,
        2: Content.SEQUENCE_END,
        4: Content.MULTICHANNEL_CONFIG,
    },
    Kind.VIDEO: {
        0: Content.SEQUENCE_HEADER,
        1: Content.FRAME,
        2: Content.SEQUENCE_END,
        3: Content.FRAME,  # CodedFramesX: composition time 0 left out
        4: Content.COLOR_INFO,
        5: Content.SEQUENCE_HEADER,  # MPEG2TSSequenceStart
    },
}
_NEED_BODY: Final = (Content.FRAME, Content.SEQUENCE_HEADER, Content.MULTICHANNEL_CONFIG)
_NOTHING_TO_CONFIGURE: Final = frozenset({"ac-3", "ec-3", ".mp3", "Opus"})
_COLOR_INFO: Final = b"\x02\x00\x09colorInfo"


def read_audio(payload: bytes) -> Packet:
    """
    Read the headers of an audio payload.

    Raises:
        MediaError: it is too short for what it announces, or its tracks contradict each other.
    """
    if not payload:
        return Packet(Kind.AUDIO, Content.EMPTY)
    sound_format = payload[0] >> 4
    if sound_format == _ENHANCED_AUDIO_FORMAT:
        return _enhanced(Kind.AUDIO, payload)
    codec = LEGACY_AUDIO.get(sound_format)
    if codec is None:
        return Packet(Kind.AUDIO, Content.OPAQUE)
    if sound_format == _AAC_FORMAT:
        return _with_packet_type(Kind.AUDIO, payload, codec, 2, _AAC_CONTENTS)
    return _packet(Kind.AUDIO, Content.FRAME, payload, (Part(0, codec, 1, len(payload)),))


def read_video(payload: bytes) -> Packet:
    """
    Read the headers of a video payload.

    Raises:
        MediaError: it is too short for what it announces, or its tracks contradict each other.
    """
    if not payload:
        return Packet(Kind.VIDEO, Content.EMPTY)
    if payload[0] & 0x80:
        return _enhanced(Kind.VIDEO, payload)
    frame_type = payload[0] >> 4
    codec_id = payload[0] & 0x0F
    codec = LEGACY_VIDEO.get(codec_id)
    if codec is None:
        return Packet(Kind.VIDEO, Content.OPAQUE, frame_type=frame_type)
    if frame_type == COMMAND_FRAME_TYPE:
        return _command(payload, 1, codec)
    if codec_id == _AVC_CODEC_ID:
        return _with_packet_type(Kind.VIDEO, payload, codec, 5, _AVC_CONTENTS, frame_type)
    parts = (Part(0, codec, 1, len(payload)),)
    return _packet(Kind.VIDEO, Content.FRAME, payload, parts, frame_type)


def _with_packet_type(
    kind: Kind,
    payload: bytes,
    codec: str,
    header_size: int,
    contents: tuple[Content, ...],
    frame_type: int = 0,
) -> Packet:
    """AAC and AVC as FLV 10.1 has them: a packet type after the first byte."""
    if len(payload) < header_size:
        raise MediaError(f"{codec}: {len(payload)} bytes (expected {header_size} at least)")
    if payload[1] >= len(contents):
        return Packet(kind, Content.OPAQUE, frame_type=frame_type)
    content = contents[payload[1]]
    composition_time = 0
    if content is Content.FRAME and kind is Kind.VIDEO:
        composition_time = _signed24(payload, 2)
    part = Part(0, codec, header_size, len(payload), composition_time)
    return _packet(kind, content, payload, (part,), frame_type)


def _packet(
    kind: Kind,
    content: Content,
    payload: bytes,
    parts: tuple[Part, ...],
    frame_type: int = 0,
    *,
    enhanced: bool = False,
    nanoseconds: int = 0,
) -> Packet:
    """Put a packet together once its parts are known, which may say that it is none."""
    if content in _NEED_BODY:
        parts = tuple(
            part
            for part in parts
            if part.end > part.start
            or (content is Content.SEQUENCE_HEADER and part.codec in _NOTHING_TO_CONFIGURE)
        )
    elif content is Content.COLOR_INFO and not all(
        payload.startswith(_COLOR_INFO, part.start, part.end) for part in parts
    ):
        content = Content.OPAQUE  # metadata of a name that is still to be invented
    if not parts:
        content = Content.EMPTY
    return Packet(kind, content, parts, frame_type, enhanced, nanoseconds)


def _command(payload: bytes, position: int, codec: str, *, enhanced: bool = False) -> Packet:
    if len(payload) <= position:
        raise MediaError(f"command: {len(payload)} bytes (expected {position + 1})")
    part = Part(0, codec, position, position + 1)
    return Packet(Kind.VIDEO, Content.COMMAND, (part,), COMMAND_FRAME_TYPE, enhanced)


def _enhanced(kind: Kind, payload: bytes) -> Packet:
    """Enhanced RTMP v2, "ExAudioTagHeader" and "ExVideoTagHeader": the order of steps matters."""
    try:
        return _enhanced_unchecked(kind, payload)
    except IndexError:
        raise MediaError(f"Enhanced {kind.value}: {len(payload)} bytes, cut short") from None


def _enhanced_unchecked(kind: Kind, payload: bytes) -> Packet:
    frame_type = payload[0] >> 4 & 7 if kind is Kind.VIDEO else 0
    packet_type = payload[0] & 0x0F
    position = 1
    nanoseconds = 0
    if packet_type == _MODEX:
        packet_type, position, nanoseconds = _modex(payload)
    if frame_type == COMMAND_FRAME_TYPE and packet_type != _METADATA:
        return _command(payload, position, "", enhanced=True)
    multitrack_type = None
    if packet_type == _MULTITRACK[kind]:
        multitrack_type = payload[position] >> 4
        packet_type = payload[position] & 0x0F
        position += 1
        if packet_type == _MULTITRACK[kind]:
            raise MediaError("multitrack inside multitrack")
    content = _CONTENTS[kind].get(packet_type)
    if content is None:
        return Packet(kind, Content.OPAQUE, (), frame_type, enhanced=True)
    parts: tuple[Part, ...]
    timed = kind is Kind.VIDEO and packet_type == _CODED_FRAMES
    if multitrack_type is None:
        codec = _fourcc(payload, position)
        parts = (_part(payload, 0, codec, position + 4, len(payload), timed),)
    elif multitrack_type == _ONE_TRACK:
        codec = _fourcc(payload, position)
        track = payload[position + 4]
        parts = (_part(payload, track, codec, position + 5, len(payload), timed),)
    elif multitrack_type in (_MANY_TRACKS, _MANY_CODECS):
        parts = _many_parts(payload, position, multitrack_type == _MANY_CODECS, timed)
    else:
        raise MediaError(f"multitrack type {multitrack_type} (expected 0, 1 or 2)")
    return _packet(
        kind, content, payload, parts, frame_type, enhanced=True, nanoseconds=nanoseconds
    )


def _modex(payload: bytes) -> tuple[int, int, int]:
    """Skip a chain of ModEx; return the true packet type, where it goes on, and nanoseconds."""
    position = 1
    nanoseconds = 0
    for _ in range(_MODEX_CHAIN):
        size = payload[position] + 1
        position += 1
        if size == 256:
            size = (payload[position] << 8 | payload[position + 1]) + 1
            position += 2
        kind_and_next = payload[position + size]
        if kind_and_next >> 4 == _MODEX_NANO and size >= 3:
            offset = int.from_bytes(payload[position : position + 3])
            nanoseconds = offset if offset < 1_000_000 else 0
        position += size + 1
        if kind_and_next & 0x0F != _MODEX:
            return kind_and_next & 0x0F, position, nanoseconds
    raise MediaError(f"more than {_MODEX_CHAIN} ModEx in one packet")


def _many_parts(payload: bytes, position: int, many_codecs: bool, timed: bool) -> tuple[Part, ...]:
    """ManyTracks and ManyTracksManyCodecs: parts with a size each, up to the end."""
    codec = ""
    if not many_codecs:
        codec = _fourcc(payload, position)
        position += 4
    parts: dict[int, Part] = {}
    while position < len(payload):
        if many_codecs:
            codec = _fourcc(payload, position)
            position += 4
        track = payload[position]
        if track in parts:  # also what ends a message made of millions of empty parts
            raise MediaError(f"track {track} twice in one packet")
        size = payload[position + 1] << 16 | payload[position + 2] << 8 | payload[position + 3]
        position += 4
        end = position + size
        if end > len(payload):
            raise MediaError(f"track {track}: {size} bytes (expected {len(payload) - position})")
        parts[track] = _part(payload, track, codec, position, end, timed)
        position = end
    return tuple(parts.values())


def _part(payload: bytes, track: int, codec: str, start: int, end: int, timed: bool) -> Part:
    if not timed or codec not in _WITH_COMPOSITION_TIME or start == end:
        return Part(track, codec, start, end)
    if end - start < 3:
        raise MediaError(f"{codec}: {end - start} bytes of frame (expected 3 at least)")
    return Part(track, codec, start + 3, end, _signed24(payload, start))


def _fourcc(payload: bytes, position: int) -> str:
    fourcc = payload[position : position + 4]
    if len(fourcc) < 4:
        raise MediaError(f"FourCC {fourcc!r} (expected 4 bytes)")
    return fourcc.decode("latin-1")


def _signed24(payload: bytes, position: int) -> int:
    return int.from_bytes(payload[position : position + 3], signed=True)
