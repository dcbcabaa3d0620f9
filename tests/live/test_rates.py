"""Rates over the last second, ten seconds and minute."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmptwist.live.rates import SPANS, Rates


def test_nothing_is_known_at_first() -> None:
    rates = Rates(5.0, 1000)
    assert [rates.over(span) for span in SPANS] == [0.0, 0.0, 0.0]


def test_a_steady_count() -> None:
    rates = Rates(0.0)
    for second in range(1, 200):
        rates.sample(second, second * 100)
        assert [rates.over(span) for span in SPANS] == [100.0, 100.0, 100.0]


def test_a_burst_passes() -> None:
    rates = Rates(0.0)
    rates.sample(1, 6000)
    assert [rates.over(span) for span in SPANS] == [6000.0, 6000.0, 6000.0]
    for second in range(2, 11):
        rates.sample(second, 6000)
    assert [rates.over(span) for span in SPANS] == [0.0, 600.0, 600.0]
    for second in range(11, 61):
        rates.sample(second, 6000)
    assert [rates.over(span) for span in SPANS] == [0.0, 0.0, 100.0]
    rates.sample(61, 6000)
    assert rates.over(60) == 0.0


def test_a_late_sample_makes_no_peak() -> None:
    rates = Rates(0.0)
    rates.sample(1.0, 100)
    rates.sample(4.0, 400)
    assert rates.over(1) == pytest.approx(100.0)


def test_a_clock_that_stands_still() -> None:
    rates = Rates(1.0)
    rates.sample(1.0, 100)
    assert rates.over(1) == 0.0


@given(
    st.lists(st.tuples(st.floats(0.01, 5.0), st.integers(0, 1 << 40)), min_size=1, max_size=150),
    st.sampled_from(SPANS),
)
def test_a_rate_is_what_came_in_its_span(steps: list[tuple[float, int]], span: int) -> None:
    rates = Rates(0.0)
    times, totals = [0.0], [0]
    for seconds, count in steps:
        times.append(times[-1] + seconds)
        totals.append(totals[-1] + count)
        rates.sample(times[-1], totals[-1])
    first = max(len(times) - 1 - span, 0)
    expected = (totals[-1] - totals[first]) / (times[-1] - times[first])
    assert rates.over(span) == pytest.approx(expected)
