"""
AAC: the AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1), as far as it is shown to users.

HE-AAC may be signalled in two ways: by its own object type before that of the core, or by an
extension behind it that old decoders do not see. A third, none at all, is for the decoder to find.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rtmptwist.media.bits import BitReader
from rtmptwist.media.errors import MediaError

_SAMPLE_RATES: Final = (
    *(96000, 88200, 64000, 48000, 44100, 32000, 24000),
    *(22050, 16000, 12000, 11025, 8000, 7350),
)
_CHANNELS: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 8, 11: 7, 12: 8, 13: 24, 14: 8}
"By channelConfiguration; 0 means that a program config element follows."

_SBR, _PS = 5, 29
_BSAC: Final = 22
_GENERAL_AUDIO: Final = frozenset({1, 2, 3, 4, 6, 7, 17, 19, 20, 21, 22, 23})
"Object types with a GASpecificConfig."

_ERROR_RESILIENT: Final = 17
"From this object type on something else comes before an extension, and nobody sends one."

_WITH_LAYERS: Final = (6, 20)
_RESILIENT: Final = (17, 19, 20, 23)
_SBR_EXTENSION, _PS_EXTENSION = 0x2B7, 0x548


@dataclass(frozen=True, slots=True)
class AacConfiguration:
    """What an AAC decoder is told before the first frame."""

    object_type: int
    "Of the core: 2 is AAC-LC."

    sample_rate: int
    "Hz, as played: with SBR mostly twice that of the core."

    channels: int
    "As played: parametric stereo makes two of one."

    codec: str
    "By RFC 6381: `mp4a.40.2`, .5 with SBR (HE-AAC), .29 with parametric stereo as well (v2)."

    @classmethod
    def unpack(cls, config: bytes) -> AacConfiguration:
        """
        Read an AudioSpecificConfig.

        Raises:
            MediaError: it is none.
        """
        reader = BitReader(config)
        object_type = signalled = _object_type(reader)
        sample_rate = _sample_rate(reader)
        channel_configuration = reader.read(4)
        if object_type in (_SBR, _PS):
            sample_rate = _sample_rate(reader)
            object_type = _object_type(reader)
            if object_type == _BSAC:
                reader.skip(4)  # extensionChannelConfiguration
        channels = _CHANNELS.get(channel_configuration, 0)
        if object_type in _GENERAL_AUDIO:
            channels = _general_audio(reader, object_type, channel_configuration) or channels
            if signalled == object_type and object_type < _ERROR_RESILIENT:
                signalled, sample_rate = _extension(reader, object_type, sample_rate)
        if not channels:
            raise MediaError(f"AAC channel configuration {channel_configuration}")
        if signalled == _PS:
            channels = max(channels, 2)
        return cls(object_type, sample_rate, channels, f"mp4a.40.{signalled}")


def _object_type(reader: BitReader) -> int:
    object_type = reader.read(5)
    return object_type if object_type != 31 else 32 + reader.read(6)


def _sample_rate(reader: BitReader) -> int:
    index = reader.read(4)
    if index == 15:
        sample_rate = reader.read(24)
    elif index < len(_SAMPLE_RATES):
        sample_rate = _SAMPLE_RATES[index]
    else:
        raise MediaError(f"AAC sample rate index {index} (expected 0 to 12, or 15)")
    if not sample_rate:
        raise MediaError("AAC sample rate 0")
    return sample_rate


def _general_audio(reader: BitReader, object_type: int, channel_configuration: int) -> int:
    """Pass over a GASpecificConfig (4.4.1); return the channels it names, 0 for none."""
    reader.skip(1)  # frameLengthFlag
    if reader.flag():  # dependsOnCoreCoder
        reader.skip(14)
    extended = reader.flag()
    channels = 0 if channel_configuration else _program_config(reader)
    if object_type in _WITH_LAYERS:
        reader.skip(3)
    if extended:
        if object_type == _BSAC:
            reader.skip(5 + 11)
        elif object_type in _RESILIENT:
            reader.skip(3)
        reader.skip(1)
    return channels


def _program_config(reader: BitReader) -> int:
    """Pass over a program_config_element (4.4.1.1); return its channels."""
    reader.skip(4 + 2 + 4)
    front, side, back = reader.read(4), reader.read(4), reader.read(4)
    lfe, associated, coupling = reader.read(2), reader.read(3), reader.read(4)
    for bits in (4, 4, 3):  # mono mixdown, stereo mixdown, matrix mixdown
        if reader.flag():
            reader.skip(bits)
    channels = lfe
    for _ in range(front + side + back):
        channels += 2 if reader.flag() else 1
        reader.skip(4)
    reader.skip(4 * (lfe + associated) + 5 * coupling)
    reader.skip(reader.left % 8)
    reader.skip(8 * reader.read(8))  # comment
    return channels


def _extension(reader: BitReader, object_type: int, sample_rate: int) -> tuple[int, int]:
    """Object type and sample rate after the backward compatible extension, if there is one."""
    if reader.left < 16 or reader.read(11) != _SBR_EXTENSION or _object_type(reader) != _SBR:
        return object_type, sample_rate
    if not reader.flag():  # sbrPresentFlag
        return object_type, sample_rate
    sample_rate = _sample_rate(reader)
    if reader.left >= 12 and reader.read(11) == _PS_EXTENSION and reader.flag():
        return _PS, sample_rate
    return _SBR, sample_rate
