"""The sample files of `tests/media_samples` and what its README says of them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rtmptwist.media.flv import FlvReader, FlvTag

FOLDER = Path(__file__).parent.parent / "media_samples"


@dataclass(frozen=True, slots=True)
class Facts:
    """One row of the README's table."""

    name: str
    script: int
    video: int
    audio: int
    last: int
    key_frames: list[int]
    tracks: set[str]


def facts() -> list[Facts]:
    """Read the table of the README."""
    rows = re.findall(r"^\| (\S+) \|(.*)\|$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    found = []
    for name, rest in rows:
        if name == "file":
            continue
        *numbers, key_frames, tracks = (cell.strip() for cell in rest.split("|"))
        script, video, audio, last = map(int, numbers)
        keys = [int(key) for key in key_frames.split(",") if key]
        found.append(Facts(name, script, video, audio, last, keys, set(tracks.split(", "))))
    return found


@cache
def tags(name: str) -> list[FlvTag]:
    """All tags of a sample file, by its name without `.flv`."""
    return FlvReader().feed((FOLDER / f"{name}.flv").read_bytes())


def single_tags() -> list[dict[str, Any]]:
    """The entries of flv-tags.json, without the one that explains them."""
    entries: list[dict[str, Any]] = json.loads((FOLDER / "flv-tags.json").read_text())
    return entries[1:]
