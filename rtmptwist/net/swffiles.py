"""SWF files on disk, and what they are known by."""

from __future__ import annotations

from pathlib import Path

from rtmptwist.wire.limits import Limits
from rtmptwist.wire.swf import Swf


class SwfFileError(Exception):
    """A file cannot be used; the text says which, and why."""


def read_swfs(place: Path, limits: Limits | None = None) -> list[Swf]:
    """
    Take the measure of a SWF file, or of all files *.swf in a folder.

    Raises:
        SwfFileError: one cannot be read, is no SWF file, or is larger than `limits.swf_size`; or
            the folder has none.
    """
    limits = limits or Limits()
    if not place.is_dir():
        return [_read(place, limits)]
    files = sorted(place.glob("*.swf"))
    if not files:
        raise SwfFileError(f"{place}: a folder without any file *.swf")
    return [_read(file, limits) for file in files]


def _read(file: Path, limits: Limits) -> Swf:
    try:
        with file.open("rb") as opened:
            data = opened.read(limits.swf_size + 1)
        if len(data) > limits.swf_size:
            raise SwfFileError(f"{file}: larger than {limits.swf_size} bytes")
        return Swf.of(data, limits)
    except OSError as error:
        raise SwfFileError(f"{file}: {error.strerror or error}") from error
    except ValueError as error:
        raise SwfFileError(f"{file}: {error}") from error
