r"""
Signed URLs: whoever has one may publish or play one stream, until it expires.

    rtmp://HOST/live/show?exp=1767225600&kid=a1&sig=…            and addr=192.0.2.1, if one is meant

`sig` is HMAC-SHA256, in hexadecimal digits, with a secret that this server shares with whoever
signs. Signed is a text of five lines, each of which ends with a line feed, in UTF-8:

    live              the application
    show              the stream's name below it
    play              or publish
    1767225600        exp, as it stands in the URL: the last second in which it may be used
                      addr, percent-decoded: an address or a network; empty if there is none

An application that belongs to a `[vhost example.org]` is `//example.org/live`, so that two hosts
cannot use each other's URLs. A name is written as it is, not as URLs write it (`room/cam 1`), and
without an extension such as `.flv`, which clients add and take away. No part can contain a line
feed, so that no two different things are ever signed by the same text.

The expiry bounds the start only: what runs goes on, as it does with the signed URLs of other
servers. An encoder that loses its connection later needs a new URL.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import ClassVar, Final

from rtmptwist.auth.brake import Brake
from rtmptwist.auth.files import BadFile, BadLine, SecretFile, entries, read_text
from rtmptwist.auth.gate import GUEST
from rtmptwist.auth.options import read_note, read_options, read_time, show_options, show_time
from rtmptwist.auth.proofs import came_from, refusal
from rtmptwist.live.access import Grant, Request

LONGEST: Final = 366 * 86400
"Seconds that a URL may be good for: one that never expires is a stream key that cannot be revoked."

SHORTEST_SECRET: Final = 32
"Letters: who sees an URL can try secrets at home, as fast as computers are."

PARAMETERS: Final = ("exp", "kid", "sig", "addr")


@dataclass(frozen=True, slots=True)
class Secret:
    """What both sides know."""

    id: str
    text: str = field(repr=False)
    created: float | None = None
    note: str = ""

    def sign(self, text: bytes) -> str:
        """The signature of a canonical text."""
        return hmac.new(self.text.encode(), text, hashlib.sha256).hexdigest()

    def line(self) -> str:
        """As it stands in a file; `read_secret` makes the same of it."""
        created = "" if self.created is None else show_time(self.created)
        return f"{self.id} {self.text}{show_options({'created': created, 'note': self.note})}"


Secrets = Mapping[str, Secret]
"By their ids, in the order of the file: the last one is for signing."


def canonical(application: str, name: str, action: str, exp: int, addr: str = "") -> bytes:
    """
    The text that is signed.

    Raises:
        ValueError: a part contains a line feed.
    """
    parts = (application, name, action, str(exp), addr)
    if any("\n" in part for part in parts):
        raise ValueError("a line feed in what is to be signed")
    return "".join(f"{part}\n" for part in parts).encode()


def called(application: str, host: str) -> str:
    """An application in a signed text."""
    return f"//{host}/{application}" if host else application


def new_secret() -> str:
    """256 random bits."""
    return secrets.token_hex(32)


def read_secrets(path: Path) -> Secrets:
    """
    The secrets of a file. May block.

    Raises:
        BadFile: with everything that is wrong in it.
    """
    return parse_secrets(path, read_text(path))


def parse_secrets(path: Path, text: str) -> Secrets:
    """
    As `read_secrets`, of the text that stands there.

    Raises:
        BadFile: with everything that is wrong in it.
    """
    found: dict[str, Secret] = {}
    problems = []
    for line, secret in entries(path, text, read_secret):
        if secret.id in found:
            problems.append((line, f"there are two secrets {secret.id}"))
        found[secret.id] = secret
    if problems:
        raise BadFile(path, problems)
    return found


def read_secret(line: str) -> Secret:
    """
    One line of a file: `KID SECRET created=TIME note=all the rest of the line`.

    Raises:
        BadLine: it is none.
    """
    kid, text, rest = (*re.split(r"[ \t]+", line, maxsplit=2), "", "")[:3]
    if not re.fullmatch(r"[!-~]+", text) or len(text) < SHORTEST_SECRET:
        raise BadLine(
            f"expected KID SECRET with {SHORTEST_SECRET} or more letters and digits,"
            " as `rtmptwist secrets make` writes"
        )
    said = read_options(rest, {"created": read_time, "note": read_note})
    return Secret(checked_id(kid), text, said.get("created"), said.get("note", ""))


def checked_id(kid: str) -> str:
    """
    What a secret may be called in URLs.

    Raises:
        BadLine: not that.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", kid):
        raise BadLine("expected a KID of up to 32 letters and digits before the secret")
    return kid


def checked_addr(addr: str) -> str:
    """
    An address or a network.

    Raises:
        BadLine: it is none.
    """
    try:
        if "%" in addr:  # a zone can be any text, line feeds included
            raise ValueError("it names an interface")
        ip_network(addr)
    except ValueError as error:
        raise BadLine(f"expected an address, or a network such as 192.0.2.0/24 ({error})") from None
    return addr


class SignedUrls:
    """`Proof`: whoever comes with a URL that was signed for just this."""

    need: ClassVar[str] = "a signed URL"

    def __init__(self, file: SecretFile[Secrets], now: Callable[[], float], brake: Brake) -> None:
        """`now`: seconds since the epoch."""
        self._file = file
        self._now = now
        self._brake = brake

    async def grant(self, request: Request, user: str) -> Grant | None:
        """By the parameters of the query."""
        query = request.query
        if "sig" not in query:
            return None
        for parameter in PARAMETERS:
            if parameter in request.doubled:
                raise refusal(request, f"This URL says {parameter} twice.")
        exp, kid, sig, addr = (query.get(parameter, "") for parameter in PARAMETERS)
        if not re.fullmatch(r"[1-9][0-9]{0,10}", exp) or (addr and not _is_network(addr)):
            raise refusal(request, INCOMPLETE)
        address = request.visitor.address
        if not self._fits(request, int(exp), kid, sig, addr):
            await self._brake.hold(address)
            raise refusal(request, WRONG)
        now = self._now()
        if int(exp) < int(now):
            raise refusal(request, f"This URL expired at {show_time(int(exp))}: get a new one.")
        if int(exp) > now + LONGEST:
            raise refusal(request, "This URL is good for more than a year, which is too long.")
        if addr and not came_from(address, [ip_network(addr)]):
            raise refusal(request, f"This URL is not for {address}.")
        return Grant(request.path, ("signed", request.path), user or GUEST)

    def _fits(self, request: Request, exp: int, kid: str, sig: str, addr: str) -> bool:
        secret = self._file.value.get(kid)
        if secret is None:
            return False
        application = called(request.application.name, request.application.host)
        text = canonical(application, request.path, request.action, exp, addr)
        return hmac.compare_digest(secret.sign(text).encode(), sig.encode(errors="replace"))


INCOMPLETE: Final = (
    "This URL is not signed as it should be: expected exp, kid and sig, and an address in addr."
)
WRONG: Final = (
    "The signature of this URL does not fit: it is for something else, or was changed. Get a new"
    " one."
)


def _is_network(addr: str) -> bool:
    try:
        checked_addr(addr)
    except BadLine:
        return False
    return True
