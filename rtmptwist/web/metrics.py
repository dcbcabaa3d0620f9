"""
`/metrics` for Prometheus, by its own library; names by its conventions: base units, `_total`.

Labels are bounded: applications (`vhost`, `application`) and variants by the configuration,
reasons by the program. Streams have series of their own only up to a number that the operator says,
under the names that logs use. What takes long with many connections is done in slices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from klein import Klein
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from twisted.web.server import Request

from rtmptwist import __version__
from rtmptwist.auth.operators import Desk
from rtmptwist.live.application import Application
from rtmptwist.live.health import Sign
from rtmptwist.live.ledger import Page, Traffic
from rtmptwist.live.meters import StreamMeter
from rtmptwist.live.names import redacted
from rtmptwist.web.admission import admitted
from rtmptwist.web.answers import Problem, answer, as_problem, header
from rtmptwist.web.house import House
from rtmptwist.web.slices import in_slices

PREFIX: Final = "rtmptwist_"
_APP: Final = ("vhost", "application")
_BY: Final = (*_APP, "variant")
_STREAM: Final = (*_APP, "stream")
_STATES: Final = ("live", "supplied", "grace", "idle")


def mount(app: Klein, house: House, desk: Desk, most_streams: int = 0) -> None:
    """Add the route. `most_streams`: how many streams have series of their own."""
    found = _Found()
    registry = CollectorRegistry()
    registry.register(found)
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)

    @app.route("/metrics", methods=["GET"])
    async def metrics(request: Request) -> bytes:
        try:
            await admitted(request, desk)
        except Problem as problem:
            return as_problem(request, problem)
        families = await gather(house, most_streams)
        encode, content_type = choose_encoder(header(request, "Accept"))
        found.families = families
        return answer(request, encode(registry), content_type)


class _Found(Collector):
    """What was gathered, in the library's hands."""

    def __init__(self) -> None:
        self.families: Iterable[Metric] = ()

    def collect(self) -> Iterator[Metric]:
        yield from self.families


async def gather(house: House, most_streams: int = 0) -> list[Metric]:
    """All that the server knows of itself, in slices."""
    families = [*_server(house), *await _connections(house)]
    return families + await _streams(house, most_streams)


def _gauge(name: str, words: str, labels: Iterable[str] = ()) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, words, labels=list(labels))


def _counter(name: str, words: str, labels: Iterable[str] = ()) -> CounterMetricFamily:
    return CounterMetricFamily(PREFIX + name, words, labels=list(labels))


# ------------------------------------------------------------------------------- server


def _server(house: House) -> Iterator[Metric]:
    meter = house.registry.meter
    info = InfoMetricFamily(PREFIX + "build", "Which version this is.")
    info.add_metric([], {"version": __version__})
    yield info
    ready = _gauge("ready", "1: somebody is let in.")
    ready.add_metric([], int(house.ready))
    yield ready
    clients = _gauge("clients", "Connections of any kind, those that have said nothing included.")
    clients.add_metric([], meter.connections)
    yield clients
    addresses = _gauge("client_addresses", "Addresses that these come from.")
    addresses.add_metric([], meter.addresses)
    yield addresses
    refused = _counter("refused", "Connections turned away, by why.", ["reason"])
    for reason, count in meter.refusals.items():
        refused.add_metric([reason.name.lower()], count)
    yield refused
    bans = _gauge("bans", "Bans in force.")
    bans.add_metric([], len(list(house.bans.bans)))
    yield bans
    opened = _counter("tunnels_opened", "RTMPT tunnels opened.")
    opened.add_metric([], sum(tunnels.meter.opened for tunnels in house.tunnels))
    yield opened
    warnings = _counter("stream_warnings", "Troubles of publishers that began, by what.", ["code"])
    for sign in Sign:
        warnings.add_metric([sign.value], house.registry.journal.warnings.get(sign, 0))
    yield warnings
    listening = _gauge("event_clients", "Clients that listen to events.")
    listening.add_metric([], len(house.events.clients))
    yield listening
    cut = _counter("event_clients_cut", "Clients of events that were cut off, for they read none.")
    cut.add_metric([], house.events.cut)
    yield cut
    tunnels_now = _gauge("tunnels", "RTMPT tunnels that are open.")
    tunnels_now.add_metric([], sum(map(len, house.tunnels)))
    yield tunnels_now
    expiry = _gauge(
        "certificate_expiry_timestamp_seconds", "When a certificate ends.", ["certificate"]
    )
    ends = {str(each.path): each.expires_at for tls in house.tls for each in tls.certificates.all}
    for path, end in ends.items():
        expiry.add_metric([path], end)
    yield expiry


# -------------------------------------------------------------------------- connections


async def _connections(house: House) -> list[Metric]:
    """By application and variant."""
    census = house.census
    here = census.connections()
    total = census.traffic(())
    now: dict[Page, Traffic] = {}
    waiting: dict[Page, int] = {}
    async for connection in in_slices(here, house.reactor):
        page = connection.page
        now.setdefault(page, Traffic()).add(1, 0, 0)
        waiting[page] = waiting.get(page, 0) + connection.writer.waiting
        if connection.visitor is not None:
            total.setdefault(page, Traffic()).add(1, *connection.traffic)
    open_ = _gauge("connections", "Connections that are open.", _BY)
    queue = _gauge("queue_bytes", "Bytes that the kernel has not taken yet.", _BY)
    for page, part in now.items():
        open_.add_metric(page, part.connections)
        queue.add_metric(page, waiting[page])
    made = _counter("connections_made", "Connections that there were.", _BY)
    received = _counter("received_bytes", "Bytes of RTMP received after handshakes.", _BY)
    sent = _counter("sent_bytes", "Bytes of RTMP sent.", _BY)
    for page, part in total.items():
        made.add_metric(page, part.connections)
        received.add_metric(page, part.bytes_in)
        sent.add_metric(page, part.bytes_out)
    return [open_, queue, made, received, sent]


# ------------------------------------------------------------------------------ streams


async def _streams(house: House, most: int) -> list[Metric]:
    """By application, and of some each."""
    streams = _gauge("streams", "Streams that there are.", (*_APP, "state"))
    troubled = _gauge("troubled_streams", "Streams with which something is wrong.", _APP)
    viewers = _gauge("viewers", "Viewers, those who wait included.", _APP)
    lagging = _gauge("lagging_viewers", "Viewers who do not keep up.", _APP)
    windows = _gauge("window_bytes", "Bytes of the past that are kept.", _APP)
    media_in = _counter("media_received_bytes", "Bytes of payload that were published.", _APP)
    media_out = _counter("media_sent_bytes", "Bytes sent to viewers.", _APP)
    skipped = _counter("skipped_messages", "Messages left out for slow viewers.", _APP)
    recording = _Recording()
    each = _EachStream(most)
    for application in house.registry.applications():
        labels = (application.host, application.name)
        sums = dict.fromkeys(_STATES, 0)
        watching = application.film_viewers
        behind = kept = ailing = 0
        bytes_in, bytes_out, left_out = application.gone
        async for stream in in_slices(tuple(application.streams.values()), house.reactor):
            meter = stream.meter
            sums[meter.state] += 1
            ailing += bool(stream.troubles)
            watching += meter.viewers
            behind += meter.lagging
            kept += meter.window_bytes
            bytes_in += meter.bytes_in
            bytes_out += meter.bytes_out
            left_out += meter.skipped
            each.add((*labels, redacted(stream.name)), meter)
        for state, count in sums.items():
            streams.add_metric((*labels, state), count)
        troubled.add_metric(labels, ailing)
        viewers.add_metric(labels, watching)
        lagging.add_metric(labels, behind)
        windows.add_metric(labels, kept)
        media_in.add_metric(labels, bytes_in)
        media_out.add_metric(labels, bytes_out)
        skipped.add_metric(labels, left_out)
        recording.add(labels, application)
    families = [streams, troubled, viewers, lagging, windows, media_in, media_out, skipped]
    return families + recording.families + (each.families if most else [])


class _Recording:
    """What applications record."""

    def __init__(self) -> None:
        self._now = _gauge("recordings", "Streams that are recorded, once for each outlet.", _APP)
        self._files = _counter("recorded_files", "Files that are complete.", _APP)
        self._bytes = _counter("recorded_bytes", "Bytes of these.", _APP)
        self._failures = _counter("recording_failures", "Recordings that failed.", _APP)
        self._removed = _counter("recorded_files_removed", "Files that were old.", _APP)

    def add(self, labels: tuple[str, str], application: Application) -> None:
        """One application, with what outlets did that it has no more."""
        meters = [recorder.meter for recorder in application.recorders]
        counts = application.recorded.values()
        self._now.add_metric(labels, sum(len(meter.recordings) for meter in meters))
        self._files.add_metric(labels, sum(each.files for each in counts))
        self._bytes.add_metric(labels, sum(each.size for each in counts))
        self._failures.add_metric(labels, sum(each.failures for each in counts))
        self._removed.add_metric(labels, sum(each.removed for each in counts))

    @property
    def families(self) -> list[Metric]:
        """All of them."""
        return [self._now, self._files, self._bytes, self._failures, self._removed]


class _EachStream:
    """Series of single streams, as many as there may be; of two with one name, the first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: set[tuple[str, ...]] = set()
        self._viewers = _gauge("stream_viewers", "Viewers of a stream.", _STREAM)
        self._received = _counter(
            "stream_received_bytes", "Bytes of payload that were published.", _STREAM
        )
        self._sent = _counter("stream_sent_bytes", "Bytes sent to viewers of a stream.", _STREAM)
        self._frames = _gauge(
            "stream_frames_per_second", "Pictures in the last ten seconds.", _STREAM
        )
        self._interval = _gauge(
            "stream_keyframe_interval_seconds", "Between two key frames.", _STREAM
        )
        self._skew = _gauge("stream_skew_seconds", "From newest sound to newest picture.", _STREAM)
        self._unlisted = _gauge("streams_without_series", "Streams beyond stream_metrics.")
        self._left_out = 0

    def add(self, labels: tuple[str, ...], meter: StreamMeter) -> None:
        """One more."""
        if labels in self._seen or len(self._seen) >= self._most:
            self._left_out += 1
            return
        self._seen.add(labels)
        self._viewers.add_metric(labels, meter.viewers)
        self._received.add_metric(labels, meter.bytes_in)
        self._sent.add_metric(labels, meter.bytes_out)
        self._frames.add_metric(labels, meter.frame_rate.ten)
        if meter.keyframe_interval is not None:
            self._interval.add_metric(labels, meter.keyframe_interval)
        if meter.skew is not None:
            self._skew.add_metric(labels, meter.skew)

    @property
    def families(self) -> list[Metric]:
        """All of them."""
        self._unlisted.add_metric((), self._left_out)
        return [
            self._viewers,
            self._received,
            self._sent,
            self._frames,
            self._interval,
            self._skew,
            self._unlisted,
        ]
