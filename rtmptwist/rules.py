"""What applications say about who may do what, as the gate understands it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from rtmptwist.auth.brake import Brake
from rtmptwist.auth.files import BadFile, SecretFile
from rtmptwist.auth.gate import Rules
from rtmptwist.auth.keyfile import read_keys
from rtmptwist.auth.keys import NoKeys, StreamKeys
from rtmptwist.auth.limits import AppLimits, Scope, What
from rtmptwist.auth.proofs import Addresses, Anyone, Proof, Users
from rtmptwist.auth.signing import SignedUrls, read_secrets
from rtmptwist.config.convert import Access
from rtmptwist.config.schema import App
from rtmptwist.live.access import Action, Terms

T = TypeVar("T")


class RuleBook:
    """Makes the rules of applications; a file is read once, however many name it."""

    def __init__(self, now: Callable[[], float], reactor: Any = None) -> None:
        """`now`: seconds since the epoch. Without a reactor the rules are only to be looked at."""
        self._now = now
        self._brake = Brake(reactor)
        self._files: dict[tuple[Path, object], SecretFile[Any]] = {}

    @property
    def files(self) -> tuple[SecretFile[Any], ...]:
        """All that were read, to be watched."""
        return tuple(self._files.values())

    def rules(self, app: App) -> Rules:
        """
        Of one application.

        Raises:
            BadFile: something that it names cannot be used.
        """
        keys = self._file("keys", app.keys, read_keys)
        secrets = self._file("secrets", app.signing, read_secrets)

        def proofs(access: Access) -> list[Proof]:
            """What speaks for somebody; first what also says no, and what says who it is."""
            found: list[Proof] = []
            if keys is not None:
                asked = "keys" in access.proofs
                found.append(StreamKeys(keys, self._now, self._brake) if asked else NoKeys())
            if secrets is not None and "signed" in access.proofs:
                found.append(SignedUrls(secrets, self._now, self._brake))
            if "users" in access.proofs:
                found.append(Users())
            if access.networks:
                found.append(Addresses(access.networks))
            if access.anyone:
                found.append(Anyone())
            return found

        return Rules({Action.PUBLISH: proofs(app.publish), Action.PLAY: proofs(app.play)})

    def _file(
        self, command: str, path: Path | None, read: Callable[[Path], T]
    ) -> SecretFile[T] | None:
        if path is None:
            return None
        if (path, read) not in self._files:
            if not path.exists():
                words = f"is not there; `rtmptwist {command} make {path} …` makes it"
                raise BadFile(path, [(0, words)])
            self._files[path, read] = SecretFile(path, read)
        return self._files[path, read]


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
