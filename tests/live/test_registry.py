"""Which application serves a path, and who is connected."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from twisted.internet.task import Clock

from rtmptwist.live.application import Application
from rtmptwist.live.errors import Refused
from rtmptwist.live.interfaces import EndReason
from rtmptwist.live.refusals import Reason
from rtmptwist.live.registry import Registry, VirtualHost
from rtmptwist.wire.status import StatusCode
from tests.support.live import Bounds, FakePublisher, Settings, Viewer, video
from tests.support.logs import Logs


@dataclass(eq=False)
class FakeConnection:
    address: str


def registry(*names: str, clock: Clock | None = None, bounds: Bounds | None = None) -> Registry:
    """With these applications on every host, and one named `only` on example.org."""
    clock = clock or Clock()
    common = [Application(name, Settings(), clock) for name in names or ("live",)]
    own = Application("only", Settings(), clock, host="example.org")
    hosts = [VirtualHost("", common), VirtualHost("example.org", [own], ["www.example.org"])]
    return Registry(hosts, bounds or Bounds(), clock)


@pytest.mark.parametrize(
    ("path", "application", "rest"),
    [
        ("live", "live", ""),
        ("live/a", "live", "a"),
        ("live/a/b/s", "live", "a/b/s"),
        ("live/vip/s", "live/vip", "s"),
        ("live/vip", "live/vip", ""),
        ("live/vipers/s", "live", "vipers/s"),
    ],
)
def test_the_longest_prefix_serves_a_path(path: str, application: str, rest: str) -> None:
    found, name = registry("live", "live/vip").application("anything", path)
    assert (found.name, name) == (application, rest)


@pytest.mark.parametrize("host", ["example.org", "www.example.org"])
def test_a_known_host_has_its_own_applications(host: str) -> None:
    served = registry()
    assert served.application(host, "only/s")[0].host == "example.org"
    with pytest.raises(Refused, match=f"no application 'live/s' on {host}"):
        served.application(host, "live/s")


@pytest.mark.parametrize("path", ["", "liv", "lives", "other/live", "/live"])
def test_no_application_no_service(path: str) -> None:
    with pytest.raises(Refused) as refused:
        registry().application("", path)
    assert refused.value.status.code is StatusCode.CONNECT_INVALID_APP
    assert refused.value.status.level == "error"
    assert refused.value.status.description.endswith(f"{path!r}.")


def test_a_key_in_the_place_of_an_application_is_cut() -> None:
    with pytest.raises(Refused, match=r"'a/top….{4}' on example.net") as refused:
        registry().application("example.net", "a/topsecretkey")
    assert "topsecret" not in refused.value.status.description


def test_without_a_common_host_unknown_ones_are_refused() -> None:
    served = Registry([VirtualHost("example.org", [])], Bounds(), Clock())
    with pytest.raises(Refused, match="on elsewhere"):
        served.application("elsewhere", "live")


def test_connections_are_counted_in_and_out() -> None:
    served = registry()
    one, other = FakeConnection("192.0.2.1"), FakeConnection("192.0.2.1")
    served.admit(one)
    served.admit(other)
    assert served.connections == {one, other}
    assert (served.meter.connections, served.meter.addresses, served.meter.admitted) == (2, 1, 2)
    for connection in (one, one, other):
        served.leave(connection)
    assert (served.meter.connections, served.meter.addresses, served.meter.admitted) == (0, 0, 2)


def test_one_address_may_not_have_them_all(logs: Logs) -> None:
    served = registry()
    for _ in range(2):
        served.admit(FakeConnection("192.0.2.1"))
    third = FakeConnection("192.0.2.1")
    with pytest.raises(Refused, match=r"2 connections from 192\.0\.2\.1") as refused:
        served.admit(third)
    assert refused.value.status.code is StatusCode.CONNECT_REJECTED
    served.leave(third)
    served.admit(FakeConnection("192.0.2.2"))
    assert served.meter.connections == 3
    assert served.meter.refused == 1
    assert served.meter.refusals[Reason.ADDRESS] == 1
    with pytest.raises(Refused):
        served.admit(third)
    served.sweep()
    assert logs.lines("warn") == [
        "192.0.2.1 refused: 2 connections from 192.0.2.1 are open, which is as many as may be.",
        "1 more refused, from 192.0.2.1: too many connections from one address",
    ]


def test_who_is_banned_is_not_let_in(logs: Logs) -> None:
    served = registry()
    served.banned = {"192.0.2.1": "192.0.2.1 is banned for good.", "192.0.2.2": ""}.__getitem__
    with pytest.raises(Refused, match="is banned for good") as refused:
        served.admit(FakeConnection("192.0.2.1"))
    assert refused.value.status.code is StatusCode.CONNECT_REJECTED
    assert logs.lines("warn") == ["192.0.2.1 refused: 192.0.2.1 is banned for good."]
    served.admit(FakeConnection("192.0.2.2"))
    assert (served.meter.connections, served.meter.refusals[Reason.BANNED]) == (1, 1)


def test_who_guesses_is_not_let_in_for_a_while() -> None:
    """But whoever comes by a trusted proxy, which may hide many others, is."""
    served = registry()
    served.guessing = lambda address: f"{address} guesses."
    with pytest.raises(Refused, match=r"192\.0\.2\.1 guesses\."):
        served.admit(FakeConnection("192.0.2.1"))
    served.admit(FakeConnection("127.0.0.1"))
    assert (served.meter.connections, served.meter.refusals[Reason.GUESSING]) == (1, 1)


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1", "unix"])
def test_trusted_addresses_and_local_sockets_are_exempt(address: str) -> None:
    served = registry()
    for _ in range(10):
        served.admit(FakeConnection(address))
    with pytest.raises(Refused, match="10 connections are open"):
        served.admit(FakeConnection(address))


def test_a_network_of_ipv6_is_one_address() -> None:
    """A customer has 2**64 of them, and so a limit per address was none."""
    served = registry(bounds=Bounds(connections_per_address=2))
    guests = [FakeConnection(f"2001:db8:0:1::{n}") for n in range(1, 4)]
    served.admit(guests[0])
    served.admit(guests[1])
    with pytest.raises(Refused, match="2 connections from 2001:db8:0:1::/64 are open"):
        served.admit(guests[2])
    served.admit(FakeConnection("2001:db8:0:2::1"))
    served.leave(guests[0])
    served.admit(guests[2])


def test_an_untrusted_address_of_the_other_family() -> None:
    served = registry(bounds=Bounds(connections_per_address=0))
    with pytest.raises(Refused):
        served.admit(FakeConnection("2001:db8::1"))


def test_a_sweep_reaches_every_stream() -> None:
    clock = Clock()
    served = registry("live", "other", clock=clock)
    viewer = Viewer()
    application, name = served.application("", "other/s")
    viewer.subscriber = application.subscribe(name, viewer.form, viewer.writer, viewer)
    viewer.resume()
    clock.advance(30)
    served.sweep()
    assert viewer.told == [EndReason.NOT_FOUND]
    assert {app.name for app in served.applications()} == {"live", "other", "only"}


def test_a_stream_that_goes_during_a_sweep_is_left_alone(logs: Logs) -> None:
    served = registry()
    (application, *_) = served.applications()
    first, second = FakePublisher(), FakePublisher()
    inlet = application.publish("a", first, 1)
    other = application.publish("b", second, 2)
    sweeping = served.sweeping()
    next(sweeping)
    stream = application.find("b")
    assert stream is not None
    stream.close("enough")
    assert application.find("b") is None
    stream.sweep = None  # type: ignore[assignment, method-assign]
    assert len(list(sweeping)) == 1
    assert second.reason == "enough"
    inlet.end(release=True)
    other.end()
    assert logs.lines("critical") == []


def test_all_windows_together_have_a_bound() -> None:
    """A publisher with a hundred NetStreams would otherwise take a hundred times window_size."""
    clock = Clock()
    application = Application("live", Settings(window_size=1 << 20), clock)
    registry = Registry([VirtualHost("", [application])], Bounds(windows=100_000), clock)
    inlets = [application.publish(str(n), FakePublisher(), n) for n in range(4)]
    windows = [stream.window for stream in application.streams.values()]

    def feed() -> None:
        for number, inlet in enumerate(inlets):
            for time in range(0, 400, 40):
                inlet.push(video(time, key=not time, size=5_000 if number else 50))

    registry.sweep()
    feed()
    registry.sweep()
    assert sum(window.size for window in windows) <= 100_000
    assert windows[0].size == 500, "who has less than its share loses nothing"
    feed()
    assert max(window.size for window in windows) <= 25_000
    inlets += [application.publish(str(n), FakePublisher(), n) for n in range(4, 12)]
    feed()
    registry.sweep()
    assert sum(stream.window.size for stream in application.streams.values()) <= 100_000
    for inlet in inlets[1:]:
        inlet.end(release=True)
    registry.sweep()
    inlets[0].push(video(4_000, size=60_000))
    assert windows[0].size > 60_000, "alone again, it may keep what it wants"
