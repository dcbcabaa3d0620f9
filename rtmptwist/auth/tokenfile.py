"""
Bearer tokens in a file: one line for each, with the name of who has it and the token's hash.

    NAME  sha256:HASH

As with stream keys the hashes are plain SHA-256: a token is 128 random bits, which nobody guesses.
Several lines may have the same name, so that a new token can be given out before the old one ends.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from twisted.cred.checkers import ICredentialsChecker
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from rtmptwist.auth.credentials import IToken, Token
from rtmptwist.auth.errors import Wrong
from rtmptwist.auth.files import BadFile, BadLine, SecretFile, entries, read_text
from rtmptwist.auth.identity import Identity, Keeper
from rtmptwist.auth.passwordfile import checked_user

Tokens = Mapping[str, str]
"Names by hash."


def new_token() -> str:
    """One that nobody has."""
    return secrets.token_hex(16)


def hash_of(token: str) -> str:
    """What is kept of it."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def read_line(line: str) -> tuple[str, str]:
    """
    Hash and name.

    Raises:
        BadLine: it is none.
    """
    found = _LINE.fullmatch(line)
    if found is None:
        raise BadLine("expected NAME sha256:HASH as `rtmptwist token` writes it")
    return found[2], checked_user(found[1])


_LINE: Final = re.compile(r"(\S+)[ \t]+sha256:([0-9a-f]{64})")


def parse_tokens(path: Path, text: str) -> Tokens:
    """
    All that a file says.

    Raises:
        BadFile: with every line that is wrong.
    """
    found: dict[str, str] = {}
    problems = []
    for number, (digest, name) in entries(path, text, read_line):
        if digest in found:
            problems.append((number, f"this token is there already, as that of {found[digest]}"))
        found[digest] = name
    if problems:
        raise BadFile(path, problems)
    return found


def read_tokens(path: Path) -> Tokens:
    """
    All that a file says.

    Raises:
        BadFile: it cannot be used.
    """
    return parse_tokens(path, read_text(path))


@dataclass(frozen=True, slots=True)
class _Line:
    """What a login rests on."""

    hash: str
    name: str


@implementer(ICredentialsChecker)
class TokenFile(Keeper):
    """Checks tokens by a file."""

    credentialInterfaces = (IToken,)

    def __init__(self, file: SecretFile[Tokens]) -> None:
        self._file = file

    def requestAvatarId(self, credentials: Token) -> Deferred[Any]:
        """
        Cred's: who it is, an `Identity`. A look by hash takes a time that says nothing about the
        tokens.
        """
        digest = hash_of(credentials.token)
        name = self._file.value.get(digest)
        if name is None:
            return fail(Wrong("no such token"))
        return succeed(Identity(name, _Line(digest, name)))

    def keeps(self, basis: object) -> bool:
        """Whether the token is there, and still of the same name."""
        return isinstance(basis, _Line) and self._file.value.get(basis.hash) == basis.name
