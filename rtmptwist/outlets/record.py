"""`record:recordings/{app}/{name}.flv:segment=1h`: what the configuration says of a recorder."""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from twisted.application.service import IService
from twisted.plugin import IPlugin
from zope.interface import implementer

from rtmptwist.config.convert import BadValue, Choice, Converter, meant
from rtmptwist.config.quantities import HOUR, Duration, Size
from rtmptwist.disk.folder import Folder
from rtmptwist.interfaces import BadDescription, Description, House, IOutletMaker
from rtmptwist.live.application import Application
from rtmptwist.outlets.pattern import Pattern
from rtmptwist.outlets.plan import Plan, When
from rtmptwist.outlets.recorder import Recorder
from rtmptwist.outlets.tape import Take
from rtmptwist.outlets.upkeep import Upkeep

YEARS: Final = 10 * 366 * 24 * HOUR

OPTIONS: Final[dict[str, Converter[Any]]] = {
    "when": Choice(*When),
    "take": Choice(*Take),
    "segment": Duration(1, 24 * HOUR),
    "segment_size": Size(1 << 20, 1 << 40),
    "keep": Duration(60, YEARS),
    "keep_size": Size(1 << 20, 1 << 50),
}


@implementer(IPlugin, IOutletMaker)
class RecordMaker:
    """Makes recorders."""

    kind = "record"

    def check(self, description: Description) -> None:
        """`IOutletMaker`: look at a description."""
        _plan(description, "app", "", Path())

    def make(self, description: Description, application: Application, house: House) -> IService:
        """`IOutletMaker`: make a recorder of an application."""
        plan = _plan(description, application.name, application.host, house.state)
        recorder = Recorder(application, plan, house.disk, house.reactor, time.time)
        return Upkeep(recorder, house.chores, house.reactor, time.time)


def _plan(description: Description, app: str, host: str, state: Path) -> Plan:
    values: dict[str, Any] = {}
    for name, text in description.options.items():
        converter = OPTIONS.get(name)
        if converter is None:
            raise BadDescription(
                f"unknown option {name}; expected {', '.join(OPTIONS)}{meant(name, OPTIONS)}"
            )
        try:
            values[name] = converter.read(text)
        except BadValue as error:
            raise BadDescription(f"{name}: {error}") from error
    if len(description.arguments) != 1:
        raise BadDescription("expected record:PATH, such as record:recordings/{app}/{name}.flv")
    try:
        pattern = Pattern(description.arguments[0], app, host)
    except ValueError as error:
        raise BadDescription(str(error)) from error
    if pattern.extension == ".mp4" and find_spec("av") is None:
        raise BadDescription("MP4 needs PyAV: pip install 'rtmptwist[media]'; or record to .flv")
    if "when" in values:
        values["when"] = When(values["when"])
    if "take" in values:
        values["take"] = Take(values["take"])
    folder = Folder(state / pattern.root)
    return Plan(description=description.text, folder=folder, pattern=pattern, **values)
