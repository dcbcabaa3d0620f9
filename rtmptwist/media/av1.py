"""
AV1: the configuration record (AV1 in ISOBMFF, 2.3) and what its sequence header says.

Knows only what is shown to users; the decoder's business stays unread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rtmptwist.media.bits import BitReader
from rtmptwist.media.errors import MediaError

_SEQUENCE_HEADER: Final = 1
_CHROMA: Final = {(False, False): "4:4:4", (True, False): "4:2:2", (True, True): "4:2:0"}


@dataclass(frozen=True, slots=True)
class Av1Configuration:
    """What an AV1 decoder is told before the first frame."""

    profile: int
    "0 Main, 1 High, 2 Professional."

    tier: str
    "`M` (Main) or `H` (High)."

    level: int
    "seq_level_idx: 4 * (major - 2) + minor; 31: no limit."

    codec: str
    "By AV1 in ISOBMFF, 5: `av01.0.04M.08`."

    chroma: str
    bit_depth: int

    width: int = 0
    height: int = 0
    "Pixels. Both 0 when the record has no sequence header (then it comes with the frames)."

    @classmethod
    def unpack(cls, record: bytes) -> Av1Configuration:
        """
        Read an AV1CodecConfigurationRecord.

        Raises:
            MediaError: it is none, or its sequence header cannot be read.
        """
        reader = BitReader(record)
        marker = reader.read(8)
        if marker != 0x81:
            raise MediaError(f"av1C: marker and version {marker:#04x} (expected 0x81)")
        profile = reader.read(3)
        level = reader.read(5)
        tier = "H" if reader.flag() else "M"
        high_bit_depth, twelve_bit, monochrome = reader.flag(), reader.flag(), reader.flag()
        subsampling = (reader.flag(), reader.flag())
        reader.skip(2 + 8)
        chroma = "4:0:0" if monochrome else _CHROMA.get(subsampling)
        if chroma is None:
            raise MediaError("av1C: subsampled vertically only (expected as well horizontally)")
        bit_depth = 8 if not high_bit_depth else 12 if twelve_bit else 10
        width, height = _read_first_obu(record[4:])
        codec = f"av01.{profile}.{level:02}{tier}.{bit_depth:02}"
        return cls(profile, tier, level, codec, chroma, bit_depth, width, height)


def _read_first_obu(obus: bytes) -> tuple[int, int]:
    """Width and height of the sequence header, which is the first OBU if the record has it."""
    if not obus or obus[0] >> 3 & 0x0F != _SEQUENCE_HEADER:
        return 0, 0
    start = 2 if obus[0] & 4 else 1
    if not obus[0] & 2:
        return _read_sequence_header(obus[start:])
    size = 0
    for index, byte in enumerate(obus[start : start + 8]):
        size |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            start += index + 1
            return _read_sequence_header(obus[start : start + size])
    raise MediaError("OBU size: no end (expected within 8 bytes)")


def _read_sequence_header(obu: bytes) -> tuple[int, int]:
    """Width and height (AV1, 5.5)."""
    reader = BitReader(obu)
    reader.skip(4)  # seq_profile, still_picture
    if reader.flag():  # reduced_still_picture_header
        reader.skip(5)
    else:
        _skip_operating_points(reader)
    width_bits = reader.read(4) + 1
    height_bits = reader.read(4) + 1
    return reader.read(width_bits) + 1, reader.read(height_bits) + 1


def _skip_operating_points(reader: BitReader) -> None:
    delay_bits = 0
    if reader.flag():  # timing_info_present_flag
        reader.skip(64)
        if reader.flag():  # equal_picture_interval
            reader.unsigned()
        if reader.flag():  # decoder_model_info_present_flag
            delay_bits = reader.read(5) + 1
            reader.skip(32 + 5 + 5)
    initial_display_delay = reader.flag()
    for _ in range(reader.read(5) + 1):
        reader.skip(12)
        if reader.read(5) > 7:
            reader.skip(1)
        if delay_bits and reader.flag():
            reader.skip(2 * delay_bits + 1)
        if initial_display_delay and reader.flag():
            reader.skip(4)
