"""
How encoders log in with user and password: authmod=adobe and authmod=llnw.

    C: connect app=live
    S: _error … [ code=403 need auth; authmod=adobe ] :                               and closes
    C: connect app=live?authmod=adobe&user=alice
    S: _error … ?reason=needauth&user=alice&salt=…&challenge=…&opaque=…               and closes
    C: connect app=live?authmod=adobe&user=alice&challenge=…&response=…&opaque=…
    S: _result, or _error … ?reason=authfailed&opaque=…                               and closes

Adobe never wrote it down. The texts are those of its server, blank for blank: GStreamer matches
them with a regular expression, FFmpeg cuts them at 255 bytes, and FFmpeg and librtmp read the user
back from them. `nosuchuser`, which they know too, would tell strangers who exists. Nothing in the
parts after `?` is percent-encoded.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from twisted.cred.credentials import IUsernameHashedPassword
from zope.interface import implementer

from rtmptwist.auth.challenges import LENGTH
from rtmptwist.auth.passwords import adobe_verifier, llnw_verifier

_HEAD: Final = "[ AccessManager.Reject ] : [ "

ANSWER_LENGTH: Final = 128
"Characters of what a client says in its answer; real ones are 8 to 32."


@implementer(IUsernameHashedPassword)
@dataclass(frozen=True, slots=True)
class AdobeAnswer:
    """By authmod=adobe."""

    username: bytes
    challenge: str = field(repr=False)
    salt: str = field(repr=False)
    client: str = field(repr=False)
    response: str = field(repr=False)

    def fits(self, verifier: bytes) -> bool:
        """The challenge is what the client calls `opaque`: it is always sent, and so hashed."""
        return _same(_base64_md5(verifier + _bytes(self.challenge + self.client)), self.response)

    def checkPassword(self, password: bytes | str) -> bool:
        """With the password itself."""
        return self.fits(adobe_verifier(self.username, _bytes(self.salt), _bytes(password)))


class Adobe:
    """authmod=adobe."""

    name = "adobe"

    def need(self) -> str:
        """Log in."""
        return f"{_HEAD}code=403 need auth; authmod=adobe ] : "

    def ask(self, user: str, salt: str, challenge: str) -> str:
        """Answer this."""
        return (
            f"{_HEAD}authmod=adobe ] : ?reason=needauth&user={user}&salt={salt}"
            f"&challenge={challenge[:8]}&opaque={challenge}"
        )

    def failed(self, query: Mapping[str, str]) -> str:
        """The answer is wrong. What the client called opaque comes back if it may be ours."""
        opaque = query.get("opaque", "")
        opaque = opaque if _OURS.fullmatch(opaque) else ""
        return f"{_HEAD}authmod=adobe ] : ?reason=authfailed&opaque={opaque}"

    def answer(self, query: Mapping[str, str], salt: str, app: str) -> AdobeAnswer:  # noqa: ARG002
        """Its `challenge` is the client's own."""
        said = _said(query, "opaque", "challenge", "response")
        return AdobeAnswer(_bytes(query.get("user", "")), said[0], salt, said[1], said[2])


@implementer(IUsernameHashedPassword)
@dataclass(frozen=True, slots=True)
class LlnwAnswer:
    """By authmod=llnw: HTTP Digest (RFC 2617) with some parts fixed."""

    username: bytes
    challenge: str = field(repr=False)
    client: str = field(repr=False)
    count: str = field(repr=False)
    response: str = field(repr=False)
    app: str

    def fits(self, verifier: bytes) -> bool:
        """FFmpeg hashes its own query with the app, librtmp cuts it off."""
        matches = [
            _same(self._response(verifier, app), self.response)
            for app in (self.app, self.app.partition("?")[0])
        ]
        return any(matches)

    def checkPassword(self, password: bytes | str) -> bool:
        """With the password itself."""
        return self.fits(llnw_verifier(self.username, _bytes(password)))

    def _response(self, verifier: bytes, app: str) -> bytes:
        path = app if "/" in app else f"{app}/_definst_"
        what = _hex_md5(_bytes(f"publish:/{path}"))
        rest = f"{self.challenge}:{self.count}:{self.client}:auth:"
        return _hex_md5(verifier + b":" + _bytes(rest) + what)


class Llnw:
    """authmod=llnw, Limelight's."""

    name = "llnw"

    def need(self) -> str:
        """Log in."""
        return f"{_HEAD}code=403 need auth; authmod=llnw ] : "

    def ask(self, user: str, salt: str, challenge: str) -> str:  # noqa: ARG002 - as Scheme
        """Answer this."""
        return f"{_HEAD}authmod=llnw ] : ?reason=needauth&user={user}&nonce={challenge}"

    def failed(self, query: Mapping[str, str]) -> str:  # noqa: ARG002 - as Scheme
        """The answer is wrong."""
        return f"{_HEAD}authmod=llnw ] : ?reason=authfailed"

    def answer(self, query: Mapping[str, str], salt: str, app: str) -> LlnwAnswer:  # noqa: ARG002
        """`app` as the client said it."""
        said = _said(query, "nonce", "cnonce", "nc", "response")
        return LlnwAnswer(
            _bytes(query.get("user", "")), said[0], said[1], said[2], said[3], app_itself(app)
        )


Scheme: TypeAlias = Adobe | Llnw
Answer: TypeAlias = AdobeAnswer | LlnwAnswer

SCHEMES: Final[Mapping[str, Scheme]] = {"adobe": Adobe(), "llnw": Llnw()}

_OURS: Final = re.compile(f"[A-Za-z0-9_-]{{{LENGTH}}}")


def app_itself(app: str) -> str:
    """Without what a client has added to log in."""
    return re.split(r"[?&]authmod=", app, maxsplit=1)[0]


def _said(query: Mapping[str, str], *keys: str) -> list[str]:
    return [query.get(key, "")[:ANSWER_LENGTH] for key in keys]


def _same(expected: bytes, found: str) -> bool:
    return hmac.compare_digest(expected, _bytes(found))


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


def _base64_md5(data: bytes) -> bytes:
    return b64encode(hashlib.md5(data, usedforsecurity=False).digest())


def _hex_md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).hexdigest().encode()
