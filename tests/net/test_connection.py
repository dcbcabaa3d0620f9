"""Connections: decisions in order, ends, time; from a client's bytes to the log."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv6Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionClosed

from rtmptwist.live.errors import Refused
from rtmptwist.net.beat import Beat, Reader
from rtmptwist.net.client import NetConnection, Refusal
from rtmptwist.net.connection import ServerConnection
from rtmptwist.net.server import Care
from rtmptwist.wire import control
from rtmptwist.wire.client import ClientSession
from rtmptwist.wire.command import Command
from rtmptwist.wire.control import Acknowledgement
from rtmptwist.wire.handshake import ClientHandshake, HandshakeKind
from rtmptwist.wire.limits import Limits
from rtmptwist.wire.message import Message
from rtmptwist.wire.rtmpe import RTMPE_VERSIONS
from rtmptwist.wire.status import StatusCode
from tests.support.live import (
    Bounds,
    Settings,
    avc_header,
    gop,
    headers,
    metadata,
    payloads,
    stored,
    video,
)
from tests.support.logs import Logs
from tests.support.memory import (
    MemoryEndpoint,
    MemorySite,
    MemoryTransport,
    OpenGate,
    SlowGate,
    Spectator,
    StrictGate,
    serve_in_memory,
)
from tests.support.pair import randomness

pytestmark = pytest.mark.usefixtures("logs")


def wire_of(client: NetConnection) -> MemoryTransport:
    """The client's end."""
    transport: Any = client.transport
    assert isinstance(transport, MemoryTransport)
    return transport


def server_of(client: NetConnection) -> ServerConnection:
    """The other end."""
    connection = wire_of(client).other.protocol
    assert isinstance(connection, ServerConnection)
    return connection


def raw(site: MemorySite, data: bytes, piece: int = 1 << 30) -> MemoryTransport:
    """Somebody who only sends these bytes; the server's end."""

    class Sender:
        def makeConnection(self, transport: Any) -> None:
            self.heard = b""
            transport.write(data)

        def dataReceived(self, data: bytes) -> None:
            self.heard += data

        def connectionLost(self, reason: object) -> None: ...

    class Factory:
        def buildProtocol(self, addr: object) -> Sender:
            return Sender()

    site.endpoint().connect(Factory())  # type: ignore[arg-type]
    site.pump()
    return site.transports[-2]


def shaken(site: MemorySite, *commands: Command) -> tuple[MemoryTransport, ClientSession]:
    """A client that only shakes hands and then says these; the server's end."""
    session = ClientSession(random=randomness(5).randbytes)
    server = raw(site, session.data_to_send())
    session.receive(server.other.protocol.heard)
    for command in commands:
        session.send(command.message(), 3)
    server.other.write(session.data_to_send())
    site.pump()
    return server, session


CONNECT = Command("connect", 1.0, {"app": "live", "tcUrl": "rtmp://example.org/live"})


def sends(client: NetConnection, *messages: Message) -> None:
    """Messages of any kind, in one write."""
    for message in messages:
        client.session.send(message, 8)
    client.send()


def publishes(name: str = "show", stream_id: int = 1) -> Message:
    return Command("publish", 0.0, None, (name, "live"), stream_id).message()


def plays(name: str = "show", stream_id: int = 1) -> Message:
    return Command("play", 0.0, None, (name,), stream_id).message()


def on(stream_id: int, *messages: Message) -> list[Message]:
    return [Message(m.type, m.timestamp, stream_id, m.payload) for m in messages]


# ------------------------------------------------------------------- coming in


def test_a_life_in_four_lines(logs: Logs) -> None:
    """One line per connect, publish and end, with reason, duration and bytes; no secrets."""
    site = serve_in_memory()
    client = site.client("rtmp://example.org/live?token=geheim")
    stream = site.publish("show?key=geheim", client)
    site.clock.advance(2.5)
    for message in [*headers(), *gop(0)]:
        stream.send(message)
    site.pump()
    stream.close()
    site.pump()
    site.result(client.close())
    peer = "#1 192.0.2.1:50000"
    end = "closed by the client, after 2.5 s"
    assert logs.lines()[:3] == [
        f"{peer} connected to live as guest (rtmp, FMLE/3.0 (compatible; rtmptwist))",
        f"{peer} publishes live/show as guest",
        f"{peer} no longer publishes live/show: {end}, 110 bytes in 9 messages, 0 dropped",
    ]
    (left,) = logs.lines()[3:]
    assert left.startswith(f"{peer} left: Connection was closed cleanly, after 2.5 s, ")
    assert logs.about("geheim") == []


def test_a_viewer_in_four_lines(logs: Logs) -> None:
    site = serve_in_memory()
    viewer = site.play("show?key=geheim")
    site.clock.advance(1)
    viewer.connection.abort()
    site.pump()
    _, began, ended, _ = logs.lines()
    assert began == "#1 192.0.2.1:50000 plays live/show as guest"
    assert ended.startswith("#1 192.0.2.1:50000 no longer plays live/show: Connection to the other")
    assert ended.endswith("after 1.0 s, 0 bytes, 0 skips of 0 messages")
    assert logs.about("geheim") == []


def test_what_a_client_says_of_itself_cannot_forge_lines(logs: Logs) -> None:
    site = serve_in_memory()
    site.client(properties={"flashVer": "x\nroot logged in\x1b[2J" + "y" * 100})
    site.client(properties={"flashVer": 7.0})
    first, second = logs.lines()
    assert "\n" not in first
    assert "\x1b" not in first
    assert len(first) < 130
    assert second.endswith("(rtmp, unnamed)")


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (IPv6Address("TCP", "2001:db8::1", 99), "[2001:db8::1]:99"),
        (IPv6Address("TCP", "::ffff:192.0.2.9", 99), "192.0.2.9:99"),
        (UNIXAddress(None), "unix"),
    ],
)
def test_peers_by_name(address: Any, name: str, logs: Logs) -> None:
    site = serve_in_memory()
    site.client(endpoint=MemoryEndpoint(site, site.factory, address))
    assert logs.lines()[0].startswith(f"#1 {name} connected to live")


def test_one_too_many_is_not_let_in(logs: Logs) -> None:
    site = serve_in_memory(limits=Bounds(connections=1))
    first = site.client()
    error = site.failure(site.connect())
    assert isinstance(error, ConnectionClosed)
    assert logs.lines("warn") == [
        "192.0.2.1 refused: 1 connections are open, which is as many as may be."
    ]
    assert len(site.connections) == 1
    assert len(logs.lines()) == 1  # nobody came, so nobody left
    first.abort()
    site.pump()
    assert site.registry.meter.connections == 0
    site.client()


def test_bytes_in_any_pieces() -> None:
    site = serve_in_memory()
    site.piece = 7
    viewer = site.play()
    publisher = site.publish()
    for message in [*headers(), *gop(0)]:
        publisher.send(message)
    site.pump()
    assert viewer.payloads[-6:] == payloads(gop(0))


def test_acknowledgements_are_hurried_until_the_use_is_settled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hurried: list[None] = []
    monkeypatch.setattr(
        "rtmptwist.net.connection.quick_ack", lambda _: lambda: hurried.append(None)
    )
    site = serve_in_memory()
    stream = site.publish()
    assert len(hurried) >= 4
    del hurried[:]
    stream.send(video(0))
    site.pump()
    assert hurried == []


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


# ------------------------------------------------------------------------ media


def test_metadata_on_stream_0_is_meant_for_the_only_publication() -> None:
    site = serve_in_memory()
    viewer = site.play()
    publisher = site.publish()
    sends(publisher.connection, *on(0, metadata()))
    site.pump()
    assert viewer.payloads[-1:] == [stored(metadata())]
    other = site.publish("other", publisher.connection)
    sends(publisher.connection, *on(0, metadata()))
    site.pump()
    assert server_of(other.connection).strays == 1


def test_strays_are_counted_and_bounded(logs: Logs) -> None:
    site = serve_in_memory(care=Care(limits=Limits(stray_messages=3)))
    viewer = site.play()
    sends(viewer.connection, *on(1, video(0)), *on(2, video(0)), *on(0, video(0)))
    site.pump()
    assert server_of(viewer.connection).strays == 3
    sends(viewer.connection, *on(1, video(0)))
    site.pump()
    assert viewer.connection.closed
    (line,) = logs.lines("warn")
    assert line == (
        "#1 192.0.2.1:50000: more than 3 media messages that belong to no publication; before that:"
        " sent NetConnection.Connect.Success, window acknowledgement size 2500000, createStream,"
        " play show, sent NetStream.Play.Reset, sent NetStream.Play.Start"
    )


def test_sound_and_picture_are_switched_off_and_on() -> None:
    site = serve_in_memory()
    publisher = site.publish()
    viewer = site.play()
    viewer.stream.receive(video=False)
    site.pump()
    for message in [*headers(), *gop(0)]:
        publisher.send(message)
    site.pump()
    assert not [p for p in viewer.payloads if p[:1] in (b"\x17", b"\x27")]
    viewer.stream.receive(video=True)
    site.pump()
    assert viewer.told[-2:] == ["Seek.Notify", "Play.Start"]
    for message in gop(1000):
        publisher.send(message)
    site.pump()
    assert viewer.payloads[-6:] == payloads(gop(1000))
    viewer.stream.receive(audio=False)
    sends(viewer.connection, Command("receiveAudio", 0.0, None, (False,), 3).message())
    site.pump()


def test_two_viewers_on_one_connection_are_resumed_together() -> None:
    """They share the writer: when it is idle again, each goes on."""
    site = serve_in_memory()
    a, b = site.publish("a"), site.publish("b")
    client = site.client()
    first, second = site.play("a", client), site.play("b", client)
    third = site.publish("c", client)
    wire_of(client).reading = False
    big = [Message(m.type, m.timestamp, 0, m.payload + bytes(20_000)) for m in gop(0)]
    for message in big * 2:
        a.send(message)
        b.send(message)
        site.pump()
    assert {s.meter.lagging for s in site.application.streams.values()} == {0, 1}
    wire_of(client).reading = True
    site.pump()
    assert first.payloads[1:] == second.payloads[1:] == payloads(big * 2)
    assert third.connection is client


def test_rtmpe_encrypts_everything_but_its_handshake() -> None:
    site = serve_in_memory(versions=frozenset({3, *RTMPE_VERSIONS}))
    publisher = site.publish()

    handshake = ClientHandshake(HandshakeKind.RTMPE, random=randomness(11).randbytes)
    session = ClientSession(random=randomness(12).randbytes, handshake=handshake)
    client = NetConnection(site.clock, session)

    class Factory:
        def buildProtocol(self, addr: object) -> NetConnection:
            return client

    site.endpoint().connect(Factory())  # type: ignore[arg-type]
    entering = Deferred.fromCoroutine(client.enter("live", "rtmpe://example.org/live"))
    site.result(entering)
    viewer = site.play("show", client)
    for message in [*headers(), *gop(0)]:
        publisher.send(message)
    site.pump()
    assert viewer.payloads[-6:] == payloads(gop(0))
    seen = wire_of(client).other.history
    assert seen[0] == 6
    assert len(seen) > 3073
    assert b"NetConnection" not in seen
    assert gop(0)[0].payload not in seen


# --------------------------------------------------------------------- takeover


def test_a_displaced_publisher_hears_why_and_is_closed(logs: Logs) -> None:
    site = serve_in_memory()
    first = Spectator(site.publish())
    viewer = site.play()
    for message in [*headers(), *gop(0)]:
        first.stream.send(message)
    site.pump()
    second = site.publish()
    site.pump()
    assert first.told[-1] == "Publish.BadName"
    assert first.infos[-1]["description"] == "show was taken over by the same publisher"
    assert first.infos[-1]["details"] == "live/show"
    assert first.connection.closed
    assert not viewer.connection.closed
    assert not second.connection.closed
    assert len(logs.about("no longer publishes live/show: show was taken over")) == 1
    assert len(site.connections) == 2


def test_a_displaced_publisher_keeps_a_connection_that_does_other_things() -> None:
    site = serve_in_memory()
    client = site.client()
    first = Spectator(site.publish("show", client))
    site.publish("other", client)
    site.publish()
    assert first.told[-1] == "Publish.BadName"
    assert not client.closed
    assert list(server_of(client).uses) == [2]
    first.stream.close()
    site.pump()
    assert site.application.is_live("show")


def test_a_publisher_may_take_over_from_itself() -> None:
    site = serve_in_memory()
    client = site.client()
    first = Spectator(site.publish("show", client))
    second = site.publish("show", client)
    assert first.told[-1] == "Publish.BadName"
    assert not client.closed
    viewer = site.play()
    second.send(avc_header())
    site.pump()
    assert viewer.payloads[-1:] == payloads([avc_header()])


def test_a_name_that_is_taken(logs: Logs) -> None:
    site = serve_in_memory(Settings(takeover="reject"))
    site.publish()
    stream = site.stream()
    error = site.failure(stream.publish("show"))
    assert isinstance(error, Refusal)
    assert error.code == "NetStream.Publish.BadName"
    assert stream.connection.closed
    assert len(site.connections) == 1


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


# -------------------------------------------------------------------- in beats


class FakeBeat(Beat):
    """Remembers who joined; `read` reads nothing."""

    def __init__(self) -> None:
        self.readers: list[Reader] = []
        self.history: list[str] = []

    def join(self, reader: Reader, merge: float = 0.0) -> None:
        self.readers.append(reader)
        self.history.append(f"join {merge}")

    def leave(self, reader: Reader) -> None:
        self.readers.remove(reader)
        self.history.append("leave")


class FakeSocket:
    def recv(self, size: int) -> bytes:
        raise BlockingIOError


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if everybody came over a plain socket."""
    monkeypatch.setattr("rtmptwist.net.beat.plain_socket", lambda _: FakeSocket())


@pytest.mark.usefixtures("plain")
def test_publishers_are_read_in_beats_but_not_while_they_wait() -> None:
    beat = FakeBeat()
    gate = SlowGate("publish live/slow", "play live/slow")
    site = serve_in_memory(Settings(merge=0.1), gate=gate, beat=beat)
    client = site.client()
    stream = site.publish("show", client)
    assert beat.history == ["join 0.1"]
    site.play("show", client)
    assert beat.history == ["join 0.1"]
    other = site.stream(client)
    waiting = other.publish("slow")
    site.pump()
    assert beat.readers == []
    gate.decide()
    site.result(waiting)
    assert len(beat.readers) == 1
    stream.close()
    site.pump()
    assert len(beat.readers) == 1
    other.close()
    site.pump()
    assert beat.readers == []
    assert beat.history == ["join 0.1", "leave", "join 0.1", "leave"]


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("end", ["finish", "abort", "lost", "pending"])
def test_no_reader_is_left_behind(end: str) -> None:
    beat = FakeBeat()
    gate = SlowGate("play")
    site = serve_in_memory(gate=gate, beat=beat)
    publisher = site.publish()
    connection = server_of(publisher.connection)
    if end == "pending":
        sends(publisher.connection, plays("show", 2))
        site.pump()
        assert beat.readers == []
    if end in ("lost", "pending"):
        publisher.connection.abort()
    else:
        getattr(connection, end)("enough")
    site.pump()
    assert site.connections == []
    assert beat.readers == []
