"""
What the API shows: each kind of thing as a dictionary, and how it is made.

The document of the API is made from these types. Names of streams are as logs have them, cut if
they may be secrets; streams are told apart by their `id`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, TypedDict

from rtmptwist import __version__
from rtmptwist.auth.bans import Ban
from rtmptwist.live.application import Application
from rtmptwist.live.meters import Speed, StreamMeter
from rtmptwist.live.names import redacted
from rtmptwist.live.recordings import RecorderMeter, RecordingMeter
from rtmptwist.live.stream import LiveStream
from rtmptwist.media.details import Details
from rtmptwist.net.census import ConnectionMeter, UseMeter, measure, publisher_of
from rtmptwist.net.connection import ServerConnection
from rtmptwist.net.trail import HERE, RECEIVED, SENT, Step, steps
from rtmptwist.web.house import House
from rtmptwist.web.traces import Trace, TraceLine

_WAYS: Final = {RECEIVED: "received", SENT: "sent", HERE: "here"}


class RateView(TypedDict):
    """Per second, over so many of the last seconds."""

    over_1s: float
    over_10s: float
    over_60s: float


class ServerView(TypedDict):
    """The server as a whole."""

    version: str
    since: str
    uptime: float
    ready: bool
    draining: bool
    connections: int
    connections_made: int
    by_variant: dict[str, int]
    clients: int
    addresses: int
    streams: int
    viewers: int
    bytes_in: int
    bytes_out: int
    bitrate_in: RateView
    bitrate_out: RateView
    refused: dict[str, int]
    bans: int


class ApplicationView(TypedDict):
    """An application. Sums are over the streams that it has now; bytes over all it ever had."""

    vhost: str
    name: str
    streams: int
    live: int
    viewers: int
    bytes_in: int
    bytes_out: int
    skipped: int
    bitrate_in: RateView
    bitrate_out: RateView
    recorders: list[RecorderView]


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


class RecordingView(TypedDict):
    """
    A stream on its way to files: `outlet`, by which of them; `path`, `seconds` and `bytes` of the
    present one.
    """

    outlet: str
    state: str
    path: str | None
    part: int
    seconds: float
    bytes: int
    waiting_bytes: int
    error: str | None


class RecorderView(TypedDict):
    """An outlet that records: what it did since the start."""

    outlet: str
    recordings: int
    files: int
    bytes: int
    failures: int
    removed: int


class StreamView(TypedDict):
    """
    A stream. Times in seconds, rates in bits or pictures per second. `publisher`: the connection
    that it comes by, `variant`: and how.
    """

    id: str
    vhost: str
    application: str
    name: str
    state: str
    publisher: int | None
    variant: str | None
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
    recordings: list[RecordingView]


class UseView(TypedDict):
    """What a connection does with one message stream: `publish` or `play`."""

    action: str
    message_stream: int
    stream: str
    name: str
    account: str
    since: str
    state: str | None
    messages: int | None
    bytes: int
    dropped: int
    skips: int | None
    queue_bytes: int | None
    queue_age: float | None
    first_frame: float | None


class ConnectionView(TypedDict):
    """A connection. Null: not known, or not yet."""

    id: int
    address: str
    peer: str
    variant: str
    handshake: str | None
    state: str
    vhost: str | None
    application: str | None
    account: str | None
    agent: str | None
    certificate: str | None
    since: str
    bytes_in: int
    bytes_out: int
    bitrate_in: RateView
    bitrate_out: RateView
    waiting: int
    stalls: int
    round_trip: float | None
    retransmitted: int | None
    uses: list[UseView]


class StepView(TypedDict):
    """A protocol event of a connection. `way`: `received`, `sent`, or `here`, by the server."""

    number: int
    time: str
    way: str
    words: str


class OneConnectionView(ConnectionView):
    """A connection, with its last protocol events."""

    steps: list[StepView]


class TraceLineView(TypedDict):
    """A traced message. `frame`: coded sound or picture; `key`: a key frame."""

    number: int
    time: str
    way: str
    kind: str
    words: str
    timestamp: int | None
    message_stream: int | None
    size: int
    frame: bool
    key: bool


class TraceView(TypedDict):
    """A trace: its lines, and the last protocol events of the connection, `here` or gone."""

    lines: list[TraceLineView]
    newest: int
    running: bool
    until: str
    here: bool
    steps: list[StepView]


class ReloadView(TypedDict):
    """What another configuration has changed; a line for each section."""

    changes: list[str]


class BanView(TypedDict):
    """A ban."""

    kind: str
    who: str
    since: str
    until: str | None
    note: str


def when(seconds: float) -> str:
    """A time, by RFC 3339."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def rate_view(speed: Speed) -> RateView:
    """Rounded: nobody needs more digits."""
    return {
        "over_1s": round(speed.second, 3),
        "over_10s": round(speed.ten, 3),
        "over_60s": round(speed.minute, 3),
    }


def server_view(house: House, streams: int, viewers: int) -> ServerView:
    """`streams` and `viewers` were counted in slices."""
    census, meter = house.census, house.registry.meter
    here = census.connections()
    total = census.total(census.traffic(here))
    variants: dict[str, int] = {}
    for connection in here:
        variants[connection.variant] = variants.get(connection.variant, 0) + 1
    received, sent = census.bitrates
    return {
        "version": __version__,
        "since": when(census.since),
        "uptime": round(house.reactor.seconds() - census.since, 3),
        "ready": house.ready,
        "draining": house.draining,
        "connections": len(here),
        "connections_made": total.connections,
        "by_variant": variants,
        "clients": meter.connections,
        "addresses": meter.addresses,
        "streams": streams,
        "viewers": viewers,
        "bytes_in": total.bytes_in,
        "bytes_out": total.bytes_out,
        "bitrate_in": rate_view(received),
        "bitrate_out": rate_view(sent),
        "refused": {reason.name.lower(): count for reason, count in meter.refusals.items()},
        "bans": len(list(house.bans.bans)),
    }


def application_view(application: Application, meters: Iterable[StreamMeter]) -> ApplicationView:
    """`meters` are those of its streams, gathered in slices."""
    meters = tuple(meters)
    bytes_in, bytes_out, skipped = application.gone
    return {
        "vhost": application.host,
        "name": application.name,
        "streams": len(meters),
        "live": sum(meter.state == "live" for meter in meters),
        "viewers": application.film_viewers + sum(meter.viewers for meter in meters),
        "bytes_in": bytes_in + sum(meter.bytes_in for meter in meters),
        "bytes_out": bytes_out + sum(meter.bytes_out for meter in meters),
        "skipped": skipped + sum(meter.skipped for meter in meters),
        "bitrate_in": rate_view(sum((meter.bitrate_in for meter in meters), Speed())),
        "bitrate_out": rate_view(sum((meter.bitrate_out for meter in meters), Speed())),
        "recorders": [_recorder_view(each.meter) for each in application.recorders],
    }


def _recorder_view(meter: RecorderMeter) -> RecorderView:
    return {
        "outlet": meter.description,
        "recordings": len(meter.recordings),
        "files": meter.counts.files,
        "bytes": meter.counts.size,
        "failures": meter.counts.failures,
        "removed": meter.counts.removed,
    }


def stream_view(house: House, application: Application, stream: LiveStream) -> StreamView:
    """One stream."""
    meter, publisher = stream.meter, publisher_of(stream)
    return {
        "id": house.census.stream_id(application, stream.name),
        "vhost": application.host,
        "application": application.name,
        "name": redacted(stream.name),
        "state": meter.state,
        "publisher": publisher.id if publisher is not None else None,
        "variant": publisher.variant if publisher is not None else None,
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
            _recording_view(found)
            for recorder in application.recorders
            if (found := recorder.recording(stream.name)) is not None
        ],
    }


def _recording_view(meter: RecordingMeter) -> RecordingView:
    return {
        "outlet": meter.outlet,
        "state": meter.state,
        "path": meter.path or None,
        "part": meter.part,
        "seconds": meter.seconds,
        "bytes": meter.size,
        "waiting_bytes": meter.waiting,
        "error": meter.error or None,
    }


def warning_views(stream: LiveStream) -> list[WarningView]:
    """Of one stream."""
    return [
        {"code": trouble.sign.value, "words": trouble.words, "since": when(trouble.since)}
        for trouble in stream.troubles
    ]


def _track_view(track: Details) -> TrackView:
    return {
        "kind": track.kind.value,
        "number": track.number,
        "codec": track.codec if track.codec.isprintable() else ascii(track.codec),
        "parameters": track.parameters or None,
        "profile": track.profile or None,
        "level": track.level or None,
        "width": track.width or None,
        "height": track.height or None,
        "sample_rate": track.sample_rate or None,
        "channels": track.channels or None,
    }


def connection_view(house: House, meter: ConnectionMeter) -> ConnectionView:
    """One connection."""
    application, tcp = meter.application, meter.tcp
    return {
        "id": meter.id,
        "address": meter.address,
        "peer": meter.peer,
        "variant": meter.variant,
        "handshake": meter.handshake or None,
        "state": meter.state,
        "vhost": application.host if application is not None else None,
        "application": application.name if application is not None else None,
        "account": meter.account or None,
        "agent": meter.agent or None,
        "certificate": meter.certificate or None,
        "since": when(meter.since),
        "bytes_in": meter.bytes_in,
        "bytes_out": meter.bytes_out,
        "bitrate_in": rate_view(meter.bitrate_in),
        "bitrate_out": rate_view(meter.bitrate_out),
        "waiting": meter.waiting,
        "stalls": meter.stalls,
        "round_trip": tcp.round_trip if tcp is not None else None,
        "retransmitted": tcp.retransmitted if tcp is not None else None,
        "uses": [_use_view(house, use) for use in meter.uses],
    }


def one_connection_view(house: House, connection: ServerConnection) -> OneConnectionView:
    """One connection, and what it did last."""
    past = [step_view(connection.since, step) for step in steps(connection.trail)]
    return {**connection_view(house, measure(connection)), "steps": past}


def step_view(since: float, step: Step) -> StepView:
    """One event of a connection that is there `since` then."""
    return {
        "number": step.number,
        "time": when(since + step.seconds),
        "way": _WAYS[step.way],
        "words": step.words,
    }


def trace_view(trace: Trace, lines: Iterable[TraceLine], *, here: bool) -> TraceView:
    """Some lines of a trace."""
    connection = trace.connection
    return {
        "lines": [_trace_line_view(line) for line in lines],
        "newest": trace.newest,
        "running": trace.running,
        "until": when(trace.until),
        "here": here,
        "steps": [step_view(connection.since, step) for step in steps(connection.trail)],
    }


def _trace_line_view(line: TraceLine) -> TraceLineView:
    message = line.message
    return {
        "number": line.number,
        "time": when(line.time),
        "way": "received" if line.received else "sent",
        "kind": line.kind,
        "words": line.words,
        "timestamp": message.timestamp if message is not None else None,
        "message_stream": message.stream_id if message is not None else None,
        "size": line.size,
        "frame": line.frame,
        "key": line.key,
    }


def _use_view(house: House, use: UseMeter) -> UseView:
    viewer = use.viewer
    return {
        "action": use.action.value,
        "message_stream": use.message_stream_id,
        "stream": house.census.stream_id(use.application, use.name),
        "name": use.shown,
        "account": use.account,
        "since": when(use.since),
        "state": viewer.state if viewer is not None else None,
        "messages": use.messages,
        "bytes": use.bytes,
        "dropped": use.dropped,
        "skips": viewer.skips if viewer is not None else None,
        "queue_bytes": use.queue_bytes if viewer is not None else None,
        "queue_age": use.queue_age if viewer is not None else None,
        "first_frame": viewer.first_frame if viewer is not None else None,
    }


def ban_view(ban: Ban) -> BanView:
    """One ban."""
    return {
        "kind": ban.kind.value,
        "who": ban.who,
        "since": when(ban.since),
        "until": when(ban.until) if ban.until is not None else None,
        "note": ban.note,
    }
