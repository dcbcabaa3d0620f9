"""What happened: numbered, kept for a while, told to who listens."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from rtmptwist.live.journal import KEPT, Event, EventKind, Journal
from rtmptwist.live.recordings import RecordEvent, RecordTurn
from tests.support.logs import Logs


def journal(count: int = 0) -> Journal:
    made = Journal(Clock())
    for number in range(count):
        made.note(EventKind.CONNECT, f"the {number + 1}.")
    return made


def test_nothing_happened_yet() -> None:
    empty = journal()
    assert empty.last == 0
    assert empty.since(0) == (0, [])


def test_numbers_go_on_rising_when_the_server_starts_anew() -> None:
    clock = Clock()
    clock.advance(12.5)
    made = Journal(clock)
    made.note(EventKind.DRAIN, "the server stops")
    _, (event,) = made.since(7)
    assert (made.begin, event.number) == (12_500, 12_501)


def test_an_event_says_when_what_and_who() -> None:
    clock = Clock()
    made = Journal(clock)
    clock.advance(12.5)
    made.note(
        EventKind.PUBLISH,
        "publishes as anyone",
        connection=7,
        peer="#7 192.0.2.1:5",
        variant="rtmps",
        vhost="a.example",
        application="live",
        stream="show",
    )
    _, (event,) = made.since(0)
    assert (event.number, event.time, event.kind) == (1, 12.5, "publish")
    assert (event.connection, event.peer, event.variant) == (7, "#7 192.0.2.1:5", "rtmps")
    assert (event.vhost, event.application, event.shown) == ("a.example", "live", "show")


def test_a_name_that_may_be_a_secret_is_shown_nowhere() -> None:
    made = journal()
    made.note(EventKind.PLAY, "plays", stream="a-secret-that-is-a-name")
    _, (event,) = made.since(0)
    assert event.shown.startswith("a-s…")
    assert "secret" not in repr(event)


@pytest.mark.parametrize(
    ("count", "number", "lost", "first"),
    [
        (3, 0, 0, 1),
        (3, 2, 0, 3),
        (KEPT, 0, 0, 1),
        (KEPT + 5, 0, 5, 6),
        (KEPT + 5, 4, 1, 6),
        (KEPT + 5, 5, 0, 6),
        (KEPT + 5, KEPT, 0, KEPT + 1),
    ],
)
def test_who_was_away_reads_on(count: int, number: int, lost: int, first: int) -> None:
    missing, events = journal(count).since(number)
    assert missing == lost
    assert [event.number for event in events] == list(range(first, count + 1))


@pytest.mark.parametrize("number", [3, 4, 1 << 62])
def test_nothing_comes_after_the_newest(number: int) -> None:
    assert journal(3).since(number) == (0, [])


def test_listeners_hear_every_event_and_may_leave_meanwhile() -> None:
    made, heard = journal(), list[int]()

    def once(event: Event) -> None:
        heard.append(-event.number)
        made.listeners.remove(once)

    made.listeners += [once, lambda event: heard.append(event.number)]
    made.note(EventKind.RELOAD, "all")
    made.note(EventKind.DRAIN, "all")
    assert heard == [-1, 1, 2]


def test_a_listener_that_fails_harms_nobody(logs: Logs) -> None:
    made, heard = journal(), list[Event]()

    def broken(_: Event) -> None:
        raise ZeroDivisionError

    made.listeners += [broken, heard.append]
    made.note(EventKind.CONNECT, "connected")
    assert [event.kind for event in heard] == ["connect"]
    assert [type(error) for error in logs.forgive()] == [ZeroDivisionError]


@pytest.mark.parametrize(
    ("turn", "error", "words"),
    [
        (RecordTurn.START, "", "the recording begins"),
        (
            RecordTurn.SEGMENT,
            "",
            "file 2 of the recording is complete: 1.5 s, 99 bytes",
        ),
        (RecordTurn.END, "", "the recording is over"),
        (RecordTurn.END, "disk full", "the recording has failed: disk full"),
    ],
)
def test_recordings_are_told_without_their_paths(turn: RecordTurn, error: str, words: str) -> None:
    made = journal()
    record = RecordEvent(
        turn=turn, name="show", path="/x/show.flv", part=2, seconds=1.5, size=99, error=error
    )
    made.recorded("live", "a.example", record)
    _, (event,) = made.since(0)
    assert (event.kind, event.turn, event.words) == ("record", turn, words)
    assert (event.vhost, event.application, event.shown) == ("a.example", "live", "show")
