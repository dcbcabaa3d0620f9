"""Streams: what they are made of, how they do, who watches; a look, a recording, their end."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Final, TypedDict

from rtmptwist.live.application import Application
from rtmptwist.live.names import redacted
from rtmptwist.live.stream import LiveStream
from rtmptwist.media.details import Details
from rtmptwist.net.census import publisher_of, viewers_of
from rtmptwist.web.api import recordings
from rtmptwist.web.api.connections import ConnectionView, connections_page
from rtmptwist.web.api.figures import RateView, rate_view, when
from rtmptwist.web.api.route import APPLICATION, PAGE, REASON, Call, Route, nothing, page, part
from rtmptwist.web.house import House
from rtmptwist.web.httpflv import CONTENT_TYPE
from rtmptwist.web.parameters import Parameter
from rtmptwist.web.slices import in_slices


class TrackView(TypedDict):
    """A track of a stream, as its headers say. Null: they do not."""

    kind: str
    number: int
    codec: str
    parameters: str | None
    profile: str | None
    level: str | None
    width: int | None
    height: int | None
    sample_rate: int | None
    channels: int | None


class WarningView(TypedDict):
    """Something that is wrong with a stream now."""

    code: str
    words: str
    since: str


class WhichView(TypedDict):
    """Which stream it is. `publisher`: the connection that it comes by, `variant`: and how."""

    id: str
    vhost: str
    application: str
    name: str
    state: str
    publisher: int | None
    variant: str | None


class StreamView(WhichView):
    """
    A stream. Times in seconds, rates in bits or pictures per second. `publisher`: the connection
    that it comes by, `variant`: and how.
    """

    viewers: int
    lagging: int
    messages: int
    bytes_in: int
    bytes_out: int
    dropped: int
    skipped: int
    frames: int
    bitrate_in: RateView
    bitrate_out: RateView
    frame_rate: RateView
    keyframe_interval: float | None
    skew: float | None
    window_bytes: int
    window_messages: int
    window_duration: float
    tracks: list[TrackView]
    warnings: list[WarningView]
    recordings: list[recordings.RecordingView]


# ------------------------------------------------------------------------------- answers


async def streams(call: Call) -> object:
    """All streams, or some."""
    query = call.query
    found = [
        (application, each)
        for application, each in all_streams(call.house)
        if query["vhost"] in (None, application.host)
        and query["application"] in (None, application.name)
        and query["name"] in (None, each.name)
        and query["state"] in (None, each.state)
    ]
    items = [
        stream_view(call.house, *each)
        async for each in in_slices(part(call, found), call.house.reactor)
    ]
    return page(call, found, items)


async def stream(call: Call) -> StreamView:
    """One stream."""
    return stream_view(call.house, *find_stream(call))


async def flv(call: Call) -> None:
    """What a stream shows."""
    application, shown = find_stream(call)
    call.note("watches {app}/{name}", app=application.name, name=redacted(shown.name))
    await call.house.screens.show(call.request, call.operator, application, shown)


async def viewers(call: Call) -> object:
    """The connections that watch a stream."""
    _, watched = find_stream(call)
    return await connections_page(call, viewers_of(watched))


async def close(call: Call) -> None:
    """End a stream for its publisher and all viewers."""
    application, ended = find_stream(call)
    name = redacted(ended.name)
    call.note("closes {app}/{name}: {reason}", app=application.name, name=name, **call.body)
    ended.close(call.body["reason"])


async def record(call: Call) -> StreamView:
    """Record a stream."""
    application, recorded = find_stream(call)
    recordings.start(application, recorded.name, call.query["outlet"])
    name = redacted(recorded.name)
    call.note("has {app}/{name} recorded", app=application.name, name=name)
    return stream_view(call.house, application, recorded)


async def stop_recording(call: Call) -> None:
    """Record it no more."""
    application, recorded = find_stream(call)
    recordings.stop(application, recorded.name, call.query["outlet"])
    name = redacted(recorded.name)
    call.note("has {app}/{name} recorded no more", app=application.name, name=name)


# ------------------------------------------------------------------------------- finding


def all_streams(house: House) -> Iterator[tuple[Application, LiveStream]]:
    """Each with its application; they may come and go meanwhile."""
    for application in house.registry.applications():
        for each in tuple(application.streams.values()):
            yield application, each


def find_stream(call: Call) -> tuple[Application, LiveStream]:
    """
    The stream that a call is about, and its application.

    Raises:
        Problem: there is none.
    """
    for application, each in all_streams(call.house):
        if call.house.census.stream_id(application, each.name) == call.path["stream"]:
            return application, each
    raise nothing("stream")


# ------------------------------------------------------------------------------- showing


def which_view(house: House, application: Application, stream: LiveStream) -> WhichView:
    """Which one it is."""
    publisher = publisher_of(stream)
    return {
        "id": house.census.stream_id(application, stream.name),
        "vhost": application.host,
        "application": application.name,
        "name": redacted(stream.name),
        "state": stream.state,
        "publisher": publisher.id if publisher is not None else None,
        "variant": publisher.variant if publisher is not None else None,
    }


def stream_view(house: House, application: Application, stream: LiveStream) -> StreamView:
    """One stream."""
    meter = stream.meter
    return {
        **which_view(house, application, stream),
        "viewers": meter.viewers,
        "lagging": meter.lagging,
        "messages": meter.messages_in,
        "bytes_in": meter.bytes_in,
        "bytes_out": meter.bytes_out,
        "dropped": meter.dropped,
        "skipped": meter.skipped,
        "frames": meter.frames,
        "bitrate_in": rate_view(meter.bitrate_in),
        "bitrate_out": rate_view(meter.bitrate_out),
        "frame_rate": rate_view(meter.frame_rate),
        "keyframe_interval": meter.keyframe_interval,
        "skew": meter.skew,
        "window_bytes": meter.window_bytes,
        "window_messages": meter.window_messages,
        "window_duration": meter.window_duration,
        "tracks": [_track_view(track) for track in stream.programme.tracks()],
        "warnings": warning_views(stream),
        "recordings": [
            recordings.recording_view(found)
            for recorder in application.recorders
            if (found := recorder.recording(stream.name)) is not None
        ],
    }


def warning_views(stream: LiveStream) -> list[WarningView]:
    """Of one stream."""
    return [
        {"code": trouble.sign.value, "words": trouble.words, "since": when(trouble.since)}
        for trouble in stream.troubles
    ]


def codec_name(track: Details) -> str:
    """As Enhanced RTMP writes it, or the stranger who sends it."""
    return track.codec if track.codec.isprintable() else ascii(track.codec)


def _track_view(track: Details) -> TrackView:
    return {
        "kind": track.kind.value,
        "number": track.number,
        "codec": codec_name(track),
        "parameters": track.parameters or None,
        "profile": track.profile or None,
        "level": track.level or None,
        "width": track.width or None,
        "height": track.height or None,
        "sample_rate": track.sample_rate or None,
        "channels": track.channels or None,
    }


ROUTES: Final = (
    Route(
        "GET",
        "streams",
        "Streams",
        streams,
        shows=StreamView,
        paged=True,
        query={
            **PAGE,
            **APPLICATION,
            "name": Parameter(words="Only of this name, in full."),
            "state": Parameter(
                words="Only in this state.", choices=("live", "supplied", "grace", "idle")
            ),
        },
    ),
    Route("GET", "streams/<stream>", "One stream", stream, shows=StreamView),
    Route("GET", "streams/<stream>/flv", "A stream itself, as FLV", flv, sends=CONTENT_TYPE),
    Route(
        "GET",
        "streams/<stream>/viewers",
        "Connections that watch a stream",
        viewers,
        shows=ConnectionView,
        paged=True,
        query=PAGE,
    ),
    Route(
        "POST",
        "streams/<stream>/close",
        "End a stream, for its publisher and all viewers",
        close,
        body=REASON,
        status=HTTPStatus.NO_CONTENT,
    ),
    Route(
        "POST",
        "streams/<stream>/recording",
        "Record a stream from its newest key frame on, where the application's outlets say",
        record,
        shows=StreamView,
        query=recordings.QUERY,
        status=HTTPStatus.CREATED,
    ),
    Route(
        "DELETE",
        "streams/<stream>/recording",
        "Record it no more, until it is published again",
        stop_recording,
        query=recordings.QUERY,
        status=HTTPStatus.NO_CONTENT,
    ),
)
