"""What is recorded, where and how long it is kept: one `record:` of the configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from rtmptwist.disk.folder import Folder, Names
from rtmptwist.live.names import redacted
from rtmptwist.outlets.flvfile import FlvFile
from rtmptwist.outlets.mp4file import Mp4File
from rtmptwist.outlets.pattern import Pattern, below
from rtmptwist.outlets.recordfile import RecordFile
from rtmptwist.outlets.tape import Take

FORMATS: Final[Mapping[str, Callable[[Folder, Names], RecordFile]]] = {
    ".flv": FlvFile,
    ".mp4": Mp4File,
}
"What makes a file, by its extension."

SETTLED: Final = frozenset({".mp4"})
"Formats of files that take no tracks and headers but those that they begin with."


class When(StrEnum):
    """Which publications are recorded."""

    ALWAYS = "always"
    ASKED = "asked"
    "Those whose publisher asks for it: `publish` with `record` or `append`."

    COMMAND = "command"
    "Those for which somebody gives the command."


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to record the streams of an application. Times in seconds, sizes in bytes; 0: none."""

    description: str
    "As the configuration has it."

    folder: Folder
    pattern: Pattern
    "Of the files in that folder."

    when: When = When.ALWAYS
    take: Take = Take.ALL

    segment: float = 0.0
    "A file is ended at the first key frame after so long,"

    segment_size: int = 0
    "or when it has so much."

    keep: float = 0.0
    "Complete files are removed so long after their last change,"

    keep_size: int = 0
    "and the oldest ones when all have more than that."

    def file(self, names: Names) -> RecordFile:
        """One of its files, yet to be opened."""
        return FORMATS[self.pattern.extension](self.folder, names)

    @property
    def place(self) -> Path:
        """What may hang as a whole: the folder that all applications share."""
        root = self.folder.root
        return root.parents[self.pattern.depth - 1] if self.pattern.depth else root

    @property
    def replayed(self) -> bool:
        """Whether its files can be played while they grow, and are what viewers see."""
        return self.pattern.extension == ".flv" and self.take is Take.ALL

    @property
    def settled(self) -> bool:
        """Whether other headers begin another file."""
        return self.pattern.extension in SETTLED

    def shown(self, path: Path | str, name: str = "") -> str:
        """The path of a file, for logs: names of streams may be keys. `name`: of this one."""
        root = f"{self.folder.root}/"
        rest = str(path).removeprefix(root)
        part = below(name)
        if name and part in rest:
            return root + rest.replace(part, redacted(name))
        return root + redacted(rest)
