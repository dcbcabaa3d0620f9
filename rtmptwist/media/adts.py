"""AAC with a header before every frame (ADTS; ISO/IEC 13818-7, 6.2): what that header says."""

from __future__ import annotations

from typing import Final

from rtmptwist.media.errors import MediaError

_HEADER: Final = 7
_CHECKED: Final = 9
"With a checksum."


def audio_specific_config(frame: bytes) -> bytes:
    """
    What a decoder has to know before it gets frames without their headers.

    Raises:
        MediaError: that is no ADTS, or none that can do without.
    """
    if len(frame) < _HEADER or frame[0] != 0xFF or frame[1] & 0xF6 != 0xF0:
        raise MediaError(f"ADTS header {frame[:_HEADER].hex()} (expected it to begin with fff)")
    object_type = (frame[2] >> 6) + 1
    rate = frame[2] >> 2 & 0x0F
    channels = (frame[2] & 1) << 2 | frame[3] >> 6
    if not channels:
        raise MediaError("AAC that names its channels in the frames (expected 1 to 7)")
    return (object_type << 11 | rate << 7 | channels << 3).to_bytes(2)


def without_header(frame: bytes) -> bytes:
    """The frame as all others have it; empty if there are several in one."""
    if frame[6] & 3:
        return b""
    return frame[_HEADER if frame[1] & 1 else _CHECKED :]
