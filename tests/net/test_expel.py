"""A connection is ended by whoever is in charge: its client hears why, whatever it was doing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.net.test_connection import publishes, sends
from tests.support.live import Settings, gop, headers
from tests.support.logs import Logs
from tests.support.memory import OpenGate, SlowGate, Spectator, serve_in_memory

pytestmark = pytest.mark.usefixtures("logs")

WORDS = "Ended by the operator: enough."


def test_a_publisher(logs: Logs) -> None:
    gate = OpenGate()
    site = serve_in_memory(Settings(grace=5), gate=gate)
    publisher = Spectator(site.publish())
    viewer = site.play()
    for message in (*headers(), *gop(0)):
        publisher.stream.send(message)
    site.pump()
    site.connections[0].expel(WORDS)
    site.pump()
    assert publisher.told[-1] == "Publish.Denied"
    assert publisher.infos[-1]["description"] == WORDS
    assert publisher.connection.closed
    assert [usage.reason for usage in gate.ended] == [WORDS]
    assert not viewer.connection.closed
    assert len(logs.about(f"#1 192.0.2.1:50000 left: {WORDS.rstrip('.')}, after")) == 1
    site.publish()  # the name is free


def test_a_viewer() -> None:
    site = serve_in_memory()
    site.publish()
    viewer = site.play()
    site.connections[1].expel(WORDS)
    site.pump()
    assert viewer.told[-1] == "Play.Failed"
    assert viewer.infos[-1]["description"] == WORDS
    assert viewer.connection.closed
    assert len(site.connections) == 1


def test_who_does_several_things_hears_it_on_each() -> None:
    site = serve_in_memory(Settings(grace=0, after_end="close"))
    client = site.client()
    publisher = Spectator(site.publish("one", client))
    itself, other = site.play("one", client), site.play("two", client)
    site.connections[0].expel(WORDS)
    site.pump()
    assert publisher.told[-1] == "Publish.Denied"
    assert itself.told[-1] == "Play.UnpublishNotify"
    assert other.told[-1] == "Play.Failed"
    assert client.closed
    assert site.connections == []


def test_who_does_nothing() -> None:
    site = serve_in_memory()
    client = site.client()
    heard: list[Any] = []
    client.on_status = heard.append
    site.connections[0].expel(WORDS)
    site.pump()
    assert [(info["code"], info["description"]) for info in heard] == [
        ("NetConnection.Connect.Closed", WORDS)
    ]
    assert client.closed


def test_who_is_being_decided_about() -> None:
    gate = SlowGate("publish")
    site = serve_in_memory(gate=gate)
    stream = site.stream()
    sends(stream.connection, publishes())
    site.pump()
    site.connections[0].expel(WORDS)
    site.pump()
    assert gate.cancelled == ["publish live/show"]
    assert site.connections == []


def test_who_has_not_connected_yet(logs: Logs) -> None:
    gate = SlowGate("login")
    site = serve_in_memory(gate=gate)
    site.connect().addErrback(lambda _: None)
    site.connections[0].expel(WORDS)
    site.pump()
    assert site.connections == []
    assert len(logs.about("left: Ended by the operator")) == 1


def test_twice_is_once(logs: Logs) -> None:
    site = serve_in_memory()
    viewer = site.play()
    connection = site.connections[0]
    for _ in range(2):
        connection.expel(WORDS)
    site.pump()
    connection.expel(WORDS)
    assert viewer.told.count("Play.Failed") == 1
    assert len(logs.about("left")) == 1


def test_ids_are_never_used_again() -> None:
    site = serve_in_memory()
    for number in range(1, 4):
        site.client()
        (connection,) = site.connections
        assert connection.id == number
        connection.abort("next")
        site.pump()
