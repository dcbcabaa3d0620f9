"""
What somebody showed at connect to say who they are.

It stands in many places: the query of the application's URL (`user=`, `password=`, `token=`), the
user info of tcUrl (`rtmp://user:password@host/app`, where a client does not cut it off), two
arguments of connect, the certificate of a TLS client. Answers to challenges are `auth.authmod`'s.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from urllib.parse import unquote

from twisted.cred.credentials import ICredentials, IUsernamePassword
from zope.interface import implementer

from rtmptwist.amf.values import Value
from rtmptwist.auth.passwords import PASSWORD_LENGTH, USER_LENGTH, normal
from rtmptwist.live.access import Visitor

TOKEN_LENGTH: Final = 512
"Characters; those that `rtmptwist token` makes have 30."


class IToken(ICredentials):
    """A secret that says who has it."""


class ICertificate(ICredentials):
    """A certificate that TLS has verified."""


@implementer(IUsernamePassword)
@dataclass(frozen=True, slots=True)
class Password:
    """A user's name and password."""

    username: bytes
    password: bytes = field(repr=False)
    visitor: Visitor

    def checkPassword(self, password: bytes | str) -> bool:
        """Cred's: whether it is this one."""
        expected = normal(password) if isinstance(password, str) else password
        return hmac.compare_digest(self.password, expected)


@implementer(IToken)
@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token."""

    token: str = field(repr=False)


@implementer(ICertificate)
@dataclass(frozen=True, slots=True)
class Certificate:
    """Whom a certificate names."""

    subject: str


Plain: TypeAlias = Password | Token | Certificate


def password(visitor: Visitor) -> Password | None:
    """A user's name and password, from where they are said most plainly."""
    query = visitor.query
    url = text_of(visitor.properties, "tcUrl", "tcurl")
    pairs = (
        (query.get("user"), query.get("password")),
        _user_info(url),
        visitor.arguments if len(visitor.arguments) == 2 else (None, None),
    )
    for user, word in pairs:
        if isinstance(user, str) and isinstance(word, str) and (user or word):
            return Password(normal(user), normal(word), visitor)
    return None


def token(visitor: Visitor) -> Token | None:
    """A bearer token. Where HTTP carries one (RFC 6750), it stands in the query as well."""
    found = visitor.query.get("token")
    return Token(found) if found else None


def certificate(visitor: Visitor) -> Certificate | None:
    """The client's certificate."""
    return Certificate(visitor.certificate) if visitor.certificate else None


def possible(credentials: Plain) -> bool:
    """Whether they are worth a look: not empty, not endless, no bytes that names never have."""
    if isinstance(credentials, Token):
        return len(credentials.token) <= TOKEN_LENGTH
    if isinstance(credentials, Certificate):
        return len(credentials.subject.encode()) <= USER_LENGTH
    sizes = (credentials.username, USER_LENGTH), (credentials.password, PASSWORD_LENGTH)
    return all(0 < len(word) <= most for word, most in sizes) and not re.search(
        rb"[\x00-\x1f\x7f]", credentials.username
    )


def text_of(properties: Mapping[str, Value], *keys: str) -> str:
    """A text of the connect object; the first key that has one counts."""
    found = (properties.get(key) for key in keys)
    return next((value for value in found if isinstance(value, str)), "")


_AUTHORITY: Final = re.compile(r"\s*[\"']?[a-z][a-z0-9+.-]*://([^/?#]*)@", re.IGNORECASE)


def _user_info(url: str) -> tuple[str, str] | tuple[None, None]:
    found = _AUTHORITY.match(url)
    if found is None:
        return None, None
    user, colon, word = found[1].partition(":")
    return (unquote(user), unquote(word)) if colon else (None, None)
