"""Figures of connections: they are those of the network, and sums are those of their parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rtmptwist.live.access import Action
from rtmptwist.live.ledger import Page
from rtmptwist.net.census import Census, measure, publisher_of, viewers_of
from rtmptwist.wire.handshake import HandshakeKind
from tests.support.live import gop, headers
from tests.support.memory import MemorySite, SlowGate, host, serve_in_memory

HANDSHAKE = 1 + 1536 + 1536


def crowd() -> tuple[MemorySite, Census]:
    """Two applications."""
    site = serve_in_memory(hosts=lambda clock: [host("", "live", "other", clock=clock)])
    return site, Census(site.registry, site.clock.seconds())


def test_a_publisher_and_a_viewer() -> None:
    site, census = crowd()
    site.clock.advance(5)
    publisher, viewer = site.publish(), site.play()
    for message in [*headers(), *gop(0)]:
        publisher.send(message)
    site.pump()
    site.pass_time(1)
    one, other = map(measure, census.connections())
    assert (one.id, one.address, one.variant, one.handshake) == (1, "192.0.2.1", "rtmp", "digest")
    assert (one.state, one.account, one.agent) == (
        "connected",
        "guest",
        "FMLE/3.0 (compatible; rtmptwist)",
    )
    assert one.application is site.application
    assert (one.since, one.waiting, one.stalls, one.tcp) == (5.0, 0, 0, None)
    assert one.bitrate_in.second == one.bytes_in * 8 > 0
    assert one.bitrate_out.minute == one.bytes_out * 8 > 0
    (publishes,) = one.uses
    assert (publishes.action, publishes.shown, publishes.name) == (
        Action.PUBLISH,
        "live/show",
        "show",
    )
    assert (publishes.messages, publishes.dropped, publishes.viewer) == (9, 0, None)
    (plays,) = other.uses
    assert (plays.action, plays.message_stream_id, plays.account) == (Action.PLAY, 1, "guest")
    assert plays.viewer is not None
    assert (plays.viewer.state, plays.viewer.first_frame) == ("flowing", 0.0)
    assert plays.bytes > publishes.bytes > 0
    stream = site.application.streams["show"]
    source = publisher_of(stream)
    assert source is not None
    assert source.id == one.id
    assert [connection.id for connection in viewers_of(stream)] == [other.id]
    viewer.connection.abort()
    publisher.connection.abort()
    site.pump()
    assert publisher_of(stream) is None


def test_the_way_and_the_handshake_are_told() -> None:
    site = serve_in_memory(versions=frozenset({6, 8, 9}), variant="rtmpe").speak("rtmpe")
    site.client()
    (connection,) = site.connections
    meter = measure(connection)
    assert (meter.variant, meter.handshake, meter.uses) == ("rtmpe", "rtmpe", ())


def test_somebody_who_has_said_nothing_yet() -> None:
    site = serve_in_memory(gate=SlowGate("login"))
    opening = site.connect()
    (connection,) = site.connections
    meter = measure(connection)
    assert (meter.application, meter.account, meter.agent, meter.certificate) == (None, "", "", "")
    assert meter.handshake == HandshakeKind.DIGEST.value
    census = Census(site.registry, 0.0)
    assert census.traffic([connection]) == {}
    connection.abort("enough")
    site.pump()
    assert census.traffic([])[Page("", "", "rtmp")].connections == 1
    site.failure(opening)


STEPS = st.lists(
    st.tuples(st.sampled_from(["publish", "play", "feed", "leave", "wait"]), st.integers(0, 5)),
    max_size=25,
)


@settings(deadline=None, max_examples=40)
@given(steps=STEPS)
def test_sums_are_those_of_their_parts(steps: list[tuple[str, int]]) -> None:
    """Whoever comes and goes: what is told is what went over the network, and never shrinks."""
    site, census = crowd()
    guests: list[Any] = []
    seen = (0, 0, 0)

    def publish(number: int) -> None:
        url = site.url if number % 2 else site.url.replace("/live", "/other")
        guests.append(site.publish(f"name{len(guests)}", site.client(url)))

    def play(number: int) -> None:
        guests.append(site.play(f"name{number}").stream)

    def feed(number: int) -> None:
        if guests:
            for message in [*headers(), *gop(0)]:
                guests[number % len(guests)].send(message)

    def leave(number: int) -> None:
        if guests:
            guests.pop(number % len(guests)).connection.abort()

    def wait(number: int) -> None:
        site.pass_time(number)

    acts: dict[str, Callable[[int], None]] = {
        "publish": publish,
        "play": play,
        "feed": feed,
        "leave": leave,
        "wait": wait,
    }
    for step, number in steps:
        acts[step](number)
        site.pump()
        census.sweep(site.clock.seconds())
        here = census.connections()
        total = census.total(census.traffic(here))
        now = (total.connections, total.bytes_in, total.bytes_out)
        servers = [t for t in site.transports if t.protocol.__class__.__name__ != "NetConnection"]
        assert total.bytes_out == sum(len(t.history) for t in servers)
        assert total.bytes_in == sum(len(t.other.history) - HANDSHAKE for t in servers)
        assert all(new >= old for new, old in zip(now, seen, strict=True))
        seen = now
        for application in site.registry.applications():
            meter = application.meter
            streams = application.streams.values()
            assert meter.bytes_in >= sum(stream.meter.bytes_in for stream in streams)
            uses = [use for c in here for use in measure(c).uses if use.application is application]
            viewing = [use for use in uses if use.action is Action.PLAY]
            assert len(viewing) == sum(stream.meter.viewers for stream in streams)
            assert meter.bytes_out >= sum(use.bytes for use in viewing)


def test_rates_of_all() -> None:
    site, census = crowd()
    assert census.bitrates[0].second == 0
    publisher = site.publish()
    for message in [*headers(), *gop(0)]:
        publisher.send(message)
    site.pump()
    site.clock.advance(1)
    census.sweep(site.clock.seconds())
    total = census.total(census.traffic(census.connections()))
    received, sent = census.bitrates
    assert (received.second, sent.second) == (total.bytes_in * 8, total.bytes_out * 8)


def test_who_only_waits_has_no_rates() -> None:
    """They take 2.6 KB, which thousands of idle connections need not have."""
    site, census = crowd()
    site.stream()
    site.publish()
    site.pass_time(2)
    idle, busy = census.connections()
    assert (idle._throughput, measure(idle).bitrate_in.minute) == (None, 0)
    assert measure(busy).bitrate_in.minute > 0
