"""
VP9: the configuration record (VP Codec ISO Media File Format Binding, 2.2).

Containers keep it, but libav does not tell it: it is made of the first key frame's header
(VP9 bitstream specification, 6.2), as FFmpeg makes it of a decoder that has seen that frame.
"""

from __future__ import annotations

from typing import Final

from rtmptwist.media.bits import BitReader
from rtmptwist.media.errors import MediaError

_SYNC: Final = 0x498342
_RGB: Final = 7
_UNSPECIFIED: Final = 2
_420, _422, _444 = 1, 2, 3
"chromaSubsampling; 4:2:0 colocated, which is the usual one, and 4:4:0 is called 4:4:4."

_LEVELS: Final = (
    (10, 829_440, 36_864),
    (11, 2_764_800, 73_728),
    (20, 4_608_000, 122_880),
    (21, 9_216_000, 245_760),
    (30, 20_736_000, 552_960),
    (31, 36_864_000, 983_040),
    (40, 83_558_400, 2_228_224),
    (41, 160_432_128, 2_228_224),
    (50, 311_951_360, 8_912_896),
    (51, 588_251_136, 8_912_896),
    (52, 1_176_502_272, 8_912_896),
    (60, 1_176_502_272, 35_651_584),
    (61, 2_353_004_544, 35_651_584),
)
"Level times ten, samples in a second, samples in a picture (VP9 levels)."

_HIGHEST: Final = 62


def configuration(
    key_frame: bytes,
    width: int,
    height: int,
    rate: float,
    colours: tuple[int, int, int] = (_UNSPECIFIED, _UNSPECIFIED, _UNSPECIFIED),
) -> bytes:
    """
    The record for a track, version and flags before it, as Enhanced RTMP has it.

    `rate`: pictures in a second; 0 if that is not known. `colours`: primaries, transfer and matrix
    by the numbers of H.273.

    Raises:
        MediaError: that is no key frame of VP9.
    """
    reader = BitReader(key_frame)
    if reader.read(2) != 2:
        raise MediaError("VP9: no frame marker")
    profile = reader.read(1) | reader.read(1) << 1
    if profile == 3:
        reader.skip(1)
    if reader.flag() or reader.flag():  # show_existing_frame, frame_type
        raise MediaError("VP9: no key frame (expected one at the beginning)")
    reader.skip(2)
    if reader.read(24) != _SYNC:
        raise MediaError("VP9: no sync code in a key frame")
    depth = 8 if profile < 2 else 12 if reader.flag() else 10
    chroma, full_range = _420, True
    if reader.read(3) != _RGB:
        full_range = reader.flag()
        if profile & 1:
            across, down = reader.flag(), reader.flag()
            chroma = _444 if not across else _420 if down else _422
    else:
        chroma = _444
    pixels = width * height
    level = next(
        (level for level, most, size in _LEVELS if pixels * rate <= most and pixels <= size),
        _HIGHEST,
    )
    packed = bytes((profile, level, depth << 4 | chroma << 1 | full_range))
    return b"\x01\0\0\0" + packed + bytes(colour & 0xFF for colour in colours) + bytes(2)
