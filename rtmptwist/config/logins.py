"""By what logins are checked: a kind, and what belongs to it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from twisted.cred.credentials import IUsernameHashedPassword, IUsernamePassword
from twisted.cred.strcred import findCheckerFactories

from rtmptwist.config.addresses import is_http_url
from rtmptwist.config.convert import BadValue, Converter, either, wrong
from rtmptwist.config.ini import quoted


@dataclass(frozen=True, slots=True)
class Login:
    """By what a login is checked."""

    kind: str

    argument: str = field(default="", repr=False)
    "A path for kinds in `LOGIN_FILES`. May hold secrets."


LOGIN_FILES: Final = frozenset({"file", "token"})

_LOGINS: Final = {
    "file": re.compile(r"[^\0]+"),
    "token": re.compile(r"[^\0]+"),
    "http": re.compile(r"https?://[^/?@]+(?:[/?].*)?"),
    "certificate": re.compile(""),
}
_FORMS: Final = {
    "file": "file:FILE",
    "token": "token:FILE",
    "http": "http:URL, as in http:https://example.org/login",
    "certificate": "certificate",
}


class LoginKind(Converter[Login]):
    """A kind of checker and, after a colon, what belongs to it; kinds are ours, or cred's."""

    def read(self, text: str) -> Login:
        kind, _, argument = text.partition(":")
        form = _LOGINS.get(kind)
        if form is None:
            plugins = sorted(_login_plugins())
            if kind not in plugins:
                allowed = f"file:FILE, token:FILE, http:URL, certificate, or {either(plugins)}"
                raise wrong(kind, allowed, (*_LOGINS, *plugins))
        elif not form.fullmatch(argument) or (kind == "http" and not is_http_url(argument)):
            raise BadValue(f"{quoted(kind)}: expected {_FORMS[kind]}")
        return Login(kind, argument)

    def show(self, value: Login) -> str:
        return f"{value.kind}:{value.argument}" if value.argument else value.kind


class OperatorLogin(LoginKind):
    """The same, for operators, and `loopback`: whoever is on this machine."""

    def read(self, text: str) -> Login:
        if text == "loopback":
            return Login(text)
        try:
            found = super().read(text)
        except BadValue as error:
            raise BadValue(f"{error}, or loopback") from None
        if found.kind == "certificate":
            raise BadValue("'certificate': expected another kind, which HTTP can carry")
        return found


def _login_plugins() -> list[str]:
    """Kinds that `twisted.cred.strcred` knows and that can check a user and a password."""
    return [
        plugin.authType
        for plugin in findCheckerFactories()
        if {IUsernamePassword, IUsernameHashedPassword} & set(plugin.credentialInterfaces)
        and plugin.authType not in _LOGINS
    ]
