"""
Frames of a codec to audio and video payloads: the way back of `media.packet`.

As FFmpeg does it: the old forms where there is one (AVC, AAC, MP3), else Enhanced RTMP v2.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from rtmptwist.media.errors import MediaError
from rtmptwist.media.packet import ENHANCED_AUDIO, ENHANCED_VIDEO

VideoFrame = Callable[[bytes, bool, int], bytes]
"Codec's bytes, whether it is a key frame, milliseconds from decoding to presentation."

_KEY, _INTER = 0x10, 0x20
_ENHANCED: Final = 0x80
_CODED_FRAMES, _CODED_FRAMES_X = 1, 3
_TIMED: Final = frozenset({"hvc1", "vvc1"})
"With a composition time, which may be left out when it is 0."

_COMPOSITION: Final = struct.Struct(">i")
_MOST_COMPOSITION: Final = 0x7FFFFF

_AAC: Final = 0xAF
"Rate, size and channels always are the highest (FLV 10.1, E.4.2.1): the header tells them."

_MP3, _MP3_8K = 0x22, 0xE2
_MP3_RATES: Final = {11025: 1, 22050: 2}
"All others say 44.1 kHz as FFmpeg does for 48; decoders read the header of the frame."


def video_header(codec: str, configuration: bytes) -> bytes:
    """
    The sequence header of a video track.

    `codec`: a FourCC of Enhanced RTMP. `configuration`: the record that MP4 has in avcC, hvcC …;
    without the version and flags of its box for all but VP8 and VP9.
    """
    if codec == "avc1":
        return b"\x17\0\0\0\0" + configuration
    return bytes((_ENHANCED | _KEY,)) + _fourcc(codec, ENHANCED_VIDEO) + configuration


def video_frame(codec: str) -> VideoFrame:
    """What makes payloads of the frames of a video track."""
    if codec == "avc1":
        return _avc_frame
    fourcc = _fourcc(codec, ENHANCED_VIDEO)
    timed = codec in _TIMED

    def frame(data: bytes, key: bool, composition_time: int) -> bytes:
        first = _ENHANCED | (_KEY if key else _INTER)
        if not timed:
            return b"".join((bytes((first | _CODED_FRAMES,)), fourcc, data))
        if not composition_time:
            return b"".join((bytes((first | _CODED_FRAMES_X,)), fourcc, data))
        shift = _composition(composition_time)
        return b"".join((bytes((first | _CODED_FRAMES,)), fourcc, shift, data))

    return frame


def audio_header(codec: str, configuration: bytes) -> bytes:
    """
    The sequence header of an audio track; empty where its codec has none.

    `configuration`: AudioSpecificConfig, OpusHead, or the STREAMINFO of FLAC, bare as FFmpeg has
    it; nothing for others.
    """
    if codec == ".mp3":
        return b""
    if codec == "mp4a":
        return bytes((_AAC, 0)) + configuration
    return b"\x90" + _fourcc(codec, ENHANCED_AUDIO) + configuration


def audio_frame(codec: str, sample_rate: int, channels: int) -> bytes:
    """What stands before the frames of an audio track. `sample_rate` in Hz."""
    if codec == "mp4a":
        return bytes((_AAC, 1))
    if codec == ".mp3":
        stereo = channels > 1
        if sample_rate == 8000:
            return bytes((_MP3_8K | stereo,))
        return bytes((_MP3 | _MP3_RATES.get(sample_rate, 3) << 2 | stereo,))
    return b"\x91" + _fourcc(codec, ENHANCED_AUDIO)


def _avc_frame(data: bytes, key: bool, composition_time: int) -> bytes:
    head = b"\x17\x01" if key else b"\x27\x01"
    return b"".join((head, _composition(composition_time), data))


def _composition(time: int) -> bytes:
    """SI24; what does not fit is a broken table, and the nearest is taken."""
    return _COMPOSITION.pack(max(-_MOST_COMPOSITION, min(time, _MOST_COMPOSITION)))[1:]


def _fourcc(codec: str, known: frozenset[str]) -> bytes:
    if codec not in known:
        raise MediaError(f"codec {codec!r} (expected one of {', '.join(sorted(known))})")
    return codec.encode()
