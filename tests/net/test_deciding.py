"""Questions and their answers: in order, within time, and in words."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionClosed

from rtmptwist.live.errors import Refused
from rtmptwist.net.client import Refusal
from rtmptwist.net.server import Care
from rtmptwist.wire import control
from rtmptwist.wire.command import Command
from rtmptwist.wire.control import Acknowledgement
from rtmptwist.wire.status import StatusCode
from tests.net.test_connection import (
    CONNECT,
    on,
    plays,
    publishes,
    sends,
    server_of,
    shaken,
    wire_of,
)
from tests.support.live import (
    gop,
    headers,
    metadata,
    payloads,
    stored,
)
from tests.support.logs import Logs
from tests.support.memory import (
    OpenGate,
    SlowGate,
    StrictGate,
    serve_in_memory,
)

pytestmark = pytest.mark.usefixtures("logs")


# ------------------------------------------------------------ who is not let in


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        ("rtmp://h/other", StatusCode.CONNECT_INVALID_APP, "There is no application 'other' on h."),
        ("rtmp://h/", StatusCode.CONNECT_INVALID_APP, "the application name is empty"),
        ("rtmp://h/a/../b", StatusCode.CONNECT_INVALID_APP, 'has a part ".."'),
    ],
)
def test_no_such_application(url: str, code: StatusCode, words: str, logs: Logs) -> None:
    site = serve_in_memory()
    error = site.failure(site.connect(url))
    assert isinstance(error, Refusal)
    assert error.code == code
    assert words in error.description
    assert site.connections == []
    refused, left = logs.lines()
    assert refused.startswith(f"#1 192.0.2.1:50000: connect refused: {code}: ")
    assert words.rstrip(".") in left


def test_a_flood_of_refused_logins_does_not_flood_the_log(logs: Logs) -> None:
    site = serve_in_memory(gate=StrictGate(login=Refused(StatusCode.CONNECT_REJECTED, "Not you.")))
    for _ in range(50):
        assert isinstance(site.failure(site.connect()), Refusal)
    assert len(logs.about("connect refused")) == len(logs.about("left: Not you")) == 20
    site.registry.sweep()
    assert len(logs.about("30 more refused, from 192.0.2.1: connect was refused")) == 1
    assert site.registry.meter.refused == 50


def test_who_is_refused_is_closed_whether_or_not_it_reads() -> None:
    """librtmp does nothing on an _error without a close."""
    site = serve_in_memory(gate=StrictGate(login=Refused(StatusCode.CONNECT_REJECTED, "Not you.")))
    server, _ = shaken(site, CONNECT)
    assert server.lost
    server, session = shaken(site)
    server.other.reading = False
    session.send(CONNECT.message(), 3)
    server.other.write(session.data_to_send())
    site.pump()
    assert not server.lost
    site.pass_time(4.9)
    assert not server.lost
    site.pass_time(0.2)
    assert server.aborted
    assert site.clock.calls == []


def test_publishing_is_refused_and_that_was_all_it_did(logs: Logs) -> None:
    gate = StrictGate(publish=Refused(StatusCode.PUBLISH_DENIED, "Not you."))
    site = serve_in_memory(gate=gate)
    stream = site.stream()
    error = site.failure(stream.publish("show"))
    assert isinstance(error, Refusal)
    assert (error.code, error.description) == ("NetStream.Publish.Denied", "Not you.")
    assert stream.connection.closed
    assert site.connections == []
    assert site.clock.calls == []
    (line,) = logs.about("refused")
    assert line == "#1 192.0.2.1:50000: publish refused: NetStream.Publish.Denied: Not you."


def test_publishing_is_refused_on_a_connection_that_does_other_things() -> None:
    gate = StrictGate(publish=Refused(StatusCode.PUBLISH_DENIED, "Not you."))
    site = serve_in_memory(gate=gate)
    viewer = site.play("other")
    error = site.failure(site.stream(viewer.connection).publish("show"))
    assert isinstance(error, Refusal)
    assert not viewer.connection.closed


def test_playing_is_refused_and_may_be_tried_again(logs: Logs) -> None:
    site = serve_in_memory()
    stream = site.stream()
    error = site.failure(stream.play("show", start=0.0))
    assert isinstance(error, Refusal)
    assert error.code == "NetStream.Play.StreamNotFound"
    assert len(logs.about("play refused")) == 1
    site.publish()
    site.result(stream.play("show", start=0.0))


def test_a_refused_call_is_answered_and_not_logged(logs: Logs) -> None:
    site = serve_in_memory()
    client = site.client()
    error = site.failure(client.call("sing"))
    assert isinstance(error, Refusal)
    assert (error.code, error.description) == (
        "NetConnection.Call.Failed",
        "Method not found (sing).",
    )
    assert len(logs.lines()) == 1
    assert not client.closed


# --------------------------------------------------------- decisions, in order


def test_while_somebody_is_logged_in_nothing_is_read_and_nothing_overtakes() -> None:
    """A connect with everything after it in one read, as some clients pipeline."""
    gate = SlowGate("login")
    site = serve_in_memory(gate=gate)
    create = Command("createStream", 2.0)
    server, session = shaken(site, CONNECT, create)
    session.send(publishes(), 8)
    for message in on(1, *headers(), *gop(0)):
        session.send(message, 8)
    server.other.write(session.data_to_send())
    site.pump()
    assert server.other.written  # it stays in the network
    assert gate.questions == ["login live"]
    gate.decide()
    site.pump()
    assert not server.other.written
    assert gate.questions == ["login live", "publish live/show"]
    assert site.application.streams["show"].meter.messages_in == 9


def test_media_of_the_same_read_waits_for_the_decision_about_its_stream() -> None:
    gate = SlowGate("publish")
    site = serve_in_memory(gate=gate)
    viewer = site.play()
    stream = site.stream()
    sends(stream.connection, publishes(), *on(1, *headers(), *gop(0)))
    site.pump()
    assert len(viewer.payloads) == 1  # |RtmpSampleAccess
    gate.decide()
    site.pump()
    assert viewer.payloads[1:] == [stored(metadata()), *payloads([*headers()[1:], *gop(0)])]
    assert server_of(stream.connection).strays == 0


def test_what_needs_no_answer_may_follow_a_question() -> None:
    site = serve_in_memory()
    stream = site.stream()
    sends(stream.connection, publishes(), control.message(Acknowledgement(1)))
    site.pump()
    assert site.application.is_live("show")
    assert server_of(stream.connection).session.acknowledged == 1


def test_each_decision_waits_for_the_one_before() -> None:
    gate = SlowGate("publish", "play")
    site = serve_in_memory(gate=gate)
    client = site.client()
    site.stream(client), site.stream(client)
    sends(client, publishes("a", 1), plays("a", 2), publishes("b", 1))
    site.pump()
    assert gate.questions[1:] == ["publish live/a"]
    gate.decide()
    site.pump()
    assert gate.questions[1:] == ["publish live/a", "play live/a"]
    gate.decide(Refused(StatusCode.PLAY_FAILED, "No."))
    site.pump()
    assert gate.questions[1:] == ["publish live/a", "play live/a", "publish live/b"]
    gate.decide()
    site.pump()
    assert list(site.application.streams) == ["b"]  # a gave way to it


def test_a_connection_lost_while_a_decision_is_due(logs: Logs) -> None:
    """The question is cancelled; nothing is attached, and nothing is left."""
    gate = SlowGate("publish")
    site = serve_in_memory(gate=gate)
    stream = site.stream()
    sends(stream.connection, publishes())
    site.pump()
    server = wire_of(stream.connection).other
    stream.connection.abort()
    site.pump()
    assert gate.cancelled == ["publish live/show"]
    assert site.registry.meter.connections == 0
    assert site.application.streams == {}
    assert not server.reading
    assert site.clock.calls == []
    assert len(logs.about("left")) == 1


class StubbornGate(SlowGate):
    """Answers although its question was cancelled."""

    answer: BaseException | None = None

    async def asked(self, question: str) -> None:
        try:
            await super().asked(question)
        except CancelledError:
            if self.answer is not None:
                raise self.answer from None


@pytest.mark.parametrize(
    "answer", [None, Refused(StatusCode.PUBLISH_DENIED, "Too late."), ZeroDivisionError()]
)
def test_an_answer_that_comes_after_the_end_is_not_acted_on(
    answer: BaseException | None, logs: Logs
) -> None:
    gate = StubbornGate("publish")
    gate.answer = answer
    site = serve_in_memory(gate=gate)
    publisher = site.client()
    stream = site.stream(publisher)
    sends(stream.connection, publishes())
    site.pump()
    stream.connection.abort()
    site.pump()
    assert site.application.streams == {}
    assert site.connections == []
    assert logs.about("refused") == []
    assert logs.forgive() == ([answer] if isinstance(answer, ZeroDivisionError) else [])


def test_a_gate_may_throw_somebody_out() -> None:
    class Bouncer(OpenGate):
        async def asked(self, question: str) -> None:
            if question.startswith("publish"):
                site.connections[0].abort("out")

    site = serve_in_memory(gate=Bouncer())
    stream = site.stream()
    error = site.failure(stream.publish("show"))
    assert isinstance(error, ConnectionClosed)
    assert site.application.streams == {}


@pytest.mark.parametrize("end", ["finish", "abort", "shut_down"])
def test_whoever_ends_a_connection_ends_its_question(end: str) -> None:
    gate = SlowGate("publish")
    site = serve_in_memory(gate=gate)
    stream = site.stream()
    sends(stream.connection, publishes())
    site.pump()
    connection = server_of(stream.connection)
    if end == "shut_down":
        connection.shut_down(1.0)
    else:
        getattr(connection, end)("enough")
    assert gate.cancelled == ["publish live/show"]
    site.pump()
    assert stream.connection.closed
    assert site.application.streams == {}
    assert site.clock.calls == []


@pytest.mark.parametrize(
    ("slow", "code", "closes"),
    [
        ("login", "NetConnection.Connect.Failed", True),
        ("publish", "NetStream.Failed", True),
        ("play", "NetStream.Play.Failed", False),
    ],
)
def test_a_decision_has_a_time_limit(slow: str, code: str, closes: bool) -> None:
    gate = SlowGate(slow)
    site = serve_in_memory(gate=gate, care=Care(decision_timeout=3.0))
    asking: Deferred[Any]
    if slow == "login":
        asking = site.connect()
    else:
        stream = site.stream()
        asking = stream.publish("show") if slow == "publish" else stream.play("show")
    site.pump()
    site.pass_time(2.9)
    assert len(gate.pending) == 1
    site.pass_time(0.2)
    error = site.failure(asking)
    assert isinstance(error, Refusal)
    assert (error.code, error.description) == (code, "It took too long to decide.")
    assert (site.connections == []) is closes


def test_a_question_that_somebody_else_cancels_is_answered() -> None:
    site = serve_in_memory(gate=StrictGate(login=CancelledError()))
    error = site.failure(site.connect())
    assert isinstance(error, Refusal)
    assert error.code == "NetConnection.Connect.Failed"


@pytest.mark.parametrize(
    ("question", "code"),
    [
        ("login", "NetConnection.Connect.Failed"),
        ("publish", "NetStream.Failed"),
        ("play", "NetStream.Play.Failed"),
    ],
)
def test_a_bug_is_told_logged_and_ends_the_connection(question: str, code: str, logs: Logs) -> None:
    site = serve_in_memory(gate=StrictGate(**{question: ZeroDivisionError("a bug")}))
    if question == "login":
        asking: Deferred[Any] = site.connect()
    else:
        stream = site.stream()
        asking = stream.publish("show") if question == "publish" else stream.play("show")
    error = site.failure(asking)
    assert isinstance(error, Refusal)
    assert (error.code, error.description) == (code, "The server failed; its log says why.")
    (bug,) = logs.forgive()
    assert isinstance(bug, ZeroDivisionError)
    assert site.connections == []
    assert site.clock.calls == []


def test_a_bug_after_the_answer_ends_the_connection_too(
    monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    site = serve_in_memory()
    viewer = site.stream()

    def broken(_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("rtmptwist.live.subscriber.Subscriber.resume", broken)
    site.result(viewer.play("show"))
    assert viewer.connection.closed
    assert len(logs.forgive()) == 1
    assert site.application.streams == {}
