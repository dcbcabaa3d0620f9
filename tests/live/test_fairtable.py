"""Memory of strangers, of whom some are many."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmptwist.live.fairtable import FairTable


def kept(table: FairTable[str, int], *keys: str) -> list[str]:
    return [key for key in keys if table.get(key) is not None]


def test_what_was_put_there() -> None:
    table: FairTable[str, int] = FairTable(2)
    assert table.get("a") is None
    table.put("a", 1, "one")
    table.put("a", 2, "one")
    assert (table.get("a"), len(table)) == (2, 1)


def test_the_oldest_goes_where_all_hold_as_much() -> None:
    table: FairTable[str, int] = FairTable(3)
    for key in ("a", "b", "c", "a", "d"):
        table.put(key, 0, f"holder of {key}")
    assert kept(table, "a", "b", "c", "d") == ["a", "c", "d"]


def test_a_flood_pushes_itself_out() -> None:
    """Whatever was there before, and whoever comes meanwhile."""
    table: FairTable[str, int] = FairTable(64)
    for number in range(10):
        table.put(f"before {number}", 0, "neighbour")
    for number in range(1000):
        table.put(f"flood {number}", 0, "flooder")
        if number % 100 == 0:
            table.put(f"guest {number}", 0, f"guest {number}")
    assert len(kept(table, *(f"before {number}" for number in range(10)))) == 10
    assert len(kept(table, *(f"guest {number}" for number in range(0, 1000, 100)))) == 10
    assert 30 <= len(kept(table, *(f"flood {number}" for number in range(950, 1000)))) <= 44


def test_who_is_alone_may_have_it_all() -> None:
    """As everybody behind one proxy, or one NAT."""
    table: FairTable[int, int] = FairTable(64)
    for number in range(64):
        table.put(number, 0, "proxy")
    assert len(table) == 64
    table.put(64, 0, "proxy")
    assert len(table) == 56
    assert [table.get(number) for number in (8, 9)] == [None, 0]


def test_two_that_flood_have_the_same() -> None:
    table: FairTable[tuple[str, int], int] = FairTable(64)
    for number in range(40):
        table.put(("one", number), 0, "one")
    for number in range(25):
        table.put(("other", number), 0, "other")
    assert len(table) == 56
    assert sum(table.get(("other", number)) == 0 for number in range(25)) == 25


def test_only_what_is_wanted() -> None:
    table: FairTable[str, int] = FairTable(8)
    for number, key in enumerate("abcd"):
        table.put(key, number, "one")
    table.retain(lambda value: value > 1)
    assert kept(table, *"abcd") == ["c", "d"]


@pytest.mark.parametrize("room", [1, 7, 8, 30])
@given(puts=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40)), max_size=200))
def test_who_holds_little_loses_nothing(room: int, puts: list[tuple[int, int]]) -> None:
    table: FairTable[tuple[int, int], int] = FairTable(room)
    held: dict[tuple[int, int], int] = {}
    for turn, key in enumerate(puts):
        table.put(key, turn, f"holder {key[0]}")
        held[key] = turn
        assert len(table) <= room
        assert table.get(key) == turn
    counts = Counter(holder for holder, _ in held)
    for key, turn in held.items():
        if counts[key[0]] <= (room - room // 8) // len(counts):
            assert table.get(key) == turn
