"""The door: who asks to be let in, who decides, and what was decided. Ports, filled by `auth`."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from rtmptwist.amf.values import Value
from rtmptwist.live.application import Application


class Action(StrEnum):
    """What an account may or may not do."""

    PUBLISH = "publish"
    PLAY = "play"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks to be let into an application, and everything that was said about it."""

    address: str
    "The peer's IP address; `unix` on a local socket."

    application: Application
    "Where to."

    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    "Of app and tcUrl. May hold secrets."

    properties: Mapping[str, Value] = field(default_factory=dict, repr=False)
    "The connect object as sent."

    arguments: tuple[Value, ...] = field(default=(), repr=False)
    "What stood after it."


class Account(Protocol):
    """Somebody who was let in."""

    @property
    def name(self) -> str:
        """For logs. No secret."""

    @property
    def identity(self) -> Hashable:
        """Equal for two connections of the same publisher: who may take a live name over."""

    async def authorize(
        self, action: Action, application: Application, path: str, query: Mapping[str, str]
    ) -> None:
        """
        Check one action on one stream, by its path below an application.

        Raises:
            Refused: not allowed; the status goes to the peer.
        """


class Gate(Protocol):
    """Decides who is let in."""

    async def login(self, visitor: Visitor) -> Account:
        """
        Let somebody into an application.

        Raises:
            Refused: not allowed; the status goes to the peer.
        """
