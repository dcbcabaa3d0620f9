"""
Stream keys as proofs: publishers show a secret key, viewers know a public name.

The key takes the place of the stream's name, where every encoder has a field for it, or stands in
the query behind the public name: `key_…` and `show?key=key_…` publish the same stream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from rtmptwist.auth.brake import Brake
from rtmptwist.auth.files import SecretFile
from rtmptwist.auth.keyfile import StreamKey, hash_of, looks_like_key
from rtmptwist.auth.options import show_time
from rtmptwist.auth.proofs import came_from, refusal
from rtmptwist.live.access import Grant, Request
from rtmptwist.live.names import redacted

Table = SecretFile[Mapping[str, StreamKey]]


class StreamKeys:
    """
    `Proof`: whoever shows a key that is in the table, and may use it.

    All keys of one name are the same publisher, who may take the name over: a new key replaces the
    old one without a gap, and the encoder in reserve has a key of its own.
    """

    need: ClassVar[str] = "a stream key"

    def __init__(self, table: Table, now: Callable[[], float], brake: Brake) -> None:
        """`now`: seconds since the epoch."""
        self._tables = [table]
        "One, which this proof has in common with those that it succeeded."

        self._now = now
        self._brake = brake

    def succeed(self, before: StreamKeys) -> None:
        """Take the place of another one: what is sent by its keys is judged by this table now."""
        before._tables[:] = self._tables
        self._tables = before._tables

    async def grant(self, request: Request, user: str) -> Grant | None:  # noqa: ARG002 - as Proof
        """By the key that stands in the stream's name or in its query."""
        path, address = request.path, request.visitor.address
        folder, _, last = path.rpartition("/")
        if by_name := looks_like_key(path):
            secret = last
        elif "key" in request.query:
            secret = request.query["key"]
        else:
            return None
        hashed = hash_of(secret)
        key = self._tables[0].value.get(hashed)
        if key is None:
            await self._brake.hold(address)
            raise refusal(request, UNKNOWN)
        name = key.name
        fits = folder in ("", name.rpartition("/")[0]) if by_name else path == name
        if not fits:
            raise refusal(request, f"This stream key is for {_shown(name)}, not for this name.")
        if words := self._objection(hashed, name, address):
            raise refusal(request, words)
        # the doubt knows the hash only: the key itself is forgotten here
        return Grant(
            name,
            ("key", name),
            f"key {key.id}",
            key.terms,
            doubts=(lambda: self._objection(hashed, name, address),),
        )

    def _objection(self, hashed: str, name: str, address: str) -> str:
        """Why a key may not be used now; empty: it may."""
        key = self._tables[0].value.get(hashed)
        if key is None or key.name != name:
            return "This stream key was revoked: ask for a new one."
        if key.expires is not None and key.expires <= self._now():
            return f"This stream key expired at {show_time(key.expires)}: ask for a new one."
        if key.networks and not came_from(address, key.networks):
            return f"This stream key may not be used from {address}."
        return ""


class NoKeys:
    """`Proof` that is none: a stream key is not for watching, and so not a name to be shown."""

    need: ClassVar[str] = ""

    async def grant(self, request: Request, user: str) -> None:  # noqa: ARG002 - as Proof
        """Never yes."""
        if looks_like_key(request.path):
            raise refusal(
                request,
                "This is a stream key, which is secret and only for sending:"
                " watch under the stream's name.",
            )


UNKNOWN: Final = (
    "This stream key is not known here: copy it again from where you got it, all of it,"
    " or ask for a new one."
)


def _shown(name: str) -> str:
    """A public name in a sentence for an encoder's window, which may be small."""
    return redacted(name, key=False)[:80]
