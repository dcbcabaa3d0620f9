"""What one address may ask for in a second."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from rtmptwist.net.rate import BURST, SIZE, AddressRate

HERE, THERE = "192.0.2.1", "192.0.2.2"


def taken(rate: AddressRate, address: str = HERE, tries: int = 1000) -> int:
    return sum(rate.take(address) for _ in range(tries))


@pytest.mark.parametrize("per_second", [1, 3, 5, 7, 20, 333])
def test_some_at_once_then_as_many_as_time_allows(per_second: int) -> None:
    clock = Clock()
    rate = AddressRate(clock, per_second)
    assert taken(rate, tries=10_000) == BURST * per_second
    assert taken(rate, THERE, tries=10_000) == BURST * per_second
    clock.advance(1.0)
    assert taken(rate) == per_second
    clock.advance(BURST + 1)
    assert taken(rate, tries=10_000) == BURST * per_second


@given(
    per_second=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 3), min_size=1, max_size=200),
)
def test_never_more_than_the_rate_and_one_burst(per_second: int, pauses: list[float]) -> None:
    clock = Clock()
    rate = AddressRate(clock, per_second)
    allowed = 0
    for pause in pauses:
        clock.advance(pause)
        rate.sweep()
        allowed += taken(rate, tries=3)
    assert allowed <= (clock.seconds() + BURST) * per_second + 1e-3


def test_what_is_refused_does_not_count() -> None:
    """Or whoever hammers would never get in again."""
    clock = Clock()
    rate = AddressRate(clock, 1)
    taken(rate)
    for _ in range(10):
        clock.advance(1.0)
        assert taken(rate) == 1


@pytest.mark.parametrize("address", ["unix", "10.1.2.3", "::ffff:10.1.2.3"])
def test_some_are_exempt(address: str) -> None:
    rate = AddressRate(Clock(), 1, trusted=(ip_network("10.0.0.0/8"),))
    assert taken(rate, address) == 1000
    assert len(rate) == 0


def test_a_network_of_ipv6_is_one_address() -> None:
    rate = AddressRate(Clock(), 1)
    assert sum(rate.take(f"2001:db8:0:1::{n:x}") for n in range(100)) == BURST
    assert rate.take("2001:db8:0:2::1")
    assert len(rate) == 2


def test_who_had_a_rest_is_forgotten() -> None:
    clock = Clock()
    rate = AddressRate(clock, 2)
    rate.take(HERE)
    taken(rate, THERE)
    clock.advance(0.5)
    rate.sweep()
    assert len(rate) == 1
    clock.advance(BURST)
    rate.sweep()
    assert len(rate) == 0


def test_memory_has_a_bound() -> None:
    """The newest stay: who asks again and again is not forgotten for the sake of many others."""
    rate = AddressRate(Clock(), 1)
    taken(rate)
    for n in range(10 * SIZE):
        rate.take(f"198.51.{n >> 8}.{n & 255}")
        if n % 1000 == 0:
            assert not rate.take(HERE)
    assert SIZE * 7 // 8 <= len(rate) <= SIZE


def test_a_network_that_floods_makes_nobody_else_forgotten() -> None:
    """Nor does it give anybody a second burst."""
    rate = AddressRate(Clock(), 1)
    taken(rate)
    for n in range(3 * SIZE):
        rate.take(f"2001:db8:7:{n:x}::1")
    assert len(rate) <= SIZE
    assert not rate.take(HERE)


def test_a_clock_that_is_set_back_locks_nobody_out() -> None:
    clock = Clock()
    clock.advance(1000)
    rate = AddressRate(clock, 1)
    taken(rate)
    clock.rightNow = 100.0
    assert not rate.take(HERE)
    clock.advance(1.0)
    assert rate.take(HERE)
