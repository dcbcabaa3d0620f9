"""`file:slate.flv?loop`: what the configuration says of a file that stands in for publishers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from twisted.application.service import IService
from twisted.plugin import IPlugin
from zope.interface import implementer

from rtmptwist.inlets.filler import Filler, Slate
from rtmptwist.interfaces import BadDescription, Description, House, IInletMaker
from rtmptwist.live.application import Application
from rtmptwist.media.container import Container
from rtmptwist.vod.kinds import OPENERS
from rtmptwist.vod.source import ClosingContainer, FileSource

_EXPECTED: Final = "expected file:PATH or file:PATH?loop, such as file:slate.flv?loop:names=studio*"


@implementer(IPlugin, IInletMaker)
class FileMaker:
    """Makes fillers."""

    kind = "file"

    def check(self, description: Description) -> None:
        """`IInletMaker`: look at a description."""
        _slate(description)

    def make(self, description: Description, application: Application, house: House) -> IService:
        """`IInletMaker`: make a filler of an application."""
        slate = _slate(description, house)
        return Filler(application, slate, open_file, house.reading, house.reactor)


def open_file(path: Path) -> Container:
    """
    Open a file of media.

    Raises:
        OSError: it cannot be read.
        MediaError: it is none.
    """
    source = FileSource(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    return ClosingContainer(OPENERS[path.suffix.lower()], source)


def _slate(description: Description, house: House | None = None) -> Slate:
    options = dict(description.options)
    names = options.pop("names", "*")
    for option in options:
        raise BadDescription(f"unknown option {option}; expected names")
    if len(description.arguments) != 1:
        raise BadDescription(_EXPECTED)
    text, _, flag = description.arguments[0].partition("?")
    if not text or not names:
        raise BadDescription(_EXPECTED)
    if Path(text).suffix.lower() not in OPENERS:
        raise BadDescription(f'"{text}"; expected a file {" ".join(sorted(OPENERS))}')
    if flag not in ("", "loop"):
        raise BadDescription(f'"?{flag}"; expected ?loop or nothing after the path')
    folder = Path() if house is None else house.folder
    return Slate(folder / text, loop=flag == "loop", names=names)
