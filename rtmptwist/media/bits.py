"""Reading bit fields and Exp-Golomb numbers (H.264, 9.1), never beyond the end."""

from __future__ import annotations

from rtmptwist.media.errors import MediaError

_EXP_GOLOMB_ZEROS = 31
"The longest legal number, 2^32 - 2, has so many zeros before it."


class BitReader:
    """Reads from the highest bit of the first byte on. Costs the same wherever it stands."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def left(self) -> int:
        """Bits not yet read."""
        return len(self._data) * 8 - self._position

    def read(self, bits: int) -> int:
        """
        Read an unsigned number.

        Raises:
            MediaError: there are not so many bits.
        """
        start = self._position
        self.skip(bits)
        end = self._position
        value = int.from_bytes(self._data[start >> 3 : (end + 7) >> 3])
        return value >> (-end & 7) & ((1 << bits) - 1)

    def flag(self) -> bool:
        """Read one bit."""
        return bool(self.read(1))

    def skip(self, bits: int) -> None:
        """Pass over bits."""
        if bits > self.left:
            raise MediaError(f"cut short: {self.left} bits left (expected {bits})")
        self._position += bits

    def unsigned(self, most: int = 0xFFFFFFFE) -> int:
        """
        Read an unsigned Exp-Golomb number.

        Raises:
            MediaError: it is greater than `most`.
        """
        zeros = 0
        while not self.flag():
            zeros += 1
            if zeros > _EXP_GOLOMB_ZEROS:
                raise MediaError(f"{zeros} zeros before an Exp-Golomb number (expected 0 to 31)")
        value = (1 << zeros) - 1 + self.read(zeros)
        if value > most:
            raise MediaError(f"Exp-Golomb number {value} (expected 0 to {most})")
        return value

    def signed(self) -> int:
        """Read a signed Exp-Golomb number."""
        value = self.unsigned()
        return (value + 1) // 2 if value & 1 else -(value // 2)


def unescape(nal_unit: bytes) -> bytes:
    """Take the emulation prevention bytes out of a NAL unit (H.264, 7.4.1; H.265, 7.4.2)."""
    return nal_unit.replace(b"\x00\x00\x03", b"\x00\x00")
