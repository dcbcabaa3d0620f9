"""
SWF verification of one client: what was asked, what it has shown, and until when it may.

It is demanded of players. Encoders cannot answer: FFmpeg and OBS know no file while they publish,
GStreamer never does; who may publish is a matter of the application's `publish`. So all are asked,
but only who wants to play must have answered, and who publishes by the time it is due may stay.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from rtmptwist.wire.control import SwfVerificationResponse
from rtmptwist.wire.server import ServerSession
from rtmptwist.wire.swf import Swf, identify


class Verification:
    """Of one connection. Why a client has to go is told in words for it."""

    __slots__ = ("_demanded", "_due", "_session", "known")

    def __init__(self, session: ServerSession, swfs: Sequence[Swf], now: float) -> None:
        """Ask for one of these."""
        self._session = session
        self._demanded = swfs
        self._due = now + session.limits.swf_timeout
        self.known: Swf | None = None
        "What the client has shown."
        session.demand_swf()

    def heard(self, response: SwfVerificationResponse) -> str:
        """Take the client's answer; why it has to go, or nothing."""
        key = self._session.swf_key
        if key is None or self.known is not None:  # nobody has asked
            return ""
        self.known = identify(response, key, self._demanded)
        if self.known is None:
            return "SWF verification failed: the player has another SWF file than it should have."
        self._due = math.inf
        self._session.settle_swf()
        return ""

    def overdue(self, now: float, *, publishes: bool) -> str:
        """Once a second: why the client has to go, or nothing."""
        if now <= self._due:
            return ""
        self._due = math.inf
        self._session.settle_swf()
        if publishes:
            return ""
        if self._session.swf_key is None:
            return _UNVERIFIED
        timeout = self._session.limits.swf_timeout
        return f"SWF verification failed: no answer within {timeout:g} s."


def objection(verification: Verification | None, swfs: Sequence[Swf]) -> str:
    """Why a client may not play where one of these is demanded, or nothing."""
    known = verification.known if verification is not None else None
    return "" if not swfs or known in swfs else _UNVERIFIED


_UNVERIFIED: Final = (
    "Players must pass SWF verification here, and this one did not: it has to know the SWF file's"
    " hash and size, and to use a handshake with digests."
)
