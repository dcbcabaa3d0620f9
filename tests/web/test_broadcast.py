"""What happens, told to those who keep the connection open: in order, once, and within bounds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred

from rtmptwist.live.journal import KEPT, Event, EventKind
from rtmptwist.web.api.events import EventView, event_view
from rtmptwist.web.broadcast import HEARTBEAT, MOST, PART, STALL
from rtmptwist.web.house import House
from tests.support.eventstreams import Listener
from tests.support.live import gop, headers
from tests.support.logs import Logs
from tests.support.manned import Manned

Listen = Callable[..., Listener]
STRANGER = IPv4Address("TCP", "192.0.2.9", 1)


@pytest.fixture
def manned(tmp_path: Path, logs: Logs) -> Iterator[Manned]:
    house = Manned(tmp_path)
    yield house
    if house.service.running:
        house.close()


@pytest.fixture
def listen(manned: Manned) -> Iterator[Listen]:
    listeners = list[Listener]()

    def listen(*arguments: str, **options: Any) -> Listener:
        listeners.append(Listener(manned, *arguments, **options))
        return listeners[-1]

    yield listen
    for listener in listeners:
        listener.leave()


def happen(manned: Manned, count: int = 1) -> None:
    for _ in range(count):
        manned.whole.registry.journal.note(EventKind.WARNING, "x" * 100, application="live")


def test_who_comes_publishes_and_leaves(manned: Manned, listen: Listen) -> None:
    listener = listen()
    assert listener.status == 200
    assert b"text/event-stream" in listener.head
    publisher = manned.site.publish("a-secret-that-is-a-name")
    connect, publish = listener.hear()
    assert [connect.kind, publish.kind] == ["connect", "publish"]
    assert [connect.number, publish.number] == [1, 2]
    assert listener.last == "2"
    stream = manned.ask("GET", "streams")[1]["items"][0]
    assert publish.data == {
        "number": publish.number,
        "time": "1970-01-01T00:00:00.000Z",
        "kind": "publish",
        "words": "publishes as anyone",
        "connection": 1,
        "peer": "#1 192.0.2.1:50000",
        "variant": "rtmp",
        "vhost": "",
        "application": "live",
        "stream": stream["id"],
        "name": stream["name"],
        "code": None,
        "turn": None,
    }
    assert "secret" not in json.dumps(publish.data)
    assert (connect.data["stream"], connect.data["name"]) == (None, None)
    publisher.connection.abort()
    manned.site.pump()
    assert [told.kind for told in listener.hear()] == ["unpublish", "disconnect"]


def test_a_kick_is_seen_with_its_reason(manned: Manned, listen: Listen) -> None:
    manned.site.publish()
    listener = listen()
    manned.ask("POST", "connections/1/kick", {"reason": "Enough."})
    manned.site.pump()
    assert [(told.kind, told.data["words"]) for told in listener.hear()] == [
        ("unpublish", "Enough."),
        ("disconnect", "Enough."),
    ]


def test_who_comes_back_reads_on(manned: Manned, listen: Listen) -> None:
    listener = listen()
    happen(manned, 3)
    first = listener.hear()
    listener.leave()
    happen(manned, 2)
    again = listen("", f"Last-Event-ID: {listener.last}")
    second = again.hear()
    assert [told.number for told in first + second] == [1, 2, 3, 4, 5]


def test_who_reads_nothing_new_for_a_while_knows_where_it_is(
    manned: Manned, listen: Listen
) -> None:
    listener = listen("?kinds=connect")
    assert listener.last == "0"
    happen(manned, 3)
    assert listener.seconds(int(HEARTBEAT)) == []
    assert (listener.comments, listener.last) == (1, "3")


def test_a_gap_is_told(manned: Manned, listen: Listen) -> None:
    happen(manned, KEPT + 7)
    listener = listen("", "Last-Event-ID: 2")
    told = listener.hear()
    while more := listener.hear(0):
        told += more
    assert (told[0].kind, told[0].number, told[0].data) == ("gap", 7, {"missed": 5})
    assert [each.number for each in told[1:]] == list(range(8, KEPT + 8))


@pytest.mark.parametrize(("begin", "last"), [(1000, "7"), (1000, "2000")])
def test_what_was_before_a_restart_nobody_knows(
    manned: Manned, listen: Listen, begin: int, last: str
) -> None:
    """Or the clock was set back."""
    journal = manned.whole.registry.journal
    journal.begin = journal.last = begin
    happen(manned)
    listener = listen("", f"Last-Event-ID: {last}")
    assert listener.events[0].data == {"missed": None}
    happen(manned)
    assert listener.hear()[-1].number == 1002


@pytest.mark.parametrize("last", ["x", "-1", "1" * 17, "٣"])
def test_a_number_that_is_none(manned: Manned, listen: Listen, last: str) -> None:
    assert listen("", f"Last-Event-ID: {last}").status == 400


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("", ["connect", "publish", "reload"]),
        ("?kinds=publish", ["publish"]),
        ("?kinds=connect,reload", ["connect", "reload"]),
        ("?application=live", ["connect", "publish", "reload"]),
        ("?application=other", ["reload"]),
        ("?vhost=", ["connect", "publish", "reload"]),
        ("?vhost=a.example", ["reload"]),
    ],
)
def test_filters(manned: Manned, listen: Listen, query: str, kinds: list[str]) -> None:
    listener = listen(query)
    manned.site.publish()
    manned.whole.registry.journal.note(EventKind.RELOAD, "nothing has changed in it")
    assert [told.kind for told in listener.hear()] == kinds
    assert not listener.ended


@pytest.mark.parametrize(
    "query", ["?kinds=", "?kinds=publish,publish", "?kinds=x", "?statistics=yes", "?other=1"]
)
def test_bad_queries(manned: Manned, listen: Listen, query: str) -> None:
    assert listen(query).status == 400


def test_events_are_encoded_once_and_gathered(
    manned: Manned, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    listeners = [listen(query) for query in ("", "", "?application=live", "?application=other")]
    encoded = list[int]()

    def counting(house: House, event: Event) -> EventView:
        encoded.append(event.number)
        return event_view(house, event)

    monkeypatch.setattr("rtmptwist.web.broadcast.event_view", counting)
    happen(manned, 10)
    assert [len(listener.hear()) for listener in listeners] == [10, 10, 10, 0]
    assert encoded == list(range(1, 11))


def test_a_thousand_events_for_one_who_never_reads(
    manned: Manned, listen: Listen, logs: Logs
) -> None:
    lazy, good = listen(), listen()
    happen(manned)
    lazy.hear()
    lazy.stop_reading()
    told = list[int]()
    for _ in range(100):
        happen(manned, 10)
        told += [each.number for each in good.hear() if each.number is not None]
    assert told == list(range(2 if 1 not in told else 1, 1002))
    assert lazy.wire.raw() == b""
    good.seconds(int(STALL))
    assert lazy.wire.transport.disconnecting
    assert len(manned.whole.events.clients) == 1
    assert manned.whole.events.cut == 1
    assert len(logs.about("127.0.0.1 listens to events, and has not read for 30 s")) == 1
    assert "rtmptwist_event_clients_cut_total 1.0" in manned.get("/metrics").body.decode()
    lazy.leave()


def test_who_reads_again_in_time_is_told_what_was_lost(manned: Manned, listen: Listen) -> None:
    listener = listen()
    happen(manned)
    listener.hear()
    listener.stop_reading()
    happen(manned, KEPT + 3)
    assert listener.hear() == []
    listener.read_on()
    told = listener.seconds(1)
    while more := listener.hear(0):
        told += more
    assert (told[0].kind, told[0].data) == ("gap", {"missed": 3})
    assert len(told) == 1 + KEPT


def test_a_storm_is_told_in_parts(
    manned: Manned, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = listen()
    parts = list[int]()
    make = manned.whole.events._part

    def counting(*place: Any) -> tuple[bytes, int]:
        data, after = make(*place)
        parts.append(data.count(b"event:"))
        return data, after

    monkeypatch.setattr(manned.whole.events, "_part", counting)
    happen(manned, PART + 1)
    assert len(listener.hear()) == PART + 1
    assert parts == [PART, 1]


def test_there_may_be_so_many(manned: Manned, listen: Listen) -> None:
    listeners = [listen() for _ in range(MOST)]
    refused = listen()
    assert refused.status == 503
    assert b"Retry-After: 10" in refused.head
    assert f"rtmptwist_event_clients {MOST}.0" in manned.get("/metrics").body.decode()
    for listener in listeners:
        listener.leave()
    assert manned.whole.events.clients == {}
    assert manned.whole.registry.journal.listeners == []
    again = listen()
    assert again.status == 200


def test_logins_as_everywhere(manned: Manned, listen: Listen) -> None:
    assert listen(peer=STRANGER).status == 401


def test_a_head_is_no_stream(manned: Manned, listen: Listen) -> None:
    listener = listen(method="HEAD")
    assert listener.status == 200
    assert manned.whole.events.clients == {}


def test_the_end_of_the_server_is_told(manned: Manned, listen: Listen) -> None:
    manned.site.publish()
    listener, lazy = listen(), listen()
    listener.hear()
    lazy.stop_reading()
    happen(manned, PART + 20)
    manned.stop()
    manned.site.pump()
    listener.hear()
    assert listener.kinds[PART + 20] == "drain"
    assert listener.kinds[-1] == "disconnect"
    assert len(listener.kinds) == PART + 23
    assert listener.ended
    assert manned.whole.events.clients == {}


def test_the_end_without_anything_to_tell(manned: Manned, listen: Listen) -> None:
    listener = listen()
    manned.whole.events.close()
    listener.hear()
    assert (listener.events, listener.ended) == ([], True)


def test_who_is_cut_off_and_gone_in_the_same_moment(
    manned: Manned, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = listen()
    listener.stop_reading()
    monkeypatch.setattr(listener.wire.transport, "abortConnection", listener.leave)
    listener.seconds(int(STALL))
    assert manned.whole.events.clients == {}


def test_a_stream_without_sound_or_picture(manned: Manned, listen: Listen) -> None:
    manned.site.publish()
    (told,) = listen("?statistics=true&kinds=drain").seconds(1)
    (stream,) = told.data["streams"]
    assert (stream["video"], stream["audio"], stream["tracks"]) == (None, None, 0)


def test_statistics_each_second(manned: Manned, listen: Listen) -> None:
    plain, wants = listen(), listen("?statistics=true&kinds=drain")
    publisher = manned.site.publish()
    for message in (*headers(), *gop(0)):
        publisher.send(message)
    viewer = manned.site.play()
    told = wants.seconds(3)
    assert {each.kind for each in told} == {"statistics"}
    assert 2 <= len(told) <= 3
    assert told[-1].number is None
    server, (stream,) = told[-1].data["server"], told[-1].data["streams"]
    assert (server["connections"], server["streams"], server["viewers"]) == (2, 1, 1)
    assert server["by_variant"] == {"rtmp": 2}
    assert stream["id"] == manned.ask("GET", "streams")[1]["items"][0]["id"]
    assert (stream["name"], stream["state"], stream["variant"]) == ("show", "live", "rtmp")
    assert (stream["publisher"], stream["viewers"], stream["tracks"]) == (1, 1, 2)
    assert "statistics" not in plain.kinds
    wants.stop_reading()
    assert wants.seconds(3) == []
    assert viewer.payloads
    plain.leave()


def test_who_leaves_while_statistics_are_made(
    manned: Manned, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: Deferred[None] = Deferred()
    monkeypatch.setattr("rtmptwist.web.broadcast.statistics", lambda _: waiting)
    listener = listen("?statistics=true")
    listener.seconds(3)
    cancelled = list[bool]()
    waiting.addBoth(lambda _: cancelled.append(True))
    listener.leave()
    assert cancelled == [True]
    assert manned.whole.events.clients == {}


def test_statistics_that_fail_are_ours(
    listen: Listen, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    listener = listen("?statistics=true")
    monkeypatch.setattr("rtmptwist.web.broadcast.statistics", lambda _: 1 / 0)
    assert listener.seconds(2) == []
    assert {type(error) for error in logs.forgive()} == {ZeroDivisionError}
