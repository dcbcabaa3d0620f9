"""How lines end, and what must not take too long on them."""

from __future__ import annotations

import pytest

from rtmptwist.net.connection import ServerConnection
from rtmptwist.net.server import Care
from rtmptwist.wire.command import Command
from rtmptwist.wire.limits import Limits
from rtmptwist.wire.message import Message
from tests.net.test_connection import raw, sends, server_of, shaken, wire_of
from tests.support.live import (
    Settings,
    video,
)
from tests.support.logs import Logs
from tests.support.memory import (
    SlowGate,
    Spectator,
    serve_in_memory,
)

pytestmark = pytest.mark.usefixtures("logs")


# ------------------------------------------------------------------------- ends


def test_what_is_no_rtmp_is_told_to_the_log(logs: Logs) -> None:
    site = serve_in_memory()
    server = raw(site, b"GET / HTTP/1.1\r\n\r\n")
    assert server.lost
    (warning,) = logs.lines("warn")
    assert warning.startswith("#1 192.0.2.1:50000: first byte 0x47: an HTTP request")
    (left,) = logs.lines()
    assert "left: first byte 0x47" in left


def test_a_broken_publisher_is_closed_and_its_name_kept_for_it(logs: Logs) -> None:
    site = serve_in_memory()
    publisher = site.publish()
    sends(publisher.connection, *(Message(99, 0, 0, b"") for _ in range(3)))
    site.pump()
    assert publisher.connection.closed
    assert len(logs.lines("warn")) == 1
    stream = site.application.streams["show"]
    assert stream.meter.state == "grace"


def test_a_closed_connection_may_take_its_time_to_read_the_rest() -> None:
    site = serve_in_memory(care=Care(linger=2.0))
    viewer = site.play()
    wire_of(viewer.connection).reading = False
    server_of(viewer.connection).finish("enough")
    site.pass_time(1.5)
    wire_of(viewer.connection).reading = True
    site.pump()
    assert viewer.connection.closed
    assert site.connections == []
    assert site.clock.calls == []  # the time limit is gone with it


def test_a_closed_connection_that_does_not_read_is_aborted(logs: Logs) -> None:
    site = serve_in_memory(care=Care(linger=2.0))
    viewer = site.play()
    connection = server_of(viewer.connection)
    wire_of(viewer.connection).reading = False
    connection.session.ping(0)
    connection.finish("enough")
    connection.finish("twice")
    site.pass_time(1.9)
    assert site.connections == [connection]
    site.pass_time(0.2)
    assert site.connections == []
    assert wire_of(viewer.connection).other.aborted
    assert len(logs.about("left: enough")) == 1
    assert site.clock.calls == []


def test_after_the_end_nothing_is_ended_again(logs: Logs) -> None:
    site = serve_in_memory()
    client = site.client()
    connection = server_of(client)
    client.abort()
    site.pump()
    connection.abort("again")
    connection.finish("again")
    connection.sweep(site.clock.seconds() + 1000)
    site.pump()
    assert len(logs.about("left")) == 1
    assert logs.about("again") == []
    assert site.clock.calls == []


def test_answers_pile_up_for_a_client_that_does_not_read(logs: Logs) -> None:
    site = serve_in_memory(care=Care(waiting_size=100_000))
    client = site.client()
    server = wire_of(client).other
    wire_of(client).reading = False
    for _ in range(30):
        for _ in range(90):
            sends(client, Command("getStreamLength" * 60, 9.0).message())
        site.pass_time(1)
    assert site.connections == []
    assert server.aborted
    (left,) = logs.about("left")
    assert "bytes wait for a peer that does not read" in left


# ------------------------------------------------------------------------- time


def test_half_a_handshake_and_then_silence(logs: Logs) -> None:
    site = serve_in_memory()
    raw(site, b"\x03" + bytes(100))
    site.pass_time(10)
    assert len(site.connections) == 1
    site.pass_time(1)
    assert site.connections == []
    assert len(logs.about("left: no handshake within 10 s")) == 1


def test_a_handshake_and_then_silence(logs: Logs) -> None:
    site = serve_in_memory()
    shaken(site)
    site.pass_time(20)
    assert len(site.connections) == 1
    site.pass_time(1)
    assert site.connections == []
    assert len(logs.about("left: no connect within 20 s")) == 1


def test_a_login_may_take_longer_than_a_client_may() -> None:
    limits = Limits(handshake_timeout=2.0, connect_timeout=2.0)
    gate = SlowGate("login")
    site = serve_in_memory(gate=gate, care=Care(limits=limits))
    connecting = site.connect(timeout=100.0)
    site.pass_time(25)
    gate.decide()
    site.result(connecting)


def test_who_is_silent_is_pinged_and_answers_for_hours() -> None:
    site = serve_in_memory(care=Care(ping_interval=30.0, ping_timeout=30.0))
    viewer = site.play()
    said = wire_of(viewer.connection).history
    before = len(said)
    site.pass_time(29)
    assert len(said) == before
    site.pass_time(3 * 3600)
    assert not viewer.connection.closed
    assert len(said) > before


def test_who_does_not_even_answer_pings_is_dropped_and_its_name_is_free(logs: Logs) -> None:
    site = serve_in_memory(Settings(takeover="reject", grace=0.0))
    publisher = site.publish()
    wire_of(publisher.connection).vanish()
    site.pass_time(59)
    assert len(site.connections) == 1
    site.pass_time(2)
    assert site.connections == []
    (left,) = logs.about("left")
    assert "nothing was heard for too long" in left
    site.publish()


def test_silence_means_nothing_while_we_do_not_read() -> None:
    gate = SlowGate("play")
    care = Care(ping_interval=5.0, ping_timeout=5.0, decision_timeout=100.0)
    site = serve_in_memory(gate=gate, care=care)
    stream = site.stream()
    playing = stream.play("show")
    site.pump()
    site.pass_time(25)
    gate.decide()
    site.result(playing)
    site.pass_time(8)
    assert not stream.connection.closed


def test_too_many_chunks_a_second(logs: Logs) -> None:
    site = serve_in_memory(care=Care(limits=Limits(chunks_per_second=100)))
    publisher = site.publish()
    for _ in range(300):
        publisher.send(video(0))
    site.pump()
    site.pass_time(1)
    assert publisher.connection.closed
    assert len(logs.lines("warn")) == 1
    assert "chunks in 1.0 s" in logs.lines("warn")[0]


# ----------------------------------------------------------------- shutting down


def test_everybody_is_told_that_the_server_stops(logs: Logs) -> None:
    site = serve_in_memory()
    publisher, viewer = Spectator(site.publish()), site.play()
    about: list[str] = []
    for each in (publisher, viewer):
        each.connection.on_status = lambda info: about.append(str(info["code"]))
    gone = [connection.shut_down(3.0) for connection in site.connections]
    site.application.close("the server is shutting down")
    site.pump()
    assert about == ["NetConnection.Connect.AppShutdown"] * 2
    assert viewer.told[-1] == "Play.Stop"
    assert publisher.told == []  # in particular, nothing that OBS would take for a bad name
    assert all(deferred.called for deferred in gone)
    assert len(logs.about("the server is shutting down")) == 3
    assert site.clock.calls == []


def test_who_was_about_to_leave_leaves_sooner_when_the_server_stops() -> None:
    site = serve_in_memory(care=Care(linger=60.0))
    client = site.client()
    connection = server_of(client)
    wire_of(client).reading = False
    connection.session.ping(0)
    connection.finish("enough")
    gone = connection.shut_down(2.0)
    site.pass_time(2.1)
    assert gone.called
    assert connection.shut_down(2.0) is gone


def test_who_has_not_connected_yet_leaves_as_well() -> None:
    site = serve_in_memory()
    raw(site, b"\x03")
    (connection,) = site.connections
    gone = connection.shut_down(2.0)
    site.pump()
    assert gone.called
    assert isinstance(connection, ServerConnection)
