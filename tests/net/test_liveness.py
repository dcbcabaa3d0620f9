"""Silence and death, also when somebody sets the clock."""

from __future__ import annotations

import pytest

from rtmptwist.net.liveness import Liveness
from rtmptwist.wire.errors import LimitExceeded
from rtmptwist.wire.limits import Limits
from rtmptwist.wire.session import State
from tests.support.pair import SessionPair

INTERVAL, TIMEOUT = 10.0, 5.0


class Peer:
    """A client that is silent unless told otherwise, and who looks after it at the server."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.pair = SessionPair(limits).connected()
        self.now = 1_000_000.0
        self.liveness = Liveness(self.pair.server, self.now, INTERVAL, TIMEOUT)
        assert self.look()

    def look(self, later: float = 0.0, *, reading: bool = True) -> bool:
        self.now += later
        return self.liveness.look(self.now, reading=reading)

    def lives(self, seconds: int) -> int:
        """How many of so many seconds it is thought to live."""
        return next((n for n in range(seconds) if not self.look(1)), seconds)

    def pinged(self) -> bool:
        """Since the last time this was asked."""
        return bool(self.pair.server.data_to_send())


def test_silence_is_followed_by_a_ping_and_that_by_death() -> None:
    peer = Peer()
    assert peer.lives(9) == 9
    assert not peer.pinged()
    assert peer.look(1)
    assert peer.pinged()
    assert peer.lives(4) == 4
    assert not peer.pinged()  # once is enough
    assert not peer.look(1)


def test_an_answer_is_a_sign_of_life() -> None:
    peer = Peer()
    for _ in range(10):
        assert peer.lives(12) == 12
        peer.pair.pump()


def test_silence_of_those_who_are_not_heard_means_nothing() -> None:
    peer = Peer()
    assert all(peer.look(1, reading=False) for _ in range(100))
    assert peer.lives(14) == 14
    assert not peer.look(1)


def test_silence_before_connect_is_not_our_business() -> None:
    peer = Peer()
    peer.pair.server.state = State.HANDSHAKEN
    assert peer.lives(100) == 100
    assert not peer.pinged()


def test_nobody_dies_because_the_clock_is_set_forward() -> None:
    peer = Peer()
    for _ in range(10):
        assert peer.look(3600)
        peer.pair.pump()


def test_nobody_lives_for_ever_because_the_clock_is_set_back() -> None:
    peer = Peer()
    assert peer.look(-3600)
    assert peer.lives(100) == 14


def test_a_clock_set_back_takes_no_credit() -> None:
    """Else the next command of everybody would be one too many."""
    peer = Peer()
    peer.look(-3600)
    peer.pair.client.create_stream()
    peer.pair.pump()


def test_too_much_in_too_little_time() -> None:
    peer = Peer(Limits(chunks_per_second=10))
    for _ in range(20):
        peer.pair.client.release_stream("x")
    peer.pair.pump()
    with pytest.raises(LimitExceeded, match=r"chunks in 1\.0 s"):
        peer.look(1)
