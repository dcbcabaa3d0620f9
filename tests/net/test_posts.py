"""Requests and their answers, over connections that close, break and fall silent."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from rtmptwist.net.posts import LINGER, PATIENCE, PAUSES, RESCUE, SLOW, STALE, Posts
from rtmptwist.net.reply import Reply
from tests.support.httpserver import CLIENT, SERVER, Asked, HttpServer, one_request

BREAK = ConnectionLost("cut")


class Desk:
    """Requests to a server in memory."""

    def __init__(self, *, durable: bool = True, host: str = "example.org") -> None:
        self.clock = Clock()
        self.server = HttpServer(self.clock)
        self.posts = Posts(self.clock, self.server, host, 80)
        self.posts.durable = durable
        self.posts.lost = self._lose
        self.answers: list[tuple[str, int, bytes]] = []
        self.lost: Failure | None = None
        self.then: Callable[[], None] = lambda: None

    def _lose(self, reason: Failure) -> None:
        assert self.lost is None
        self.lost = reason

    @property
    def words(self) -> str:
        """Why it is lost."""
        assert self.lost is not None
        return self.lost.getErrorMessage()

    def ask(self, name: str, body: bytes = b"\x00") -> None:
        """Make a request."""

        def answered(reply: Reply) -> None:
            self.answers.append((name, reply.status, reply.body))
            self.then()

        self.posts.post(name, f"/{name}", body, answered)
        self.turn()

    def turn(self, seconds: float = 0.0) -> None:
        """Let the reactor turn, and time pass."""
        self.clock.advance(seconds)

    def wait(self, seconds: float) -> None:
        """Let time pass as it does."""
        for _ in range(round(seconds * 4)):
            self.turn(0.25)

    def finished(self) -> bool:
        """Nothing is left: no timer, no connection."""
        return not self.clock.getDelayedCalls() and all(w.closed() for w in self.server.wires)


def test_requests_go_over_one_connection_and_are_answered_in_order() -> None:
    desk = Desk()
    desk.ask("a", b"bytes")
    wire = desk.server.wire
    assert wire.hear() == [Asked("/a", b"bytes")]
    wire.answer(b"\x01A")
    desk.ask("b")
    desk.ask("c", b"")
    assert wire.hear() == [Asked("/b", b"\x00"), Asked("/c", b"")]
    wire.answer(b"\x01B")
    wire.answer(b"\x01C")
    assert desk.answers == [("a", 200, b"\x01A"), ("b", 200, b"\x01B"), ("c", 200, b"\x01C")]
    assert len(desk.server.wires) == 1
    assert (desk.posts.peer, desk.posts.host) == (SERVER, CLIENT)


def test_requests_wait_for_the_connection() -> None:
    desk = Desk()
    for name in ("a", "b"):
        desk.posts.post(name, f"/{name}", b"", lambda reply: None)
    desk.turn()
    assert desk.server.wire.hear() == [Asked("/a", b""), Asked("/b", b"")]
    assert desk.server.attempts == 1


def test_two_answers_in_one_read() -> None:
    desk = Desk()
    desk.ask("a")
    desk.ask("b")
    once = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"
    desk.server.wire.say(once + b"A" + once + b"B")
    assert desk.answers == [("a", 200, b"A"), ("b", 200, b"B")]


def test_the_next_request_may_be_made_from_within_an_answer() -> None:
    desk = Desk()
    desk.ask("a")
    desk.then = lambda: desk.posts.post("b", "/b", b"", lambda reply: None)
    desk.server.wire.hear()
    desk.server.wire.answer(b"")
    assert desk.server.wire.hear() == [Asked("/b", b"")]


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ("192.0.2.1", "192.0.2.1:80"),
        ("2001:db8::1", "[2001:db8::1]:80"),
        ("fußball.example", "fussball.example:80"),
        ("例え.example", "xn--r8jz45g.example:80"),
    ],
)
def test_the_server_hears_its_name(host: str, named: str) -> None:
    desk = Desk(host=host)
    desk.ask("a")
    found = one_request(desk.server.wire.pipe.written, named)
    assert found == (Asked("/a", b"\x00"), b"")


def test_a_name_that_is_none_is_an_error_at_once() -> None:
    with pytest.raises(ValueError, match="label"):
        Desk(host="a..b")


def test_whether_requests_may_follow_each_other_is_learnt_from_answers() -> None:
    desk = Desk()
    learnt = [desk.posts.pipelines]
    desk.then = lambda: learnt.append(desk.posts.pipelines)
    desk.ask("a")
    desk.server.wire.answer(b"")
    desk.ask("b")
    desk.server.wire.answer(b"", "Connection: keep-alive", status="HTTP/1.0 200 OK")
    desk.ask("c")
    desk.server.wire.answer(b"")
    desk.server.wire.lose()
    assert [*learnt, desk.posts.pipelines] == [False, True, False, True, False]


# ------------------------------------------------------------- orderly ends of connections


def test_a_connection_that_was_closed_between_requests_is_replaced_by_the_next() -> None:
    desk = Desk()
    desk.ask("a")
    desk.server.wire.answer(b"")
    desk.server.wire.lose()
    desk.turn()
    assert desk.server.attempts == 1
    desk.ask("b")
    assert desk.server.wire.hear() == [Asked("/b", b"\x00")]
    assert (desk.server.attempts, desk.posts.repeated) == (2, 0)


@pytest.mark.parametrize(
    ("status", "header"),
    [("HTTP/1.1 200 OK", "Connection: close"), ("HTTP/1.0 200 OK", "Server: old")],
)
def test_a_server_that_says_close_gets_a_connection_for_every_request(
    status: str, header: str
) -> None:
    desk = Desk()
    for number in range(3):
        desk.ask(f"a{number}")
        assert desk.server.wire.hear() == [Asked(f"/a{number}", b"\x00")]
        desk.server.wire.answer(b"x", header, status=status)
        assert not desk.posts.pipelines
        desk.turn()
        assert desk.server.wire.closed()
    assert [answer[2] for answer in desk.answers] == [b"x"] * 3
    assert (len(desk.server.wires), desk.posts.repeated) == (3, 0)


def test_what_was_made_behind_the_last_of_a_connection_is_made_again() -> None:
    """nginx says close with the thousandth answer, without a look at what follows."""
    desk = Desk()
    desk.ask("a")
    desk.ask("b")
    desk.server.wire.answer(b"A", "Connection: close")
    desk.turn()
    assert desk.server.wire.hear() == [Asked("/b", b"\x00")]
    desk.server.wire.answer(b"B")
    assert desk.answers == [("a", 200, b"A"), ("b", 200, b"B")]


def test_what_follows_the_last_answer_of_a_connection_is_none() -> None:
    desk = Desk()
    desk.ask("a")
    desk.ask("b")
    last = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nA"
    desk.server.wire.say(last + last)
    desk.turn()
    assert desk.server.wire.hear() == [Asked("/b", b"\x00")]
    desk.server.wire.answer(b"B")
    assert desk.answers == [("a", 200, b"A"), ("b", 200, b"B")]


def test_an_answer_may_end_with_its_connection() -> None:
    desk = Desk()
    desk.ask("a")
    wire = desk.server.wire
    wire.say(b"HTTP/1.0 200 OK\r\n\r\n\x01abc")
    assert desk.answers == []
    wire.lose()
    assert desk.answers == [("a", 200, b"\x01abc")]
    desk.ask("b")
    assert desk.server.wire.hear() == [Asked("/b", b"\x00")]
    assert ended(desk, None) == []
    desk.turn()
    assert desk.finished()


def test_nobody_asked() -> None:
    """HAProxy says 408 to a connection that was silent for long, and closes it."""
    desk = Desk()
    desk.ask("a")
    wire = desk.server.wire
    wire.answer(b"")
    wire.answer(b"", "Connection: close", status="HTTP/1.1 408 Request Time-out")
    desk.turn()
    assert wire.closed()
    desk.ask("b")
    desk.server.wire.answer(b"")
    assert [answer[:2] for answer in desk.answers] == [("a", 200), ("b", 200)]


# ------------------------------------------------------------------------ broken connections


@pytest.mark.parametrize("part", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n\x01abc"])
def test_a_request_whose_connection_breaks_is_made_again(part: bytes) -> None:
    desk = Desk()
    desk.ask("a", b"bytes")
    first = desk.server.wire.hear()
    desk.server.wire.say(part)
    desk.server.wire.lose(BREAK)
    desk.turn()
    desk.turn()
    assert desk.server.wire.hear() == first == [Asked("/a", b"bytes")]
    desk.server.wire.answer(b"\x01A")
    assert desk.answers == [("a", 200, b"\x01A")]
    assert (len(desk.server.wires), desk.posts.repeated) == (2, 1)


def test_three_times_and_then_no_more() -> None:
    desk = Desk()
    desk.ask("idle 7")
    times = []
    for _ in range(4):
        times.append(desk.clock.seconds())
        desk.server.wire.lose(BREAK)
        for _ in range(20):
            count = len(desk.server.wires)
            desk.turn(0.125)
            if len(desk.server.wires) > count:
                break
    assert [b - a for a, b in pairwise(times)] == [0.125, 0.5, 2.0]
    assert desk.lost is not None
    assert desk.lost.check(ConnectionLost)
    assert "idle 7 was not answered, 4 times: Connection to the other side" in desk.words
    assert "cut" in desk.words
    assert desk.finished()


def test_an_answer_wipes_the_slate_clean() -> None:
    desk = Desk()
    for number in range(10):
        desk.ask(f"a{number}")
        desk.server.wire.lose(BREAK)
        desk.turn()
        desk.turn()
        desk.server.wire.answer(b"")
    assert len(desk.answers) == 10
    assert desk.lost is None


def test_a_server_that_is_down_for_a_moment() -> None:
    desk = Desk()
    desk.ask("a")
    desk.server.down = True
    desk.server.wire.lose(BREAK)
    desk.wait(2)
    assert desk.server.attempts == 3
    desk.server.down = False
    desk.wait(2)
    desk.server.wire.answer(b"")
    assert desk.answers == [("a", 200, b"")]


def test_a_server_that_is_down() -> None:
    desk = Desk()
    desk.ask("a")
    desk.server.down = True
    desk.server.wire.lose(BREAK)
    desk.wait(4)
    assert "a was not answered, 4 times: An error occurred while connecting: nobody" in desk.words
    assert desk.server.attempts == 1 + len(PAUSES)
    assert desk.finished()


@pytest.mark.parametrize("status", ["502 Bad Gateway", "503 Unavailable", "504 Gateway Timeout"])
def test_a_proxy_that_lost_the_server(status: str) -> None:
    """It is reloaded, or the server behind it restarted a worker."""
    desk = Desk()
    desk.ask("a")
    first = desk.server.wire
    first.answer(b"<html>", status=f"HTTP/1.1 {status}")
    desk.turn()
    desk.turn()
    assert first.closed()
    desk.server.wire.answer(b"\x01")
    assert desk.answers == [("a", 200, b"\x01")]
    desk.ask("b")
    for _ in range(4):
        desk.server.wire.answer(b"", status=f"HTTP/1.1 {status}")
        desk.wait(2.5)
    assert f"b was not answered, 4 times: {status}" in desk.words
    assert desk.finished()


def test_garbage_is_as_good_as_a_broken_connection() -> None:
    desk = Desk()
    desk.ask("a")
    desk.server.wire.say(b"SSH-2.0-OpenSSH\r\n\r\n")
    desk.turn()
    desk.turn()
    assert desk.server.wires[0].closed()
    desk.server.wire.answer(b"A")
    assert desk.answers == [("a", 200, b"A")]
    desk.ask("b")
    for _ in range(4):
        desk.server.wire.say(b"SSH-2.0-OpenSSH\r\n\r\n")
        desk.wait(2.5)
    assert "b'SSH-2.0-OpenSSH' is no HTTP/1 answer" in desk.words
    assert desk.finished()


def test_two_are_not_made_again() -> None:
    """A server keeps one answer for a repetition; the other one's bytes would be missing."""
    desk = Desk()
    desk.ask("idle 4")
    desk.ask("send 5")
    desk.server.wire.lose(BREAK)
    desk.turn()
    assert "idle 4 was on its way with another one: and the connection broke" in desk.words
    assert desk.finished()


def test_before_it_is_durable_nothing_is_made_again() -> None:
    """`open` would open another session."""
    desk = Desk(durable=False)
    desk.ask("open")
    desk.server.wire.lose(BREAK)
    assert desk.lost is not None
    assert desk.lost.value is BREAK
    assert desk.finished()


def test_before_it_is_durable_a_server_that_is_not_there_is_an_error() -> None:
    desk = Desk(durable=False)
    desk.server.down = True
    desk.ask("open")
    assert desk.lost is not None
    assert desk.lost.check(ConnectError)
    assert desk.finished()


def test_before_it_is_durable_503_is_an_answer() -> None:
    desk = Desk(durable=False)
    desk.ask("open")
    desk.server.wire.answer(b"", status="HTTP/1.1 503 Full")
    assert desk.answers == [("open", 503, b"")]


# ------------------------------------------------------------------------------------ time


def test_a_connection_that_has_fallen_silent_is_replaced() -> None:
    """The phone has another network now, and nobody told it that the old connection is dead."""
    desk = Desk()
    desk.ask("a")
    first = desk.server.wire
    desk.wait(STALE)
    assert not first.closed()
    desk.wait(1.25)
    assert first.closed()
    assert desk.server.wire is not first
    assert desk.server.wire.hear() == [Asked("/a", b"\x00")]
    desk.server.wire.answer(b"A")
    assert desk.answers == [("a", 200, b"A")]
    assert desk.posts.repeated == 1


def test_a_server_may_take_its_time() -> None:
    """Ours asks somebody else before it decides. That it is asked again does no harm."""
    desk = Desk()
    desk.ask("send 2")
    desk.wait(PATIENCE)
    assert desk.lost is None
    assert len(desk.server.wires) == 6
    desk.server.wire.answer(b"A")
    assert desk.answers == [("send 2", 200, b"A")]


def test_but_not_for_ever() -> None:
    desk = Desk()
    desk.ask("send 2")
    desk.wait(PATIENCE + 1.25)
    assert "send 2 was not answered in 30 s: 5 repetitions" in desk.words
    assert desk.finished()


def test_an_answer_that_comes_slowly_is_no_silence() -> None:
    desk = Desk()
    desk.ask("a")
    desk.server.wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
    for _ in range(20):
        desk.wait(1.25)
        desk.server.wire.say(b"x")
    assert desk.answers == [("a", 200, b"x" * 20)]
    assert len(desk.server.wires) == 1


def test_a_clock_that_is_set_means_nothing() -> None:
    desk = Desk()
    desk.ask("a")
    desk.turn(3600.0)
    desk.wait(STALE - 1.25)
    assert (desk.lost, len(desk.server.wires)) == (None, 1)


def test_a_long_request_has_longer() -> None:
    """A quarter of a megabyte takes 8 s over 256 kbit/s."""
    desk = Desk()
    desk.ask("a", bytes(SLOW * 10))
    desk.wait(STALE + 10)
    assert len(desk.server.wires) == 1
    desk.wait(1.25)
    assert len(desk.server.wires) == 2


def test_time_passes_without_effect_while_nothing_is_under_way() -> None:
    desk = Desk()
    desk.ask("a")
    desk.server.wire.answer(b"")
    desk.wait(PATIENCE * 2)
    assert desk.lost is None
    desk.ask("b")
    desk.wait(STALE - 0.25)
    desk.server.wire.answer(b"")
    assert len(desk.answers) == 2
    assert len(desk.server.wires) == 1


def test_two_on_a_silent_connection_are_lost() -> None:
    desk = Desk()
    desk.ask("idle 4")
    desk.ask("send 5")
    desk.wait(STALE + 1.25)
    assert "idle 4 was on its way with another one" in desk.words
    assert desk.finished()


def test_a_silent_answer_to_open_is_waited_for() -> None:
    desk = Desk(durable=False)
    desk.ask("open")
    desk.wait(PATIENCE)
    assert (desk.lost, len(desk.server.wires)) == (None, 1)
    desk.wait(1.25)
    assert "open was not answered in 30 s: 0 repetitions" in desk.words
    assert desk.finished()


def test_a_network_that_does_not_come_back() -> None:
    desk = Desk()
    desk.ask("a")
    desk.server.black_hole = True
    desk.server.wire.lose(BREAK)
    desk.wait(RESCUE)
    assert desk.lost is None
    desk.wait(1.25)
    assert "a was not answered: no new connection in 10 s" in desk.words
    assert desk.finished()


# ------------------------------------------------------------------------------------ the end


def ended(desk: Desk, last_words: bytes | None) -> list[None]:
    """End it; the list fills when it is gone."""
    gone: list[None] = []
    desk.posts.end(last_words).addCallback(gone.append)
    return gone


def test_the_end_with_last_words() -> None:
    desk = Desk()
    desk.ask("a")
    wire = desk.server.wire
    wire.hear()
    gone = ended(desk, desk.posts.write("/close", b"\x00"))
    assert wire.hear() == [Asked("/close", b"\x00")]
    wire.answer(b"A")
    assert gone == []
    desk.turn()
    assert gone == [None]
    assert ended(desk, None) == [None]
    assert desk.answers == []
    assert desk.lost is None
    assert desk.finished()


def test_the_end_does_not_wait_for_the_other_side_for_ever() -> None:
    desk = Desk()
    desk.ask("a")
    desk.server.wire.pipe.stuck = True
    gone = ended(desk, b"")
    desk.turn(LINGER / 2)
    assert gone == []
    desk.turn(LINGER / 2)
    desk.turn()
    assert gone == [None]
    assert desk.finished()


def test_the_end_without_a_word() -> None:
    desk = Desk()
    desk.ask("a")
    desk.server.wire.pipe.stuck = True
    gone = ended(desk, None)
    desk.turn()
    assert gone == [None]
    assert desk.finished()


def test_the_end_before_the_begin() -> None:
    desk = Desk()
    assert ended(desk, b"") == [None]
    assert desk.finished()


def test_the_end_while_it_connects() -> None:
    desk = Desk()
    desk.server.black_hole = True
    desk.ask("a")
    assert ended(desk, b"") == [None]
    assert desk.lost is None
    assert desk.finished()


def test_the_end_just_when_it_has_connected() -> None:
    desk = Desk()
    desk.server.black_hole = desk.server.stubborn = True
    desk.ask("a")
    assert ended(desk, b"") == [None]
    desk.turn()
    assert desk.server.wire.hear() == []
    assert desk.finished()


def test_the_end_before_a_repetition() -> None:
    desk = Desk()
    desk.ask("a")
    desk.server.wire.lose(BREAK)
    assert ended(desk, b"") == [None]
    assert desk.finished()


def test_the_end_after_the_last_answer_of_a_connection() -> None:
    desk = Desk()
    desk.ask("a")
    desk.server.wire.answer(b"", "Connection: close")
    assert ended(desk, b"") == [None]
    desk.turn()
    assert desk.finished()


def test_the_other_side_ends_first() -> None:
    desk = Desk()
    desk.ask("a")
    desk.server.wire.pipe.stuck = True
    gone = ended(desk, b"")
    desk.server.wire.lose(ConnectionDone())
    assert gone == [None]
    assert desk.finished()
