"""What tests of logins stand on: users with cheap hashes, threads that are none, encoders."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from twisted.internet.defer import Deferred

from rtmptwist.auth.files import SecretFile
from rtmptwist.auth.hashing import Hashing
from rtmptwist.auth.passwordfile import User, Users, read_users
from rtmptwist.auth.passwords import (
    Cost,
    PasswordHash,
    adobe_verifier,
    llnw_verifier,
)

T = TypeVar("T")

CHEAP: Final = Cost(log_n=2)
SALT: Final = "AAECAwQFBgcICQoL"


def user(name: str, password: bytes = b"geheim", *, weak: bool = False) -> User:
    """Somebody; `weak`: with verifiers for encoders."""
    hashed = PasswordHash.of(password, CHEAP)
    if not weak:
        return User(name, hashed)
    adobe = SALT, adobe_verifier(name.encode(), SALT.encode(), password).decode()
    return User(name, hashed, adobe, llnw_verifier(name.encode(), password).decode())


def password_file(path: Path, *users: User) -> SecretFile[Users]:
    """A file with these."""
    path.write_text("".join(f"{each.line()}\n" for each in users))
    path.chmod(0o600)
    return SecretFile(path, read_users)


class Threads(Hashing):
    """Hashes at once, or when the test says so."""

    def __init__(self) -> None:
        super().__init__(None, threads=1)
        self.done = 0
        self.pending: list[Callable[[], None]] | None = None

    async def do(self, work: Callable[[], T]) -> T:
        self.done += 1
        if self.pending is not None:
            wait: Deferred[None] = Deferred()
            self.pending.append(lambda: wait.callback(None))
            await wait
        return work()


@dataclass
class Encoder:
    """Somebody with a user and a password, who answers challenges as FFmpeg does."""

    user: str = "alice"
    password: bytes = b"geheim"
    scheme: str = "adobe"
    app: str = "live"

    def first(self) -> str:
        """What it adds to its app when it was asked to log in."""
        return f"?authmod={self.scheme}&user={self.user}"

    def second(self, asked: str) -> str:
        """What it adds when it got a challenge."""
        found = dict(re.findall(r"[?&](\w+)=([^&]*)", asked))
        user, client = self.user.encode(), "01234567"
        if self.scheme == "adobe":
            inner = adobe_verifier(user, found["salt"].encode(), self.password)
            response = _base64_md5(inner + f"{found['opaque']}{client}".encode())
            more = f"&challenge={client}&response={response}&opaque={found['opaque']}"
        else:
            inner = llnw_verifier(user, self.password)
            path = self.app if "/" in self.app else f"{self.app}/_definst_"
            what = hashlib.md5(f"publish:/{path}".encode()).hexdigest()
            rest = f":{found['nonce']}:00000001:{client}:auth:{what}"
            response = hashlib.md5(inner + rest.encode()).hexdigest()
            more = f"&nonce={found['nonce']}&cnonce={client}&nc=00000001&response={response}"
        return f"{self.first()}{more}"


def _base64_md5(data: bytes) -> str:
    return b64encode(hashlib.md5(data).digest()).decode()
