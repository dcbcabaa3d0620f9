"""Real players that note every packet, or whole FLV files, of what they play."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.support.programs import (
    Packet,
    Programs,
    Run,
    ffmpeg9,
    packets,
    parse_packets,
    player,
    program,
)

FFMPEG9, FFMPEG5 = "FFmpeg 9", "FFmpeg 5.1"
RTMPDUMP, RTMPSRC, RTMP2SRC = "rtmpdump", "rtmpsrc", "rtmp2src"


@dataclass
class Watcher:
    """One player that runs."""

    kind: str
    run: Run
    file: Path | None = field(default=None, repr=False)
    "What it writes; None: it prints packets."

    def packets(self) -> list[Packet]:
        """All that it got, when the stream is over."""
        self.run.wait()
        if self.file is None:
            return parse_packets(self.run.output())
        return packets(ffmpeg9(), self.file)

    def missing(self) -> int:
        """
        Packets at the end that it may have forgotten, through no fault of ours.

        rtmp2src holds one message, and drops it when StreamEof comes.
        """
        return 1 if self.kind == RTMP2SRC else 0


def watch(started: Programs, kind: str, url: str, *options: str, **environment: str) -> Watcher:
    """
    Let a player play; the test is skipped if there is none of that kind.

    `options` and `environment` are for FFmpeg alone.
    """
    if kind in (FFMPEG9, FFMPEG5):
        command = player(ffmpeg_of(kind), url, *options)
        return Watcher(kind, started.start(*command, **environment))
    file = started.file("flv")
    if kind == RTMPDUMP:
        run = started.start(program("rtmpdump"), "-q", "-v", "-r", url, "-o", file)
        return Watcher(kind, run, file)
    source = {
        RTMPSRC: (RTMPSRC, f"location={url} live=1"),
        RTMP2SRC: (RTMP2SRC, f"location={url}", "tls-validation-flags=0"),
    }[kind]
    run = started.start(
        *(program("gst-launch-1.0"), "-q", *source, "!", "filesink", f"location={file}")
    )
    return Watcher(kind, run, file)


def ffmpeg_of(kind: str) -> str:
    """The program; the test is skipped if it is not there."""
    return ffmpeg9() if kind == FFMPEG9 else program("ffmpeg")


def by_stream(found: list[Packet]) -> dict[str, list[Packet]]:
    """Packets by elementary stream: (dts, pts, size, hash). Durations are guessed by demuxers."""
    streams: dict[str, list[Packet]] = {}
    for stream, dts, pts, _, size, digest, *_ in found:  # more: a new decoder configuration
        streams.setdefault(stream, []).append((dts, pts, size, digest))
    return streams


def payloads(found: list[Packet]) -> dict[str, list[Packet]]:
    """Sizes and hashes of packets, by stream."""
    return {
        stream: [packet[2:] for packet in theirs] for stream, theirs in by_stream(found).items()
    }
