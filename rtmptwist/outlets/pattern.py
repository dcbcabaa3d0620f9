"""Where recordings go: `recordings/{app}/{name}-{date}.flv`, and which files there are ours."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rtmptwist.disk.folder import Names, safe

EXTENSIONS: Final = (".flv", ".mp4")
"Of the formats that there are, in as many letters."

UNFINISHED: Final = ".part"
"Behind the extension, while a file is being written."

FIELDS: Final = ("app", "vhost", "name", "date", "time", "part")

_FIELD: Final = re.compile(r"\{(\w*)\}")
_ROOM: Final = len(f"-99999{EXTENSIONS[0]}{UNFINISHED}")
_SHAPES: Final = {
    "name": r".+",
    "date": r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "time": r"[0-9]{2}-[0-9]{2}-[0-9]{2}",
    "part": r"[0-9]+",
}
"What each field that differs between the files of one application looks like."


class Pattern:
    """A path with fields. Time is the local one of the server."""

    def __init__(
        self,
        text: str,
        app: str,
        host: str = "",
        local: Callable[[float], time.struct_time] = time.localtime,
    ) -> None:
        """
        `app` and `host` are where the recorded streams belong.

        Raises:
            ValueError: it is no pattern; says what was expected.
        """
        _check(text)
        folders = text.split("/")[:-1]
        plain = next((n for n, part in enumerate(folders) if "{" in part), len(folders))
        fixed = {"app": app, "vhost": host or "default"}
        text = _FIELD.sub(
            lambda found: below(fixed[found[1]]) if found[1] in fixed else found[0], text
        )
        parts = text.split("/")
        count = next((n for n, part in enumerate(parts[:-1]) if "{" in part), len(parts) - 1)
        self.root = Path("/".join(parts[:count]) or ("/" if text.startswith("/") else "."))
        "What all files have in common: the operator's, as it stands,"
        self.depth = count - plain
        "but for so many folders at its end, which are named after application and host."
        rest = "/".join(parts[count:])
        self.extension = rest[rest.rindex(".") :]
        "What says the format."
        self._rest = rest.removesuffix(self.extension)
        self._local = local
        shape = _FIELD.sub(lambda found: f"\0{found[1]}\0", self._rest)
        shape = re.sub("\0(\\w+)\0", lambda found: _SHAPES[found[1]], re.escape(shape))
        self._shape = re.compile(rf"{shape}(?:-[0-9]+)?{re.escape(self.extension)}")

    def names(self, stream: str, when: float, part: int) -> Names:
        """The file for one part of a recording of a stream that begins then, below `root`."""
        at = self._local(when)
        values = {
            "name": below(stream),
            "date": time.strftime("%Y-%m-%d", at),
            "time": time.strftime("%H-%M-%S", at),
            "part": str(part),
        }
        *folders, file = _FIELD.sub(lambda found: values[found[1]], self._rest).split("/")
        return (*map(safe, folders), safe(file, _ROOM) + self.extension)

    def matches(self, names: Names) -> bool:
        """Whether a file may have come from this pattern, complete or not."""
        path = "/".join(names).removesuffix(UNFINISHED)
        return self._shape.fullmatch(path) is not None


def numbered(names: Names, number: int) -> Names:
    """The name for a file whose name is taken; 1 is the name itself."""
    if number == 1:
        return names
    stem, dot, extension = names[-1].rpartition(".")
    return (*names[:-1], f"{stem}-{number}{dot}{extension}")


def unfinished(names: Names) -> Names:
    """The name of a file while it is being written."""
    return (*names[:-1], names[-1] + UNFINISHED)


def finished(names: Names) -> Names:
    """The name of the file when it is complete."""
    return (*names[:-1], names[-1].removesuffix(UNFINISHED))


def below(name: str) -> str:
    """The name of a stream or application as it stands in paths: it may have parts."""
    return "/".join(safe(part) for part in name.split("/"))


def _check(text: str) -> None:
    for field in _FIELD.findall(text):
        if field not in FIELDS:
            known = ", ".join(f"{{{field}}}" for field in FIELDS)
            raise ValueError(f"{{{field}}} in {text!r} (expected {known})")
    plain = _FIELD.sub("", text)
    if "{" in plain or "}" in plain or "\0" in plain:
        raise ValueError(f"{text!r} (expected a path with fields such as {{name}})")
    file = text.rpartition("/")[2]
    if not file.endswith(EXTENSIONS) or file in EXTENSIONS:
        raise ValueError(f"{text!r} (expected a path that ends in {' or '.join(EXTENSIONS)})")
    if ".." in text.split("/"):
        raise ValueError(f'{text!r} (expected a path without "..")')
