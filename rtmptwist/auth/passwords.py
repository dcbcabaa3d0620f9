"""
Passwords at rest: scrypt hashes, and beside them the weaker forms that encoders' challenges need.

OBS and FFmpeg never send a password: they answer a challenge with an MD5 over it (`auth.authmod`).
That can be checked by whoever has the password, or a *verifier*: an MD5 with which one can answer
challenges oneself, and search for the password millions of times as fast as with the scrypt hash.
So a verifier is made only where somebody asks for it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import unicodedata
from base64 import b64decode, b64encode, urlsafe_b64encode
from binascii import Error
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

USER_LENGTH: Final = 64
"Bytes of a user's name: FFmpeg takes 49, and a challenge that repeats it must stay below 256."

PASSWORD_LENGTH: Final = 512
"Bytes. Nobody types more, and each is work before the work."

REALM: Final = "live"
"Of llnw verifiers; clients know no other."


class BadHash(ValueError):
    """A text is no hash that can be used. It says why, and repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a scrypt hash (RFC 7914): `1 << log_n` rounds over blocks of `r`, `p` times."""

    log_n: int = 15
    r: int = 8
    p: int = 1

    @property
    def memory(self) -> int:
        """Bytes that it takes."""
        return 128 * self.r * ((1 << self.log_n) + self.p)


DEFAULT: Final = Cost()
"32 MB and about a tenth of a second, for us and for whoever guesses."

MOST_MEMORY: Final = 256 << 20
"Bytes; a hash that takes more was not meant."

_FORM: Final = re.compile(
    r"\$scrypt\$ln=([0-9]{1,2}),r=([0-9]{1,3}),p=([0-9]{1,3})"
    r"\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{43})"
)


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """What is kept of a password. As text: `$scrypt$ln=15,r=8,p=1$salt$hash`, as elsewhere."""

    salt: bytes
    digest: bytes = field(repr=False)
    cost: Cost = DEFAULT

    @classmethod
    def of(
        cls, password: bytes, cost: Cost = DEFAULT, random: Callable[[int], bytes] = os.urandom
    ) -> PasswordHash:
        """The hash of a password, with a new salt. Takes a tenth of a second."""
        salt = random(16)
        return cls(salt, _scrypt(password, salt, cost), cost)

    @classmethod
    def parse(cls, text: str) -> PasswordHash:
        """
        The inverse of `str`.

        Raises:
            BadHash: it is none.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise BadHash("is no scrypt hash ($scrypt$ln=15,r=8,p=1$salt$hash)")
        log_n, r, p = map(int, found.groups()[:3])
        cost = Cost(log_n, r, p)
        if not (1 <= log_n <= 24 and r and 1 <= p <= 16 and cost.memory <= MOST_MEMORY):
            raise BadHash(f"takes more than {MOST_MEMORY >> 20} MB, or nothing (see ln, r and p)")
        try:
            return cls(_unpadded(found[4]), _unpadded(found[5]), cost)
        except Error:
            raise BadHash("has a salt or hash that is no base64") from None

    def __str__(self) -> str:
        cost = self.cost
        salt, digest = (b64encode(part).decode().rstrip("=") for part in (self.salt, self.digest))
        return f"$scrypt$ln={cost.log_n},r={cost.r},p={cost.p}${salt}${digest}"

    def matches(self, password: bytes) -> bool:
        """Whether it is the hash of this password. Takes its time: for a thread."""
        return hmac.compare_digest(self.digest, _scrypt(password, self.salt, self.cost))


def _scrypt(password: bytes, salt: bytes, cost: Cost) -> bytes:
    return hashlib.scrypt(
        password,
        salt=salt,
        n=1 << cost.log_n,
        r=cost.r,
        p=cost.p,
        maxmem=cost.memory + (1 << 20),
        dklen=32,
    )


def _unpadded(text: str) -> bytes:
    return b64decode(text + "=" * (-len(text) % 4), validate=True)


def normal(text: str) -> bytes:
    """A name or password as bytes that are the same whatever keyboard it was typed on."""
    return unicodedata.normalize("NFC", text).encode("utf-8", "surrogatepass")


# ---- verifiers


def adobe_salt(random: bytes) -> str:
    """A salt of 16 characters, from 12 bytes."""
    return urlsafe_b64encode(random).decode()


def adobe_verifier(user: bytes, salt: bytes, password: bytes) -> bytes:
    """What answers challenges of authmod=adobe."""
    return b64encode(_md5(user + salt + password).digest())


def llnw_verifier(user: bytes, password: bytes) -> bytes:
    """What answers challenges of authmod=llnw: the HA1 of HTTP Digest (RFC 2617)."""
    return _md5(b":".join((user, REALM.encode(), password))).hexdigest().encode()


def _md5(data: bytes) -> hashlib._Hash:
    return hashlib.md5(data, usedforsecurity=False)
