"""/metrics as Prometheus reads it, and /healthz and /readyz."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from rtmptwist.live.refusals import Reason
from rtmptwist.web.metrics import gather
from tests.support.live import gop, headers
from tests.support.manned import FILE, Manned
from tests.support.web import Answer, request

pytestmark = pytest.mark.usefixtures("logs")

NO_UNITS = {
    *("minutes", "hours", "days", "weeks", "milliseconds", "microseconds", "ms", "us", "s"),
    *("bits", "kilobytes", "megabytes", "kb", "mb", "kib", "mib", "percent"),
}
"Base units are seconds, bytes and ratios."

LABELS = ("vhost", "application", "variant", "stream", "state", "reason")


class Busy(Clock):
    """Every look at it finds it later."""

    def seconds(self) -> float:
        self.rightNow += 0.01
        return float(super().seconds())


@pytest.fixture
def manned(tmp_path: Path) -> Any:
    house = Manned(tmp_path)
    yield house
    house.close()


def figures(answer: Answer) -> dict[tuple[str, ...], float]:
    """Every sample, by its name and the values of its labels."""
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    return {
        (
            sample.name.removeprefix("rtmptwist_"),
            *(sample.labels[label] for label in LABELS if label in sample.labels),
        ): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def publisher_bytes(manned: Manned) -> int:
    """What was published as `show`."""
    streams = manned.ask("GET", "streams?name=show&vhost=")[1]["items"]
    return int(streams[0]["bytes_in"])


def test_figures_are_those_of_the_server(manned: Manned) -> None:
    publisher = manned.site.publish()
    manned.site.publish("other_stream_name")
    manned.site.play()
    manned.site.play()
    manned.site.play("nobody_is_there")
    for message in [*headers(), *gop(0), *gop(1000)]:
        publisher.send(message)
    manned.site.pump()
    manned.pass_time(1)
    found = figures(manned.get("/metrics"))
    by = ("", "live", "rtmp")
    assert found["connections", *by] == found["connections_made_total", *by] == 5
    assert found["streams", "", "live", "live"] == 2
    assert found["streams", "a.example", "live", "live"] == 0
    assert found["viewers", "", "live"] == 3
    assert found["stream_viewers", "", "live", "show"] == 2
    assert found["stream_received_bytes_total", "", "live", "show"] == publisher_bytes(manned)
    assert found["stream_sent_bytes_total", "", "live", "show"] > publisher_bytes(manned)
    assert found["stream_frames_per_second", "", "live", "show"] == 6
    assert found["stream_keyframe_interval_seconds", "", "live", "show"] == 1
    assert found["streams_without_series",] == 2
    assert found["ready",] == 1
    assert found["clients",] == 6  # the one who asks, too
    assert found["process_start_time_seconds",] > 0
    assert found["refused_total", "banned"] == 0
    census = manned.whole.census
    total = census.total(census.traffic(census.connections()))
    assert found["received_bytes_total", *by] == total.bytes_in > 0
    assert found["sent_bytes_total", *by] == total.bytes_out > 0
    assert (
        found["media_sent_bytes_total", "", "live"]
        > 2 * found["media_received_bytes_total", "", "live"] - 1
    )


def test_nothing_shrinks_when_somebody_leaves(manned: Manned) -> None:
    publisher = manned.site.publish()
    for message in [*headers(), *gop(0)]:
        publisher.send(message)
    manned.site.pump()
    before = figures(manned.get("/metrics"))
    publisher.connection.abort()
    manned.site.pump()
    after = figures(manned.get("/metrics"))
    totals = [
        name
        for name in before
        if name[0].endswith("_total") and not name[0].startswith(("python", "stream_"))
    ]  # a stream's own series end with it
    assert totals
    assert all(after[name] >= before[name] for name in totals)
    assert ("connections", "", "live", "rtmp") not in after
    assert (
        after["media_received_bytes_total", "", "live"]
        == before["media_received_bytes_total", "", "live"]
    )


def test_secret_names_are_not_told(manned: Manned) -> None:
    manned.site.publish("a-secret-that-is-a-name")
    assert b"a-secret" not in manned.get("/metrics").body
    assert b'stream="a-s\xe2\x80\xa6' in manned.get("/metrics").body


def test_names_and_units_follow_the_conventions(manned: Manned) -> None:
    """As `promtool check metrics` wants them, in both formats that Prometheus asks for."""
    manned.site.publish()
    text = manned.get("/metrics").body.decode()
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    for family in families:
        help_, type_ = f"# HELP {family.name}", f"# TYPE {family.name}"
        ending = "_total " if family.type == "counter" else " "
        assert text.count(help_ + ending) == text.count(type_ + ending) == 1, family.name
        assert family.documentation, family.name
        assert family.type in ("gauge", "counter")
        assert all(re.fullmatch("[a-z]+", word) for word in family.name.split("_")), family.name
        words = set(family.name.split("_"))
        assert not words & NO_UNITS, family.name
        assert not words & {"total", "count", "sum", "bucket", "gauge", "counter"}, family.name
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter")
            assert not set(sample.labels) & {"le", "quantile", "job", "instance"}
    asked = manned.get("/metrics", "Accept: application/openmetrics-text; version=1.0.0")
    assert asked.headers["Content-Type"].startswith("application/openmetrics-text")
    parsed = {f.name: f for f in openmetrics.text_string_to_metric_families(asked.body.decode())}
    assert parsed.keys() == {family.name.removesuffix("_info") for family in families}
    assert {f.type for f in parsed.values()} == {"gauge", "counter", "info"}


def test_every_reason_of_a_refusal_is_counted(manned: Manned) -> None:
    found = figures(manned.get("/metrics"))
    assert {name[1] for name in found if name[0] == "refused_total"} == {
        reason.name.lower() for reason in Reason
    }


def test_many_connections_are_counted_in_slices(manned: Manned) -> None:
    """What takes long stops now and then: the reactor turns."""
    for _ in range(40):
        manned.site.client()
    busy = Busy()
    manned.whole.reactor = busy
    gathered = Deferred.fromCoroutine(gather(manned.whole))
    turns = [gathered.called]
    busy.advance(0)
    turns.append(gathered.called)
    assert turns == [False, True]
    manned.whole.reactor = manned.reactor


def test_the_end_of_certificates_is_told(tmp_path: Path) -> None:
    text = FILE + "\n[listener secure]\nendpoint = tcp:8443\nserve = https\n"
    manned = Manned(tmp_path, text)
    (line,) = (
        line
        for line in manned.get("/metrics").body.decode().splitlines()
        if line.startswith("rtmptwist_certificate_expiry_timestamp_seconds{")
    )
    assert str(tmp_path / "state" / "certificate.pem") in line
    assert float(line.rpartition(" ")[2]) == manned.whole.tls[0].certificates.all[0].expires_at
    manned.close()


def test_only_for_operators(manned: Manned) -> None:
    stranger = IPv4Address("TCP", "192.0.2.1", 1)
    assert manned.get("/metrics", peer=stranger).status == 401
    assert manned.get("/metrics", host="evil.example:8080").status == 401
    assert manned.get("/metrics", "X-Forwarded-For: 192.0.2.1").status == 401
    assert manned.get("/metrics", "Authorization: Bearer x").status == 401
    wire = manned.wire(2)
    wire.say(request("/metrics", b"", method="GET"))
    assert wire.raw().startswith(b"HTTP/1.1 404 ")
    wire.lose()


def test_health_is_for_everybody(manned: Manned) -> None:
    stranger = IPv4Address("TCP", "192.0.2.1", 1)
    for listener in (1, 2):
        answer = manned.get("/healthz", listener=listener, peer=stranger)
        assert (answer.status, answer.body) == (200, b"ok\n")
        answer = manned.get("/readyz", listener=listener, peer=stranger)
        assert (answer.status, answer.body) == (200, b"ready\n")
    wire = manned.wire(2)
    wire.say(request("/open/1"))
    assert wire.hear()[0].status == 200  # tunnels live there as well
    wire.lose()


def test_who_stops_is_not_ready(tmp_path: Path) -> None:
    manned = Manned(tmp_path)
    manned.site.client()
    wire = manned.wire()
    manned.service.stopService()
    wire.say(request("/readyz", b"", method="GET"))
    (answer,) = wire.hear()
    assert (answer.status, answer.body) == (503, b"about to stop\n")
    wire.lose()
    manned.pass_time(10)
