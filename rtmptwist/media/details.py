"""What the headers of tracks say to people: profile, level, size of the picture, sample rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from rtmptwist.media.aac import AacConfiguration
from rtmptwist.media.av1 import Av1Configuration
from rtmptwist.media.avc import AvcConfiguration
from rtmptwist.media.errors import MediaError
from rtmptwist.media.hevc import HevcConfiguration
from rtmptwist.media.packet import Content, Kind, Part, read_audio, read_video


@dataclass(frozen=True, slots=True)
class Details:
    """One track. Empty words and zeros: it is not said."""

    kind: Kind
    number: int

    codec: str
    "As `media.packet` calls it: a FourCC, or a name where there is none."

    parameters: str = ""
    "The same with all that decoders ask for, by RFC 6381: `avc1.64001f`."

    profile: str = ""
    level: str = ""
    width: int = 0
    height: int = 0
    sample_rate: int = 0
    "Hz."

    channels: int = 0


def read_details(kind: Kind, payload: bytes) -> tuple[Details, ...]:
    """The tracks whose frames or headers a payload carries; what frames do not say is left out."""
    try:
        packet = read_audio(payload) if kind is Kind.AUDIO else read_video(payload)
    except MediaError:
        return ()
    if packet.content is Content.SEQUENCE_HEADER:
        return tuple(_of_header(kind, payload, part) for part in packet.parts)
    if packet.content is not Content.FRAME:
        return ()
    legacy = kind is Kind.AUDIO and not packet.enhanced and payload[0] >> 4 != _AAC
    said = _of_sound(payload[0]) if legacy else {}
    return tuple(Details(kind, part.track, part.codec, **said) for part in packet.parts)


def _of_header(kind: Kind, payload: bytes, part: Part) -> Details:
    read = _READERS.get(part.codec)
    said: dict[str, Any] = {}
    if read is not None:
        try:
            said = read(payload[part.start : part.end])
        except MediaError:  # decoders may understand what we do not
            said = {}
    return Details(kind, part.track, part.codec, **said)


def _avc(data: bytes) -> dict[str, Any]:
    found = AvcConfiguration.unpack(data)
    return {
        "parameters": found.codec,
        "profile": _AVC_PROFILES.get(found.profile, str(found.profile)),
        "level": f"{found.level / 10:.1f}",
        "width": found.width,
        "height": found.height,
    }


def _hevc(data: bytes) -> dict[str, Any]:
    found = HevcConfiguration.unpack(data)
    return {
        "parameters": found.codec,
        "profile": _HEVC_PROFILES.get(found.profile, str(found.profile)),
        "level": f"{found.level / 30:.1f}",
        "width": found.width,
        "height": found.height,
    }


def _av1(data: bytes) -> dict[str, Any]:
    found = Av1Configuration.unpack(data)
    major, minor = divmod(found.level, 4)
    return {
        "parameters": found.codec,
        "profile": _AV1_PROFILES.get(found.profile, str(found.profile)),
        "level": "max" if found.level == _AV1_NO_LEVEL else f"{major + 2}.{minor}",
        "width": found.width,
        "height": found.height,
    }


def _aac(data: bytes) -> dict[str, Any]:
    found = AacConfiguration.unpack(data)
    kind = found.codec.rpartition(".")[2]
    return {
        "parameters": found.codec,
        "profile": _AAC_PROFILES.get(kind, kind),
        "sample_rate": found.sample_rate,
        "channels": found.channels,
    }


def _opus(data: bytes) -> dict[str, Any]:
    """An ID header of RFC 7845, 5.1. Whatever went in, 48 kHz come out of a decoder."""
    if len(data) < 19 or not data.startswith(b"OpusHead"):
        return {}
    return {"sample_rate": 48_000, "channels": data[9]}


def _flac(data: bytes) -> dict[str, Any]:
    """A STREAMINFO block (RFC 9639, 8.2) behind the mark and the head of the block."""
    if len(data) < 42 or not data.startswith(b"fLaC"):
        return {}
    bits = int.from_bytes(data[18:22])
    return {"sample_rate": bits >> 12, "channels": (bits >> 9 & 7) + 1}


def _of_sound(first: int) -> dict[str, Any]:
    """The first byte of legacy sound (FLV 10.1, E.4.2.1)."""
    sound_format = first >> 4
    rate = _FIXED_RATES.get(sound_format, _RATES[first >> 2 & 3])
    mono = sound_format in _MONO or not first & 1
    return {"sample_rate": rate, "channels": 1 if mono else 2}


_READERS: Final[dict[str, Callable[[bytes], dict[str, Any]]]] = {
    "avc1": _avc,
    "hvc1": _hevc,
    "av01": _av1,
    "mp4a": _aac,
    "Opus": _opus,
    "fLaC": _flac,
}
_AVC_PROFILES: Final = {
    66: "Baseline",
    77: "Main",
    88: "Extended",
    100: "High",
    110: "High 10",
    122: "High 4:2:2",
    244: "High 4:4:4",
}
_HEVC_PROFILES: Final = {1: "Main", 2: "Main 10", 3: "Main Still Picture", 4: "Range Extensions"}
_AV1_PROFILES: Final = {0: "Main", 1: "High", 2: "Professional"}
_AV1_NO_LEVEL: Final = 31
_AAC_PROFILES: Final = {"1": "Main", "2": "LC", "5": "HE-AAC", "29": "HE-AAC v2"}
_AAC: Final = 10
_RATES: Final = (5512, 11025, 22050, 44100)
_FIXED_RATES: Final = {4: 16_000, 5: 8000, 7: 8000, 8: 8000, 11: 16_000, 14: 8000}
"By SoundFormat: Nellymoser, G.711, Speex and MP3, whose rate does not fit into two bits."

_MONO: Final = frozenset({4, 5, 11})
