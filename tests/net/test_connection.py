"""Connections: who comes in, where its media goes, and how it is read; from bytes to the log."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionClosed

from rtmptwist.net.beat import Beat, Reader
from rtmptwist.net.client import NetConnection, Refusal
from rtmptwist.net.connection import ServerConnection
from rtmptwist.net.server import Care
from rtmptwist.wire.client import ClientSession
from rtmptwist.wire.command import Command
from rtmptwist.wire.handshake import ClientHandshake, HandshakeKind
from rtmptwist.wire.limits import Limits
from rtmptwist.wire.message import Message
from rtmptwist.wire.rtmpe import RTMPE_VERSIONS
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
    SlowGate,
    Spectator,
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
    monkeypatch.setattr("rtmptwist.net.line.quick_ack", lambda _: lambda: hurried.append(None))
    site = serve_in_memory()
    stream = site.publish()
    assert len(hurried) >= 4
    del hurried[:]
    stream.send(video(0))
    site.pump()
    assert hurried == []


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
