"""What applications say about who may do what, as the gate understands it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final, TypeVar, overload

from twisted.application.service import Service

from rtmptwist.auth.authmod import SCHEMES
from rtmptwist.auth.brake import Brake
from rtmptwist.auth.challenges import Challenges, kept_secret
from rtmptwist.auth.checkers import CertificateName, Checker, from_plugin
from rtmptwist.auth.files import BadFile, SecretFile
from rtmptwist.auth.gate import Login as LoginPort
from rtmptwist.auth.gate import NoLogin, Rules
from rtmptwist.auth.hashing import Hashing
from rtmptwist.auth.keyfile import read_keys
from rtmptwist.auth.keys import NoKeys, StreamKeys
from rtmptwist.auth.limits import AppLimits, Scope, What
from rtmptwist.auth.login import Logins, Way
from rtmptwist.auth.operators import Operators
from rtmptwist.auth.passwordfile import PasswordFile, read_users
from rtmptwist.auth.proofs import Addresses, Anyone, Proof, Users
from rtmptwist.auth.signing import SignedUrls, read_secrets
from rtmptwist.auth.tokenfile import TokenFile, read_tokens
from rtmptwist.config.access import Access
from rtmptwist.config.logins import Login
from rtmptwist.config.schema import App
from rtmptwist.hooks.login import HttpLogin
from rtmptwist.live.access import Action, Terms
from rtmptwist.live.application import Application

T = TypeVar("T")


class RuleBook:
    """Makes the rules of applications; a file is read once, however many name it."""

    def __init__(
        self, now: Callable[[], float], reactor: Any = None, state: Path | None = None
    ) -> None:
        """
        `now`: seconds since the epoch. `state`: a folder in which the secret of challenges is kept;
        without it the rules are not to be used, only what they need is looked at.
        """
        self._now = now
        self._state = state
        self._files: dict[tuple[Path, object], SecretFile[Any]] = {}
        self._checkers: dict[Login, Checker] = {}
        self._challenges: Challenges | None = None
        self.brake = Brake(reactor)
        self._hashing = Hashing(reactor)
        self._servers: list[HttpLogin] = []
        self._reactor = reactor

    @property
    def files(self) -> tuple[SecretFile[Any], ...]:
        """All that were read, to be watched."""
        return tuple(self._files.values())

    @property
    def services(self) -> list[Service]:
        """What the rules need to run."""
        hashing = [self._hashing] if any(login.kind == "file" for login in self._checkers) else []
        return [*hashing, *self._servers]

    def rules(self, app: App) -> Rules:
        """
        Of one application.

        Raises:
            BadFile: a file that it names cannot be used.
            BadChecker: a login that it describes cannot be made.
        """
        keys = self._file("keys make {} …", app.keys, read_keys)
        secrets = self._file("secrets make {} …", app.signing, read_secrets)

        def proofs(access: Access) -> list[Proof]:
            """What speaks for somebody; first what also says no, and what says who it is."""
            found: list[Proof] = []
            if keys is not None:
                asked = "keys" in access.proofs
                found.append(StreamKeys(keys, self._now, self.brake) if asked else NoKeys())
            if secrets is not None and "signed" in access.proofs:
                found.append(SignedUrls(secrets, self._now, self.brake))
            if "users" in access.proofs:
                found.append(Users(asked=access.proofs == {"users"}))
            if access.networks:
                found.append(Addresses(access.networks))
            if access.anyone:
                found.append(Anyone())
            return found

        return Rules(
            {Action.PUBLISH: proofs(app.publish), Action.PLAY: proofs(app.play)}, self._login(app)
        )

    # ---- logins

    def operators(self, logins: Collection[Login]) -> Operators:
        """
        Who may operate the server, by what a listener says.

        Raises:
            BadFile, BadChecker: as `rules`.
        """
        checkers = [self._checker(login) for login in logins if login.kind != "loopback"]
        local = any(login.kind == "loopback" for login in logins)
        place = Application("", App(name=""), self._reactor)
        return Operators(checkers, self.brake, place, loopback=local)

    def _login(self, app: App) -> LoginPort:
        checkers = [self._checker(login) for login in app.logins or ()]
        if not checkers or self._state is None:
            return NoLogin()
        if self._challenges is None:
            self._challenges = Challenges(kept_secret(self._state), self._now)
        ways = {Action.PUBLISH: _way(app.publish), Action.PLAY: _way(app.play)}
        return Logins(checkers, ways, self._challenges, self.brake, SCHEMES.get(app.challenge))

    def _checker(self, login: Login) -> Checker:
        """The same for all who describe it alike: they share its files and what it remembers."""
        if login not in self._checkers:
            self._checkers[login] = self._make(login)
        return self._checkers[login]

    def _make(self, login: Login) -> Checker:
        match login.kind:
            case "file":
                users = self._file("passwd {} USER", Path(login.argument), read_users)
                return Checker("file", PasswordFile(users, self._hashing, self._now))
            case "token":
                tokens = self._file("token {} NAME", Path(login.argument), read_tokens)
                return Checker("token", TokenFile(tokens))
            case "certificate":
                return Checker("certificate", CertificateName())
            case "http":
                server = HttpLogin(login.argument, self._reactor)
                self._servers.append(server)
                return Checker("http", server)
            case _:
                return from_plugin(login.kind, login.argument)

    # ---- files

    @overload
    def _file(self, command: str, path: Path, read: Callable[[Path], T]) -> SecretFile[T]: ...
    @overload
    def _file(
        self, command: str, path: Path | None, read: Callable[[Path], T]
    ) -> SecretFile[T] | None: ...
    def _file(
        self, command: str, path: Path | None, read: Callable[[Path], T]
    ) -> SecretFile[T] | None:
        """`command` of `rtmptwist` makes it."""
        if path is None:
            return None
        if (path, read) not in self._files:
            try:
                self._files[path, read] = SecretFile(path, read)
            except BadFile as error:
                if not isinstance(error.__cause__, FileNotFoundError):
                    raise
                words = f"is not there; `rtmptwist {command.format(path)}` makes it"
                raise BadFile(path, [(0, words)]) from error
        return self._files[path, read]


def succeed(rules: Rules, before: Rules) -> None:
    """Have whoever publishes by a key of `before` judged by the file that these rules name."""
    for action in Action:
        for proof in rules.proofs[action]:
            for old in before.proofs[action]:
                if isinstance(proof, StreamKeys) and isinstance(old, StreamKeys):
                    proof.succeed(old)


_SECRETS: Final = {
    "keys": frozenset({"key"}),
    "logins": frozenset(
        {"password", "token", "response", "challenge", "opaque", "nonce", "cnonce"}
    ),
    "signing": frozenset({"sig"}),
}
"What somebody is known by of an URL's query, by the key that has it checked."


def secrets_of(app: App) -> frozenset[str]:
    """The parts of a query that one application checks itself."""
    return frozenset[str]().union(
        *(names for key, names in _SECRETS.items() if getattr(app, key) is not None)
    )


def limits_of(app: App) -> AppLimits:
    """What one application allows to everybody."""
    return AppLimits(
        {
            (What.CONNECTIONS, Scope.ALL): app.max_connections,
            (What.CONNECTIONS, Scope.ACCOUNT): app.max_connections_per_account,
            (What.CONNECTIONS, Scope.ADDRESS): app.max_connections_per_address,
            (What.PUBLISHERS, Scope.ALL): app.max_publishers,
            (What.PUBLISHERS, Scope.ACCOUNT): app.max_publishers_per_account,
            (What.PUBLISHERS, Scope.ADDRESS): app.max_publishers_per_address,
            (What.VIEWERS, Scope.ALL): app.max_viewers,
            (What.VIEWERS, Scope.STREAM): app.max_viewers_per_stream,
            (What.VIEWERS, Scope.ACCOUNT): app.max_viewers_per_account,
            (What.VIEWERS, Scope.ADDRESS): app.max_viewers_per_address,
        },
        Terms(bitrate=app.max_bitrate, duration=app.max_session),
    )


def _way(access: Access) -> Way:
    """How one gets there."""
    return Way(
        users="users" in access.proofs,
        networks=access.networks,
        later=access.anyone or bool(access.proofs - {"users"}),
    )
