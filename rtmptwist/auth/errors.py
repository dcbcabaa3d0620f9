"""Why a login comes to nothing. The texts are for the log, and repeat nothing secret."""

from __future__ import annotations

from twisted.cred.error import UnauthorizedLogin


class Wrong(UnauthorizedLogin):
    """The credentials are wrong; the text says what we know of them."""


class Undecided(Exception):
    """Whether the credentials are right could not be found out: no fault of theirs, but no yes."""


class Busy(Undecided):
    """There is too much to check already."""
