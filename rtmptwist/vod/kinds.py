"""
Which file a client means, and who can read it.

`flv:` or nothing before a name means FLV; `mp4:` all that is built like MP4; `mp3:` sound alone.
Clients cut extensions off, or leave them on: FFmpeg says `mp4:x.mp4` for `x.mp4`, librtmp `mp4:x`,
GStreamer `x.mp4`. So what a name was left with is tried first, then what belongs to its prefix.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from rtmptwist.disk.folder import Names, safe
from rtmptwist.media.container import Opener
from rtmptwist.media.flvcontainer import FlvContainer
from rtmptwist.media.mp4container import Mp4Container
from rtmptwist.media.pyav import NotInstalled, load
from rtmptwist.media.soundcontainer import SoundContainer

EXTENSIONS: Final = {
    "": (".flv",),
    "flv": (".flv",),
    "mp4": (".mp4", ".f4v", ".m4v", ".mov", ".m4a"),
    "mp3": (".mp3", ".m4a", ".aac"),
}
"Of files, by what stands before the name, in the order in which they are tried."

OPENERS: Final[dict[str, Opener]] = {
    ".flv": FlvContainer,
    **dict.fromkeys((".mp4", ".f4v", ".m4v", ".mov", ".m4a"), Mp4Container),
    ".mp3": partial(SoundContainer, kind="mp3"),
    ".aac": partial(SoundContainer, kind="aac"),
}
"Who reads a file, by its extension."


LOOKED_AT: Final = 1000
"Names in a folder, of which one may be a file that others than we read."


class Candidate(NamedTuple):
    """A file that a client may mean."""

    names: Names
    opener: Opener
    skip: int = 0
    "Bytes at its beginning that are not played (FLV)."


def candidates(name: str, kind: str, extension: str) -> list[Candidate]:
    """
    The files that a client may mean, the likeliest first. As `live.names.StreamName` has it.

    A file has one name: what a recording of `a:b` is called, `a_b`, is what one plays. Else
    whoever refuses a file by its name would have to know all that lead to it.
    """
    endings = [extension, "", *EXTENSIONS.get(kind, ())]
    *folders, last = name.split("/")
    found: dict[Names, Opener] = {}
    for ending in endings:
        opener = OPENERS.get(PurePosixPath(last + ending).suffix.lower())
        if opener is not None:
            names = (*folders, last + ending)
            if names == tuple(map(safe, names)):
                found.setdefault(names, opener)
    return [Candidate(*each) for each in found.items()]


def prepare(root: Path) -> bool:
    """
    Load what the files of a folder are read by, before somebody waits for it: PyAV takes 0.3 s.
    Whether there is such a folder.

    For a thread. Where PyAV is not there, who plays such a file is told.

    Raises:
        OSError: that cannot be found out.
    """
    if not root.is_dir():
        return False
    some = islice(root.rglob("*"), LOOKED_AT)
    if any(OPENERS.get(file.suffix.lower(), FlvContainer) is not FlvContainer for file in some):
        with suppress(NotInstalled):
            load()
    return True
