"""Who logs in wrongly waits; others do not."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from rtmptwist.auth import brake as module
from rtmptwist.auth.brake import CLOSED_FOR, FLOOD, HELD_PER_PLACE, LONGEST_DELAY, PLACES, Brake
from rtmptwist.auth.errors import Busy
from tests.support.memory import failure_of, result_of


class Street:
    """A brake, and addresses that come to it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.brake = Brake(self.clock)

    def fails(self, address: str, times: int = 1) -> None:
        for _ in range(times):
            self.brake.failed(address)

    def waits(self, address: str) -> Deferred[None]:
        return Deferred.fromCoroutine(self.brake.wait(address))

    def delay(self, address: str) -> float:
        """Seconds until it is its turn."""
        waiting = self.waits(address)
        began = self.clock.seconds()
        while not waiting.called:
            self.clock.advance(0.25)
        return self.clock.seconds() - began


@pytest.fixture
def street() -> Street:
    return Street()


def delays(failures: Iterable[int]) -> list[float]:
    found = []
    for count in failures:
        street = Street()
        street.fails("192.0.2.1", count)
        found.append(street.delay("192.0.2.1"))
    return found


def test_it_grows_to_a_bound() -> None:
    assert delays([0, 1, 5, 6, 7, 8, 9, 1000]) == [0, 0, 0, 1, 2, 4, 8, LONGEST_DELAY]


def test_it_is_forgotten(street: Street) -> None:
    street.fails("192.0.2.1", 1000)
    street.clock.advance(12)
    assert street.delay("192.0.2.1") == 4
    street.clock.advance(30)
    assert street.delay("192.0.2.1") == 0


def test_ten_in_a_minute_may_go_on(street: Street) -> None:
    for _ in range(100):
        assert street.delay("192.0.2.1") == 0
        street.fails("192.0.2.1")
        street.clock.advance(6)


def test_others_do_not_wait(street: Street) -> None:
    street.fails("192.0.2.1", 1000)
    street.fails("2001:db8:0:1::5", 1000)
    assert street.delay("192.0.2.2") == 0
    assert street.delay("2001:db8:0:2::5") == 0
    assert street.delay("2001:db8:0:1:ffff::7") > 0
    assert street.delay("unix") == 0


def test_nobody_is_trusted(street: Street) -> None:
    street.fails("127.0.0.1", 1000)
    street.fails("unix", 1000)
    assert street.delay("127.0.0.1") == LONGEST_DELAY
    assert street.delay("unix") > 0


def test_few_of_an_address_wait_at_once(street: Street) -> None:
    street.fails("192.0.2.1", 1000)
    street.fails("192.0.2.2", 1000)
    waiting = [street.waits("192.0.2.1") for _ in range(HELD_PER_PLACE)]
    assert isinstance(failure_of(street.waits("192.0.2.1")), Busy)
    waiting.append(street.waits("192.0.2.2"))
    street.clock.advance(LONGEST_DELAY)
    assert [result_of(each) for each in waiting] == [None] * len(waiting)
    street.fails("192.0.2.1", 1000)
    assert not street.waits("192.0.2.1").called


def test_few_wait_in_all(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD", 2)
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        street.fails(address, 1000)
    held = [street.waits("192.0.2.1"), street.waits("192.0.2.2")]
    assert isinstance(failure_of(street.waits("192.0.2.3")), Busy)
    held[0].cancel()
    assert isinstance(failure_of(held[0]), CancelledError)
    assert not street.waits("192.0.2.3").called


def test_a_network_that_guesses_makes_nobody_else_forgotten(street: Street) -> None:
    street.fails("192.0.2.1", 1000)
    street.fails("2001:db8:8::1", 1000)
    for number in range(PLACES + 1):
        street.fails(f"2001:db8:7:{number:x}::1")
    assert len(street.brake._records) <= PLACES
    assert street.delay("192.0.2.1") == LONGEST_DELAY
    assert street.delay("2001:db8:8::2") > 0


def test_few_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that failed last: an attack is not forgotten while it goes on."""
    monkeypatch.setattr(module, "PLACES", 2)
    street = Street()
    street.fails("192.0.2.1", 1000)
    street.fails("192.0.2.2", 1000)
    street.fails("192.0.2.1")
    street.fails("192.0.2.3")
    assert len(street.brake._records) == 2
    assert street.delay("192.0.2.2") == 0
    assert street.delay("192.0.2.1") > 0


def refused(street: Street, address: str, times: int) -> None:
    for _ in range(times):
        assert isinstance(failure_of(street.waits(address)), Busy)


def test_who_guesses_fast_may_not_even_connect_for_a_while(street: Street) -> None:
    brake = street.brake
    for address in ("2001:db8::1", "192.0.2.1"):
        street.fails(address, 1000)
        for _ in range(HELD_PER_PLACE):
            street.waits(address)
    refused(street, "2001:db8::1", FLOOD)
    assert brake.closed_to("2001:db8::2") == ""
    refused(street, "2001:db8::1", 1)
    assert brake.closed_to("2001:db8::2") == (
        "too many logins from 2001:db8::2 were wrong; it may not connect for a few seconds"
    )
    assert brake.closed_to("192.0.2.1") == ""
    street.clock.advance(CLOSED_FOR)
    assert brake.closed_to("2001:db8::1") == ""
    refused(street, "192.0.2.1", FLOOD + 1)
    assert list(brake._closed) == ["192.0.2.1"]


def test_the_door_of_a_local_socket_stays_open(street: Street) -> None:
    """A proxy stands behind it, and so does everybody."""
    street.fails("unix", 1000)
    for _ in range(HELD_PER_PLACE):
        street.waits("unix")
    refused(street, "unix", 2 * FLOOD)
    assert street.brake.closed_to("unix") == ""


def test_who_fails_slowly_may_connect(street: Street) -> None:
    """Ten encoders of one school with an old password try again and again."""
    street.fails("192.0.2.1", 1000)
    for _ in range(HELD_PER_PLACE):
        street.waits("192.0.2.1")
    for _ in range(6):
        refused(street, "192.0.2.1", FLOOD)
        assert street.brake.closed_to("192.0.2.1") == ""
        street.clock.advance(1)


def test_what_nobody_can_guess_is_answered_late_if_it_is_wrong(street: Street) -> None:
    """Without waiting first, so that right ones are never late; and at once if too many wait."""
    street.fails("192.0.2.1", 6)
    holding = [
        Deferred.fromCoroutine(street.brake.hold("192.0.2.1")) for _ in range(HELD_PER_PLACE + 1)
    ]
    assert [held.called for held in holding] == [False] * HELD_PER_PLACE + [True]
    street.clock.advance(LONGEST_DELAY)
    assert all(held.called for held in holding)
