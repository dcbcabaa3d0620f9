"""
Where in a configuration something stands that turns out to be wrong after it was read: the line of
a key, also for what is wrong inside of a file that the key names.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rtmptwist.config.logins import LOGIN_FILES, Login
from rtmptwist.config.schema import Config, keys


class _Value(NamedTuple):
    """One of those of a key."""

    key: str
    number: int
    "Among them, from 0."

    text: str
    file: Path | None


def placed(config: Config, problem: str) -> str:
    """
    Put file and line in front of a problem, which begins with `[SECTION] KEY: VALUE` or less of it,
    or with `[SECTION] PATH` if it is in a file; then the key that names the file is put there too.
    """
    heading, _, words = problem.removeprefix("[").partition("] ")
    key, number = words.partition(":")[0], 0
    values = list(_values(config.sections().get(heading)))
    told = [each for each in values if _begins_with(words, f"{each.key}: {each.text}")]
    inside = [each for each in values if each.file and _begins_with(words, each.text)]
    if told or inside:
        value = max(told or inside, key=lambda each: len(each.text))
        key, number = value.key, value.number
        if not told:
            problem = f"[{heading}] {key}: {words}"
    line = _line(config, heading, key, number) or _line(config, heading, "", 0)
    return f"{config.path}:{line}: {problem}" if line else f"{config.path}: {problem}"


def named(config: Config, path: Path) -> str:
    """Which key names a file, or the folder that it is in: an end for a line, or nothing."""
    found: dict[int, str] = {}
    for heading, section in config.sections().items():
        for value in _values(section):
            if value.file is not None and (value.file == path or value.file in path.parents):
                line = _line(config, heading, value.key, value.number)
                found.setdefault(line, f"{config.path}:{line}: [{heading}] {value.key}")
    if not found:
        return ""
    first, *others = found.values()
    more = f" and {len(others)} more" if others else ""
    return f" (named in {first}{more})"


def _line(config: Config, heading: str, key: str, number: int) -> int:
    """0: it is not there. What a host does not say, all hosts say."""
    for name in (heading, heading.rpartition(" / ")[2]):
        if lines := config.lines.get((name, key)):
            return lines[number] if number < len(lines) else lines[0]
    return 0


def _values(section: Any) -> Iterator[_Value]:
    """What the keys of a section say, as far as it is text: files and descriptions."""
    for key in keys(type(section)) if section is not None else ():
        said = getattr(section, key)
        for number, value in enumerate(said if isinstance(said, tuple) else (said,)):
            match value:
                case Path():
                    yield _Value(key, number, str(value), value)
                case Login() if value.kind in LOGIN_FILES:
                    yield _Value(key, number, value.argument, Path(value.argument))
                case str():
                    yield _Value(key, number, value, None)


def _begins_with(words: str, path: str) -> bool:
    return words.startswith(path) and words[len(path) : len(path) + 1] in (":", "/", " ")
