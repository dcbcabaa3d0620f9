"""What is recorded, where and how long it is kept: one `record:` of the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rtmptwist.disk.folder import Folder
from rtmptwist.live.names import redacted
from rtmptwist.outlets.pattern import Pattern, below
from rtmptwist.outlets.tape import Take


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

    def shown(self, path: Path | str, name: str = "") -> str:
        """The path of a file, for logs: names of streams may be keys. `name`: of this one."""
        root = f"{self.folder.root}/"
        rest = str(path).removeprefix(root)
        part = below(name)
        if name and part in rest:
            return root + rest.replace(part, redacted(name))
        return root + redacted(rest)
