"""The client: what its users are told, when, and that it is once."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
)
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from zope.interface import implementer

import rtmptwist.net.client
from rtmptwist.amf import amf0
from rtmptwist.live.errors import Refused
from rtmptwist.net.answers import Answers
from rtmptwist.net.client import Info, NetConnection, Refusal, connect
from rtmptwist.net.url import Url
from rtmptwist.wire.command import Command
from rtmptwist.wire.errors import LimitExceeded, LocalProtocolError, RemoteProtocolError
from rtmptwist.wire.message import Message, MessageType
from rtmptwist.wire.server import ServerSession
from rtmptwist.wire.status import Status, StatusCode
from tests.support.live import Settings, gop, headers, payloads, video
from tests.support.logs import Logs
from tests.support.memory import (
    MemorySite,
    SlowGate,
    Spectator,
    StrictGate,
    failure_of,
    result_of,
    serve_in_memory,
)

pytestmark = pytest.mark.usefixtures("logs")


def wire_of(client: NetConnection) -> Any:
    return client.transport


def session_of(client: NetConnection) -> ServerSession:
    """The server's."""
    session: ServerSession = wire_of(client).other.protocol.session
    return session


def says(client: NetConnection, *messages: Message) -> None:
    """The server says something."""
    connection = wire_of(client).other.protocol
    for message in messages:
        connection.session.send(message, 3)
    connection.send()


# ------------------------------------------------------------------------- URLs


@pytest.mark.parametrize(
    ("text", "url", "tc_url"),
    [
        ("rtmp://h/live", Url("rtmp", "h", 1935, "live"), "rtmp://h:1935/live"),
        ("RTMP://H:80/a/b?c=d", Url("rtmp", "h", 80, "a/b?c=d"), "rtmp://h:80/a/b?c=d"),
        ("rtmp://[::1]:7/live", Url("rtmp", "::1", 7, "live"), "rtmp://[::1]:7/live"),
        ("rtmp://h", Url("rtmp", "h", 1935, ""), "rtmp://h:1935/"),
        ("rtmp://h:0/x", Url("rtmp", "h", 0, "x"), "rtmp://h:0/x"),
        ("rtmpts://h/x", Url("rtmpts", "h", 443, "x"), "rtmpts://h:443/x"),
    ],
)
def test_urls(text: str, url: Url, tc_url: str) -> None:
    assert Url.parse(text) == url
    assert url.tc_url == tc_url


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "http://h/live",
            r"http scheme in the URL \(expected rtmp, rtmpe, rtmps, rtmpt, rtmpte, rtmpts\)",
        ),
        ("h/live", "no scheme in the URL"),
        ("rtmp:///live", r"no host in the URL \(expected rtmp://host/app\)"),
        ("rtmp://h:geheim/live", "the URL's host or port cannot be read"),
        ("rtmp://h:70000/live", "the URL's host or port cannot be read"),
        ("rtmp://[::1/live", "the URL's host or port cannot be read"),
        ("rtmp://me:geheim@h/live", "a user in the URL"),
    ],
)
def test_what_is_no_url(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        connect(MemoryReactorClock(), text)
    assert "geheim" not in str(caught.value)


def test_where_a_url_leads_to() -> None:
    reactor = MemoryReactorClock()
    connecting = connect(reactor, "rtmp://127.0.0.1:77/live")
    ((host, port, *_),) = reactor.tcpClients
    assert (host, port) == ("127.0.0.1", 77)
    connecting.cancel()
    assert isinstance(failure_of(connecting), ConnectingCancelledError)
    assert reactor.calls == []


def test_a_host_that_does_not_answer() -> None:
    reactor = MemoryReactorClock()
    connecting = connect(reactor, "rtmp://127.0.0.1:77/live", timeout=3.0)
    reactor.advance(3.1)
    error = failure_of(connecting)
    assert isinstance(error, TimeoutError)
    assert str(error) == "no connection within 3 s"
    assert reactor.calls == []


# ----------------------------------------------------------------- the docstring


def example(name: str, **given: Any) -> Callable[..., Any]:
    """A function of the module's docstring."""
    text = rtmptwist.net.client.__doc__ or ""
    code = "\n".join(line for line in text.splitlines() if line.startswith("    ") or not line)
    namespace: dict[str, Any] = {"Message": Message, "MessageType": MessageType, **given}
    exec(textwrap.dedent(code), namespace)
    function: Callable[..., Any] = namespace[name]
    return function


def test_the_examples_of_the_docstring_work() -> None:
    site = serve_in_memory()
    seen: list[Message] = []
    watch = example("watch", connect=partial(connect, endpoint=site.endpoint()))
    watching = Deferred.fromCoroutine(watch(site.clock, seen.append))
    site.pump()
    show = example("show", connect=partial(connect, endpoint=site.endpoint()))
    pictures = [(m.timestamp, m.payload + bytes(40_000)) for m in gop(0) if m.type == 9]
    showing = Deferred.fromCoroutine(show(site.clock, pictures))
    site.result(showing)
    assert [m.payload for m in seen if m.type == 9] == [payload for _, payload in pictures]
    metadata = [amf0.decode(m.payload) for m in seen if m.type == 18][1]
    assert metadata == ["onMetaData", {"width": 1280.0, "height": 720.0}]
    assert not watching.called
    site.connections[0].finish("enough")
    site.result(watching)


# ----------------------------------------------------------------- being let in


@implementer(IStreamClientEndpoint)
class Nowhere:
    """Never answers, or with this failure."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.attempt: Deferred[Any] = Deferred()
        if failure is not None:
            self.attempt.errback(failure)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        return self.attempt


def test_nobody_listens() -> None:
    site = serve_in_memory()
    connecting = site.connect(endpoint=Nowhere(ConnectError()))
    assert isinstance(failure_of(connecting), ConnectError)
    assert site.clock.calls == []


def silent(site: MemorySite) -> Deferred[NetConnection]:
    """A server that takes the connection and says nothing."""

    class Silence:
        def makeConnection(self, transport: Any) -> None: ...
        def dataReceived(self, data: bytes) -> None: ...
        def connectionLost(self, reason: object) -> None: ...

    class Factory:
        def buildProtocol(self, addr: object) -> Silence:
            return Silence()

    site.factory = Factory()  # type: ignore[assignment]
    return site.connect(timeout=3.0)


def slow(site: MemorySite) -> Deferred[NetConnection]:
    return site.connect(timeout=3.0)


def nowhere(site: MemorySite) -> Deferred[NetConnection]:
    return site.connect(endpoint=Nowhere(), timeout=3.0)


@pytest.mark.parametrize(
    ("attempt", "missing"),
    [(nowhere, "connection"), (silent, "handshake"), (slow, "answer to connect")],
)
def test_one_time_limit_for_all_of_it(
    attempt: Callable[[MemorySite], Deferred[NetConnection]], missing: str
) -> None:
    site = serve_in_memory(gate=SlowGate("login"))
    connecting = attempt(site)
    site.clock.advance(2.9)
    site.pump()
    assert not connecting.called
    site.clock.advance(0.2)
    error = site.failure(connecting)
    assert isinstance(error, TimeoutError)
    assert str(error) == f"no {missing} within 3 s"
    assert all(transport.lost for transport in site.transports)
    assert site.connections == []


@pytest.mark.parametrize("attempt", [nowhere, silent, slow])
def test_giving_up(attempt: Callable[[MemorySite], Deferred[NetConnection]]) -> None:
    site = serve_in_memory(gate=SlowGate("login"))
    connecting = attempt(site)
    connecting.cancel()
    assert isinstance(site.failure(connecting), CancelledError)
    assert all(transport.lost for transport in site.transports)
    assert site.clock.calls == []


def test_a_refusal_says_what_the_server_said() -> None:
    site = serve_in_memory(gate=StrictGate(login=Refused(StatusCode.CONNECT_REJECTED, "Not you.")))
    error = site.failure(site.connect())
    assert isinstance(error, Refusal)
    assert error.info == {
        "level": "error",
        "code": "NetConnection.Connect.Rejected",
        "description": "Not you.",
    }
    assert str(error) == "NetConnection.Connect.Rejected: Not you."
    assert site.clock.calls == []


def test_a_server_that_closes_before_it_answers() -> None:
    site = serve_in_memory(gate=SlowGate("login"))
    connecting = site.connect()
    site.connections[0].abort("out")
    assert isinstance(site.failure(connecting), ConnectionLost)
    assert site.clock.calls == []


def test_what_answers_is_no_rtmp_server(logs: Logs) -> None:
    site = serve_in_memory()
    connecting = silent(site)
    site.transports[-2].write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    error = site.failure(connecting)
    assert isinstance(error, RemoteProtocolError)
    assert "HTTP; use rtmpt" in str(error)
    assert all(transport.lost for transport in site.transports)


def test_what_connect_says() -> None:
    site = serve_in_memory()
    visitors: list[Any] = []
    gate: Any = site.factory
    login = gate.gate.login

    async def heard(visitor: Any) -> Any:
        visitors.append(visitor)
        return await login(visitor)

    gate.gate.login = heard
    site.client("rtmp://h/live?x=1", properties={"token": "t"}, arguments=("one", 2.0))
    (visitor,) = visitors
    assert visitor.query == {"x": "1"}
    assert visitor.properties["token"] == "t"
    assert visitor.properties["tcUrl"] == "rtmp://h:1935/live?x=1"
    assert visitor.arguments == ("one", 2.0)


# ----------------------------------------------------------------------- answers


def test_calls_and_their_answers() -> None:
    site = serve_in_memory()
    client = site.client()
    assert site.result(client.call("getStreamLength", "x")) == (0.0,)
    error = site.failure(client.call("sing"))
    assert isinstance(error, Refusal)


def test_an_answer_that_does_not_come() -> None:
    site = serve_in_memory(gate=SlowGate("publish"))
    stream = site.stream()
    publishing = stream.publish("show")
    calling = stream.connection.call("sing")
    site.pump()
    site.clock.advance(29.9)
    assert not publishing.called
    site.clock.advance(0.2)
    assert str(failure_of(publishing)) == "no answer to publish within 30 s"
    assert str(failure_of(calling)) == "no answer to sing within 30 s"


def test_a_question_that_is_cancelled_is_answered_to_nobody() -> None:
    site = serve_in_memory()
    client = site.client()
    calling = client.call("getStreamLength")
    calling.cancel()
    assert isinstance(failure_of(calling), CancelledError)
    site.pump()
    assert site.result(client.call("getStreamLength")) == (0.0,)


def test_too_many_questions_at_a_time() -> None:
    site = serve_in_memory(gate=SlowGate("play"))
    stream = site.stream()
    client = stream.connection
    stream.play("show").addErrback(lambda _: None)
    calls = [client.call("getStreamLength") for _ in range(65)]
    assert isinstance(failure_of(calls[64]), LimitExceeded)
    client.abort()
    site.pump()
    assert {type(failure_of(call)) for call in calls[:64]} == {ConnectionAborted}


@pytest.mark.parametrize("values", [(), (None,), (0.0,), (-1.0,), (1.5,), (float("inf"),), ("1",)])
def test_a_stream_needs_a_number(values: tuple[Any, ...]) -> None:
    site = serve_in_memory()
    client = site.client()
    making = client.create_stream()
    client.session._out.clear()
    transaction = max(client.session._open_calls, default=2.0)
    says(client, Command("_result", transaction, None, values).message())
    error = site.failure(making)
    assert isinstance(error, RemoteProtocolError)
    assert "expected a number from 1 on" in str(error)


def test_statuses_and_calls_of_the_server_are_heard() -> None:
    site = serve_in_memory()
    client = site.client()
    session_of(client).status(0, Status(StatusCode.CONNECT_CLOSED, "Nobody listens."))
    says(client, Command("ignored").message())
    site.pump()
    commands: list[Command] = []
    infos: list[Any] = []
    client.on_call, client.on_status = commands.append, infos.append
    says(client, Command("onBWDone", 0.0, None, (8192.0,)).message())
    session_of(client).status(0, Status(StatusCode.CONNECT_CLOSED, "Idle."))
    session_of(client).status(9, Status(StatusCode.PLAY_STOP, "No such stream."))
    session_of(client).data(9, "onMetaData")
    says(client)
    site.pump()
    assert commands == [Command("onBWDone", 0.0, None, (8192.0,))]
    assert [info["description"] for info in infos] == ["Idle.", "No such stream."]


def test_answers_that_nobody_asked_for() -> None:
    site = serve_in_memory()
    client = site.client()
    says(client, Command("_result", 77.0).message())
    stream = site.publish("show", client)
    session_of(client).status(1, Status(StatusCode.FAILED, "Later."))
    says(client)
    site.pump()
    assert not client.closed
    stream.close()
    client.answers.give(stream, None)


def test_an_error_without_an_object_is_a_refusal_all_the_same() -> None:
    site = serve_in_memory(gate=SlowGate("play"))
    stream = site.stream()
    stream.play("show")
    site.pump()
    calling = stream.connection.call("sing")
    says(stream.connection, Command("_error", 3.0, None, ("no",)).message())
    error = site.failure(calling)
    assert isinstance(error, Refusal)
    assert (error.code, error.description) == ("", "")


# ------------------------------------------------------------------------ streams


def test_a_stream_hears_what_it_plays() -> None:
    site = serve_in_memory()
    publisher = site.publish()
    viewer = site.play()
    for message in [*headers(), *gop(0)]:
        message.stream_id = 77
        assert publisher.send(message)
        assert message.stream_id == 77  # the caller's message is left as it was
    site.pump()
    assert viewer.payloads[-6:] == payloads(gop(0))
    site.result(viewer.stream.pause())
    site.result(viewer.stream.pause(False))
    site.result(viewer.stream.seek(0))


def test_the_next_request_cancels_the_one_before() -> None:
    site = serve_in_memory(gate=SlowGate("play"))
    stream = site.stream()
    first, second = stream.play("a"), stream.play("b")
    assert isinstance(failure_of(first), CancelledError)
    assert not second.called


def test_statuses_are_heard_before_the_request_is_answered() -> None:
    site = serve_in_memory()
    spectator = Spectator(site.stream())
    told: list[list[str]] = []
    spectator.stream.play("show").addCallback(lambda _: told.append(list(spectator.told)))
    site.pump()
    assert told == [["Play.Reset", "Play.Start"]]


def test_who_asks_when_it_hears_of_something_is_not_given_that_for_an_answer() -> None:
    """An encoder whose name was taken over asks for another at once."""
    site = serve_in_memory(Settings(takeover="any"))
    client = site.client()
    site.play("other", client)  # who does nothing else is left alone with its refusal
    stream = site.publish("one", client)
    asked: list[Deferred[Info]] = []

    def on_status(info: Info) -> None:
        if not asked:
            asked.append(stream.publish("two"))

    stream.on_status = on_status
    site.publish("one")
    site.result(asked[0])
    assert site.application.is_live("two")


def test_an_answer_that_is_here_cannot_be_called_off() -> None:
    """Nor does the attempt touch what was asked since."""
    site = serve_in_memory()
    spectator = Spectator(site.stream())
    stream = spectator.stream
    first = stream.play("one")
    asked: list[Deferred[Info]] = []

    def on_status(info: Info) -> None:
        if info["code"] == "NetStream.Play.Start" and not asked:
            asked.append(stream.play("two"))
            first.cancel()

    stream.on_status = on_status
    site.pump()
    assert isinstance(failure_of(first), CancelledError)
    site.result(asked[0])


def test_a_closed_stream_asks_for_nothing() -> None:
    site = serve_in_memory(gate=SlowGate("play"))
    stream = site.stream()
    playing = stream.play("show")
    stream.close()
    stream.close()
    assert isinstance(failure_of(playing), CancelledError)
    for use in (
        lambda: stream.publish("a"),
        lambda: stream.play("a"),
        stream.pause,
        lambda: stream.seek(0),
        lambda: stream.send(video(0)),
        lambda: stream.receive(audio=True),
    ):
        with pytest.raises(LocalProtocolError, match="NetStream 1 is closed"):
            use()


def test_sound_and_picture_are_switched_separately() -> None:
    site = serve_in_memory()
    viewer = site.play()
    viewer.stream.receive(audio=False)
    viewer.stream.receive(video=False)
    site.pump()
    (subscriber,) = site.application.streams["show"].audience.subscribers
    form: Any = subscriber.format
    assert (form.audio, form.video) == (False, False)


# -------------------------------------------------------------------- the network


def test_who_sends_too_fast_is_told_so_and_when_to_go_on() -> None:
    site = serve_in_memory()
    stream = site.publish()
    client = stream.connection
    drained: list[None] = []
    client.on_drained = lambda: drained.append(None)
    assert site.result(client.when_drained()) is None
    wire_of(client).other.reading = False
    before = client.idle
    assert not stream.send(video(0, size=100_000))
    assert (before, client.idle) == (True, False)
    waits = [client.when_drained(), client.when_drained()]
    waits[0].cancel()
    assert isinstance(failure_of(waits[0]), CancelledError)
    site.pump()
    assert not waits[1].called
    wire_of(client).other.reading = True
    site.result(waits[1])
    assert drained == [None]


def test_a_lost_connection_is_heard_once_by_everybody_who_waits() -> None:
    site = serve_in_memory(gate=SlowGate("play"))
    stream = site.stream()
    client = stream.connection
    waiting: list[Deferred[Any]] = [
        stream.play("show"),
        client.call("a"),
        client.create_stream(),
        client.when_closed(),
    ]
    site.pump()
    wire_of(client).other.reading = False
    stream.send(video(0, size=100_000))
    waiting.append(client.when_drained())
    site.transports[-2].abortConnection()
    outcomes: list[list[Failure]] = [[] for _ in waiting]
    for deferred, heard in zip(waiting, outcomes, strict=True):
        deferred.addErrback(heard.append)
    site.pump()
    assert [[f.type for f in heard] for heard in outcomes] == [[ConnectionLost]] * 5
    assert client.closed
    assert site.clock.calls == []
    for late in (client.call("b"), client.create_stream(), client.when_drained()):
        assert isinstance(failure_of(late), ConnectionLost)
    assert isinstance(failure_of(stream.publish("c")), ConnectionLost)
    assert isinstance(failure_of(client.when_closed()), ConnectionLost)
    stream.send(video(0))  # into the void
    assert isinstance(site.failure(client.close()), ConnectionLost)
    client.abort()


def test_a_server_that_closes_in_good_order() -> None:
    site = serve_in_memory()
    client = site.client()
    ends = [client.when_closed(), client.when_closed()]
    calling = client.call("getStreamLength")
    site.connections[0].finish("enough")
    assert [site.result(end) for end in ends] == [None, None]
    assert result_of(client.when_closed()) is None
    assert isinstance(failure_of(client.call("late")), ConnectionDone)
    assert isinstance(failure_of(calling), ConnectionDone)


def test_a_server_that_breaks_rtmp(logs: Logs) -> None:
    site = serve_in_memory()
    client = site.client()
    calling = client.call("getStreamLength")
    wire_of(client).other.history.clear()
    wire_of(client).other.write(b"\x02\0\0\0\0\0\x05\x01\0\0\0\0\0\0\0\0\0")
    ended = client.when_closed()
    assert isinstance(site.failure(ended), RemoteProtocolError)
    assert isinstance(failure_of(client.when_closed()), RemoteProtocolError)
    assert isinstance(failure_of(calling), RemoteProtocolError)


def test_closing_sends_what_is_left() -> None:
    site = serve_in_memory()
    viewer = site.play()
    publisher = site.publish()
    for message in [*headers(), *gop(0)]:
        publisher.send(message)
    ends = [publisher.connection.close(), publisher.connection.close()]
    assert not ends[0].called
    site.pump()
    assert [result_of(end) for end in ends] == [None, None]
    assert viewer.payloads[-6:] == payloads(gop(0))
    assert publisher.connection.closed


def test_closing_takes_so_long_at_most() -> None:
    site = serve_in_memory()
    publisher = site.publish()
    client = publisher.connection
    wire_of(client).vanish()
    publisher.send(video(0, size=100_000))
    ending = client.close()
    site.pump()
    site.clock.advance(4.9)
    assert not ending.called
    site.clock.advance(0.2)
    assert site.result(ending) is None


def test_aborting_sends_nothing_more() -> None:
    site = serve_in_memory()
    client = site.client()
    ended = client.when_closed()
    client.abort()
    client.abort()
    assert site.result(ended) is None
    assert site.connections == []


def test_a_client_that_never_connected_can_be_closed() -> None:
    client = NetConnection(MemoryReactorClock())
    client.abort()
    client.send()
    assert not client.idle
    assert not client.close().called


def test_a_silent_server_is_asked_and_then_left(logs: Logs) -> None:
    site = serve_in_memory()
    client = site.client()
    wire_of(client).vanish()
    ended = client.when_closed()
    site.clock.pump([1.0] * 59)
    site.pump()
    assert not ended.called
    site.clock.pump([1.0] * 2)
    error = site.failure(ended)
    assert isinstance(error, TimeoutError)
    assert "not even the answer to a ping" in str(error)
    assert logs.lines("warn") == []


def test_a_client_hears_a_talkative_server_for_hours() -> None:
    """A session that nobody gives credit to falls silent after ten pings, and 200 commands."""
    site = serve_in_memory()
    client = site.client()
    for _ in range(300):
        session_of(client).ping(1)
        says(client, Command("onBWDone").message())
        site.pass_time(1)
    assert not client.closed
    answers = bytes(wire_of(client).history).count(b"\x00\x07\x00\x00\x00\x01")
    assert answers == 300


def test_a_server_that_floods_is_left() -> None:
    site = serve_in_memory()
    client = site.client()
    client.session.limits = type(client.session.limits)(chunks_per_second=10)
    for _ in range(100):
        session_of(client).ping(1)
    says(client)
    ended = client.when_closed()
    site.pump()
    site.clock.advance(1)
    assert isinstance(site.failure(ended), LimitExceeded)


# ----------------------------------------------------------------------- answers


def test_answers_end_once() -> None:
    clock = MemoryReactorClock()
    answers = Answers(clock)
    first = answers.expect("a", "a")
    answers.give("a", 7)
    answers.give("a", 8)
    assert result_of(first) == 7
    second = answers.expect("a", "a", patience=None)
    answers.end(ConnectionDone())
    answers.cancel("a")
    assert isinstance(failure_of(second), ConnectionDone)
    assert isinstance(failure_of(answers.expect("b", "b")), ConnectionDone)
    assert clock.calls == []


def test_entering_when_the_handshake_is_over() -> None:
    site = serve_in_memory()
    client = NetConnection(site.clock)

    class Factory:
        def buildProtocol(self, addr: object) -> NetConnection:
            return client

    site.endpoint().connect(Factory())  # type: ignore[arg-type]
    site.pump()
    entering = Deferred.fromCoroutine(client.enter("live", "rtmp://h/live"))
    site.result(entering)
    site.result(client.create_stream())


def test_the_first_reason_counts() -> None:
    site = serve_in_memory()
    client = site.client()
    ended = client.when_closed()
    wire_of(client).other.write(b"\x02\0\0\0\0\0\x05\x01\0\0\0\0\0\0\0\0\0")
    wire_of(client).other.vanish()
    client.dataReceived(bytes(wire_of(client).other.written))
    client.dataReceived(bytes(100))
    assert "chunk size 0" in str(site.failure(ended))
