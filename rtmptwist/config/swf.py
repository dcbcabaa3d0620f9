"""SWF files, as a configuration names them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from rtmptwist.config.convert import Converter, Lines, wrong
from rtmptwist.config.quantities import Count


@dataclass(frozen=True, slots=True)
class SwfMeasure:
    """What a SWF file is known by in SWF verification."""

    size: int
    "Bytes."

    hash: bytes


SwfPlace: TypeAlias = Path | SwfMeasure


class SwfFile(Converter[SwfPlace]):
    """A SWF file or a folder of them, seen as `Folder` is, or SIZE:HASH."""

    def read(self, text: str) -> SwfPlace:
        if parts := re.fullmatch(r"([0-9]+) ?: ?(.*)", text):
            if not re.fullmatch(r"[0-9a-fA-F]{64}", parts[2]):
                raise wrong(parts[2], "a hash of 64 hexadecimal digits after SIZE:")
            return SwfMeasure(Count(1, 0x7FFFFFFF).read(parts[1]), bytes.fromhex(parts[2]))
        if not text or "\0" in text or text == "none":
            raise wrong(text, "a SWF file, a folder of them, or SIZE:HASH")
        return Path(text)

    def show(self, value: SwfPlace) -> str:
        if isinstance(value, Path):
            return str(value)
        return f"{value.size}:{value.hash.hex()}"


class SwfFiles(Lines[SwfPlace]):
    """One or more SWF files, one on a line; `none` for no file."""

    def __init__(self) -> None:
        super().__init__(SwfFile())

    def read(self, text: str) -> tuple[SwfPlace, ...]:
        return () if text == "none" else super().read(text)

    def show(self, value: tuple[SwfPlace, ...]) -> str:
        return super().show(value) or "none"
