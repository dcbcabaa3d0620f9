"""What plugins are: others may add kinds of inlets and outlets, and so does this house."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zope.interface import Attribute, Interface

from rtmptwist.disk.chores import Chores
from rtmptwist.disk.threads import Disk
from rtmptwist.live.application import Application


class BadDescription(ValueError):
    """A description cannot be used. The text says what was found, and what is allowed."""


@dataclass(frozen=True, slots=True)
class Description:
    """`kind:argument:key=value`, taken apart."""

    text: str
    kind: str
    arguments: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class House:
    """What plugins may use."""

    reactor: Any

    folder: Path
    "Of the configuration: where relative paths of what is read begin."

    state: Path
    "The folder for what the server keeps: where relative paths of what is written begin."

    disk: Disk
    "For work with files that are written,"
    chores: Chores
    "of which what takes long and is in no hurry is done one by one,"
    reading: Disk
    "and with those that are played."


class IMaker(Interface):
    """
    A kind of inlet or outlet. A plugin of Twisted: an instance in a module of `twisted.plugins`.

    It keeps nothing: there may be several servers in one process.
    """

    kind = Attribute("What a description begins with, as a `str`.")

    # zope counts no `self`
    def check(description: Description) -> None:  # noqa: N805
        """
        Look at a description without doing anything.

        Raises:
            BadDescription: it is none.
        """

    def make(
        description: Description,  # noqa: N805
        application: Application,
        house: House,
    ) -> object:
        """
        Make what is described for an application; return it as an `IService`.

        Raises:
            BadDescription: as `check`.
        """


class IInletMaker(IMaker):
    """
    Makes suppliers (`live.interfaces.Supplier`).

    When its service is started, the supplier is one of `application.suppliers`. When it is stopped,
    it is none of them, and feeds nothing.
    """


class IOutletMaker(IMaker):
    """
    Makes outlets (`live.interfaces.Outlet`).

    When its service is started, the outlet is one of `application.outlets`. When it is stopped,
    publications may go on: it takes those that it has begun with to their ends, and no others.
    """
