"""The door: who asks to be let in, who decides, and what was decided. Ports, filled by `auth`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol, TypeVar

from rtmptwist.amf.values import Value
from rtmptwist.live.application import Application

N = TypeVar("N", int, float)


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

    certificate: str = ""
    """
    Whom its TLS certificate names, verified by the listener's `client_ca`: the common name of its
    subject, or else the first e-mail address or host name. Empty: none was shown.
    """


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody who was let in wants to do."""

    action: Action
    visitor: Visitor

    application: Application
    "Not always that of the visitor: the stream's name may say another virtual host."

    path: str = field(repr=False)
    "Of the stream below its application, as the client said it. May be a secret key."

    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    "Of tcUrl, app and stream name, the later the stronger. May hold secrets."

    doubled: frozenset[str] = frozenset()
    "What stands twice in one of those, so that two readers may understand it differently."


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a publication or a viewing may cost. None: as much as it does."""

    bitrate: int | None = None
    "Bits per second."

    codecs: frozenset[str] | None = None
    "Only these, by the names that `media` gives them."

    width: int | None = None
    "Pixels."

    height: int | None = None
    "Pixels."

    duration: float | None = None
    "Seconds from its begin."

    until: float | None = None
    "Seconds since the epoch: when what allowed it expires."

    def narrowed(self, other: Terms) -> Terms:
        """What both allow."""
        if self is FREE:
            return other
        return Terms(
            bitrate=_least(self.bitrate, other.bitrate),
            codecs=_both(self.codecs, other.codecs),
            width=_least(self.width, other.width),
            height=_least(self.height, other.height),
            duration=_least(self.duration, other.duration),
            until=_least(self.until, other.until),
        )


FREE: Final = Terms()
"No terms at all."


def _least(one: N | None, other: N | None) -> N | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other


@dataclass(frozen=True, slots=True)
class Usage:
    """What came of a grant."""

    reason: str
    "Why it ended."

    seconds: float = 0.0

    bytes: int = 0
    "Received of a publisher, or sent to a viewer."

    messages: int = 0
    "Received of a publisher; those sent to viewers are not counted."

    dropped: int = 0
    "Messages that were not published, or left out for a viewer,"

    skips: int = 0
    "and how often that was."


@dataclass(frozen=True, slots=True)
class Grant:
    """A yes: which stream, in whose name, on which terms."""

    path: str = field(repr=False)
    "Of the stream below its application. May be another than was asked for."

    identity: Hashable = field(repr=False)
    "Equal for two grants of the same publisher: who may take a live name over."

    account: str
    "In whose name, for logs. No secret."

    terms: Terms = FREE

    ended: tuple[Callable[[Usage], None], ...] = field(default=(), repr=False)
    "Each is called once when it is over, even when it never began. None may raise."

    doubts: tuple[Callable[[], str], ...] = field(default=(), repr=False)
    """
    Each is asked once a second while it lasts: why it holds no more, in words for the client;
    empty: it does. None may raise, or take long.
    """

    def also(self, terms: Terms, tell: Callable[[Usage], None]) -> Grant:
        """The same, on these terms too; `tell` hears of its end as well."""
        # by the constructor: 1.2 µs, dataclasses.replace 2.8
        return Grant(
            self.path,
            self.identity,
            self.account,
            self.terms.narrowed(terms),
            (*self.ended, tell),
            self.doubts,
        )

    def end(self, usage: Usage) -> None:
        """It is over: tell whoever wants to know."""
        for tell in self.ended:
            tell(usage)

    def objection(self) -> str:
        """Why it holds no more: a key was revoked or has expired; empty: it does."""
        if not self.doubts:  # of most viewers, and all are asked once a second
            return ""
        return next(filter(None, (doubt() for doubt in self.doubts)), "")


class Account(Protocol):
    """Somebody who was let in."""

    @property
    def name(self) -> str:
        """For logs. No secret."""

    async def authorize(self, request: Request) -> Grant:
        """
        Decide about one action on one stream. Whoever takes the grant ends it.

        Raises:
            Refused: not allowed; the status goes to the peer.
        """

    def objection(self) -> str:
        """
        Why it would not be let in any more: its user was removed; empty: it would. Asked after what
        decides has changed. May not raise, or take long.
        """

    def left(self) -> None:
        """The connection has ended, after all grants. Called once."""


class Gate(Protocol):
    """Decides who is let in."""

    async def login(self, visitor: Visitor) -> Account:
        """
        Let somebody into an application. Whoever takes the account tells it when they left.

        Raises:
            Refused: not allowed; the status goes to the peer.
        """
