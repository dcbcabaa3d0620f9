"""The tunnel as a transport: what a connection may do with it, and what it hears."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IPushProducer, ITransport
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from rtmptwist.net.tunnel import ClosedByClient, Tunnel, TunnelLimits, Use
from rtmptwist.net.writer import TransportWriter, tcp_socket, writer_for
from tests.support.tunnel import HOST, PEER, Listener

GONE = Failure(ConnectionLost("gone"))


class Pipe:
    """A tunnel with a listener in it and a fake clock."""

    def __init__(self, answer_size: int = 100) -> None:
        self.clock = Clock()
        self.tunnel = Tunnel(PEER, HOST, self.clock, TunnelLimits(answer_size=answer_size))
        self.stirred = 0
        self.tunnel.stirred = self._count
        self.listener = Listener()
        self.tunnel.open(self.listener)

    def _count(self) -> None:
        self.stirred += 1

    def lost(self) -> list[type[BaseException] | None]:
        """Why the connection thinks it is lost, a turn of the reactor later."""
        self.clock.advance(0)
        return [failure.type for failure in self.listener.lost]


@implementer(IPushProducer)
class Producer:
    """Counts what a consumer wants of it."""

    def __init__(self, resume: Callable[[], None] = lambda: None) -> None:
        self.calls: list[str] = []
        self._resume = resume

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")
        self._resume()

    def stopProducing(self) -> None:
        self.calls.append("stop")


@pytest.fixture
def failures() -> Iterator[list[LogEvent]]:
    """What is logged as a bug."""
    events: list[LogEvent] = []
    keep = cast("ILogObserver", events.append)
    globalLogPublisher.addObserver(keep)
    yield events
    globalLogPublisher.removeObserver(keep)


def test_is_a_transport() -> None:
    tunnel = Pipe().tunnel
    assert (tunnel.getPeer(), tunnel.getHost()) == (PEER, HOST)
    for interface in (ITransport, IConsumer, IPushProducer):
        verifyObject(interface, tunnel)


def test_the_usual_writer_works_over_it() -> None:
    pipe = Pipe()
    assert tcp_socket(pipe.tunnel) is None
    writer = writer_for(pipe.tunnel)
    assert isinstance(writer, TransportWriter)
    assert writer.write(b"a" * 99)
    assert not writer.write(b"b")
    drained: list[int] = []
    writer.drained = lambda: drained.append(pipe.tunnel.waiting)
    pipe.tunnel.take()
    assert drained == [0]
    assert writer.idle
    writer.write(b"the end")
    writer.close()
    assert pipe.lost() == []
    assert pipe.tunnel.take() == b"the end"
    assert pipe.lost() == [ConnectionDone]


def test_bytes_go_both_ways() -> None:
    pipe = Pipe()
    pipe.tunnel.feed(b"one")
    pipe.tunnel.feed(b"two")
    assert pipe.listener.heard == [b"one", b"two"]
    pipe.tunnel.write(b"three")
    pipe.tunnel.writeSequence([b"fo", b"ur"])
    assert pipe.tunnel.waiting == 9
    assert pipe.tunnel.take() == b"threefour"
    assert pipe.tunnel.waiting == 0
    assert pipe.tunnel.take() == b""


@given(pieces=st.lists(st.binary(min_size=1, max_size=300), max_size=8))
def test_answers_are_full_and_bounded(pieces: list[bytes]) -> None:
    pipe = Pipe(answer_size=100)
    pipe.tunnel.writeSequence(pieces[:2])
    for piece in pieces[2:]:
        pipe.tunnel.write(piece)
    everything = b"".join(pieces)
    answers = []
    while pipe.tunnel.waiting:
        answers.append(pipe.tunnel.take())
        assert pipe.tunnel.waiting == len(everything) - len(b"".join(answers))
    assert b"".join(answers) == everything
    assert [len(a) for a in answers[:-1]] == [100] * (len(answers) - 1)
    assert all(0 < len(a) <= 100 for a in answers)


def test_nothing_written_is_nothing_new() -> None:
    pipe = Pipe()
    pipe.tunnel.write(b"")
    assert pipe.stirred == 0
    pipe.tunnel.write(b"a")
    assert pipe.stirred == 1


# ----------------------------------------------------------------------------- producers


def test_a_producer_is_paused_while_more_waits_than_an_answer_takes() -> None:
    pipe = Pipe(answer_size=100)
    producer = Producer()
    pipe.tunnel.registerProducer(producer, True)
    pipe.tunnel.write(b"a" * 99)
    assert producer.calls == []
    pipe.tunnel.write(b"a" * 152)
    pipe.tunnel.write(b"a")
    assert producer.calls == ["pause"]
    pipe.tunnel.take()
    assert producer.calls == ["pause"]  # 152 wait, more than the next answer
    pipe.tunnel.take()
    assert producer.calls == ["pause"]  # 52, more than half of one
    pipe.tunnel.take()
    assert producer.calls == ["pause", "resume"]
    pipe.tunnel.take()
    assert producer.calls == ["pause", "resume"]


def test_a_producer_that_is_resumed_fills_the_next_answer() -> None:
    pipe = Pipe(answer_size=100)
    producer = Producer(lambda: pipe.tunnel.write(b"b" * 100))
    pipe.tunnel.registerProducer(producer, True)
    pipe.tunnel.write(b"a" * 150)
    assert pipe.tunnel.take() == b"a" * 100
    assert pipe.tunnel.take() == b"a" * 50 + b"b" * 50
    assert producer.calls == ["pause", "resume", "pause", "resume", "pause"]


def test_a_pull_producer_is_asked_when_there_is_room() -> None:
    pipe = Pipe(answer_size=100)
    producer = Producer()
    pipe.tunnel.registerProducer(producer, False)
    assert producer.calls == ["resume"]
    pipe.tunnel.write(b"a" * 200)
    pipe.tunnel.take()
    assert producer.calls == ["resume"]
    pipe.tunnel.take()
    assert producer.calls == ["resume", "resume"]


def test_only_one_producer_at_a_time() -> None:
    pipe = Pipe()
    pipe.tunnel.registerProducer(Producer(), True)
    with pytest.raises(RuntimeError, match="is registered"):
        pipe.tunnel.registerProducer(Producer(), True)
    pipe.tunnel.unregisterProducer()
    pipe.tunnel.registerProducer(Producer(), True)


def test_a_producer_is_stopped_when_the_connection_is_lost() -> None:
    pipe = Pipe()
    early, late = Producer(), Producer()
    pipe.tunnel.registerProducer(early, True)
    pipe.tunnel.hang_up(GONE)
    pipe.tunnel.registerProducer(late, True)
    assert (early.calls, late.calls) == (["stop"], ["stop"])


# ------------------------------------------------------------------------------- reading


def test_reading_can_be_paused() -> None:
    pipe = Pipe()
    states = [(pipe.tunnel.reading, pipe.stirred)]
    for act in ("pauseProducing", "resumeProducing", "resumeProducing"):
        getattr(pipe.tunnel, act)()
        states.append((pipe.tunnel.reading, pipe.stirred))
    assert states == [(True, 0), (False, 0), (True, 1), (True, 1)]


def test_nothing_is_read_any_more_from_one_that_is_to_end() -> None:
    pipe = Pipe()
    pipe.tunnel.write(b"last words")
    pipe.tunnel.loseConnection()
    pipe.tunnel.resumeProducing()
    assert not pipe.tunnel.reading


# ---------------------------------------------------------------------------------- ends


def test_what_is_written_is_taken_before_the_end() -> None:
    pipe = Pipe(answer_size=4)
    pipe.tunnel.write(b"last words")
    pipe.tunnel.loseConnection()
    pipe.tunnel.loseConnection()
    pipe.tunnel.write(b"too late")
    answers = [pipe.tunnel.take() for _ in range(2)]
    assert pipe.lost() == []
    answers.append(pipe.tunnel.take())
    assert b"".join(answers) == b"last words"
    assert pipe.listener.lost == []  # not within the call
    assert pipe.lost() == [ConnectionDone]
    assert pipe.tunnel.lost


def test_without_anything_to_say_the_end_comes_soon() -> None:
    pipe = Pipe()
    pipe.tunnel.stopProducing()
    assert pipe.listener.lost == []  # the protocol is still in its call
    assert pipe.lost() == [ConnectionDone]


def test_the_end_waits_for_a_producer() -> None:
    """As Twisted has it: who is registered may still have something to say."""
    pipe = Pipe()
    pipe.tunnel.registerProducer(Producer(), True)
    pipe.tunnel.loseConnection()
    pipe.tunnel.write(b"last words")
    assert pipe.tunnel.take() == b"last words"
    assert pipe.lost() == []
    pipe.tunnel.unregisterProducer()
    assert pipe.lost() == [ConnectionDone]


def test_abort_forgets_what_waits() -> None:
    pipe = Pipe()
    pipe.tunnel.write(b"never said")
    pipe.tunnel.abortConnection()
    pipe.tunnel.abortConnection()
    assert pipe.tunnel.waiting == 0
    assert pipe.tunnel.take() == b""
    assert pipe.lost() == [ConnectionAborted]


def test_abort_hurries_an_end() -> None:
    pipe = Pipe()
    pipe.tunnel.write(b"never taken")
    pipe.tunnel.loseConnection()
    pipe.tunnel.abortConnection()
    assert pipe.lost() == [ConnectionAborted]


def test_hanging_up_is_heard_at_once_and_once() -> None:
    pipe = Pipe()
    pipe.tunnel.loseConnection()
    pipe.tunnel.hang_up(GONE)
    assert pipe.listener.lost == [GONE]
    pipe.tunnel.hang_up(GONE)
    pipe.tunnel.abortConnection()
    pipe.tunnel.loseConnection()
    pipe.tunnel.unregisterProducer()
    assert pipe.lost() == [ConnectionLost]
    assert not pipe.clock.getDelayedCalls()


def test_a_lost_tunnel_swallows_everything() -> None:
    pipe = Pipe()
    pipe.tunnel.write(b"waits")
    pipe.tunnel.hang_up(GONE)
    pipe.tunnel.write(b"late")
    pipe.tunnel.resumeProducing()
    assert (pipe.tunnel.waiting, pipe.tunnel.take(), pipe.tunnel.reading) == (0, b"", False)


def test_the_client_s_goodbye_can_be_told_from_a_loss() -> None:
    """FFmpeg says nothing else at the end, so the connection takes it for an unpublish."""
    assert issubclass(ClosedByClient, ConnectionDone)
    assert Failure(ClosedByClient()).getErrorMessage() == "Connection was closed cleanly."


# ---------------------------------------------------------------------------------- bugs


class Broken(Protocol):
    """A connection with a bug in everything."""

    def connectionMade(self) -> None:
        raise ZeroDivisionError

    def connectionLost(self, reason: object = None) -> None:
        raise ZeroDivisionError


def test_a_bug_in_a_connection_ends_it_and_is_logged(failures: list[LogEvent]) -> None:
    pipe = Pipe()

    def fail(data: bytes) -> None:
        raise ZeroDivisionError(data)

    pipe.listener.answer = fail
    pipe.tunnel.feed(b"x")
    assert pipe.lost() == [ConnectionAborted]
    assert [event["log_failure"].type for event in failures] == [ZeroDivisionError]


def test_a_bug_at_its_begin_and_end_too(failures: list[LogEvent]) -> None:
    clock = Clock()
    tunnel = Tunnel(PEER, HOST, clock, TunnelLimits())
    tunnel.open(Broken())
    clock.advance(0)
    assert tunnel.lost
    assert [event["log_failure"].type for event in failures] == [ZeroDivisionError] * 2


# ----------------------------------------------------------------------------------- use


def test_what_it_is_used_for_decides_patience() -> None:
    """Bounds of the reference; holding for publishers would stop FFmpeg."""
    pipe = Pipe()
    assert pipe.tunnel.use is Use.HANDSHAKE
    assert {use.name: (use.hold, use.silence) for use in Use} == {
        "HANDSHAKE": (0, 5),
        "PLAYING": (0.5, 10),
        "PUBLISHING": (0, 30),
    }
