"""A stream as FLV over HTTP, for operators: what is sent, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.address import IPv4Address

from rtmptwist.web.api.openapi import ENDLESS
from rtmptwist.web.httpflv import MOST
from tests.support.live import gop, headers
from tests.support.logs import Logs
from tests.support.manned import Manned
from tests.support.screens import Screen, on_air
from tests.support.web import request
from tests.web.api.test_openapi import DOCUMENT


@pytest.fixture
def manned(tmp_path: Path, logs: Logs) -> Iterator[Manned]:
    house = Manned(tmp_path)
    yield house
    if house.service.running:
        house.close()


def test_what_is_published_is_seen(manned: Manned, logs: Logs) -> None:
    publisher, stream = on_air(manned)
    screen = Screen(manned, stream)
    assert screen.status == 200
    assert b"Content-Type: video/x-flv\r\n" in screen.head
    assert b"Cache-Control: no-store" in screen.head
    assert b"nosniff" in screen.head
    metadata, *media = screen.see()
    assert metadata.payload.startswith(b"\x02\x00\x0aonMetaData")
    published = [*headers(), *gop(0)][1:]
    assert [tag.payload for tag in media] == [message.payload for message in published]
    for message in gop(1000):
        publisher.send(message)
    assert [tag.timestamp for tag in screen.see()] == [m.timestamp for m in gop(1000)]
    (item,) = manned.ask("GET", "streams")[1]["items"]
    assert item["viewers"] == 1
    screen.wire.lose()
    (item,) = manned.ask("GET", "streams")[1]["items"]
    assert item["viewers"] == 0
    (line,) = logs.about("operator loopback watches")
    assert "live/a-s…" in line
    assert logs.about("secret") == []


def test_only_operators_see(manned: Manned) -> None:
    _, stream = on_air(manned)
    stranger = IPv4Address("TCP", "192.0.2.1", 1)
    assert manned.get(f"/api/v1/streams/{stream}/flv", peer=stranger).status == 401
    assert manned.get("/api/v1/streams/0123456789abcdef/flv").status == 404
    (item,) = manned.ask("GET", "streams")[1]["items"]
    assert item["viewers"] == 0


def test_a_look_at_the_head_is_no_viewer(manned: Manned) -> None:
    _, stream = on_air(manned)
    screen = Screen(manned, stream, method="HEAD")
    assert screen.status == 200
    assert screen.see() == []
    (item,) = manned.ask("GET", "streams")[1]["items"]
    assert item["viewers"] == 0
    screen.wire.lose()


def test_the_end_of_the_stream_ends_the_answer(manned: Manned) -> None:
    _, stream = on_air(manned)
    screen = Screen(manned, stream)
    assert screen.see()
    assert manned.ask("POST", f"streams/{stream}/close", {})[0] == 204
    assert screen.see() == []
    assert screen.ended
    screen.wire.say(request("/healthz", b"", method="GET"))  # the connection goes on
    assert b"200 OK" in screen.wire.raw()
    screen.wire.lose()


def test_the_next_publisher_is_seen_as_well(manned: Manned) -> None:
    publisher, stream = on_air(manned)
    screen = Screen(manned, stream)
    assert screen.see()
    publisher.connection.abort()
    assert screen.see() == []
    on_air(manned)
    assert [tag.payload for tag in screen.see()][-1] == gop(0)[-1].payload
    screen.wire.lose()


def test_who_does_not_read_is_left_behind_and_then_cut_off(manned: Manned) -> None:
    publisher, stream = on_air(manned)
    screen = Screen(manned, stream)
    screen.see()
    screen.wire.transport.producer.pauseProducing()
    for message in gop(1000):
        publisher.send(message)
    screen.see()
    for message in gop(2000):
        publisher.send(message)
    assert screen.see() == []
    screen.wire.transport.producer.resumeProducing()
    assert [tag.timestamp for tag in screen.see()][-1] == gop(2000)[-1].timestamp
    screen.wire.transport.producer.pauseProducing()
    for _ in range(12):
        for message in gop(3000):
            publisher.send(message)
        manned.site.pump()
        manned.pass_time(1)
    assert screen.wire.transport.disconnected
    (item,) = manned.ask("GET", "streams")[1]["items"]
    assert item["viewers"] == 0
    screen.wire.lose()


def test_not_all_the_world_watches_there(manned: Manned) -> None:
    _, stream = on_air(manned)
    screens = [Screen(manned, stream) for _ in range(MOST)]
    assert all(screen.status == 200 for screen in screens)
    one_more = manned.get(f"/api/v1/streams/{stream}/flv")
    assert one_more.status == 503
    assert one_more.headers["Retry-After"] == "10"
    assert manned.ask("POST", "reload")[0] == 200
    assert manned.get(f"/api/v1/streams/{stream}/flv").status == 503
    screens.pop().wire.lose()
    screens.append(Screen(manned, stream))
    assert screens[-1].status == 200
    for screen in screens:
        screen.wire.lose()


def test_it_is_described() -> None:
    flv = DOCUMENT["paths"]["/streams/{stream}/flv"]["get"]
    assert flv["tags"] == [ENDLESS]
    assert [*flv["responses"]["200"]["content"]] == ["video/x-flv"]
    assert [parameter["name"] for parameter in flv["parameters"]] == ["stream"]


def test_who_watches_does_not_hold_up_the_end_of_the_server(manned: Manned) -> None:
    _, stream = on_air(manned)
    screen = Screen(manned, stream)
    assert screen.see()
    manned.stop()
    manned.pass_time(10)
    screen.see()
    assert screen.ended
    screen.wire.lose()
    assert manned.reactor.calls == []


def test_an_application_that_lets_nobody_in_any_more_says_so(manned: Manned) -> None:
    _, stream = on_air(manned)
    application, _ = manned.whole.registry.application("", "live")
    application.retire()
    answer = manned.get(f"/api/v1/streams/{stream}/flv")
    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")
    assert b"served no more" in answer.body
