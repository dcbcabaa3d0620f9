"""
H.265: the decoder configuration record (ISO/IEC 14496-15, 8.3.3) and what its SPS says.

Knows only what is shown to users; the decoder's business stays unread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rtmptwist.media.avc import CHROMA_FORMATS
from rtmptwist.media.bits import BitReader, unescape
from rtmptwist.media.errors import MediaError

_SPS: Final = 33
_NAL_UNITS: Final = 64
"Looked at before the SPS; a record has one VPS, SPS and PPS, and sometimes an SEI message."


@dataclass(frozen=True, slots=True)
class HevcConfiguration:
    """What an H.265 decoder is told before the first frame."""

    profile: int
    "general_profile_idc: 1 Main, 2 Main 10."

    tier: str
    "`L` (Main) or `H` (High)."

    level: int
    "Times thirty: 93 is level 3.1."

    codec: str
    "By ISO/IEC 14496-15, annex E: `hvc1.1.6.L93.90`."

    length_size: int
    "Bytes of the length before each NAL unit."

    chroma: str
    bit_depth: int

    width: int = 0
    height: int = 0
    "Pixels, cropped as shown. Both 0 when the record has no SPS (then it comes with the frames)."

    @classmethod
    def unpack(cls, record: bytes) -> HevcConfiguration:
        """
        Read an HEVCDecoderConfigurationRecord.

        Raises:
            MediaError: it is none, or its first SPS cannot be read.
        """
        if len(record) < 23:
            raise MediaError(f"hvcC: {len(record)} bytes (expected 23 at least)")
        if record[0] != 1:
            raise MediaError(f"hvcC: version {record[0]} (expected 1)")
        profile = record[1] & 0x1F
        tier = "H" if record[1] & 0x20 else "L"
        sps = _find_sps(record)
        width, height = _read_sps(sps) if sps is not None else (0, 0)
        return cls(
            profile=profile,
            tier=tier,
            level=record[12],
            codec=_codec(record, profile, tier),
            length_size=(record[21] & 3) + 1,
            chroma=CHROMA_FORMATS[record[16] & 3],
            bit_depth=8 + (record[17] & 7),
            width=width,
            height=height,
        )


def _codec(record: bytes, profile: int, tier: str) -> str:
    space = ("", "A", "B", "C")[record[1] >> 6]
    compatibility = int(f"{int.from_bytes(record[2:6]):032b}"[::-1], 2)
    constraints = "".join(f".{byte:X}" for byte in record[6:12].rstrip(b"\x00"))
    return f"hvc1.{space}{profile}.{compatibility:X}.{tier}{record[12]}{constraints}"


def _find_sps(record: bytes) -> bytes | None:
    reader = BitReader(record)
    reader.skip(22 * 8)
    looked_at = 0
    for _ in range(reader.read(8)):
        kind = reader.read(8) & 0x3F
        for _ in range(reader.read(16)):
            size = reader.read(16)
            start = len(record) - reader.left // 8
            reader.skip(size * 8)
            if kind == _SPS:
                return record[start : start + size]
            looked_at += 1
            if looked_at > _NAL_UNITS:
                raise MediaError(f"hvcC: more than {_NAL_UNITS} NAL units before the SPS")
    return None


def _read_sps(nal_unit: bytes) -> tuple[int, int]:
    """Width and height (H.265, 7.3.2.2.1)."""
    reader = BitReader(unescape(nal_unit))
    reader.skip(16 + 4)
    sub_layers = reader.read(3)
    reader.skip(1)
    _skip_profile_tier_level(reader, sub_layers)
    reader.unsigned(15)  # sps_seq_parameter_set_id
    chroma_format = reader.unsigned(3)
    separate = chroma_format == 3 and reader.flag()
    width = reader.unsigned()
    height = reader.unsigned()
    if reader.flag():
        # 7.4.3.2.1: the window is counted in chroma samples
        subsampled = chroma_format if not separate else 0
        width -= (2 if subsampled in (1, 2) else 1) * (reader.unsigned() + reader.unsigned())
        height -= (2 if subsampled == 1 else 1) * (reader.unsigned() + reader.unsigned())
    if width <= 0 or height <= 0:
        raise MediaError(f"SPS: {width}x{height} after cropping (expected 1x1 at least)")
    return width, height


def _skip_profile_tier_level(reader: BitReader, sub_layers: int) -> None:
    """7.3.3: the general part, then flags and parts of each sub-layer but the last."""
    reader.skip(88 + 8)
    present = [(reader.flag(), reader.flag()) for _ in range(sub_layers)]
    if sub_layers:
        reader.skip(2 * (8 - sub_layers))
    for profile, level in present:
        reader.skip(88 * profile + 8 * level)
