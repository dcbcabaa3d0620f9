"""
One track of a file, as FFmpeg's libraries tell it: its packets to payloads.

Which packets there are is for `media.demux`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rtmptwist.amf.values import Value
from rtmptwist.media import adts, vp9
from rtmptwist.media.errors import MediaError
from rtmptwist.media.payload import audio_frame, audio_header, video_frame, video_header

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream

    from rtmptwist.media.pyav import Input

CODECS: Final = {
    "h264": "avc1",
    "hevc": "hvc1",
    "vvc": "vvc1",
    "av1": "av01",
    "vp9": "vp09",
    "aac": "mp4a",
    "mp3": ".mp3",
    "opus": "Opus",
    "flac": "fLaC",
    "ac3": "ac-3",
    "eac3": "ec-3",
}
"FourCCs of Enhanced RTMP, by libav's names of codecs."

MOST_FRAME: Final = 0xFFFFFF - 16
"Bytes of a frame: with what stands before it, it fits into a tag."

_CONFIGURED: Final = frozenset({"avc1", "hvc1", "vvc1", "av01", "fLaC", "Opus"})
"Cannot be decoded without a configuration."

_NEWS: Final = "new_extradata"
_ENCRYPTED: Final = ("encryption_init_info", "encryption_info")


class Track:
    """A track that is played. Times in milliseconds, on the timeline of the file."""

    def __init__(self, stream: Stream, start: int) -> None:
        """
        Look at what the file says of a track. `start`: of the file, in microseconds.

        Raises:
            MediaError: that is not enough.
        """
        context: Any = stream.codec_context
        self.stream = stream
        self.codec = CODECS[context.codec.canonical_name]
        self.sound = stream.type == "audio"
        self.configuration: bytes = context.extradata or b""
        if self.codec in _CONFIGURED and not self.configuration:
            raise MediaError(f"{self.codec}: its decoder's configuration is missing")
        assert stream.time_base is not None
        self._numerator, self._denominator = stream.time_base.as_integer_ratio()
        # FFmpeg lets the file begin at 0 before it rounds
        self._start = round(start / (1_000_000 * stream.time_base))
        self._adts = self.codec == "mp4a" and not self.configuration
        if self.sound:
            self._prefix = audio_frame(self.codec, context.sample_rate, context.channels)
        else:
            self._frame = video_frame(self.codec)

    @property
    def header(self) -> bytes:
        """The payload that decoders need before the first frame; empty: none."""
        make = audio_header if self.sound else video_header
        return make(self.codec, self.configuration)

    @property
    def described(self) -> dict[str, Value]:
        """What onMetaData says of a track."""
        context: Any = self.stream.codec_context
        known: dict[str, float]
        if self.sound:
            known = {"audiosamplerate": context.sample_rate, "audiochannels": context.channels}
        else:
            rate = float(self.stream.average_rate or 0)
            known = {"width": context.width, "height": context.height, "framerate": rate}
        return {name: float(value) for name, value in known.items() if value}

    def milliseconds(self, time: int) -> int:
        """Of a time as libav has it. Halves are rounded away from 0, as FFmpeg does."""
        twice, by = 2000 * self._numerator * (time - self._start), self._denominator
        return (twice + by) // (2 * by) if twice >= 0 else -((by - twice) // (2 * by))

    def latest(self, milliseconds: int) -> int:
        """The last time of libav that is not after so many milliseconds, once it is rounded."""
        after = (2 * milliseconds + 1) * self._denominator
        return (after - 1) // (2000 * self._numerator) + self._start

    def learn(self, packet: Packet[Stream]) -> None:
        """
        Look at the first packet, which may say what the file does not.

        Raises:
            MediaError: nothing that can be played.
        """
        if any(packet.has_sidedata(kind) for kind in _ENCRYPTED):
            raise MediaError(f"{self.codec}: encrypted (expected a file without DRM)")
        if self._adts:
            self.configuration = adts.audio_specific_config(bytes(packet))
        elif self.codec == "vp09":
            context: Any = self.stream.codec_context
            rate = float(self.stream.average_rate or 0)
            colours = context.color_primaries, context.color_trc, context.colorspace
            self.configuration = vp9.configuration(
                bytes(packet), context.width, context.height, rate, colours
            )

    def payloads(self, packet: Packet[Stream], time: int) -> list[bytes]:
        """
        A packet's payload, behind that of the header which changes with it.

        `time`: of its decoding. None for what no message can carry.
        """
        data = bytes(packet)
        configuration = self.configuration
        if packet.has_sidedata(_NEWS):
            news = (side for side in packet.iter_sidedata() if side.data_type == _NEWS)
            self.configuration = bytes(next(news))
        if self._adts:
            self.configuration = adts.audio_specific_config(data)
            data = adts.without_header(data)
        if not 0 < len(data) <= MOST_FRAME:
            return []
        if self.sound:
            payload = self._prefix + data
        else:
            pts = packet.pts
            shift = 0 if pts is None else self.milliseconds(pts) - time
            payload = self._frame(data, packet.is_keyframe, shift)
        return [payload] if self.configuration == configuration else [self.header, payload]


def choose(file: Input) -> list[Track]:
    """
    The tracks to play: one of pictures, one of sound.

    Raises:
        MediaError: there is none that RTMP can carry.
    """
    best: dict[str, Stream] = {}
    others = set()
    for stream in file.streams:
        context = stream.codec_context
        codec = context.codec.canonical_name if context else stream.type
        if codec in CODECS:
            best.setdefault(stream.type, stream)
        else:
            others.add(codec)
    if not best:
        found = f"only {', '.join(sorted(others))}" if others else "nothing"
        raise MediaError(f"{found} in it (expected one of {', '.join(CODECS)})")
    return [Track(best[kind], file.start) for kind in ("video", "audio") if kind in best]
