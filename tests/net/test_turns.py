"""What clients ask for, one turn each."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from twisted.internet.task import Clock

from rtmptwist.amf.values import Value
from rtmptwist.live.registry import VirtualHost
from rtmptwist.net.client import Refusal
from rtmptwist.net.server import Care
from rtmptwist.wire.command import Command
from tests.support.live import Settings, gop, headers, payloads, stored
from tests.support.logs import Logs
from tests.support.memory import MemorySite, OpenGate, host, serve_in_memory

pytestmark = pytest.mark.usefixtures("logs")


def two_hosts(clock: Clock) -> Iterable[VirtualHost]:
    yield host("", "live", clock=clock)
    yield host("a.example", "live", "live/deep", clock=clock)


def show(site: MemorySite) -> None:
    """A stream with something to see."""
    publisher = site.publish()
    for message in [*headers(), *gop(0)]:
        publisher.send(message)
    site.pump()


def test_the_account_hears_application_name_and_query() -> None:
    gate = OpenGate()
    site = serve_in_memory(gate=gate, hosts=two_hosts)
    site.publish("deep/s", site.client("rtmp://a.example/live"))
    site.play("s", site.client("rtmp://a.example/live/deep"))
    assert gate.questions == [
        "login live",
        "publish live/deep/s",
        "login live/deep",
        "play live/deep/s",
    ]


def test_hosts_have_their_own_streams_and_the_log_tells_them_apart(logs: Logs) -> None:
    site = serve_in_memory(hosts=two_hosts)
    site.publish("s", site.client("rtmp://a.example/live"))
    site.publish("s", site.client("rtmp://other.example/live"))
    assert len(logs.about("connected to a.example/live as")) == 1
    assert len(logs.about("publishes a.example/live/s as")) == 1
    assert len(logs.about("publishes live/s as")) == 1


def test_a_stream_key_in_the_server_s_field_is_not_logged(logs: Logs) -> None:
    site = serve_in_memory()
    site.client("rtmp://h/live/key_geheimgeheim")
    site.client("rtmp://h/live/room/cam1")
    assert len(logs.about("connected to live/key…")) == 1
    assert len(logs.about("connected to live/room/cam1 as")) == 1
    assert logs.about("geheim") == []


def test_a_name_may_lead_to_another_host_but_not_to_an_application_that_is_none() -> None:
    site = serve_in_memory(hosts=lambda clock: [host("a.example", "live", clock=clock)])
    client = site.client("rtmp://a.example/live")
    error = site.failure(site.stream(client).play("s?vhost=b.example"))
    assert isinstance(error, Refusal)
    assert error.code == "NetStream.Play.StreamNotFound"
    assert "There is no application 'live/s' on b.example." in error.description
    error = site.failure(site.stream(client).publish("s?vhost=b.example"))
    assert isinstance(error, Refusal)
    assert error.code == "NetStream.Publish.BadName"


@pytest.mark.parametrize(
    ("use", "name", "code"),
    [
        ("publish", "", "NetStream.Publish.BadName"),
        ("publish", "a/../b", "NetStream.Publish.BadName"),
        ("play", "", "NetStream.Play.StreamNotFound"),
        ("play", "a\x01b", "NetStream.Play.StreamNotFound"),
    ],
)
def test_no_stream_can_have_this_name(use: str, name: str, code: str) -> None:
    site = serve_in_memory()
    stream = site.stream()
    error = site.failure(getattr(stream, use)(name))
    assert isinstance(error, Refusal)
    assert error.code == code
    assert site.application.streams == {}


def test_another_play_replaces_the_one_before(logs: Logs) -> None:
    site = serve_in_memory()
    show(site)
    viewer = site.play("other")
    site.result(viewer.stream.play("show"))
    assert viewer.payloads[-6:] == payloads(gop(0))
    assert list(site.application.streams) == ["show"]
    assert len(logs.about("no longer plays live/other: another play")) == 1


def test_a_refused_play_leaves_the_one_before() -> None:
    site = serve_in_memory()
    show(site)
    viewer = site.play()
    site.failure(viewer.stream.play("a/../b"))
    assert site.application.streams["show"].meter.viewers == 1


def test_the_shortest_duration_is_a_millisecond() -> None:
    """Half of one, rounded down, would be none, which means something else."""
    site = serve_in_memory()
    show(site)
    viewer = site.play(duration=0.0004)
    assert viewer.told[-1] == "Play.Stop"


def test_pause_and_rejoin_what_is_live_by_then() -> None:
    site = serve_in_memory()
    show(site)
    viewer = site.play()
    site.result(viewer.stream.pause())
    site.publish()
    before = len(viewer.payloads)
    show(site)
    assert len(viewer.payloads) == before
    site.result(viewer.stream.pause(False))
    assert viewer.payloads[-6:] == payloads(gop(0))
    assert viewer.told[2:4] == ["Pause.Notify", "Play.PublishNotify"]


def test_seek_leads_to_the_present() -> None:
    site = serve_in_memory()
    show(site)
    viewer = site.play()
    before = len(viewer.payloads)
    site.result(viewer.stream.seek(3000))
    assert viewer.payloads[before:] == [stored(headers()[0]), *payloads([*headers()[1:], *gop(0)])]


def test_seek_does_not_end_a_pause() -> None:
    site = serve_in_memory()
    show(site)
    viewer = site.play()
    site.result(viewer.stream.pause())
    before = len(viewer.payloads)
    site.result(viewer.stream.seek(3000))
    assert len(viewer.payloads) == before
    site.result(viewer.stream.pause(False))
    assert len(viewer.payloads) > before


@pytest.mark.parametrize("use", ["pause", "seek"])
def test_what_does_not_play_cannot_be_paused(use: str) -> None:
    site = serve_in_memory()
    stream = site.publish()
    error = site.failure(stream.pause() if use == "pause" else stream.seek(0))
    assert isinstance(error, Refusal)
    assert (error.code, error.description) == (
        "NetStream.Failed",
        "Nothing is playing on this stream.",
    )
    assert not stream.connection.closed


def test_play2_is_answered() -> None:
    site = serve_in_memory()
    show(site)
    viewer = site.play()
    options: Value = {"streamName": "other", "transition": "switch"}
    viewer.connection.session.send(Command("play2", 0.0, None, (options,), 1).message(), 8)
    viewer.connection.send()
    site.pump()
    assert viewer.infos[-1] == {
        "level": "error",
        "code": "NetStream.Play.Failed",
        "description": "play2 (switch) is not offered: play the other stream instead.",
    }


def test_a_live_stream_has_no_length() -> None:
    site = serve_in_memory()
    assert site.result(site.client().call("getStreamLength", "show")) == (0.0,)


def test_viewers_get_chunks_of_the_size_that_was_announced() -> None:
    site = serve_in_memory(Settings(), care=Care(chunk_size=300))
    show(site)
    viewer = site.play()
    assert viewer.payloads[-6:] == payloads(gop(0))
