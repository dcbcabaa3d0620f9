"""
Challenges without a table: each carries what is needed to check it.

Encoders get a challenge on one connection and answer it on the next, which may come to another
process. So a challenge says when it was made and is signed together with whom it was made for. Only
those that were answered rightly are remembered, until they expire: nobody may answer with what was
overheard, and whoever knows no password cannot fill the memory. A wrong answer spends nothing,
because guessing again with the same challenge is no easier than with a new one.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rtmptwist.auth.errors import Busy
from rtmptwist.auth.files import BadFile, rewrite

LIFETIME: Final = 60
"Seconds within which a challenge can be answered: encoders take milliseconds."

SPENT: Final = 100_000
"Challenges that are remembered: as many logins in a minute."

_RANDOM: Final = 9
_TIME: Final = 5
_MAC: Final = 16
"Bytes; together they are a multiple of three, so that base64 needs no padding."

LENGTH: Final = (_RANDOM + _TIME + _MAC) * 4 // 3
"Characters."


def kept_secret(folder: Path) -> bytes:
    """
    The secret that signs challenges, kept in a folder, so that all processes have the same.

    Raises:
        BadFile: it cannot be read or written.
    """
    path = folder / "challenges.secret"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadFile(folder, [(0, error.strerror or str(error))]) from error
    found: list[str] = []

    def once(text: str) -> str:
        found.append(text if _SECRET.fullmatch(text) else secrets.token_hex(32))
        return found[0]

    rewrite(path, once)
    return bytes.fromhex(found[0])


_SECRET: Final = re.compile(r"[0-9a-f]{64}")


class Challenges:
    """Makes challenges and knows its own. `now` gives seconds since the epoch."""

    def __init__(
        self, secret: bytes, now: Callable[[], float], random: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._secret = secret
        self._now = now
        self._random = random
        self._spent: dict[str, int] = {}
        "When each was answered, the oldest first."

    def new(self, *whom: str) -> str:
        """A challenge for somebody, in letters that are safe in an URL."""
        head = self._random(_RANDOM) + int(self._now()).to_bytes(_TIME, "big")
        return urlsafe_b64encode(head + self._mac(head, whom)).decode()

    def fresh(self, challenge: str, *whom: str) -> bool:
        """Whether it was made for somebody, has not expired and was not answered yet."""
        made = self._made(challenge, whom)
        return (
            made is not None
            and 0 <= int(self._now()) - made <= LIFETIME
            and challenge not in self._spent
        )

    def spend(self, challenge: str) -> None:
        """
        It was answered: never again.

        Raises:
            Busy: more than can be remembered are answered within a minute.
        """
        now = int(self._now())
        while self._spent:
            oldest = next(iter(self._spent))
            if now - self._spent[oldest] <= LIFETIME:
                break
            del self._spent[oldest]
        if len(self._spent) >= SPENT:
            raise Busy(f"{SPENT} challenges were answered within {LIFETIME} s")
        self._spent[challenge] = now

    def stable(self, *of: str) -> bytes:
        """Twelve bytes that nobody else can tell and that are always the same."""
        return self._mac(b"", of)[:12]

    def _made(self, challenge: str, whom: tuple[str, ...]) -> int | None:
        if len(challenge) != LENGTH:
            return None
        try:
            data = urlsafe_b64decode(challenge)
        except (Error, ValueError):
            return None
        head, mac = data[:-_MAC], data[-_MAC:]
        if urlsafe_b64encode(data).decode() != challenge:  # one spelling only, as it is remembered
            return None
        if not hmac.compare_digest(mac, self._mac(head, whom)):
            return None
        return int.from_bytes(head[_RANDOM:], "big")

    def _mac(self, head: bytes, whom: tuple[str, ...]) -> bytes:
        words = [word.encode("utf-8", "surrogatepass") for word in whom]
        text = b"".join(len(word).to_bytes(4, "big") + word for word in (head, *words))
        return hmac.digest(self._secret, text, "sha256")[:_MAC]
