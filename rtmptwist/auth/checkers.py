"""
Checkers of `cred`: made from descriptions, and asked one after the other.

A description is a kind and, after a colon, what belongs to it. Some kinds are ours; all others are
those of `twisted.cred.strcred`, which finds them as plugins: one's own is a module in
`twisted/plugins` on the path.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from twisted.cred.checkers import ICredentialsChecker, InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.error import UnauthorizedLogin, UnhandledCredentials
from twisted.cred.strcred import findCheckerFactory
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred, succeed
from twisted.logger import Logger
from zope.interface import implementer

from rtmptwist.auth.credentials import Certificate, ICertificate
from rtmptwist.auth.errors import Undecided, Wrong
from rtmptwist.auth.gate import GUEST
from rtmptwist.auth.identity import Identity, Keeper
from rtmptwist.auth.passwordfile import PasswordFile

WITHDRAWN: Final = "Your login was removed or changed: log in anew, or ask whoever gave it to you."

NAME_LENGTH: Final = 256
"Characters of what a checker calls somebody."


class BadChecker(Exception):
    """A description of a checker is of no use."""


class Checker(NamedTuple):
    """A checker and what the log calls it."""

    kind: str
    checker: Any


@implementer(ICredentialsChecker)
class InOrder:
    """Asks one after the other; the first that accepts knows who it is."""

    log = Logger()

    def __init__(self, checkers: Sequence[Checker]) -> None:
        self._checkers = checkers
        self.credentialInterfaces = tuple(
            dict.fromkeys(i for each in checkers for i in each.checker.credentialInterfaces)
        )

    def salt(self, user: bytes) -> str | None:
        """What an Adobe challenge for this user must contain, if that matters to one of them."""
        return next(filter(None, (file.salt(user) for file in self._files)), None)

    @property
    def origin(self) -> str:
        """Where salts come from: strangers' are to differ from one origin to the next as well."""
        return next((str(file.path) for file in self._files), "")

    @property
    def _files(self) -> list[PasswordFile]:
        return [each.checker for each in self._checkers if isinstance(each.checker, PasswordFile)]

    def requestAvatarId(self, credentials: Any) -> Deferred[Any]:
        """Cred's: who it is, an `Identity`."""
        return Deferred.fromCoroutine(self._first(credentials))

    def objection(self, basis: object) -> str:
        """Why a login that rests on this holds no more; empty: it does."""
        for _, checker in self._checkers:
            if checker.keeps(basis) if isinstance(checker, Keeper) else checker is basis:
                return ""
        return WITHDRAWN

    async def _first(self, credentials: Any) -> Identity:
        wrong, undecided = [], []
        for kind, checker in self._checkers:
            if not any(each.providedBy(credentials) for each in checker.credentialInterfaces):
                continue
            try:
                return _identity(await maybeDeferred(checker.requestAvatarId, credentials), checker)
            except Wrong as error:
                wrong.append(str(error))
            except (UnauthorizedLogin, UnhandledCredentials):
                wrong.append(f"wrong for {kind}")
            except Undecided as error:
                undecided.append(str(error))
            except CancelledError:
                raise
            except Exception:  # somebody's plugin
                self.log.failure("a login could not be checked by {kind}", kind=kind)
                undecided.append(f"{kind} failed")
        if undecided:
            raise Undecided(", ".join(undecided))
        raise Wrong(", ".join(dict.fromkeys(wrong)))


@implementer(ICredentialsChecker)
class CertificateName:
    """Believes certificates: TLS has verified them, by the `client_ca` of their listener."""

    credentialInterfaces = (ICertificate,)

    def requestAvatarId(self, credentials: Certificate) -> Deferred[Any]:
        """Cred's: whom it names."""
        return succeed(credentials.subject)


def _identity(avatar: object, checker: object) -> Identity:
    """
    Who it is, by what a checker said; if that is only a name, as those of cred do, it rests on the
    checker as a whole.

    Raises:
        ValueError: it is no name, or none for a log.
    """
    said, basis = avatar, checker
    if isinstance(avatar, Identity):
        said, basis = avatar.name, avatar.basis
    name = said.decode() if isinstance(said, bytes) else said
    if not (isinstance(name, str) and name.isprintable() and 0 < len(name) <= NAME_LENGTH):
        raise ValueError("a checker accepted a login without saying whose it is")
    if name == GUEST:  # would be counted, banned and told in the log as nobody in particular
        raise Wrong(f"{GUEST} is what guests are called")
    return Identity(name, basis)


def from_plugin(kind: str, argument: str) -> Checker:
    """
    A checker that `strcred` finds.

    Raises:
        BadChecker: it cannot be made; the text does not repeat the argument, which may be secret.
    """
    factory = findCheckerFactory(kind)
    try:
        checker = factory.generateChecker(argument)
    except Exception as error:  # somebody's plugin
        name = type(error).__name__
        raise BadChecker(f"{kind}: {name}; expected {factory.argStringFormat}") from None
    if isinstance(checker, InMemoryUsernamePasswordDatabaseDontUse):
        # its plugin keeps text, where everything else of cred has bytes
        checker.users = {_bytes(user): _bytes(word) for user, word in checker.users.items()}
    return Checker(kind, checker)


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
