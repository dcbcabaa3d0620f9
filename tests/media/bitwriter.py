"""Writing bit fields, to build what no encoder at hand makes."""

from __future__ import annotations


class BitWriter:
    """The reverse of `media.bits.BitReader`; calls can be chained."""

    def __init__(self) -> None:
        self._bits = ""

    def put(self, value: int, bits: int) -> BitWriter:
        """Append an unsigned number."""
        self._bits += f"{value:0{bits}b}" if bits else ""
        return self

    def unsigned(self, *values: int) -> BitWriter:
        """Append unsigned Exp-Golomb numbers."""
        for value in values:
            number = f"{value + 1:b}"
            self._bits += "0" * (len(number) - 1) + number
        return self

    def signed(self, *values: int) -> BitWriter:
        """Append signed Exp-Golomb numbers."""
        return self.unsigned(*(2 * value - 1 if value > 0 else -2 * value for value in values))

    def align(self) -> BitWriter:
        """Append zeros up to the next byte."""
        return self.put(0, -len(self._bits) % 8)

    def bytes(self) -> bytes:
        """All of it, padded with zeros."""
        self.align()
        return bytes(int(self._bits[i : i + 8], 2) for i in range(0, len(self._bits), 8))
