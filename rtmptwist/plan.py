"""
What a configuration needs: looked at, or made for a plan that can be adopted.

Nothing that runs is touched, and all that is wrong is told at once: whoever finds something adds it
to `problems`, and goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rtmptwist.auth.checkers import BadChecker
from rtmptwist.auth.files import BadFile, SecretFile
from rtmptwist.auth.gate import Rules
from rtmptwist.auth.operators import Desk, Operators
from rtmptwist.config import schema
from rtmptwist.config.schema import Config
from rtmptwist.config.whereabouts import placed
from rtmptwist.doors import Doors, check_listener
from rtmptwist.hooks.assembly import check_hooks
from rtmptwist.hooks.hook import Hook
from rtmptwist.interfaces import BadDescription, IInletMaker, IOutletMaker
from rtmptwist.live.application import Application
from rtmptwist.live.registry import VirtualHost
from rtmptwist.net.swffiles import SwfFileError, read_swfs
from rtmptwist.plugins import Plugged, Services
from rtmptwist.plugins import check as check_plugin
from rtmptwist.rules import RuleBook
from rtmptwist.wire.swf import Swf


class SiteError(Exception):
    """A configuration that reads well cannot be put to work; a line for each reason."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A configuration, ready to be adopted."""

    config: Config
    hosts: list[VirtualHost]
    settings: dict[Application, schema.App]
    swfs: dict[Application, tuple[Swf, ...]]
    rules: dict[Application, Rules]
    hooks: dict[schema.Hook, Hook]
    "Those that are new."

    secrets: list[SecretFile[bytes]]
    "Theirs."

    plugged: Mapping[Plugged, Mapping[Application, Services]]
    operators: Mapping[str, Operators]
    desks: Mapping[str, Desk]
    "Theirs. Both by listener."

    doors: Doors


def check(config: Config) -> None:
    """
    Look at the files that a configuration names, without making anything.

    Raises:
        SiteError: with all that is wrong.
    """
    problems: list[str] = []
    book = RuleBook(time.time)
    for host in config.vhosts:
        for app in host.apps.values():
            rules_of(book, host.name, app, problems)
            swfs_of(host.name, app, problems)
            where = section_of(host.name, app)
            plugged_in(where, "inlet", app.inlet, problems, partial(check_plugin, IInletMaker))
            plugged_in(where, "outlets", app.outlets, problems, partial(check_plugin, IOutletMaker))
    for section in config.listeners:
        operators_of(book, section, problems)
        check_listener(section, problems)
    check_hooks(config.hooks, folder_of(config), problems)
    refuse(config, problems)


def refuse(config: Config, problems: Sequence[str]) -> None:
    """
    Raises:
        SiteError: there are any.
    """
    if problems:
        raise SiteError("\n".join(placed(config, problem) for problem in problems))


def endpoints(config: Config) -> dict[str, schema.Listener]:
    """Where a configuration listens, and for which of its listeners."""
    return {endpoint: section for section in config.listeners for endpoint in section.endpoint}


def folder_of(config: Config) -> Path:
    """What relative paths are relative to."""
    return config.path.absolute().parent


def rules_of(book: RuleBook, host: str, app: schema.App, problems: list[str]) -> Rules | None:
    """Who may do what in an application; else `problems` gets what is wrong with its files."""
    try:
        return book.rules(app)
    except (BadFile, BadChecker) as error:
        problems += [f"{section_of(host, app)} {line}" for line in str(error).split("\n")]
        return None


def operators_of(book: RuleBook, section: schema.Listener, problems: list[str]) -> Operators | None:
    """Who may operate the server by a listener; else `problems` gets what is wrong there."""
    if section.api is None:
        return None
    try:
        return book.operators(section.api)
    except (BadFile, BadChecker) as error:
        problems += [f"[listener {section.name}] {line}" for line in str(error).split("\n")]
        return None


def swfs_of(host: str, app: schema.App, problems: list[str]) -> tuple[Swf, ...]:
    """The SWF files of which players must know one; `problems` gets what is wrong with them."""
    found = []
    for place in app.swf:
        if isinstance(place, Path):
            try:
                found += read_swfs(place)
            except SwfFileError as error:
                problems.append(f"{section_of(host, app)} swf: {error}")
        else:
            found.append(Swf(place.size, place.hash))
    return tuple(found)


def plugged_in(
    section: str,
    key: str,
    texts: Sequence[str] | None,
    problems: list[str],
    use: Callable[[str], Any],
) -> dict[str, Any]:
    """What comes of each description of an application; `problems` gets what is wrong with it."""
    made: dict[str, Any] = {}
    for text in texts or ():
        try:
            if text in made:
                raise BadDescription("is there twice")
            made[text] = use(text)
        except BadDescription as error:
            problems.append(f"{section} {key}: {text}: {error}")
    return made


def section_of(host: str, app: schema.App) -> str:
    """As the file calls an application."""
    return f"[vhost {host} / app {app.name}]" if host else f"[app {app.name}]"
