"""
INI text: sections, keys and values, and the line of each.

`configparser` reads the values; because it forgets where they stood and stops at the first
mistake, an index of the lines stands beside it. Knows no key by name.
"""

from __future__ import annotations

import configparser
import re
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a file, in an operator's words."""

    text: str
    "What was found; what is allowed."

    line: int = 0
    "From 1; 0: the file as a whole."

    section: str = ""
    key: str = ""

    def __str__(self) -> str:
        place = " ".join(part for part in (self.section and f"[{self.section}]", self.key) if part)
        return f"{place}: {self.text}" if place else self.text


@dataclass(frozen=True, slots=True)
class Entry:
    """A value and where it stands."""

    section: str
    key: str
    value: str

    lines: tuple[int, ...]
    "Where each line of `value` stands."

    def problem(self, text: str, part: int = 0) -> Problem:
        """Something is wrong with the value, in its line `part`."""
        return Problem(text, self.lines[part], self.section, self.key)


@dataclass(frozen=True, slots=True)
class Section:
    """What stands under one `[name]`. White space in names counts as one blank."""

    name: str
    line: int
    entries: dict[str, Entry] = field(default_factory=dict)

    def problem(self, text: str, key: str = "") -> Problem:
        """Something is wrong with the section as a whole."""
        return Problem(text, self.line, self.name, key)


def read(text: str) -> tuple[list[Section], list[Problem]]:
    """
    Take a file's text apart.

    A line that begins with `#` or `;` is a comment, and so is what follows a `;` after white
    space. A line indented deeper than its key continues the value. Duplicates are problems; the
    last one counts.
    """
    index = _Index(re.sub("\r\n?", "\n", text).split("\n"))
    parser = configparser.RawConfigParser(
        delimiters=("=",), inline_comment_prefixes=(";",), default_section="\n", strict=False
    )
    parser.read_string("\n".join(index.lines))
    sections = []
    for name, line in index.sections.items():
        section = Section(name, line)
        for key, value in parser.items(name):
            lines = index.values[name, key][: value.count("\n") + 1]
            section.entries[key] = Entry(name, key, value, tuple(lines))
        sections.append(section)
    return sections, index.problems


class _Index:
    """
    Where sections and values stand.

    In `lines`, what configparser would stop at becomes a comment, so that it reads the rest.
    """

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.sections: dict[str, int] = {}
        self.values: dict[tuple[str, str], list[int]] = {}
        self.problems: list[Problem] = []
        section = ""
        value: list[int] | None = None
        indent = 0
        for number, line in enumerate(lines, 1):
            code = _without_comment(line)
            depth = len(line) - len(line.lstrip())
            if value is not None and (not line.strip() or (code and depth > indent)):
                value.append(number)
            elif name := _name(code):
                lines[number - 1] = f"{line[:depth]}[{name}]"
                section, value, indent = self._section(name, code, number), None, depth
            elif section and (key := _key(code)):
                value, indent = self._value(section, key, number), depth
            elif code:
                lines[number - 1] = "#"
                self.problems.append(Problem(_neither(code, section), number, section))

    def _section(self, name: str, code: str, number: int) -> str:
        first = self.sections.setdefault(name, number)
        if first != number:
            text = f"section stands twice; the first is in line {first}"
            self.problems.append(Problem(text, number, name))
        if rest := code.partition("]")[2].strip():
            text = f"{quoted(rest)} after the section's name; a key needs a line of its own"
            self.problems.append(Problem(text, number, name))
        return name

    def _value(self, section: str, key: str, number: int) -> list[int]:
        if earlier := self.values.get((section, key)):
            text = f"key stands twice; the first is in line {earlier[0]}"
            self.problems.append(Problem(text, number, section, key))
        self.values[section, key] = lines = [number]
        return lines


def _without_comment(line: str) -> str:
    """What counts of a line, by configparser's rule: a `;` in a word begins no comment."""
    code = re.split(r"(?<!\S);", line, maxsplit=1)[0].strip()
    return "" if code.startswith("#") else code


def _name(code: str) -> str:
    """The name in a section's header; empty if it is none."""
    header = re.match(r"\[([^]]*)\]", code)
    return " ".join(header[1].split()) if header else ""


def _key(code: str) -> str:
    """The key of `key = value`, as configparser spells it; empty if it is none."""
    key, equals, _ = code.partition("=")
    return key.rstrip().lower() if equals else ""


def _neither(code: str, section: str) -> str:
    if _key(code) and not section:
        return f"{quoted(code)} stands before the first [section]"
    return (
        f"{quoted(code)}: neither a [section] nor key = value"
        " (a value goes on in lines indented deeper than its key)"
    )


def quoted(text: str) -> str:
    """Text from a file as a message quotes it."""
    return repr(text if len(text) <= 60 else f"{text[:60]}...")
