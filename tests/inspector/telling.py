"""What an inspection tells, as lists."""

from __future__ import annotations

import io

from rtmptwist.inspector.files import read_bytes, read_capture
from rtmptwist.inspector.lines import Line, Way
from rtmptwist.inspector.messages import Reader
from rtmptwist.inspector.report import Report


def of_capture(
    data: bytes,
    *,
    secrets: bool = False,
    every_frame: bool = False,
    ports: frozenset[int] = frozenset(),
) -> list[Line]:
    """All lines about a capture; each of them can be written either way."""
    lines: list[Line] = []
    reader = Reader(secrets=secrets)
    read_capture(io.BytesIO(data), reader, lines.append, every_frame=every_frame, ports=ports)
    return checked(lines)


def of_bytes(
    *files: bytes, side: Way | None = None, chunks: bool = False, every_frame: bool = False
) -> list[Line]:
    """The same of bare bytes: the client's, and the server's."""
    lines: list[Line] = []
    named = [(io.BytesIO(data), f"{n}.bin") for n, data in enumerate(files)]
    read_bytes(named, Reader(), lines.append, side=side, chunks=chunks, every_frame=every_frame)
    return checked(lines)


def checked(lines: list[Line]) -> list[Line]:
    """They are fit for both reports, and for terminals."""
    for as_json in (False, True):
        report = Report(_one_line, as_json=as_json)
        for line in lines:
            report.tell(line)
    return lines


def _one_line(text: str) -> None:
    assert text.endswith("\n")
    assert text[:-1].isprintable(), text


def words(lines: list[Line], *kinds: str) -> list[str]:
    """What they say, of these kinds."""
    return [line.words for line in lines if not kinds or line.kind in kinds]
