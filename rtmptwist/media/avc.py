"""
H.264: the decoder configuration record (ISO/IEC 14496-15, 5.3.3) and what its SPS says.

Knows only what is shown to users; the decoder's business stays unread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rtmptwist.media.bits import BitReader, unescape
from rtmptwist.media.errors import MediaError

CHROMA_FORMATS: Final = ("4:0:0", "4:2:0", "4:2:2", "4:4:4")
"By chroma_format_idc, the same in H.264 and H.265."

_HIGH_PROFILES: Final = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)
"Their SPS has chroma format, bit depths and scaling lists (H.264, 7.3.2.1.1)."


@dataclass(frozen=True, slots=True)
class AvcConfiguration:
    """What an H.264 decoder is told before the first frame."""

    profile: int
    "profile_idc: 66 Baseline, 77 Main, 100 High."

    level: int
    "Times ten: 31 is level 3.1."

    codec: str
    "By RFC 6381: `avc1.64001f`."

    length_size: int
    "Bytes of the length before each NAL unit."

    width: int = 0
    height: int = 0
    "Pixels, cropped as shown. Both 0 when the record has no SPS (then it comes with the frames)."

    chroma: str = ""
    bit_depth: int = 0

    @classmethod
    def unpack(cls, record: bytes) -> AvcConfiguration:
        """
        Read an AVCDecoderConfigurationRecord.

        Raises:
            MediaError: it is none, or its first SPS cannot be read.
        """
        if len(record) < 6:
            raise MediaError(f"avcC: {len(record)} bytes (expected 6 at least)")
        if record[0] != 1:
            raise MediaError(f"avcC: version {record[0]} (expected 1)")
        length_size = (record[4] & 3) + 1
        codec = f"avc1.{record[1:4].hex()}"
        if not record[5] & 0x1F:
            return cls(record[1], record[3], codec, length_size)
        size = int.from_bytes(record[6:8])
        sps = record[8 : 8 + size]
        if len(sps) < size or size < 4:
            raise MediaError(f"avcC: SPS of {len(sps)} bytes (expected {max(size, 4)})")
        width, height, chroma, bit_depth = _read_sps(sps)
        return cls(record[1], record[3], codec, length_size, width, height, chroma, bit_depth)


def _read_sps(nal_unit: bytes) -> tuple[int, int, str, int]:
    """Width, height, chroma format and luma bit depth (H.264, 7.3.2.1.1)."""
    reader = BitReader(unescape(nal_unit[1:]))
    profile = reader.read(8)
    reader.skip(16)
    reader.unsigned(31)  # seq_parameter_set_id
    chroma_format, bit_depth, separate = 1, 8, False
    if profile in _HIGH_PROFILES:
        chroma_format = reader.unsigned(3)
        separate = chroma_format == 3 and reader.flag()
        bit_depth = 8 + reader.unsigned(6)
        reader.unsigned(6)  # bit_depth_chroma_minus8
        reader.skip(1)
        if reader.flag():
            for index in range(12 if chroma_format == 3 else 8):
                if reader.flag():
                    _skip_scaling_list(reader, 16 if index < 6 else 64)
    reader.unsigned(12)  # log2_max_frame_num_minus4
    _skip_picture_order(reader)
    reader.unsigned()  # max_num_ref_frames
    reader.skip(1)
    width = 16 * (reader.unsigned() + 1)
    map_units = reader.unsigned() + 1
    frames_only = reader.flag()
    height = 16 * map_units * (1 if frames_only else 2)
    if not frames_only:
        reader.skip(1)
    reader.skip(1)
    if reader.flag():
        # 7.4.2.1.1: crop units are chroma samples, and twice as high in field coding
        subsampled = chroma_format if not separate else 0
        unit_x = 2 if subsampled in (1, 2) else 1
        unit_y = (2 if subsampled == 1 else 1) * (1 if frames_only else 2)
        width -= unit_x * (reader.unsigned() + reader.unsigned())
        height -= unit_y * (reader.unsigned() + reader.unsigned())
    if width <= 0 or height <= 0:
        raise MediaError(f"SPS: {width}x{height} after cropping (expected 1x1 at least)")
    return width, height, CHROMA_FORMATS[chroma_format], bit_depth


def _skip_picture_order(reader: BitReader) -> None:
    kind = reader.unsigned(2)
    if kind == 0:
        reader.unsigned(12)
    elif kind == 1:
        reader.skip(1)
        reader.signed()
        reader.signed()
        for _ in range(reader.unsigned(255)):
            reader.signed()


def _skip_scaling_list(reader: BitReader, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + reader.signed()) % 256
        last = following or last
