"""Numbers of a configuration: counts, durations, sizes, bits per second."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeVar

from rtmptwist.config.convert import Converter, wrong

N = TypeVar("N", int, float)

HOUR: Final = 3600.0


class _Bounded(Converter[N]):
    """A number from `at_least` to `at_most`."""

    def __init__(self, at_least: N, at_most: N) -> None:
        self.at_least: N = at_least
        self.at_most: N = at_most

    def within(self, text: str, value: N) -> N:
        if not self.at_least <= value <= self.at_most:
            raise wrong(text, f"{self.show(self.at_least)} to {self.show(self.at_most)}")
        return value


class Count(_Bounded[int]):
    """A whole number."""

    def read(self, text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text):
            raise wrong(text, "a whole number")
        return self.within(text, int(text))

    def show(self, value: int) -> str:
        return str(value)


class Duration(_Bounded[float]):
    """Seconds, written with a unit."""

    _MILLISECONDS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}

    def read(self, text: str) -> float:
        parts = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|s|m|h|d)", text)
        if text != "0" and not parts:
            raise wrong(text, "a duration such as 250ms, 10s, 2m, 1h or 0")
        seconds = float(parts[1]) * self._MILLISECONDS[parts[2]] / 1000 if parts else 0.0
        return self.within(text, seconds)

    def show(self, value: float) -> str:
        return _in_units(round(value * 1000), self._MILLISECONDS)


class Size(_Bounded[int]):
    """Bytes; K, M and G are powers of 1024."""

    _BYTES: Final = {"G": 1 << 30, "M": 1 << 20, "K": 1 << 10, "": 1}

    def read(self, text: str) -> int:
        parts = re.fullmatch(r"([0-9]{1,13}) ?([KMG]?)", text.upper())
        if not parts:
            raise wrong(text, "a size in bytes such as 65536, 64K, 32M or 1G")
        return self.within(text, int(parts[1]) * self._BYTES[parts[2]])

    def show(self, value: int) -> str:
        return _in_units(value, self._BYTES)


class Bitrate(_Bounded[int]):
    """Bits per second; k and M are powers of 1000, as encoders write them."""

    _BITS: Final = {"M": 1_000_000, "k": 1000, "": 1}

    def read(self, text: str) -> int:
        parts = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?([kKM]?)", text)
        if not parts:
            raise wrong(text, "bits per second such as 2500k or 6M")
        unit = self._BITS[parts[2].replace("K", "k")]
        return self.within(text, round(float(parts[1]) * unit))

    def show(self, value: int) -> str:
        return _in_units(value, self._BITS)


def _in_units(value: int, units: Mapping[str, int]) -> str:
    """In the largest that it is a whole number of; `units`: the largest first, the last is 1."""
    unit = next(unit for unit, size in units.items() if value % size == 0)
    return f"{value // units[unit]}{unit}" if value else "0"
