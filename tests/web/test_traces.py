"""Traces by the API: what a connection says, in words, for those who may know."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from twisted.internet.protocol import Factory, Protocol

from rtmptwist.web import traces
from tests.support.live import audio, gop, headers
from tests.support.logs import Logs
from tests.support.manned import FILE, Manned
from tests.support.memory import failure_of

MEANT = "X-Requested-With: test"


@pytest.fixture
def manned(tmp_path: Path, logs: Logs) -> Iterator[Manned]:
    house = Manned(tmp_path)
    yield house
    house.close()


def begin(manned: Manned, number: int, seconds: float = 5) -> Any:
    status, view = manned.ask("POST", f"connections/{number}/trace", {"seconds": seconds})
    assert status == 200, view
    return view


def test_a_publisher_is_traced(manned: Manned, logs: Logs) -> None:
    publisher = manned.site.publish("secret-stream-key")
    assert manned.ask("GET", "connections/1/trace")[0] == 404
    view = begin(manned, 1)
    assert (view["lines"], view["newest"], view["running"], view["here"]) == ([], 0, True, True)
    assert view["steps"][-1]["words"] == "NetStream.Publish.Start"
    for message in (*headers(), *gop(0), audio(90)):
        publisher.send(message)
    refused = publisher.connection.call("hello", "anna")
    manned.site.pump()
    assert "Method not found" in str(failure_of(refused))
    view = manned.ask("GET", "connections/1/trace")[1]
    lines = view["lines"]
    assert lines[0]["words"] == 'data @setDataFrame "onMetaData" {width: 640}'
    assert lines[0]["way"] == "received"
    key = next(line for line in lines if line["key"])
    assert (key["kind"], key["frame"], key["timestamp"], key["message_stream"]) == (
        "video",
        True,
        0,
        1,
    )
    assert 'hello 3 null "… 4 characters"' in [line["words"] for line in lines]
    refusal = lines[-1]
    assert (refusal["way"], refusal["kind"], refusal["frame"]) == ("sent", "command", False)
    assert "NetConnection.Call.Failed" in refusal["words"]
    assert [line["number"] for line in lines] == list(range(1, len(lines) + 1))
    assert view["newest"] == len(lines)
    last = manned.ask("GET", f"connections/1/trace?after={len(lines) - 1}")[1]["lines"]
    assert last == [refusal]
    assert len(manned.ask("GET", "connections/1/trace?limit=2")[1]["lines"]) == 2
    assert manned.ask("GET", "connections/1/trace?after=999")[1]["lines"] == []
    assert logs.about("operator loopback traces #1 192.0.2.1:50000 for 5 s")
    assert "secret" not in str(view)


def test_it_ends_in_time_and_may_go_on(manned: Manned) -> None:
    publisher = manned.site.publish()
    begin(manned, 1, 2)
    manned.pass_time(1)
    begin(manned, 1, 3)
    manned.pass_time(2)
    assert manned.ask("GET", "connections/1/trace")[1]["running"]
    manned.pass_time(2)
    assert not manned.ask("GET", "connections/1/trace")[1]["running"]
    publisher.send(audio(0))
    manned.site.pump()
    assert manned.ask("GET", "connections/1/trace")[1]["newest"] == 0
    begin(manned, 1)
    publisher.send(audio(0))
    manned.site.pump()
    assert manned.ask("GET", "connections/1/trace")[1]["newest"] == 1


def test_it_outlives_its_connection(manned: Manned) -> None:
    publisher = manned.site.publish()
    begin(manned, 1)
    publisher.connection.transport.write(b"\xff" * 20)  # type: ignore[union-attr]
    manned.site.pump()
    view = manned.ask("GET", "connections/1/trace")[1]
    assert (view["here"], view["running"]) == (False, False)
    assert view["steps"][-1]["words"].startswith("chunk stream 63 begins with type 3")
    assert manned.ask("GET", "connections/1")[0] == 404
    assert manned.ask("GET", "connections/1/trace")[1] == view


def test_what_is_illegal_is_told(manned: Manned) -> None:
    publisher = manned.site.publish()
    begin(manned, 1)
    message = audio(0)
    message.payload = b"\xaf"
    publisher.send(message)
    manned.site.pump()
    (line,) = manned.ask("GET", "connections/1/trace")[1]["lines"]
    assert line["words"] == "audio, 1 bytes !!! mp4a: 1 bytes (expected 2 at least)"
    assert not line["frame"]


def test_it_has_bounds(manned: Manned, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "RATE", 5)
    monkeypatch.setattr(traces, "LINES", 8)
    publisher = manned.site.publish()
    begin(manned, 1)
    manned.pass_time(1)
    for number in range(9):
        publisher.send(audio(number))
    manned.site.pump()
    manned.pass_time(1)
    for number in range(4):
        publisher.send(audio(number))
    manned.site.pump()
    view = manned.ask("GET", "connections/1/trace")[1]
    assert view["newest"] == 10
    told = [line["words"] for line in view["lines"]]
    assert told.count("4 messages were left out") == 1
    assert len(told) == 8
    assert view["lines"][told.index("4 messages were left out")]["timestamp"] is None


def test_only_some_at_a_time(manned: Manned, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "TRACES", 2)
    for _ in range(3):
        manned.site.client()
    begin(manned, 1, 2)
    begin(manned, 2, 4)
    status, problem = manned.ask("POST", "connections/3/trace", {})
    assert (status, problem["detail"]) == (409, "2 connections are traced already.")
    manned.pass_time(3)
    begin(manned, 3, 2)
    assert manned.ask("GET", "connections/1/trace")[0] == 404


def test_who_has_left_takes_no_place(manned: Manned, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "TRACES", 1)
    first = manned.site.client()
    manned.site.client()
    begin(manned, 1, 60)
    first.transport.loseConnection()  # type: ignore[union-attr]
    manned.site.pump()
    begin(manned, 2, 2)
    assert manned.ask("GET", "connections/1/trace")[0] == 404


def test_operators_of_all_ports_share_it_and_a_reload_does_not_end_it(tmp_path: Path) -> None:
    second = """
        [listener desk]
        endpoint = tcp:8082:interface=127.0.0.1
        serve = http
        api = loopback
    """
    manned = Manned(tmp_path, FILE + dedent(second))
    publisher = manned.site.publish()
    (connection,) = manned.site.connections
    writer = connection.writer
    begin(manned, 1, 2)
    path, lines = "/api/v1/connections/1/trace", ("Content-Type: application/json", MEANT)
    body = b'{"seconds": 4}'
    assert manned.get(path, *lines, method="POST", body=body, listener=3).status == 200
    assert manned.ask("POST", "reload")[0] == 200
    manned.pass_time(3)
    publisher.send(audio(0))
    manned.site.pump()
    for listener in (1, 3):
        view = json.loads(manned.get(path, listener=listener).body)
        assert (view["running"], view["newest"]) == (True, 1)
    manned.pass_time(2)
    assert connection.writer is writer
    manned.close()


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("connections/9/trace", {}, 404),
        ("connections/x/trace", {}, 404),
        ("connections/1/trace", {"seconds": 0}, 400),
        ("connections/1/trace", {"seconds": 601}, 400),
        ("connections/1/trace", {"second": 1}, 400),
        ("connections/1/trace", {"seconds": "1"}, 400),
    ],
)
def test_what_cannot_be_traced(manned: Manned, path: str, body: Any, status: int) -> None:
    manned.site.client()
    assert manned.ask("POST", path, body)[0] == status
    assert manned.ask("GET", "connections/x/trace")[0] == 404


def test_before_its_handshake_there_is_nothing_to_hear(manned: Manned) -> None:
    manned.site.endpoint().connect(Factory.forProtocol(Protocol))
    manned.site.transports[-1].write(b"\x03")
    manned.site.pump()
    assert manned.ask("POST", "connections/1/trace", {})[0] == 409
    manned.pass_time(15)
