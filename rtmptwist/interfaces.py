"""What plugins are: others may add kinds of outlets, and so does this house."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zope.interface import Attribute, Interface

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

    state: Path
    "The folder for what the server keeps; relative paths of descriptions are seen from there."

    disk: Disk
    "For all work with files."


class IOutletMaker(Interface):
    """
    A kind of outlet. A plugin of Twisted: an instance in a module of `twisted.plugins`.

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
        Make an outlet (`live.interfaces.Outlet`) of an application; return it as an `IService`.

        When that is started, the outlet is one of `application.outlets`. When it is stopped,
        publications may go on: it takes those that it has begun with to their ends, and no others.

        Raises:
            BadDescription: as `check`.
        """
