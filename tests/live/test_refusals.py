"""A flood of refusals does not flood the log."""

from __future__ import annotations

from rtmptwist.live.refusals import Reason, Refusals
from tests.support.logs import Logs


def flood(refusals: Refusals, count: int, *, addresses: int, reason: Reason = Reason.TLS) -> None:
    for n in range(count):
        refusals.note(reason, f"192.0.2.{n % addresses}", "more than 20 TLS handshakes a second")


def test_the_first_is_told_at_once(logs: Logs) -> None:
    refusals = Refusals()
    flood(refusals, 1, addresses=1)
    assert logs.lines("warn") == ["192.0.2.0 refused: more than 20 TLS handshakes a second"]


def test_the_others_are_told_of_together(logs: Logs) -> None:
    refusals = Refusals()
    for count, addresses in ((1000, 2), (500, 3), (500, 4)):
        flood(refusals, count, addresses=addresses)
        refusals.sweep()
    why = "too many TLS handshakes from one address"
    assert logs.lines("warn")[1:] == [
        f"999 more refused, from 192.0.2.1, 192.0.2.0: {why}",
        f"500 more refused, from 192.0.2.0, 192.0.2.1, 192.0.2.2: {why}",
        f"500 more refused, from 192.0.2.0, 192.0.2.1, 192.0.2.2, others: {why}",
    ]


def test_after_a_rest_it_is_news_again(logs: Logs) -> None:
    refusals = Refusals()
    flood(refusals, 1, addresses=1)
    refusals.sweep()
    flood(refusals, 1, addresses=1)
    refusals.sweep()
    refusals.sweep()
    assert len(logs.about("192.0.2.0 refused")) == 2
    flood(refusals, 2, addresses=1)
    refusals.sweep()
    flood(refusals, 1, addresses=1)
    refusals.sweep()
    assert len(logs.about("192.0.2.0 refused")) == 3
    assert len(logs.about("1 more refused")) == 2


def test_reasons_do_not_hide_each_other(logs: Logs) -> None:
    refusals = Refusals()
    flood(refusals, 10, addresses=1)
    flood(refusals, 5, addresses=1, reason=Reason.CONNECTIONS)
    refusals.sweep()
    assert len(logs.lines("warn")) == 4
    assert refusals.counts == {**dict.fromkeys(Reason, 0), Reason.TLS: 10, Reason.CONNECTIONS: 5}


def test_logins_have_lines_of_their_own_until_they_are_a_flood(logs: Logs) -> None:
    """An encoder that logs in is refused twice before it is let in."""
    refusals = Refusals()
    for _ in range(3):
        assert [refusals.at_connect("192.0.2.1") for _ in range(20)] == [True] * 20
        refusals.sweep()
        refusals.sweep()
    assert logs.lines("warn") == []
    told = [refusals.at_connect(f"192.0.2.{n % 2}") for n in range(1000)]
    assert told == [True] * 20 + [False] * 980
    refusals.sweep()
    assert not refusals.at_connect("192.0.2.1")  # the flood goes on
    refusals.sweep()
    why = "connect was refused, or a login asked for"
    assert logs.lines("warn") == [
        f"980 more refused, from 192.0.2.0, 192.0.2.1: {why}",
        f"1 more refused, from 192.0.2.1: {why}",
    ]
    refusals.sweep()
    assert refusals.at_connect("192.0.2.1")
    assert refusals.counts[Reason.CONNECT] == 1062
