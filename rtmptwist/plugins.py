"""Descriptions such as `record:recordings/{name}.flv:segment=1h`, and the plugins they mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from twisted.plugin import getPlugins

from rtmptwist.interfaces import BadDescription, Description, House, IMaker
from rtmptwist.live.application import Application

_PART: Final = re.compile(r"(?:[^:\\]|\\.|\\\Z)*")
_OPTION: Final = re.compile(r"([a-z_]+)=(.*)", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)")

Services = Mapping[str, Any]
"What an application has of one sort, by descriptions."


def describe(text: str) -> Description:
    r"""
    Take a description apart. `\:` is a colon that separates nothing.

    Raises:
        BadDescription: it has an option twice.
    """
    kind, *rest = _parts(text)
    arguments: list[str] = []
    options: dict[str, str] = {}
    for part in rest:
        option = _OPTION.fullmatch(part) if arguments else None
        if option is None:
            arguments.append(_plain(part))
        elif option[1] in options:
            raise BadDescription(f"{option[1]} is there twice")
        else:
            options[option[1]] = _plain(option[2])
    return Description(text, _plain(kind), tuple(arguments), options)


def check(sort: type[IMaker], text: str) -> None:
    """
    Look at a description without making what it describes. `sort`: inlets or outlets.

    Raises:
        BadDescription: no such thing can be made.
    """
    description = describe(text)
    _maker(sort, description.kind).check(description)


class Plugged:
    """The inlets, or outlets, of all applications, as the present configuration has them."""

    def __init__(self, sort: type[IMaker], house: House) -> None:
        self._sort = sort
        self._house = house
        self._made: Mapping[Application, Services] = {}

    def plan(self, application: Application, text: str) -> Any:
        """
        The service of one of them: what is there already, or a new one that does not run yet.

        Raises:
            BadDescription: no such thing can be made.
        """
        there = self._made.get(application, {}).get(text)
        if there is not None:
            return there
        description = describe(text)
        return _maker(self._sort, description.kind).make(description, application, self._house)

    def adopt(self, wanted: Mapping[Application, Services]) -> None:
        """These are there from now on. Others end; new ones are to be run."""
        old, self._made = self.services, wanted
        now = self.services
        for service in old:
            if service not in now and service.parent is not None:
                service.disownServiceParent()

    @property
    def services(self) -> list[Any]:
        """What has to run."""
        return [service for services in self._made.values() for service in services.values()]


def _maker(sort: type[IMaker], kind: str) -> Any:
    makers = {maker.kind: maker for maker in getPlugins(sort)}
    if kind not in makers:
        raise BadDescription(f'"{kind}"; expected {" or ".join(sorted(makers))}')
    return makers[kind]


def _parts(text: str) -> list[str]:
    """What stands between colons, as it stands there."""
    parts, position = [], 0
    while position <= len(text):
        found = _PART.match(text, position)
        assert found is not None  # it matches nothing at least
        parts.append(found[0])
        position = found.end() + 1
    return parts


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)
