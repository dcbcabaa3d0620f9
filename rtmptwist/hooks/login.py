"""
Users and passwords, checked by a web server of one's own.

    POST, application/json: {"user": …, "password": …, "app": …, "host": …, "address": …}

A status of 200 or 204 is a yes, 401, 403 or 404 a no, whatever else it says. Everything else is no
answer, and nobody is let in without one: a slow or broken server must not be an open door.
"""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import urlsplit

from twisted.application.service import Service
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from rtmptwist.auth.credentials import Password
from rtmptwist.auth.errors import Undecided, Wrong
from rtmptwist.auth.hashing import Turns
from rtmptwist.hooks.answer import NoAnswer
from rtmptwist.hooks.breaker import Breaker
from rtmptwist.hooks.http import Server
from rtmptwist.net.tls import client_tls

PATIENCE: Final = 5.0
"Seconds for an answer."

AT_ONCE: Final = 8
"Questions on their way; others wait, and addresses take turns."

YES: Final = frozenset({200, 204})
NO: Final = frozenset({401, 403, 404})


@implementer(ICredentialsChecker)
class HttpLogin(Service):
    """Asks a server; a service, because connections to it are kept."""

    log = Logger()
    credentialInterfaces = (IUsernamePassword,)

    def __init__(
        self, url: str, reactor: Any, tls: IOpenSSLClientConnectionCreator | None = None
    ) -> None:
        """`tls`: for https, instead of the usual check of the server's certificate."""
        parts = urlsplit(url)
        self._where = f"{parts.scheme}://{parts.netloc}{parts.path}"
        "What the log says: a query may hold a secret."
        self._plain = parts.scheme == "http" and parts.hostname not in _HERE
        if parts.scheme == "https":
            tls = tls or client_tls(parts.hostname or "")
        self._server = Server(url, reactor, tls=tls, connections=AT_ONCE)
        self._clock: IReactorTime = reactor
        self._turns = Turns(AT_ONCE)
        self._breaker = Breaker(self._where, reactor)

    def startService(self) -> None:
        """Begin."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's
        if self._plain:
            self.log.warn("{where} gets passwords unencrypted; use https", where=self._where)

    def stopService(self) -> Deferred[None]:
        """End."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's
        return Deferred.fromCoroutine(self._server.close())

    def requestAvatarId(self, credentials: Password) -> Deferred[Any]:
        """Cred's: the user's name."""
        return Deferred.fromCoroutine(self._user(credentials))

    async def _user(self, credentials: Password) -> bytes:
        async with self._turns.turn(credentials.visitor.address):
            if not self._breaker.admit():
                raise Undecided(f"{self._where} has failed too often to be asked now")
            try:
                allowed = await self._ask(credentials)
            except NoAnswer as error:
                self._breaker.failed(str(error))
                raise Undecided(f"no answer of {self._where}: {error}") from error
            except BaseException:  # the client has left
                self._breaker.given_up()
                raise
            self._breaker.succeeded()
        if not allowed:
            raise Wrong(f"{self._where} says no")
        return credentials.username

    async def _ask(self, credentials: Password) -> bool:
        visitor = credentials.visitor
        said = {
            "user": credentials.username.decode(errors="replace"),
            "password": credentials.password.decode(errors="replace"),
            "app": visitor.application.name,
            "host": visitor.application.host,
            "address": visitor.address,
        }
        asking = self._server.post(json.dumps(said).encode(), "application/json")
        try:
            reply = await Deferred.fromCoroutine(asking).addTimeout(PATIENCE, self._clock)
        except TookTooLong:
            raise NoAnswer(f"nothing came within {PATIENCE:g} s") from None
        if reply.status not in YES | NO:
            raise NoAnswer(f"its status is {reply.status}")
        return reply.status in YES


_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})
