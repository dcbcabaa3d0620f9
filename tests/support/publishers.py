"""Real encoders that publish a file as it is, about as fast as they can."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.support.programs import Programs, Run, program, publisher
from tests.support.watchers import FFMPEG5, FFMPEG9, ffmpeg_of

RTMPSINK, RTMP2SINK = "rtmpsink", "rtmp2sink"

PAUSE: Final = 500
"""
Microseconds between two packets that GStreamer sends.

librtmp closes without having read its answers, and its kernel then throws away what is still to be
sent: through a tunnel, no server gets all of a file that is pushed as fast as it goes.
"""


def publish(
    started: Programs, kind: str, file: Path, url: str, *options: str, **environment: str
) -> Run:
    """
    Let a program publish H.264 and AAC; the test is skipped if there is none of that kind.

    `options` and `environment` are for FFmpeg alone.
    """
    if kind in (FFMPEG9, FFMPEG5):
        return started.start(*publisher(ffmpeg_of(kind), file, url, *options), **environment)
    sink = {
        RTMPSINK: (RTMPSINK, f"location={url} live=1"),
        RTMP2SINK: (RTMP2SINK, f"location={url}", "tls-validation-flags=0"),
    }[kind]
    return started.start(
        *(program("gst-launch-1.0"), "-q", "filesrc", f"location={file}"),
        *("!", "flvdemux", "name=from", "flvmux", "streamable=true", "name=to"),
        *("from.video", "!", "queue", "!", "h264parse", "!", "to."),
        *("from.audio", "!", "queue", "!", "aacparse", "!", "to."),
        *("to.", "!", "identity", f"sleep-time={PAUSE}", "!", *sink, "sync=false"),
    )
