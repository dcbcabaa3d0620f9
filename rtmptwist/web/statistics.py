"""
The server at a glance, once a second: what `/api/v1/events?statistics=true` tells beside events.

Made once for all who listen, in slices. One such event, with what each name means:

    event: statistics
    data: {
      "time": "2030-01-02T03:04:05.678Z",
      "server": {
        "uptime": 12.5,                     seconds
        "ready": true,                      somebody is let in; false while it drains
        "connections": 53,                  that speak RTMP
        "by_variant": {"rtmp": 50, ...},    the same by variant; only those that there are
        "streams": 3,                       that are live, or whose publisher may come back
        "viewers": 50,                      those who wait, or watch recordings, included
        "bitrate_in": 7800000.0,            bits in the last second
        "bitrate_out": 130000000.0,
        "warnings": 1                       of all streams, in force
      },
      "streams": [{                         at most 100: those with most viewers, live ones first
        "id": "6f1d2c3b4a596877",           as in /api/v1/streams/ID
        "vhost": "",
        "application": "live",
        "name": "show",                     as in logs: cut if it may be a secret
        "state": "live",                    live, grace, idle
        "publisher": 12,                    the connection that feeds it, or null
        "variant": "rtmps",                 by which that came, or null
        "since": "2030-01-02T03:00:00.000Z",     when that began to publish, or null
        "video": "H.264 High 3.1",          codec, profile and level in words, or null: no picture
        "audio": "AAC LC",                  the same of the sound
        "tracks": 2,                        in all
        "width": 1280, "height": 720,       of the first picture, or null: not known
        "bitrate": 2600000.0,               bits published in the last second
        "bitrate_out": 43000000.0,          bits sent to all viewers in the last second
        "frame_rate": 30.0,                 pictures per second, over ten seconds
        "keyframe_interval": 2.0,           seconds, or null: not known
        "skew": 0.021,                      seconds from newest sound to newest picture, or null
        "viewers": 17,
        "lagging": 0,                       of these, who do not keep up
        "warnings": [{"code": "long_gop", "words": "…", "since": "2030-…"}]     in force
      }, ...],
      "omitted": 0                          streams beyond those
    }

Numbers are not rounded to be read; names are those of the API, which says more of each thing.
"""

from __future__ import annotations

from collections import Counter
from heapq import nlargest
from typing import Final, TypedDict

from rtmptwist.live.application import Application
from rtmptwist.live.stream import LiveStream
from rtmptwist.media.details import Details
from rtmptwist.media.packet import Kind
from rtmptwist.net.publishing import Publishing
from rtmptwist.web.api.figures import when
from rtmptwist.web.api.streams import WarningView, WhichView, codec_name, warning_views, which_view
from rtmptwist.web.house import House
from rtmptwist.web.slices import in_slices

STREAMS: Final = 100
"In one event: more than fit on a screen, in 50 KB and 10 ms of work."


class GlanceView(WhichView):
    """A stream at a glance."""

    since: str | None
    video: str | None
    audio: str | None
    tracks: int
    width: int | None
    height: int | None
    bitrate: float
    bitrate_out: float
    frame_rate: float
    keyframe_interval: float | None
    skew: float | None
    viewers: int
    lagging: int
    warnings: list[WarningView]


class SummaryView(TypedDict):
    """The server at a glance."""

    uptime: float
    ready: bool
    connections: int
    by_variant: dict[str, int]
    streams: int
    viewers: int
    bitrate_in: float
    bitrate_out: float
    warnings: int


class StatisticsView(TypedDict):
    """All of it."""

    time: str
    server: SummaryView
    streams: list[GlanceView]
    omitted: int


async def statistics(house: House) -> StatisticsView:
    """As it is now, or was a few turns of the reactor ago."""
    clock, census = house.reactor, house.census
    here = census.connections()
    variants = Counter([connection.variant async for connection in in_slices(here, clock)])
    found: list[tuple[Application, LiveStream]] = []
    viewers = live = warnings = 0
    for application in house.registry.applications():
        viewers += application.film_viewers
        async for stream in in_slices(tuple(application.streams.values()), clock):
            found.append((application, stream))
            viewers += len(stream.audience.subscribers)
            live += stream.live
            warnings += len(stream.troubles)
    shown = nlargest(STREAMS, found, key=_importance)
    glances = [_glance(house, *each) async for each in in_slices(shown, clock)]
    received, sent = census.bitrates
    now = clock.seconds()
    return {
        "time": when(now),
        "server": {
            "uptime": round(now - census.since, 3),
            "ready": house.ready,
            "connections": len(here),
            "by_variant": dict(variants),
            "streams": live,
            "viewers": viewers,
            "bitrate_in": round(received.second, 1),
            "bitrate_out": round(sent.second, 1),
            "warnings": warnings,
        },
        "streams": glances,
        "omitted": len(found) - len(shown),
    }


def _importance(found: tuple[Application, LiveStream]) -> tuple[bool, int]:
    _, stream = found
    return stream.live, len(stream.audience.subscribers)


def _glance(house: House, application: Application, stream: LiveStream) -> GlanceView:
    meter = stream.meter
    publisher = stream.inlet.publisher if stream.inlet is not None else None
    tracks = stream.programme.tracks()
    video = next((track for track in tracks if track.kind is Kind.VIDEO), None)
    audio = next((track for track in tracks if track.kind is Kind.AUDIO), None)
    return {
        **which_view(house, application, stream),
        "since": when(publisher.since) if isinstance(publisher, Publishing) else None,
        "video": _words(video),
        "audio": _words(audio),
        "tracks": len(tracks),
        "width": video.width or None if video is not None else None,
        "height": video.height or None if video is not None else None,
        "bitrate": round(meter.bitrate_in.second, 1),
        "bitrate_out": round(meter.bitrate_out.second, 1),
        "frame_rate": round(meter.frame_rate.ten, 2),
        "keyframe_interval": meter.keyframe_interval,
        "skew": meter.skew,
        "viewers": meter.viewers,
        "lagging": meter.lagging,
        "warnings": warning_views(stream),
    }


def _words(track: Details | None) -> str | None:
    if track is None:
        return None
    codec = codec_name(track)
    words = (_NAMES.get(codec, codec), track.profile, track.level)
    return " ".join(filter(None, words))


_NAMES: Final = {
    "avc1": "H.264",
    "hvc1": "HEVC",
    "vvc1": "VVC",
    "av01": "AV1",
    "vp08": "VP8",
    "vp09": "VP9",
    "mp4a": "AAC",
    ".mp3": "MP3",
    "Opus": "Opus",
    "fLaC": "FLAC",
    "ac-3": "AC-3",
    "ec-3": "E-AC-3",
}
"As people call codecs, where that is not how Enhanced RTMP does."
