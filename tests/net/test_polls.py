"""The requests of a session: their order, when they are answered, and what ends it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from rtmptwist.net.polls import Kind
from rtmptwist.net.tunnel import ClosedByClient, TunnelLimits, Use
from tests.support.tunnel import Desk, never

OK_EMPTY = [(200, b"\x01")]
GONE = [(404, b"")]
BAD = [(400, b"")]


def said(text: bytes) -> list[tuple[int, bytes]]:
    """The answer that carries it."""
    return [(200, b"\x01" + text)]


@pytest.fixture
def desk() -> Desk:
    """A session of a player, whose answers may be held."""
    desk = Desk()
    desk.tunnel.use = Use.PLAYING
    return desk


# ------------------------------------------------------------------------- in order


def test_what_is_sent_is_heard_and_answered_at_once(desk: Desk) -> None:
    desk.listener.answer = desk.listener.echo
    assert desk.send(0, b"hello") == said(b"HELLO")
    assert desk.send(1, b"again") == said(b"AGAIN")
    assert desk.listener.heard == [b"hello", b"again"]


def test_a_send_is_not_held_for_an_answer(desk: Desk) -> None:
    assert desk.send(0, b"hello") == OK_EMPTY
    assert desk.send(1, b"") == OK_EMPTY
    assert desk.listener.heard == [b"hello"]


def test_the_body_of_an_idle_is_no_data(desk: Desk) -> None:
    """It is one byte 00, which would end the chunk stream's sense."""
    desk.idle(0)
    desk.turn(1)
    assert desk.listener.heard == []


@pytest.mark.parametrize("first", [0, 1])
def test_numbers_begin_at_0_or_1(desk: Desk, first: int) -> None:
    """FFmpeg and librtmp begin at 0, Red5's client and HaishinKit at 1."""
    for number in range(first, first + 3):
        assert desk.send(number, b"x") == OK_EMPTY
    assert len(desk.listener.heard) == 3


def test_one_counter_for_all_kinds(desk: Desk) -> None:
    desk.send(0, b"a")
    desk.idle(1)
    desk.send(2, b"b")
    assert desk.close(3) == [(200, b"\x00")]
    assert desk.listener.heard == [b"a", b"b"]


# -------------------------------------------------------------------------- holding


def test_an_idle_is_held_until_there_is_something_to_say(desk: Desk) -> None:
    answers = desk.idle(0)
    desk.turn(0.3)
    assert answers == []
    desk.tunnel.write(b"one")
    desk.tunnel.write(b"two")
    assert answers == []  # what this turn of the reactor brings goes together
    desk.turn()
    assert answers == said(b"onetwo")


def test_an_idle_is_answered_at_once_when_something_waits(desk: Desk) -> None:
    desk.tunnel.write(b"frame")
    assert desk.idle(0) == said(b"frame")


def test_a_hold_ends_in_time(desk: Desk) -> None:
    first = desk.idle(0)
    desk.turn(0.25)
    desk.tunnel.write(b"frame")
    desk.turn()
    second = desk.idle(1)
    desk.turn(0.25)  # the first one's timer
    desk.turn(0.2499)
    assert (first, second) == (said(b"frame"), [])
    desk.turn(0.0002)
    assert second == OK_EMPTY


@pytest.mark.parametrize("use", [Use.HANDSHAKE, Use.PUBLISHING])
def test_who_has_more_to_say_is_not_held(desk: Desk, use: Use) -> None:
    """FFmpeg waits for the answer before it sends what it has to publish."""
    desk.tunnel.use = use
    assert desk.idle(0) == OK_EMPTY


def test_the_interval_grows_where_answers_are_not_held(desk: Desk) -> None:
    """As Red5 has it; it stays 1 while we hold, because the next request shall come at once."""
    desk.tunnel.use = Use.PUBLISHING
    assert b"".join(desk.idle(n)[0][1] for n in range(18)) == b"\x01" * 10 + bytes(
        [3, 5, 9, 17, 33, 33, 33, 33]
    )
    desk.tunnel.write(b"frame")
    assert desk.idle(18) == said(b"frame")
    intervals = [desk.idle(n)[0][1][0] for n in range(19, 31)]
    assert intervals == [1] * 10 + [3, 5]
    assert desk.send(31, b"frame") == OK_EMPTY
    assert desk.idle(32) == OK_EMPTY
    desk.tunnel.use = Use.PLAYING
    for n in range(33, 50):
        answers = desk.idle(n)
        desk.turn(0.5)
        assert answers == OK_EMPTY


def test_a_newer_request_releases_a_held_one(desk: Desk) -> None:
    """Two connections: the answers carry the bytes in the order of the numbers."""
    desk.listener.answer = desk.listener.echo
    held = desk.idle(0)
    newer = desk.send(1, b"hello")
    assert (held, newer) == (OK_EMPTY, said(b"HELLO"))


def test_bytes_behind_it_release_a_held_one(desk: Desk) -> None:
    """librtmp sends the next request before it has read the answer."""
    held = desk.idle(0)
    desk.tunnels.hurry(desk.session_id, urgent=False)
    assert held == OK_EMPTY
    desk.tunnels.hurry(desk.session_id, urgent=False)


def test_holding_costs_few_timers(desk: Desk) -> None:
    for number in range(50):
        desk.idle(number)
        desk.turn(0.02)
        desk.tunnel.write(b"frame")
        desk.turn()
        assert len(desk.clock.getDelayedCalls()) <= 1


# --------------------------------------------------------------------- back-pressure


def test_what_comes_while_a_decision_is_taken_waits(desk: Desk) -> None:
    desk.listener.answer = desk.listener.echo
    desk.tunnel.pauseProducing()
    answers = desk.send(0, b"publish")
    desk.turn(8)
    assert (answers, desk.listener.heard) == ([], [])
    desk.tunnel.resumeProducing()
    assert desk.listener.heard == []  # not within the call
    desk.turn()
    assert (answers, desk.listener.heard) == (said(b"PUBLISH"), [b"publish"])


def test_what_comes_later_waits_its_turn_then(desk: Desk) -> None:
    desk.listener.answer = desk.listener.echo
    desk.tunnel.pauseProducing()
    first = desk.send(0, b"a")
    second = desk.send(1, b"b")
    desk.turn(5)  # no gap: nothing is missing
    third = desk.send(2, b"c")
    desk.tunnel.resumeProducing()
    desk.turn()
    assert [first, second, third] == [said(b"A"), said(b"B"), said(b"C")]
    assert desk.listener.heard == [b"a", b"b", b"c"]


@pytest.mark.parametrize("use", list(Use))
def test_who_waits_for_a_decision_is_not_to_ask_all_the_time(desk: Desk, use: Use) -> None:
    desk.tunnel.use = use
    desk.tunnel.pauseProducing()
    answers = desk.idle(0)
    desk.turn(0.4)
    assert answers == []
    desk.turn(0.1)
    assert answers == OK_EMPTY


def test_a_waiting_send_is_answered_when_the_connection_ends(desk: Desk) -> None:
    desk.tunnel.pauseProducing()
    answers = desk.send(0, b"publish")
    desk.tunnel.write(b"refused")
    desk.tunnel.loseConnection()
    desk.turn()
    assert (answers, desk.listener.heard) == (said(b"refused"), [])
    assert desk.idle(1) == GONE


def test_a_viewer_that_does_not_ask_is_a_slow_viewer(desk: Desk) -> None:
    """It holds one answer's worth and what the fan-out had in its hand, nothing more."""
    calls: list[str] = []

    class Producer:
        def pauseProducing(self) -> None:
            calls.append("pause")

        def resumeProducing(self) -> None:
            calls.append("resume")

        def stopProducing(self) -> None: ...

    desk.tunnel.registerProducer(Producer(), True)  # type: ignore[arg-type]  # not declared
    while not calls:
        desk.tunnel.write(b"x" * 5000)
    assert desk.tunnel.waiting < TunnelLimits().answer_size + 5000
    sizes: list[int] = []
    while desk.tunnel.waiting:
        sizes.append(len(desk.idle(len(sizes))[0][1]))
    assert sizes[0] == 1 + TunnelLimits().answer_size
    assert calls == ["pause", "resume"]


# --------------------------------------------------------------------------- the rate


def test_who_asks_too_often_waits_a_little(desk: Desk) -> None:
    """rtmpdump, answered at once, asks 7,300 times a second."""
    desk.tunnel.use = Use.PUBLISHING
    for number in range(200):
        assert len(desk.idle(number)) == 1
    late = desk.idle(200)
    desk.tunnels.hurry(desk.session_id, urgent=False)
    later = desk.idle(201)
    assert late == later == []
    desk.turn(0.02)
    assert late == later == [(200, b"\x21")]


def test_who_brings_something_does_not_wait(desk: Desk) -> None:
    """librtmp publishes a file as fast as it goes and closes, whatever is still on its way."""
    desk.tunnel.use = Use.PUBLISHING
    answers = [desk.send(number, b"x") for number in range(1000)]
    assert len(desk.listener.heard) == 1000
    assert answers[:-1] == [OK_EMPTY] * 999
    assert answers[-1] == []
    desk.tunnels.hurry(desk.session_id, urgent=True)
    assert answers[-1] == OK_EMPTY


def test_a_decision_is_waited_for_by_those_too(desk: Desk) -> None:
    desk.tunnel.pauseProducing()
    answers = [desk.send(number, b"x") for number in range(3)]
    desk.tunnels.hurry(desk.session_id, urgent=True)
    assert answers == [[], [], []]
    assert desk.listener.heard == []


def test_in_the_long_run_it_gets_the_rate(desk: Desk) -> None:
    desk.tunnel.use = Use.PUBLISHING
    number = 0
    while desk.clock.seconds() < 5:
        answers = desk.idle(number)
        number += 1
        while not answers:
            desk.turn(0.001)
    assert 5 * 200 <= number <= 200 + 5 * 260


# -------------------------------------------------------------------------- repetition


def test_a_repeated_request_gets_the_same_answer_and_is_not_fed_twice(desk: Desk) -> None:
    desk.listener.answer = desk.listener.echo
    assert desk.send(0, b"hello") == said(b"HELLO")
    desk.tunnel.write(b"more")
    assert desk.send(0, b"hello") == said(b"HELLO")
    assert desk.listener.heard == [b"hello"]
    assert desk.idle(1) == said(b"more")
    assert desk.idle(1) == said(b"more")


def test_a_request_repeated_while_it_is_held_gets_the_same_answer(desk: Desk) -> None:
    first = desk.idle(0)
    desk.turn(0.4)
    second = desk.idle(0)
    desk.turn(0.4)  # it is held anew: the client has just begun to wait
    assert (first, second) == ([], [])
    desk.tunnel.write(b"frame")
    desk.turn()
    assert first == second == said(b"frame")


def test_an_old_request_gets_nothing(desk: Desk) -> None:
    desk.listener.answer = desk.listener.echo
    desk.send(0, b"a")
    desk.send(1, b"b")
    desk.tunnel.write(b"more")
    assert desk.send(0, b"a") == OK_EMPTY
    assert desk.listener.heard == [b"a", b"b"]
    assert desk.idle(2) == said(b"more")


def test_many_that_wait_for_one_answer_are_too_many(desk: Desk) -> None:
    answers = [desk.idle(0) for _ in range(20)]
    assert answers == [[]] * 16 + [BAD] * 4
    desk.turn(0.5)
    assert answers == [OK_EMPTY] * 16 + [BAD] * 4


def test_bytes_for_a_lost_http_connection_stay(desk: Desk) -> None:
    answers: list[tuple[int, bytes]] = []

    def reply(status: int, body: bytes) -> None:
        answers.append((status, body))

    desk.tunnels.enter(desk.session_id, Kind.IDLE, 0, b"\x00", reply)
    desk.tunnels.leave(desk.session_id, reply)
    desk.tunnels.leave(desk.session_id, reply)
    desk.tunnel.write(b"frame")
    desk.turn(1)
    assert answers == []
    assert desk.idle(0) == said(b"frame")


def test_or_come_with_the_next_number(desk: Desk) -> None:
    desk.tunnels.enter(desk.session_id, Kind.IDLE, 0, b"\x00", never)
    desk.tunnels.leave(desk.session_id, never)
    desk.tunnel.write(b"frame")
    assert desk.idle(1) == said(b"frame")
    assert desk.idle(0) == OK_EMPTY


def test_what_a_lost_connection_brought_is_fed_once_when_it_can_be(desk: Desk) -> None:
    desk.tunnel.pauseProducing()
    desk.tunnels.enter(desk.session_id, Kind.SEND, 0, b"a", never)
    desk.tunnels.leave(desk.session_id, never)
    second = desk.send(1, b"b")
    again = desk.send(0, b"a")
    assert second == again == []
    desk.tunnel.resumeProducing()
    desk.turn()
    assert desk.listener.heard == [b"a", b"b"]
    assert again == second == OK_EMPTY


def test_leaving_the_queue(desk: Desk) -> None:
    desk.tunnels.enter(desk.session_id, Kind.SEND, 1 + 1, b"early", never)
    desk.tunnels.leave(desk.session_id, never)
    desk.send(0, b"a")
    desk.send(1, b"b")
    assert desk.listener.heard == [b"a", b"b", b"early"]


# -------------------------------------------------------------------- early and missing


def test_early_requests_wait_for_their_turn(desk: Desk) -> None:
    desk.listener.answer = desk.listener.echo
    third = desk.send(2, b"c")
    second = desk.send(1 + 2, b"d")
    assert third == second == []
    assert desk.send(0, b"a") == said(b"A")
    assert desk.send(1, b"b") == said(b"B")
    assert (third, second) == (said(b"C"), said(b"D"))
    assert desk.listener.heard == [b"a", b"b", b"c", b"d"]


def test_an_early_one_that_comes_twice_is_one(desk: Desk) -> None:
    desk.send(0, b"a")
    first, again = desk.send(2, b"c"), desk.send(2, b"c")
    desk.send(1, b"b")
    assert first == again == OK_EMPTY
    assert desk.listener.heard == [b"a", b"b", b"c"]


def test_a_gap_is_waited_for(desk: Desk) -> None:
    desk.send(0, b"a")
    early = desk.send(2, b"c")
    desk.turn(1.9)
    assert early == []
    missing = desk.send(1, b"b")
    assert early == missing == OK_EMPTY


def test_but_not_for_long(desk: Desk) -> None:
    desk.send(0, b"a")
    desk.turn(60)
    early = [desk.send(2, b"c"), desk.idle(3)]
    desk.turn(1)
    early.append(desk.send(4, b"d"))
    desk.turn(1)
    assert early == [BAD, BAD, BAD]
    assert desk.listener.lost[0].getErrorMessage().endswith("request 1 did not come in 2 s.")
    assert desk.send(1, b"b") == GONE
    assert desk.send(0, b"a") == GONE
    assert desk.listener.heard == [b"a"]


def test_a_gap_behind_one_that_is_held_is_found_when_that_is_answered(desk: Desk) -> None:
    held, early = desk.idle(0), desk.idle(2)
    desk.turn(0.5)
    assert (held, early) == (OK_EMPTY, [])
    desk.turn(1.9)
    assert early == []
    desk.turn(0.1)
    assert early == BAD


def test_numbers_that_are_far_off_end_the_session(desk: Desk) -> None:
    desk.send(0, b"a")
    early = desk.send(16, b"x")
    assert early == []
    assert desk.send(17, b"y") == BAD
    assert early == BAD
    assert desk.listener.lost[0].check(ConnectionLost)
    assert desk.listener.lost[0].getErrorMessage().endswith("request 17 came when 1 was due.")


def test_early_bodies_are_bounded(desk: Desk) -> None:
    desk.send(0, b"a")
    early = [desk.send(n, b"x" * (1 << 18)) for n in range(2, 6)]
    assert early == [[]] * 4
    early.append(desk.send(6, b"x"))
    assert early == [BAD] * 5
    assert len(desk.listener.lost) == 1


def test_the_bound_is_on_what_waits_now(desk: Desk) -> None:
    number = 0
    for _ in range(8):
        early = desk.send(number + 1, b"x" * (1 << 20))
        assert desk.send(number, b"y" * (1 << 20)) == early == OK_EMPTY
        number += 2


@given(order=st.permutations(range(1, 12)), data=st.data())
def test_any_order_and_any_repetition_is_one_stream(order: list[int], data: st.DataObject) -> None:
    """What a proxy may do to requests, the connection does not see."""
    desk = Desk()
    desk.listener.answer = desk.listener.echo
    requests = [0, *order]
    for _ in range(data.draw(st.integers(0, 6))):
        requests.insert(data.draw(st.integers(1, len(requests))), data.draw(st.sampled_from(order)))
    answers: dict[int, list[tuple[int, bytes]]] = {}
    for number in requests:
        got = desk.send(number, b"<%d>" % number)
        if number not in answers:
            answers[number] = got
    assert desk.listener.heard == [b"<%d>" % n for n in range(12)]
    assert [answers[n] for n in range(12)] == [said(b"<%d>" % n) for n in range(12)]


# -------------------------------------------------------------------------------- ends


@pytest.mark.parametrize("number", [1, None])
def test_close_is_the_end_of_everything(desk: Desk, number: int | None) -> None:
    """FFmpeg says nothing else; RootEncoder does not even number it."""
    desk.send(0, b"a")
    assert desk.close(number) == [(200, b"\x00")]
    assert desk.listener.lost[0].check(ClosedByClient)
    assert desk.close(1) == [(200, b"\x00")]  # a repetition: the answer was lost
    assert desk.send(2, b"b") == GONE
    assert desk.listener.heard == [b"a"]


def test_a_close_waits_for_what_comes_before_it(desk: Desk) -> None:
    closed = desk.close(1 + 1)
    assert desk.listener.lost == []
    desk.send(0, b"a")
    desk.send(1, b"b")
    assert closed == [(200, b"\x00")]
    assert desk.listener.heard == [b"a", b"b"]


def test_a_close_without_number_does_not(desk: Desk) -> None:
    desk.send(0, b"a")
    held = desk.idle(1)
    desk.tunnel.write(b"last words")
    early = desk.send(3, b"c")
    assert desk.close(None) == [(200, b"\x00")]
    desk.turn()
    assert (held, early) == (said(b"last words"), GONE)
    assert not desk.clock.getDelayedCalls()


def test_the_last_words_come_with_the_next_answer(desk: Desk) -> None:
    desk.send(0, b"a")
    desk.tunnel.write(b"x" * (1 << 16))
    desk.tunnel.write(b"last words")
    desk.tunnel.loseConnection()
    first = desk.idle(1)
    assert desk.listener.lost == []
    second = desk.idle(2)
    desk.turn()
    assert first[0][1][1:] + second[0][1][1:] == b"x" * (1 << 16) + b"last words"
    assert len(desk.listener.lost) == 1
    assert desk.idle(2) == second  # if they were lost on the way
    assert desk.idle(3) == GONE
    assert desk.idle(2 - 1) == GONE


def test_a_held_request_brings_the_last_words(desk: Desk) -> None:
    held = desk.idle(0)
    desk.tunnel.write(b"last words")
    desk.tunnel.loseConnection()
    desk.turn()
    assert held == said(b"last words")


def test_a_held_request_is_refused_when_there_are_none(desk: Desk) -> None:
    desk.send(0, b"a")
    held = desk.idle(1)
    desk.tunnel.abortConnection()
    desk.turn()
    assert held == GONE
    assert desk.idle(1) == GONE
    assert not desk.clock.getDelayedCalls()


def test_a_request_that_comes_just_then_too(desk: Desk) -> None:
    desk.send(0, b"a")
    desk.tunnel.abortConnection()
    answers = desk.idle(1)
    desk.turn()
    assert answers == GONE


def test_a_repetition_that_comes_just_then_too(desk: Desk) -> None:
    """Not the answer of the one before."""
    desk.listener.answer = desk.listener.echo
    desk.send(0, b"a")
    held = desk.idle(1)
    desk.tunnel.hang_up(Failure(ClosedByClient()))
    assert desk.idle(1) == held == GONE


def test_a_connection_that_ends_while_it_hears(desk: Desk) -> None:
    desk.listener.answer = lambda data: desk.tunnel.abortConnection()
    answers = desk.send(0, b"nonsense")
    assert answers == OK_EMPTY
    desk.turn()
    assert desk.send(1, b"more") == GONE
    assert desk.listener.heard == [b"nonsense"]


@given(seed=st.integers(0, 10_000))
def test_whatever_happens_every_request_is_answered_once(seed: int) -> None:
    """Any mixture of requests, lost connections, decisions, time and ends."""
    dice = random.Random(seed)
    desk = Desk(TunnelLimits(requests_per_second=20))
    number = 0
    waiting: list[list[tuple[int, bytes]]] = []
    for _ in range(60):
        match dice.randrange(12):
            case 0 | 1 | 2:
                waiting.append(desk.send(number, b"a" * dice.randrange(3)))
                number += dice.choice((0, 1, 1, 1, 1, 2, -1))
            case 3 | 4 | 5:
                waiting.append(desk.idle(number))
                number += dice.choice((0, 1, 1, 1, 1, 2, -1))
            case 6:
                desk.tunnel.write(b"b" * dice.randrange(100_000))
            case 7:
                desk.tunnel.pauseProducing()
            case 8 | 9:
                desk.tunnel.resumeProducing()
            case 10:
                desk.turn(dice.choice((0, 0.02, 0.3, 1)))
            case 11:
                desk.tunnel.use = dice.choice(list(Use))
                match dice.randrange(24):
                    case 0:
                        desk.tunnel.loseConnection()
                    case 1:
                        desk.tunnel.abortConnection()
                    case 2:
                        waiting.append(desk.close(dice.choice((number, None))))
        assert all(len(answers) <= 1 for answers in waiting)
    desk.tunnel.resumeProducing()
    for _ in range(20):
        desk.turn(0.5)
    assert all(len(answers) == 1 for answers in waiting)
    desk.tunnel.abortConnection()
    desk.turn()
    assert not desk.clock.getDelayedCalls()
    assert all(status in {200, 400, 404} for [(status, _)] in waiting)
