"""
Users and their passwords in a file: one line for each user.

    USER:$scrypt$ln=15,r=8,p=1$SALT$HASH
    USER:$scrypt$ln=15,r=8,p=1$SALT$HASH:adobe=SALT,VERIFIER:llnw=VERIFIER

The second has what is needed for encoders that answer challenges (`auth.passwords` says what that
costs). `rtmptwist passwd` writes such lines.
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernameHashedPassword, IUsernamePassword
from twisted.internet.defer import Deferred
from zope.interface import implementer

from rtmptwist.auth.authmod import AdobeAnswer, Answer
from rtmptwist.auth.credentials import Password
from rtmptwist.auth.errors import Wrong
from rtmptwist.auth.files import BadFile, BadLine, SecretFile, entries, read_text
from rtmptwist.auth.gate import GUEST
from rtmptwist.auth.hashing import Hashing
from rtmptwist.auth.identity import Identity, Keeper
from rtmptwist.auth.passwords import DEFAULT, USER_LENGTH, BadHash, PasswordHash, normal

REMEMBERED: Final = 4096
"Right passwords that need not be hashed again: viewers and encoders that come back."

REMEMBERED_FOR: Final = 600.0
"Seconds. Who comes back after a break of the network is there by then."


@dataclass(frozen=True, slots=True)
class User:
    """What a line says."""

    name: str
    hash: PasswordHash
    adobe: tuple[str, str] | None = field(default=None, repr=False)
    "Salt and verifier."
    llnw: str = field(default="", repr=False)

    def line(self) -> str:
        """As it stands in the file."""
        parts = [self.name, str(self.hash)]
        if self.adobe is not None:
            parts.append("adobe=" + ",".join(self.adobe))
        if self.llnw:
            parts.append(f"llnw={self.llnw}")
        return ":".join(parts)


Users = Mapping[bytes, User]


def checked_user(text: str) -> str:
    """
    The name of a user.

    Raises:
        BadLine: nobody can have it.
    """
    name = normal(text).decode()
    if not name or not name.isprintable() or re.search(r"[\s:&?/@#]", name):
        raise BadLine("a user's name may contain no blanks and none of : & ? / @ #")
    if name == GUEST:
        raise BadLine(f"nobody can be called {GUEST}, as guests are")
    if len(name.encode()) > USER_LENGTH:
        raise BadLine(f"a user's name may have {USER_LENGTH} bytes")
    return name


def read_user(line: str) -> User:
    """
    One line.

    Raises:
        BadLine: it is none.
    """
    name, *rest = line.split(":")
    name = checked_user(name)
    if not rest:
        raise BadLine("expected USER:$scrypt$... as `rtmptwist passwd` writes it")
    try:
        user = User(name, PasswordHash.parse(rest[0]))
    except BadHash as error:
        raise BadLine(f"the password of {name} {error}") from None
    more = {}
    for part in rest[1:]:
        key, _, value = part.partition("=")
        form = _FORMS.get(key)
        if form is None or key in more:
            raise BadLine(f"{name}: expected adobe=... or llnw=... after the password, each once")
        if not form.fullmatch(value):
            raise BadLine(f"{name}: {key}= is no verifier; `rtmptwist passwd --{key}` makes one")
        more[key] = value
    salt, _, verifier = more.get("adobe", "").partition(",")
    return User(user.name, user.hash, (salt, verifier) if salt else None, more.get("llnw", ""))


_FORMS: Final = {
    "adobe": re.compile(r"[A-Za-z0-9_+/=-]{1,32},[A-Za-z0-9+/]{22}=="),
    "llnw": re.compile(r"[0-9a-f]{32}"),
}


def parse_users(path: Path, text: str) -> Users:
    """
    All that a file says.

    Raises:
        BadFile: with every line that is wrong.
    """
    found: dict[bytes, User] = {}
    first: dict[bytes, int] = {}
    problems = []
    for number, user in entries(path, text, read_user):
        name = user.name.encode()
        if name in first:
            problems.append((number, f"{user.name} stands in line {first[name]} already"))
        first.setdefault(name, number)
        found[name] = user
    if problems:
        raise BadFile(path, problems)
    return found


def read_users(path: Path) -> Users:
    """
    All that a file says.

    Raises:
        BadFile: it cannot be used.
    """
    return parse_users(path, read_text(path))


@dataclass(frozen=True, slots=True)
class _Line:
    """What a login rests on: with another password it is another one."""

    user: bytes
    hash: PasswordHash


@implementer(ICredentialsChecker)
class PasswordFile(Keeper):
    """Checks passwords, and answers to challenges, by a file."""

    credentialInterfaces = (IUsernamePassword, IUsernameHashedPassword)

    def __init__(self, file: SecretFile[Users], hashing: Hashing, now: Callable[[], float]) -> None:
        self._file = file
        self._hashing = hashing
        self._now = now
        self._secret = os.urandom(32)
        self._right: dict[bytes, tuple[PasswordHash, float]] = {}
        "Passwords that were right, by a keyed hash, with what they fitted and until when."

    @property
    def path(self) -> Path:
        """Of the file."""
        return self._file.path

    def salt(self, user: bytes) -> str | None:
        """What an Adobe challenge for this user must contain, if that matters."""
        found = self._file.value.get(user)
        return found.adobe[0] if found is not None and found.adobe is not None else None

    def requestAvatarId(self, credentials: Password | Answer) -> Deferred[Any]:
        """Cred's: who it is, an `Identity`."""
        return Deferred.fromCoroutine(self._user(credentials))

    def keeps(self, basis: object) -> bool:
        """Whether the user is there, and has the same password."""
        if not isinstance(basis, _Line):
            return False
        user = self._file.value.get(basis.user)
        return user is not None and user.hash == basis.hash

    async def _user(self, credentials: Password | Answer) -> Identity:
        user = self._file.value.get(credentials.username)
        if isinstance(credentials, Password):
            fits = await self._matches(user, credentials)
        else:
            fits = _answers(user, credentials)
        if user is None or not fits:
            what = "password" if isinstance(credentials, Password) else "answer"
            raise Wrong(f"a wrong {what} for {user.name}" if user is not None else "no such user")
        return Identity(user.name, _Line(credentials.username, user.hash))

    async def _matches(self, user: User | None, credentials: Password) -> bool:
        """Takes as long for those who do not exist."""
        expected = user.hash if user is not None else self._nobody()
        name, password = credentials.username, credentials.password
        key = hmac.digest(self._secret, len(name).to_bytes(4, "big") + name + password, "sha256")
        if self._remembered(key, expected):
            return True
        async with self._hashing.turns.turn(credentials.visitor.address):
            if self._remembered(key, expected):  # another connection was first
                return True
            matches = await self._hashing.do(lambda: expected.matches(password))
            if matches and user is not None:
                self._remember(key, expected)
        return matches and user is not None

    def _nobody(self) -> PasswordHash:
        """Costs what those of the file do, and fits nothing."""
        known = next(iter(self._file.value.values()), None)
        return PasswordHash(bytes(16), bytes(32), known.hash.cost if known is not None else DEFAULT)

    def _remembered(self, key: bytes, expected: PasswordHash) -> bool:
        """By what it fitted: not when the file says another hash now."""
        found = self._right.get(key)
        return found is not None and found[0] == expected and self._now() < found[1]

    def _remember(self, key: bytes, expected: PasswordHash) -> None:
        self._right.pop(key, None)
        self._right[key] = expected, self._now() + REMEMBERED_FOR
        while len(self._right) > REMEMBERED or self._now() >= next(iter(self._right.values()))[1]:
            del self._right[next(iter(self._right))]


def _answers(user: User | None, answer: Answer) -> bool:
    """
    Whether it fits the verifier.

    Raises:
        Wrong: there is none.
    """
    if isinstance(answer, AdobeAnswer):
        option, known = "adobe", user.adobe[1] if user is not None and user.adobe else ""
    else:
        option, known = "llnw", user.llnw if user is not None else ""
    fits = answer.fits(known.encode())
    if user is not None and not known:
        raise Wrong(
            f"{user.name} has no verifier for this; `rtmptwist passwd --{option}` makes one"
        )
    return fits
