"""
Fragmented MP4 (ISO/IEC 14496-12, 8.8) of what a stream has, by PyAV: never our own muxer.

A file of fragments can be played up to the last one, whatever happens to whoever writes it. They
begin with key frames, and one is written every second. What a file has in it is settled with its
first frames: neither tracks nor headers can come later, for those a file of their own is due.
All of this belongs into a thread.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from rtmptwist.media.errors import MediaError
from rtmptwist.media.flv import AUDIO, VIDEO, FlvTag, flv_header, flv_tag
from rtmptwist.media.packet import KEY_FRAME_TYPES, Content, Part, read_audio, read_video
from rtmptwist.media.payload import audio_frame, audio_header, video_frame, video_header
from rtmptwist.media.pyav import load

if TYPE_CHECKING:
    from av.stream import Stream

HELD: Final = frozenset(
    {
        *("avc1", "hvc1", "av01", "vp09"),
        *("mp4a", ".mp3", "Opus", "fLaC", "ac-3", "ec-3"),
    }
)
"Codecs that MP4 has a place for."

MOST_TRACKS: Final = 16

FRAGMENT: Final = 1000
"Milliseconds of a fragment, at most,"

FRAGMENT_SIZE: Final = 8 << 20
"and bytes: it is held in memory until it is complete."

PATIENCE: Final = 3000
"Milliseconds that are waited for the first frame of a track whose header has come."

MOST_WAITING: Final = 16 << 20
"Bytes that wait meanwhile."

_DECODERS: Final = {
    "avc1": "h264",
    "hvc1": "hevc",
    "av01": "libdav1d,av1",
    "vp09": "vp9",
    "mp4a": "aac",
    ".mp3": "mp3float,mp3",
    "Opus": "opus",
    "fLaC": "flac",
    "ac-3": "ac3",
    "ec-3": "eac3",
}
"Look at the first frame of a track, for what MP4 has to say of it."

_OPTIONS: Final = {
    # the headers are written with the first fragment, which knows when each track begins
    "movflags": "frag_keyframe+empty_moov+delay_moov+default_base_moof+frag_discont",
    "frag_duration": str(FRAGMENT * 1000),
    "frag_size": str(FRAGMENT_SIZE),
    "max_interleave_delta": str(FRAGMENT * 1000),
    "fflags": "flush_packets",
}
_MILLISECOND: Final = Fraction(1, 1000)
_CONFIGURED: Final = frozenset({"avc1", "hvc1", "av01", "mp4a", "Opus", "fLaC"})
_FLAC_HEADER: Final = b"fLaC\x80\0\0\x22"
"What some encoders put before STREAMINFO, and may say of it that it is the last block or not."

_Key = tuple[int, int]
"Type of tag, number of the track."


class Unfit(MediaError):
    """That cannot be put into this file. The message says what, and what to do."""


@dataclass(slots=True)
class _Frame:
    """A frame on its way into the file."""

    key: _Key
    codec: str
    time: int
    "Milliseconds of decoding,"
    shift: int
    "and from there to presentation."
    keyframe: bool
    data: bytes


@dataclass(slots=True)
class _Held:
    """A track of the file."""

    stream: Stream
    last: int = -1
    "Its newest time."


@dataclass(slots=True)
class _Beginning:
    """What comes before it is known what the file will have in it."""

    headers: dict[_Key, bytes] = field(default_factory=dict)
    frames: list[_Frame] = field(default_factory=list)
    seen: set[_Key] = field(default_factory=set)
    size: int = 0

    def add(self, frame: _Frame) -> bool:
        """Whether that is enough to begin."""
        self.frames.append(frame)
        self.seen.add(frame.key)
        self.size += len(frame.data)
        span = frame.time - self.frames[0].time
        complete = self.seen >= self.headers.keys() and span >= FRAGMENT // 2
        return complete or span >= PATIENCE or self.size >= MOST_WAITING


class Fragments:
    """An MP4 that is being written, from its first byte to its last."""

    def __init__(self, write: Callable[[bytes], int]) -> None:
        """
        `write` gets the bytes, and says how many it took: all.

        Raises:
            NotInstalled: PyAV is not there.
        """
        self._av: Any = load()
        self._write = write
        self._beginning: _Beginning | None = _Beginning()
        self._tracks: dict[_Key, _Held] = {}
        self._container: Any = None

    def add(self, tags: Sequence[FlvTag]) -> None:
        """
        Write what comes next.

        Raises:
            Unfit: something that this file cannot hold.
            OSError: `write` has raised it.
        """
        for tag in tags:
            for frame in self._frames(tag):
                beginning = self._beginning
                if beginning is None:
                    self._mux(frame)
                elif beginning.add(frame):
                    self._begin(beginning)

    def finish(self) -> None:
        """Write what is left, and an index."""
        if self._beginning is not None and self._beginning.frames:
            self._begin(self._beginning)
        container, self._container = self._container, None
        if container is not None:
            self._guarded(container.close)

    def abandon(self) -> None:
        """Write nothing more."""
        self._write = len
        container, self._container = self._container, None
        if container is not None:
            try:
                container.close()
            except self._av.FFmpegError:
                return  # as if it had never been

    # ------------------------------------------------------------------ reading

    def _frames(self, tag: FlvTag) -> list[_Frame]:
        """The frames in a tag. Headers are kept, what is no sound or picture is passed over."""
        if tag.type not in (AUDIO, VIDEO) or tag.encrypted:
            return []
        payload = tag.payload
        try:
            packet = read_video(payload) if tag.type == VIDEO else read_audio(payload)
        except MediaError:
            return []
        if packet.content is Content.SEQUENCE_HEADER:
            for part in packet.parts:
                self._header((tag.type, part.track), part, payload[part.start : part.end])
        if packet.content is not Content.FRAME:
            return []
        key = tag.type == AUDIO or packet.frame_type in KEY_FRAME_TYPES
        return [
            _Frame(
                (tag.type, part.track),
                part.codec,
                tag.timestamp,
                part.composition_time,
                key,
                payload[part.start : part.end],
            )
            for part in packet.parts
        ]

    def _header(self, key: _Key, part: Part, configuration: bytes) -> None:
        _check(part.codec)
        if self._beginning is not None:
            self._beginning.headers[key] = configuration

    # ------------------------------------------------------------------ writing

    def _begin(self, beginning: _Beginning) -> None:
        """Settle what is in the file, and write what waited for that."""
        first: dict[_Key, _Frame] = {}
        for frame in beginning.frames:
            _check(frame.codec)
            first.setdefault(frame.key, frame)
        if len(first) > MOST_TRACKS:
            raise Unfit(f"{len(first)} tracks (expected {MOST_TRACKS} at most)")
        self._container = self._av.open(
            _File(self), "w", format="mp4", options=_OPTIONS, buffer_size=1 << 16
        )
        self._beginning = None
        for key in sorted(first, key=lambda key: (key[0] == AUDIO, key[1])):
            configuration = beginning.headers.get(key, b"")
            self._guarded(self._add_track, key, first[key], configuration)
        for frame in beginning.frames:
            self._mux(frame)

    def _add_track(self, key: _Key, frame: _Frame, configuration: bytes) -> None:
        if frame.codec in _CONFIGURED and not configuration:
            raise Unfit(f"{frame.codec} without a sequence header (expected one before it)")
        film = io.BytesIO(_film(frame, configuration))
        options = {"analyzeduration": "0", "codec_whitelist": _DECODERS[frame.codec]}
        with self._av.open(film, "r", format="flv", options=options) as source:
            if not source.streams:  # pragma: no cover - so far libav says so by itself
                raise Unfit(f"{frame.codec}: its first frame is of no use")
            stream = self._container.add_stream_from_template(source.streams[0], opaque=True)
            if frame.codec == "hvc1":
                stream.codec_context.codec_tag = "hvc1"  # Apple's players want that
        self._tracks[key] = _Held(stream)

    def _mux(self, frame: _Frame) -> None:
        track = self._tracks.get(frame.key)
        if track is None:
            return
        packet = self._av.Packet(frame.data)
        packet.stream = track.stream
        packet.time_base = _MILLISECOND
        packet.dts = time = max(frame.time, track.last + 1)
        packet.pts = max(frame.time + frame.shift, time)
        packet.is_keyframe = frame.keyframe
        track.last = time
        self._guarded(self._container.mux_one, packet)

    def _guarded(self, do: Callable[..., object], *arguments: object) -> None:
        try:
            do(*arguments)
        except self._av.FFmpegError as error:
            raise Unfit(f"MP4: {error.strerror}") from error


class _File:
    """Where PyAV writes to."""

    def __init__(self, fragments: Fragments) -> None:
        self._fragments = fragments

    def write(self, data: bytes) -> int:
        return self._fragments._write(bytes(data))  # noqa: SLF001


def _check(codec: str) -> None:
    if codec not in HELD:
        shown = codec if codec.isprintable() else ascii(codec)  # logs and publishers read it
        raise Unfit(
            f"MP4 cannot hold {shown} (expected one of {', '.join(sorted(HELD))}):"
            " record such streams to .flv"
        )


def _film(frame: _Frame, configuration: bytes) -> bytes:
    """An FLV of one frame: libav makes of it what MP4 must know of a track."""
    codec = frame.codec
    if frame.key[0] == VIDEO:
        header = video_header(codec, configuration)
        payload = video_frame(codec)(frame.data, frame.keyframe, frame.shift)
    else:
        if codec == "fLaC" and configuration[:4] == _FLAC_HEADER[:4]:
            configuration = configuration[len(_FLAC_HEADER) :]
        header = audio_header(codec, configuration)
        payload = audio_frame(codec, 44_100, 2) + frame.data
    kind = frame.key[0]
    tags = [flv_tag(kind, 0, tag) for tag in (header, payload) if tag]
    return b"".join((flv_header(kind == AUDIO, kind == VIDEO), *tags))
