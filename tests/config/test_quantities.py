"""Numbers of a configuration."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis.strategies import integers

from rtmptwist.config.convert import Converter
from rtmptwist.config.quantities import Bitrate, Count, Duration, Size
from tests.config.converters import table

COUNT = Count(1, 1000)
DURATION = Duration(0, 3600)
SIZE = Size(0, 1 << 40)
BITRATE = Bitrate(8000, 1_000_000_000)


GOOD: list[tuple[Converter[Any], str, object]] = [
    (COUNT, "1", 1),
    (COUNT, "1000", 1000),
    (DURATION, "0", 0.0),
    (DURATION, "0s", 0.0),
    (DURATION, "250ms", 0.25),
    (DURATION, "1.5 s", 1.5),
    (DURATION, "2m", 120.0),
    (DURATION, "1h", 3600.0),
    (SIZE, "0", 0),
    (SIZE, "65535", 65535),
    (SIZE, "64K", 65536),
    (SIZE, "1 m", 1 << 20),
    (SIZE, "2G", 2 << 30),
    (BITRATE, "6M", 6_000_000),
    (BITRATE, "2.5 M", 2_500_000),
    (BITRATE, "2500K", 2_500_000),
    (BITRATE, "128000", 128_000),
]

BAD: list[tuple[Converter[Any], str, str]] = [
    (COUNT, "", "''; expected a whole number"),
    (COUNT, "-1", "'-1'; expected a whole number"),
    (COUNT, "٣", "'٣'; expected a whole number"),
    (COUNT, "0", "'0'; expected 1 to 1000"),
    (COUNT, "1001", "'1001'; expected 1 to 1000"),
    (DURATION, "10", "'10'; expected a duration such as 250ms, 10s, 2m, 1h or 0"),
    (DURATION, "-1s", "'-1s'; expected a duration such as 250ms, 10s, 2m, 1h or 0"),
    (DURATION, "1e3s", "'1e3s'; expected a duration such as 250ms, 10s, 2m, 1h or 0"),
    (DURATION, "1_0s", "'1_0s'; expected a duration such as 250ms, 10s, 2m, 1h or 0"),
    (DURATION, "inf", "'inf'; expected a duration such as 250ms, 10s, 2m, 1h or 0"),
    (DURATION, "61m", "'61m'; expected 0 to 1h"),
    (Duration(0.1, 10), "0", "'0'; expected 100ms to 10s"),
    (SIZE, "3X", "'3X'; expected a size in bytes such as 65536, 64K, 32M or 1G"),
    (SIZE, "1025G", "'1025G'; expected 0 to 1024G"),
    (BITRATE, "6G", "'6G'; expected bits per second such as 2500k or 6M"),
    (BITRATE, "1k", "'1k'; expected 8k to 1000M"),
]


test_what_is_read_and_shown, test_an_error_says_what_was_found_and_what_is_allowed = table(
    GOOD, BAD
)


@given(integers(0, 3_600_000))
def test_every_duration_can_be_shown(milliseconds: int) -> None:
    assert DURATION.read(DURATION.show(milliseconds / 1000)) == milliseconds / 1000


@given(integers(0, 1 << 40))
def test_every_size_can_be_shown(size: int) -> None:
    assert SIZE.read(SIZE.show(size)) == size


@given(integers(8000, 1_000_000_000))
def test_every_bitrate_can_be_shown(bits: int) -> None:
    assert BITRATE.read(BITRATE.show(bits)) == bits
