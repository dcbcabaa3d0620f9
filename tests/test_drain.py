"""The end of a server: who is told what, who gets what, and how long it may take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from rtmptwist.amf.values import Value
from rtmptwist.live.access import Account, Visitor
from rtmptwist.live.journal import EventKind
from rtmptwist.net.client import NetConnection, NetStream, Refusal
from rtmptwist.wire.message import Message
from tests.support.live import gop, headers, payloads, video
from tests.support.logs import Logs
from tests.support.manned import Manned
from tests.support.memory import Spectator, result_of
from tests.support.web import request
from tests.test_service import server_of

pytestmark = pytest.mark.usefixtures("logs")

FILE = """
[server]
state = {0}/state
drain = 30s

[listener main]
endpoint = tcp:1935:interface=127.0.0.1

[listener admin]
endpoint = tcp:8080:interface=127.0.0.1
serve = http
api = loopback

[listener tunnels]
endpoint = tcp:8081
serve = rtmpt

[app live]
publish = anyone
grace = 10s
wait = 1h
stall_timeout = 1h

[app room]
publish = anyone
"""

STOPS = "The server is about to stop: please connect again in a moment."


class Leaving(Manned):
    """A server that is being left."""

    def __init__(self, folder: Path, text: str = FILE) -> None:
        super().__init__(folder, text)
        self.stopping: Deferred[Any] | None = None
        reactor: Any = self.reactor
        reactor.stop = self.halt

    def halt(self) -> None:
        self.stopping = self.stop()

    def leave(self) -> None:
        """As SIGTERM does."""
        self.service.leave("SIGTERM")
        self.ticks()

    def ticks(self, seconds: float = 0.2) -> None:
        """Time passes, in steps in which nothing is missed."""
        for _ in range(round(seconds * 20)):
            self.reactor.advance(0.05)
            self.site.pump()

    def stopped(self) -> bool:
        """All of it."""
        assert self.stopping is not None
        return bool(self.stopping.called)

    def close(self) -> None:
        if self.stopping is None:
            self.stop()
        self.service.leave("SIGINT")
        self.ticks(4)
        assert self.reactor.calls == []


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Leaving]:
    house = Leaving(tmp_path)
    yield house
    house.close()


def on_air(house: Leaving, name: str = "show") -> tuple[Spectator, Spectator]:
    """A publisher and a viewer who has the first GOP."""
    publisher, viewer = Spectator(house.site.publish(name)), house.site.play(name)
    feed(house, publisher, *headers(), *gop(0))
    return publisher, viewer


def gone(guest: Spectator) -> bool:
    """Whether its connection is closed."""
    return guest.connection.closed


def feed(house: Leaving, publisher: Spectator | NetStream, *messages: Message) -> None:
    stream = publisher if isinstance(publisher, NetStream) else publisher.stream
    for message in messages:
        stream.send(message)
    house.site.pump()


def codes_of(connection: NetConnection) -> list[dict[str, Value]]:
    """Where statuses about a connection will stand."""
    infos: list[dict[str, Value]] = []
    connection.on_status = infos.append
    return infos


def refusal(house: Leaving, url: str = "", **options: Any) -> Refusal:
    """What a newcomer reads."""
    error = house.site.failure(house.site.connect(url, **options))
    assert isinstance(error, Refusal)
    return error


# --------------------------------------------------------------------------- publications


def test_publications_end_with_whole_gops(house: Leaving, logs: Logs) -> None:
    publisher, viewer = on_air(house)
    told = codes_of(viewer.connection)
    house.leave()
    feed(house, publisher, video(120), video(160))
    house.ticks(10)
    assert not gone(publisher)
    assert logs.about("publications that end with their next key frame, within 24.0 s: 1")
    before = len(viewer.payloads)
    feed(house, publisher, video(200), *gop(240))
    assert viewer.payloads[before:] == payloads([video(200)])
    assert viewer.told[-1] == "Play.UnpublishNotify"
    house.ticks()
    assert [info["code"] for info in told] == ["NetConnection.Connect.AppShutdown"]
    assert gone(publisher)
    assert gone(viewer)
    assert house.stopped()


def test_each_stream_has_its_own_end(house: Leaving) -> None:
    """Nobody waits for the key frames of others."""
    publisher, viewer = on_air(house)
    other_publisher, other_viewer = on_air(house, "other")
    house.leave()
    feed(house, publisher, *gop(120))
    house.ticks()
    assert gone(publisher)
    assert gone(viewer)
    assert viewer.payloads[-6:] == payloads(gop(0))
    feed(house, other_publisher, video(120))
    assert not gone(other_viewer)
    house.ticks(24)
    assert other_viewer.payloads[-1:] == payloads([video(120)])
    assert gone(other_viewer)
    assert house.stopped()


def test_who_has_nothing_to_expect_leaves_at_once(house: Leaving) -> None:
    idle, early = house.site.client(), house.site.play("none")
    publisher, _ = on_air(house)
    house.leave()
    assert idle.closed
    assert gone(early)
    assert early.told[-1:] == ["Play.Stop"]
    assert not gone(publisher)


def test_a_crowd_is_told_with_breaks(house: Leaving, monkeypatch: pytest.MonkeyPatch) -> None:
    """In which the media of others is heard."""
    pauses: list[float] = []

    def pause(clock: Any, seconds: float) -> Deferred[None]:
        pauses.append(seconds)
        return deferLater(clock, seconds)

    monkeypatch.setattr("rtmptwist.drain.SLICE", 2)
    monkeypatch.setattr("rtmptwist.drain.deferLater", pause)
    publisher, viewer = on_air(house)
    crowd = [house.site.client() for _ in range(5)]
    house.leave()
    assert pauses[:4] == [0, 0, 0.05, 0.05]
    assert all(client.closed for client in crowd)
    feed(house, publisher, video(120), *gop(160))
    assert viewer.payloads[-1:] == payloads([video(120)])


def test_a_publisher_who_is_away_does_not_keep_its_viewers(house: Leaving) -> None:
    publisher, viewer = on_air(house)
    publisher.connection.abort()
    house.site.pump()
    house.leave()
    assert viewer.told[-2:] == ["Play.UnpublishNotify", "Play.Stop"]
    assert house.stopped()


def test_who_is_slow_gets_all_of_it(house: Leaving) -> None:
    publisher, viewer = on_air(house)
    transport: Any = viewer.connection.transport
    transport.reading = False
    feed(house, publisher, *(video(120 + n, size=100_000) for n in range(20)))
    house.leave()
    feed(house, publisher, video(160, key=True))
    house.ticks(10)
    assert gone(publisher)
    assert not gone(viewer)
    assert viewer.told[-1] == "Play.PublishNotify"
    transport.reading = True
    house.site.pump()
    assert viewer.payloads[-20:] == payloads([video(120 + n, size=100_000) for n in range(20)])
    house.ticks()
    assert viewer.told[-2:] == ["Play.UnpublishNotify", "Play.Stop"]
    assert house.stopped()


def test_who_takes_nothing_has_to_go_when_the_time_is_over(house: Leaving, logs: Logs) -> None:
    publisher, viewer = on_air(house)
    transport: Any = viewer.connection.transport
    house.leave()
    transport.reading = False
    feed(house, publisher, *(video(120 + n, size=100_000) for n in range(20)), *gop(200))
    house.ticks(29.5)
    assert logs.about("viewers who do not get all of it: 1") == []
    assert not house.stopped()
    house.ticks(2)
    assert logs.about("viewers who do not get all of it: 1")
    assert house.stopped()


# --------------------------------------------------------------------------- newcomers


def test_newcomers_read_why_and_keep_what_they_were_promised(house: Leaving, logs: Logs) -> None:
    publisher, _ = on_air(house)
    house.leave()
    error = refusal(house)
    assert (error.code, error.description) == ("NetConnection.Connect.Rejected", STOPS)
    assert error.info.get("ex") is None
    assert logs.about(f"connect refused: NetConnection.Connect.Rejected: {STOPS}")
    assert not gone(publisher)


def test_nobody_begins_anything(house: Leaving) -> None:
    publisher, _ = on_air(house)
    more, other = (house.site.stream(publisher.connection) for _ in range(2))
    house.leave()
    for attempt in (more.publish("another"), other.play("show")):
        error = house.site.failure(attempt)
        assert isinstance(error, Refusal)
        assert error.description == STOPS
    assert not gone(publisher)


@pytest.mark.parametrize(
    ("template", "url", "wanted"),
    [
        ("rtmp://b.example.org/{app}", "rtmp://h/live", "rtmp://b.example.org/live"),
        ("rtmps://b.example:4430/x/{app}", "rtmp://h/room/1", "rtmps://b.example:4430/x/room/1"),
        ("rtmp://b.example.org/all", "rtmp://h/live", "rtmp://b.example.org/all"),
        (
            "rtmp://b.example.org/{app}",
            "rtmp://h/live?user=anna&password=a%26b",
            "rtmp://b.example.org/live?password=a%26b&user=anna",
        ),
    ],
)
def test_newcomers_are_sent_elsewhere(
    tmp_path: Path, template: str, url: str, wanted: str, logs: Logs
) -> None:
    text = FILE.replace(
        "drain = 30s", "drain = 30s\ndrain_to = " + template.replace("{", "{{").replace("}", "}}")
    )
    house = Leaving(tmp_path, text)
    on_air(house)
    house.leave()
    error = refusal(house, url)
    assert error.code == "NetConnection.Connect.Rejected"
    assert error.info["ex"] == {"code": 302.0, "redirect": wanted}
    assert error.description.startswith("The server is about to stop: please go to rtmp")
    assert "anna" not in error.description
    assert logs.about("anna") == []
    house.close()


def test_a_login_that_takes_its_time_comes_too_late(
    house: Leaving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is about to be let in when it begins has nothing to expect, and leaves."""
    waiting: Deferred[None] = Deferred()
    login = house.gate.login

    async def slow(visitor: Visitor) -> Account:
        await waiting
        return await login(visitor)

    on_air(house)
    monkeypatch.setattr(house.gate, "login", slow)
    attempt = house.site.connect()
    house.leave()
    assert not attempt.called
    waiting.callback(None)
    client = house.site.result(attempt)
    house.ticks()
    assert client.closed


def test_tunnels_are_opened_no_more(house: Leaving) -> None:
    on_air(house)
    house.leave()
    wire = house.wire(2)
    wire.say(request("/open/1"))
    (answer,) = wire.hear()
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    wire.lose()


# --------------------------------------------------------------------------- moving on


def test_who_can_is_asked_to_connect_elsewhere(tmp_path: Path, logs: Logs) -> None:
    text = FILE.replace("drain = 30s", "drain = 30s\ndrain_to = rtmp://b.example.org/{{app}}")
    house = Leaving(tmp_path, text)
    told = []
    for capabilities in (1.0, 15.0, 14.0, 0.0, float("nan"), -1.0, 1e300, "1", None):
        client = house.site.client(properties={"capsEx": capabilities})
        told.append(codes_of(client))
        stream = house.site.stream(client)
        house.site.result(stream.play("show"))
    feed(house, house.site.publish(), *headers(), *gop(0))
    house.leave()
    asked = {
        "level": "status",
        "code": "NetConnection.Connect.ReconnectRequest",
        "description": "The server is about to stop: please connect anew.",
        "tcUrl": "rtmp://b.example.org/live",
    }
    assert told == [[asked], [asked], *[[]] * 7]
    assert logs.about("clients asked to connect elsewhere: 2")
    house.close()


def test_who_was_asked_has_time_for_it(house: Leaving, logs: Logs) -> None:
    publisher, viewer = on_air(house)
    mover = house.site.client(properties={"capsEx": 1.0})
    told = codes_of(mover)
    house.leave()
    assert "tcUrl" not in told[0], "by the one that it knows"
    feed(house, publisher, *gop(120))
    assert not gone(viewer)
    assert logs.about("key frame") == []
    mover.abort()
    house.ticks()
    assert logs.about("publications that end with their next key frame, within")
    feed(house, publisher, *gop(240))
    assert viewer.payloads[-6:] == payloads(gop(120))


def test_who_was_asked_and_does_not_go_is_told_like_all(house: Leaving) -> None:
    mover = house.site.client(properties={"capsEx": 1.0})
    told = codes_of(mover)
    house.leave()
    house.ticks(9)
    assert not mover.closed
    house.ticks(2)
    assert told[-1]["code"] == "NetConnection.Connect.AppShutdown"
    assert house.stopped()


# --------------------------------------------------------------------------- load balancers


def test_load_balancers_see_it_at_once_and_have_time_for_it(house: Leaving, logs: Logs) -> None:
    publisher, viewer = on_air(house)
    assert house.get("/readyz").status == 200
    house.pass_time(20)
    house.leave()
    answer = house.get("/readyz")
    assert (answer.status, answer.body) == (503, b"about to stop\n")
    assert house.get("/healthz").status == 200
    server = house.ask("GET", "server")[1]
    assert (server["ready"], server["draining"]) == (False, True)
    assert logs.about("nothing is cut for 10.0 s")
    feed(house, publisher, *gop(120))
    house.ticks(9)
    assert not gone(publisher)
    house.ticks(2)
    feed(house, publisher, *gop(240))
    house.ticks()
    assert viewer.payloads[-6:] == payloads(gop(120))
    assert house.stopped()


def test_where_nobody_looks_any_more_nobody_has_to_wait(house: Leaving, logs: Logs) -> None:
    on_air(house)
    house.get("/readyz")
    house.pass_time(61)
    house.leave()
    assert logs.about("nothing is cut") == []
    assert logs.about("end with their next key frame")


def test_when_all_have_left_the_notice_is_over(house: Leaving) -> None:
    client = house.site.client()
    house.get("/readyz")
    house.leave()
    assert not house.stopped()
    client.abort()
    house.ticks()
    assert house.stopped()


# --------------------------------------------------------------------------- hurry, and other ends


def test_the_second_signal_skips_the_waiting(house: Leaving, logs: Logs) -> None:
    publisher, viewer = on_air(house)
    house.leave()
    assert not house.stopped()
    house.service.leave("SIGINT")
    house.ticks()
    assert logs.about("SIGINT again: nobody is waited for any more")
    assert house.stopped()
    assert gone(publisher)
    assert gone(viewer)
    assert viewer.payloads[-6:] == payloads(gop(0))


def test_the_second_request_does_not(house: Leaving) -> None:
    on_air(house)
    for _ in range(2):
        assert house.ask("POST", "drain") == (202, None)
        house.ticks()
    assert not house.stopped()


def test_a_reactor_that_is_stopped_by_others_does_the_same(house: Leaving) -> None:
    publisher, viewer = on_air(house)
    house.halt()
    house.ticks()
    assert house.get("/readyz").status == 503
    assert refusal(house).description == STOPS
    feed(house, publisher, *gop(120))
    house.ticks()
    assert viewer.payloads[-6:] == payloads(gop(0))
    assert house.stopped()


def test_it_is_an_event(house: Leaving) -> None:
    on_air(house)
    house.leave()
    _, events = house.whole.registry.journal.since(0)
    assert [event.words for event in events if event.kind is EventKind.DRAIN] == [
        "the server stops"
    ]


def test_no_other_configuration_comes_in_between(house: Leaving) -> None:
    on_air(house)
    house.leave()
    status, problem = house.ask("POST", "reload")
    assert status == 409
    assert problem["errors"] == ["the server is about to stop, or has not started"]


def test_whatever_is_wrong_with_a_phase_the_server_stops(
    house: Leaving, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    _, viewer = on_air(house)

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("rtmptwist.drain.ask_to_reconnect", broken)
    house.leave()
    house.ticks(30)
    assert house.stopped()
    assert gone(viewer)
    (error,) = logs.forgive()
    assert isinstance(error, ZeroDivisionError)


def test_whatever_is_wrong_with_one_client_the_others_are_told(
    house: Leaving, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    clients = [house.site.client() for _ in range(3)]
    told = [codes_of(client) for client in clients]

    def broken(_: float) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(server_of(house, clients[1]), "shut_down", broken)
    house.leave()
    assert [len(infos) for infos in told] == [1, 0, 1]
    house.ticks(32)
    assert house.stopped()
    assert {type(bug) for bug in logs.forgive()} == {ZeroDivisionError}
    clients[1].abort()
    house.site.pump()


def test_who_starts_again_lets_everybody_in(house: Leaving) -> None:
    house.leave()
    assert house.stopped()
    assert house.stopping is not None
    result_of(house.stopping)
    house.stopping = None
    house.start()
    on_air(house)
    (tunnels,) = house.whole.tunnels
    assert not tunnels.leaving
    assert not house.whole.draining
