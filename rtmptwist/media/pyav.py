"""
FFmpeg's libraries, by PyAV: optional, loaded when needed, and held on a short leash.

What a file can do to us is bounded: its demuxer is chosen here and nothing else is tried, no
decoder is opened (but for ADTS: only it knows how long its frames are), no other file or address
is opened whatever it names, and opening reads only so much.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from rtmptwist.media.container import Source
from rtmptwist.media.errors import MediaError
from rtmptwist.media.mp4guard import Guard

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream

MOST_TRACKS: Final = 64

MOST_READS: Final = 1 << 16
"While a file is opened, of 32 KiB at most: all fragments of eighteen hours, one by one."

MOST_WORDS: Final = 32
"Things like title and artist that are told,"

MOST_WORD: Final = 1024
"and characters of each."

_FORMATS: Final = {"mp4": "mov", "mp3": "mp3", "aac": "aac"}
"libav's names of demuxers."

_BUFFER: Final = 32_768
_OPTIONS: Final = {
    "probesize": str(_BUFFER),
    "analyzeduration": "0",
    "fpsprobesize": "0",
    "max_streams": str(MOST_TRACKS),
    "protocol_whitelist": "none",
}
_DECODERS: Final = {"aac": "aac"}
_OF_FORMAT: Final = {
    # the index at the end of a fragmented file; without it all fragments are visited
    "mp4": {"use_mfra_for": "pts"},
}
_NOT_TOLD: Final = ("major_brand", "minor_version", "compatible_brands")


class NotInstalled(MediaError):
    """PyAV is not there. The message says what to do."""


def load() -> ModuleType:
    """
    PyAV, when it is needed for the first time: that takes a moment, and memory.

    Raises:
        NotInstalled: it is not there, or does not work here.
    """
    try:
        import av
    except ImportError as error:
        raise NotInstalled(
            f"this needs PyAV ({error}): install it with pip install 'rtmptwist[media]'"
        ) from error
    return av


class Input:
    """A file that libav reads."""

    def __init__(self, source: Source, kind: str) -> None:
        """
        Open it as what it is said to be: `mp4` (also M4A, MOV), `mp3`, `aac` (ADTS).

        Raises:
            MediaError: it is no such file; or NotInstalled.
            OSError: it cannot be read.
        """
        av = load()
        self._errors: type[Exception] = av.FFmpegError
        file = _File(source, Guard() if kind == "mp4" else None)
        decoders = {"codec_whitelist": _DECODERS.get(kind, "none")}
        try:
            self._container = av.open(
                file,
                "r",
                format=_FORMATS[kind],
                options=_OPTIONS | decoders | _OF_FORMAT.get(kind, {}),
                metadata_errors="replace",
                buffer_size=_BUFFER,
                io_open=_refuse,
            )
        except self._errors as error:
            raise MediaError(f"no {kind.upper()} that can be read: {_words(error)}") from error
        file.opened()
        self._attached = av.stream.Disposition.attached_pic
        self._default = av.stream.Disposition.default
        self._discard = av.stream.Discard.all

    @property
    def streams(self) -> list[Stream]:
        """What is in it, without pictures that are no film; those of the authors' choice first."""
        streams = [s for s in self._container.streams if not s.disposition & self._attached]
        return sorted(streams, key=lambda stream: not stream.disposition & self._default)

    @property
    def duration(self) -> int:
        """Milliseconds, as the file tells; 0: it does not."""
        return (self._container.duration or 0) // 1000

    @property
    def start(self) -> int:
        """When it begins to be shown, in microseconds."""
        return self._container.start_time or 0

    @property
    def words(self) -> dict[str, str]:
        """Title, artist and the like."""
        words = list(self._container.metadata.items())[:MOST_WORDS]
        return {name: text[:MOST_WORD] for name, text in words if name not in _NOT_TOLD}

    def packets(self, streams: Iterable[Stream]) -> Iterator[Packet[Any]]:
        """
        What comes next of some streams, whole; of a broken file all that comes before that.

        Others are not read any more.
        """
        chosen = list(streams)
        for stream in self._container.streams:
            if stream not in chosen:
                stream.discard = self._discard
        try:
            for packet in self._container.demux(chosen):
                if packet.size and packet.dts is not None and not packet.is_corrupt:
                    yield packet
        except self._errors:
            return

    def seek(self, time: int, stream: Stream, *, any_frame: bool = False) -> None:
        """
        Go to the last frame of a stream before a time, as libav has it; mostly to a key frame.

        Raises:
            MediaError: one cannot.
        """
        try:
            self._container.seek(time, stream=stream, any_frame=any_frame)
        except self._errors:
            try:  # perhaps there is no key frame
                self._container.seek(time, stream=stream, any_frame=True)
            except self._errors as error:
                raise MediaError(f"one cannot seek in this file: {_words(error)}") from error

    def seek_byte(self, position: int) -> None:
        """
        Go to a position in the file.

        Raises:
            MediaError: one cannot.
        """
        try:
            self._container.seek(position, unsupported_byte_offset=True)
        except self._errors as error:
            raise MediaError(f"one cannot seek in this file: {_words(error)}") from error

    def close(self) -> None:
        """Give back what it takes; may be called again."""
        self._container.close()


class _File:
    """A source as libav reads it: so many times while it is opened."""

    def __init__(self, source: Source, guard: Guard | None) -> None:
        self._left: float = MOST_READS
        self._guard = guard
        self._failed = False
        self._source = source
        self._position = 0

    def read(self, size: int) -> bytes:
        if self._failed:
            return b""  # libav tries again, but only the first error is told
        self._failed = True
        self._left -= 1
        if self._left < 0:
            raise MediaError(f"no end of what describes it after {MOST_READS} reads")
        # libav asks for whole tables, too; nobody else runs while one is looked at
        data = self._source.read(self._position, min(size, _BUFFER))
        if self._guard is not None:
            self._guard.look(self._position, data)
        self._position += len(data)
        self._failed = False
        return data

    def seek(self, position: int, whence: int) -> int:
        # libav asks for the last byte of what is empty
        self._position = max(0, position + (0, self._position, self._source.size)[whence])
        return self._position

    def opened(self) -> None:
        """From now on it may be read as often as one likes."""
        self._left = float("inf")
        if self._guard is not None:
            self._guard.opened()

    def tell(self) -> int:  # pragma: no cover - PyAV asks no more than whether it is there
        return self._position


def _refuse(*_: Any) -> None:
    raise MediaError("it wants to read another file (expected all of it in one)")


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", "") or error)
