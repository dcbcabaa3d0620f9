"""
Another configuration for a server that runs: read and checked whole, and then put to work at once.

What is wrong with it leaves everything as it was. Ports that both name stay open all the while.

Nothing else may happen to ports while they open and shut: reloads take turns, none begins to change
anything once the server is about to stop, and the end of the server waits for one that has begun.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from rtmptwist.config.load import ConfigError, load
from rtmptwist.config.schema import Config
from rtmptwist.live.journal import EventKind
from rtmptwist.net.listen import ListenError, ListenerService
from rtmptwist.plan import Plan, SiteError, check, endpoints
from rtmptwist.site import FIXED, Site
from rtmptwist.web.house import ReloadError

PATIENCE: Final = 2.0
"Seconds for ports to open and shut, which takes them a turn of the reactor each."


class Reload:
    """Reads the configuration of a site again; its listeners are children of one service."""

    log = Logger()

    def __init__(self, site: Site, parent: MultiService) -> None:
        self._site = site
        self._parent = parent
        self._turn: DeferredLock = DeferredLock()
        self._changing: DeferredLock = DeferredLock()
        "Held while a new configuration takes the place of the old one, ports and all."

    async def reload(self) -> Sequence[str]:
        """
        Put the file to work as it is now. What has changed, a line each; the log has them too.

        Raises:
            ReloadError: something is wrong with it, as the log says too.
        """
        await self._turn.acquire()
        try:
            return await self._reload()
        except ReloadError as error:
            for line in str(error).split("\n"):
                self.log.error("{line}", line=line)
            self.log.error("the configuration is not reloaded: all stays as it was")
            raise
        finally:
            self._turn.release()

    async def settled(self) -> None:
        """
        Wait until the present reload, if there is one, has changed all that it will.

        Once `draining`, no other one begins to.
        """
        try:
            await self._changing.acquire().addTimeout(PATIENCE, self._site.reactor)
        except TookTooLong:
            self.log.warn("a port has not shut within {seconds:g} s", seconds=PATIENCE)
        else:
            self._changing.release()

    def begin(self) -> None:
        """The same for somebody who reads the log instead of waiting."""
        Deferred.fromCoroutine(self.reload()).addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        if not failure.check(ReloadError):  # of which the log knows
            self.log.failure("the configuration could not be read again", failure)

    async def _reload(self) -> Sequence[str]:
        reactor = self._site.reactor
        self._check_running()
        try:
            # files may be many, or far away
            new = await deferToThreadPool(reactor, reactor.getThreadPool(), self._read)
            async with self._changing:
                self._check_running()
                return await self._put_to_work(new)
        except (ConfigError, SiteError, ListenError) as error:
            raise ReloadError(str(error)) from error

    async def _put_to_work(self, new: Config) -> Sequence[str]:
        """
        Have a configuration take the place of the present one.

        Raises:
            SiteError, ListenError: all is as it was.
        """
        site, old = self._site, self._site.config
        plan = site.plan(new)
        ports = await self._open(plan)
        site.adopt(plan)
        for service in site.services:
            if service.parent is None:
                service.setServiceParent(self._parent)
        for port in self._listeners():
            if port.endpoint in ports:
                port.section = ports[port.endpoint]
            else:
                self.log.info(
                    "listener {name} leaves {address}",
                    name=port.section,
                    address=port.bound_address(),
                )
                await self._shut(port)
        changes = differences(old, new)
        told = "; ".join(changes)
        self.log.info("the configuration is reloaded: {changes}", changes=told)
        site.registry.journal.note(EventKind.RELOAD, told)
        return changes

    def _check_running(self) -> None:
        if self._site.draining or not self._parent.running:
            raise ReloadError("the server is about to stop, or has not started")

    def _read(self) -> Config:
        config = load(self._site.config.path)
        check(config)
        return config

    # ------------------------------------------------------------------ ports

    def _listeners(self) -> list[ListenerService]:
        return [child for child in self._parent if isinstance(child, ListenerService)]

    async def _open(self, plan: Plan) -> Mapping[str, str]:
        """
        Open what is not open yet; the listeners of all endpoints.

        A port that one endpoint leaves may be another one's: if it cannot be had beside what there
        is, then perhaps instead.

        Raises:
            ListenError: all is as it was.
        """
        wanted = {endpoint: section.name for endpoint, section in endpoints(plan.config).items()}
        there = self._listeners()
        missing = wanted.keys() - {port.endpoint for port in there}
        leaving = [port for port in there if port.endpoint not in wanted]
        new = [
            self._site.listener(endpoint, section, plan)
            for endpoint, section in wanted.items()
            if endpoint in missing
        ]
        try:
            await self._start(new)
        except ListenError:
            if not leaving:
                raise
            for port in leaving:
                await self._shut(port)
            try:
                await self._start(new)
            except ListenError:
                await self._start(leaving)
                raise
        return wanted

    async def _start(self, ports: Iterable[ListenerService]) -> None:
        started: list[ListenerService] = []
        for port in ports:
            started.append(port)
            try:
                port.setServiceParent(self._parent)  # type: ignore[no-untyped-call]  # Twisted's
            except ListenError:
                for each in started:
                    await self._shut(each)
                raise

    async def _shut(self, port: ListenerService) -> None:
        await maybeDeferred(port.disownServiceParent)


def differences(old: Config, new: Config) -> list[str]:
    """What has changed, for operators: sections and their keys."""
    before, after = old.sections(), new.sections()
    lines = []
    for name in [*after, *(name for name in before if name not in after)]:
        if name not in before:
            lines.append(f"[{name}] is new")
        elif name not in after:
            lines.append(f"[{name}] is gone")
        elif keys := _changed(before[name], after[name]):
            lines.append(f"[{name}] {', '.join(keys)}")
    return lines or ["nothing has changed in it"]


def _changed(old: Any, new: Any) -> list[str]:
    keys = [key.name for key in fields(old) if key.name not in ("name", "apps")]
    return [
        key + (" (at the next start)" if type(old).__name__ == "Server" and key in FIXED else "")
        for key in keys
        if getattr(old, key) != getattr(new, key)
    ]
