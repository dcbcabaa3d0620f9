"""
What a configuration describes, put together: the registry that all listeners share, who may do what
there, and the doors.

One session and one registry behind six ways in. TLS and the tunnel are transports under the same
connection, RTMPE is a stage beside its handshake:

    TCP ─┬─ 3 ──────────────────────────────────────────▶ RTMP ──┐
         ├─ 6, 8, 9 ────────────────────────────────────▶ RTMPE ─┤
         ├─ POST … ─▶ HTTP ─▶ tunnel ─┬─ 3 ─────────────▶ RTMPT ─┤
         │                            └─ 6, 8, 9 ───────▶ RTMPTE ┼─▶ ServerConnection ─▶ registry
         └─ 0x16 ─▶ TLS ─┬─ 3 ──────────────────────────▶ RTMPS ─┤
                         └─ POST … ─▶ HTTP ─▶ tunnel ─ 3 ▶ RTMPTS┘

Another configuration may take the place of the first while all of that runs: a `Plan` is made whole
without touching anything, and then adopted in one step. What people hold on to stays: applications,
by host and name, the gate, files with secrets, hooks. They change in place, or what they ask does.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from twisted.application.service import Service
from twisted.logger import Logger

from rtmptwist.auth.banfile import BanFile
from rtmptwist.auth.files import SecretFile
from rtmptwist.auth.gate import Rules, SiteGate
from rtmptwist.auth.limits import AppLimits, LimitedGate
from rtmptwist.auth.operators import Desk
from rtmptwist.config import schema
from rtmptwist.config.schema import Config
from rtmptwist.config.whereabouts import named
from rtmptwist.disk.chores import Chores
from rtmptwist.disk.threads import Disk
from rtmptwist.doors import Doors, Entrance
from rtmptwist.hooks.assembly import make_hooks
from rtmptwist.hooks.chain import Chain
from rtmptwist.hooks.gate import HookedGate
from rtmptwist.hooks.hook import Hook, Hooks
from rtmptwist.interfaces import House, IInletMaker, IOutletMaker
from rtmptwist.live.application import Application
from rtmptwist.live.registry import Registry, VirtualHost
from rtmptwist.net.beat import Beat
from rtmptwist.net.census import Census
from rtmptwist.net.connection import ServerConnection
from rtmptwist.net.frontdoor import Speech, Visitor
from rtmptwist.net.listen import ListenerService, listener
from rtmptwist.net.rate import AddressRate
from rtmptwist.net.server import Care
from rtmptwist.net.tls import ServerTls
from rtmptwist.net.tunnels import Tunnels
from rtmptwist.plan import (
    Plan,
    endpoints,
    folder_of,
    operators_of,
    plugged_in,
    refuse,
    rules_of,
    section_of,
    swfs_of,
)
from rtmptwist.plugins import Plugged, Services
from rtmptwist.rules import RuleBook, limits_of, secrets_of, succeed
from rtmptwist.vod.folderfilms import FolderFilms
from rtmptwist.vod.history import History
from rtmptwist.vod.library import Library
from rtmptwist.vod.playbacks import FilePlaybacks
from rtmptwist.web.broadcast import Broadcast
from rtmptwist.web.httpflv import Screens
from rtmptwist.web.traces import Traces

FIXED: Final = ("state", "gather", "log", "disk_threads")
"Keys of `[server]` that take effect at the next start."


class Site:
    """The parts that all listeners share, and the door of each."""

    log = Logger()

    def __init__(self, config: Config, reactor: Any) -> None:
        """
        Raises:
            SiteError: it cannot be put to work.
        """
        self.config = replace(config, path=config.path.absolute())  # a daemon goes elsewhere
        self.reactor = reactor
        self.registry = Registry((), config.limits, reactor)
        self.census = Census(self.registry, reactor.seconds())
        self._book = RuleBook(time.time, reactor, config.server.state)
        self.bans = BanFile(config.server.state / "bans", reactor.seconds)
        self.bans.changed.append(self._enforce_bans)
        self.registry.banned = self.bans.bans.of_address
        self.registry.guessing = self._book.brake.closed_to

        self._applications: dict[tuple[str, str], Application] = {}
        "All that there were, by host and name: one that comes back goes on counting."
        # those of an application that is gone too: somebody may be about to ask for it
        self._rules: dict[Application, Rules] = {}
        self._chains: dict[Application, Chain] = {}
        self._limits: dict[Application, AppLimits] = {}
        self._secrets: dict[Application, frozenset[str]] = {}
        self.gate = LimitedGate(
            HookedGate(SiteGate(self._rules), self._chains, reactor, time.time, self._secrets),
            self._limits,
            config.limits.trusted,
            self.bans.bans.of_account,
        )
        self._hooks: dict[schema.Hook, Hook] = {}
        "Those of before too: they are still to hear the end of what they agreed to."

        self.hooks = Hooks(self._hooks.values())
        self.events = Broadcast(self)
        self.traces = Traces(reactor)
        self.screens = Screens(reactor)
        self.files: list[SecretFile[Any]] = []
        "With secrets; to be watched. Those of before too: what runs may depend on them."

        self.tls: list[ServerTls] = []
        "One for each listener that has TLS."

        self.ready = False
        "Whether somebody is let in."

        self.looked_at: float | None = None
        "When somebody last wanted to know that; None: nobody has."

        self.draining = False
        "Whether it is about to stop."

        self.doubtful = False
        "Whether something has changed that may have let somebody in who is here: see `reconsider`."

        self.disk = Disk(reactor, config.server.disk_threads, config.limits.disk_waiting)
        "Threads for files that are written,"
        self.chores = Chores(self.disk, reactor)
        "which look after them, too,"
        self.reading = Disk(reactor, config.server.disk_threads, config.limits.disk_waiting)
        "and for those that are played: however many hang there, what is recorded goes on."
        self.library = Library(reactor, self.reading, config.limits.file_cache)
        house = House(
            reactor, folder_of(config), config.server.state, self.disk, self.chores, self.reading
        )
        self._inlets = Plugged(IInletMaker, house)
        self._outlets = Plugged(IOutletMaker, house)
        self._beat = Beat(reactor, config.server.gather)
        self._entrances: dict[str, Entrance] = {}
        self._desks: Mapping[str, Desk] = {}
        self._doors: Doors | None = None
        self.reload: Callable[[], Awaitable[Sequence[str]]]
        """
        Read the configuration again and put it to work. The lines of what has changed.

        Raises:
            ReloadError: it is wrong, which is said in its lines; nothing has changed.
        """
        self.adopt(self.plan(self.config))

    # ------------------------------------------------------------- configurations

    def plan(self, config: Config) -> Plan:
        """
        Make all that a configuration needs, and touch nothing.

        Raises:
            SiteError: it cannot be put to work.
        """
        config = replace(config, server=self._kept(config.server))
        problems: list[str] = []
        hosts: list[VirtualHost] = []
        settings: dict[Application, schema.App] = {}
        for host in config.vhosts:
            applications = {
                self._applications.get((host.name, app.name))
                or Application(app.name, app, self.reactor, host=host.name): app
                for app in host.apps.values()
            }
            settings.update(applications)
            hosts.append(VirtualHost(host.name, applications, host.aliases))
        rules = {
            application: found
            for application, app in settings.items()
            if (found := rules_of(self._book, application.host, app, problems)) is not None
        }
        swfs = {each: swfs_of(each.host, app, problems) for each, app in settings.items()}
        plugged: dict[Plugged, dict[Application, Services]] = {self._inlets: {}, self._outlets: {}}
        for each, app in settings.items():
            where = section_of(each.host, app)
            for sort, key, texts in (
                (self._inlets, "inlet", app.inlet),
                (self._outlets, "outlets", app.outlets),
            ):
                use = partial(sort.plan, each)
                plugged[sort][each] = plugged_in(where, key, texts, problems, use)
        new = [hook for hook in config.hooks if hook not in self._hooks]
        made, secrets = make_hooks(new, folder_of(config), self.reactor, problems)
        hooks = {hook: made[hook.name] for hook in new if hook.name in made}
        operators = {
            section.name: who
            for section in config.listeners
            if (who := operators_of(self._book, section, problems)) is not None
        }
        desks = {name: self._desks.get(name) or Desk(who) for name, who in operators.items()}
        doors = Doors(
            config,
            self,
            self.gate,
            self._beat,
            desks,
            problems,
            before=self._doors,
        )
        refuse(config, problems)
        return Plan(
            config, hosts, settings, swfs, rules, hooks, secrets, plugged, operators, desks, doors
        )

    def adopt(self, plan: Plan) -> None:
        """Put a configuration to work, all of it at once; what runs goes on."""
        config, settings = plan.config, plan.settings
        self.config = config
        self._hooks.update(plan.hooks)
        self.files[:] = [*self._book.files, *(f for f in self.files if f not in self._book.files)]
        for file in self.files:
            if self._doubt not in file.changed:
                file.changed.append(self._doubt)
        self._doubt()
        self.files += plan.secrets
        hooks = {hook.name: self._hooks[hook] for hook in config.hooks}
        for application, app in settings.items():
            self._applications[application.host, application.name] = application
            application.closed = ""
            application.settings = app
            self._files(application, app)
            application.swfs = plan.swfs[application]
            if application in self._rules:
                succeed(plan.rules[application], self._rules[application])
            self._rules[application] = plan.rules[application]
            self._limits[application] = limits_of(app)
            self._secrets[application] = secrets_of(app)
            self._chains.pop(application, None)  # most have no hooks, and need not pay for any
            application.record_listeners[:] = [
                partial(self.registry.journal.recorded, application.name, application.host)
            ]
            if app.hooks:
                chain = Chain([hooks[name] for name in app.hooks], time.time)
                self._chains[application] = chain
                application.record_listeners.append(
                    partial(chain.recorded, app.name, application.host)
                )
        for name in hooks.keys() - {name for app in settings.values() for name in app.hooks}:
            self.log.warn("[hook {name}]: the hooks of no [app] name it", name=name)
        for sort, services in plan.plugged.items():
            sort.adopt(services)
        self.disk.bound = config.limits.disk_waiting
        self.library.store.room = config.limits.file_cache
        gone = set(self.registry.applications()) - settings.keys()
        self.registry.serve(plan.hosts, config.limits)
        self.gate.trusted = config.limits.trusted
        for name, desk in {**self._desks, **plan.desks}.items():
            desk.operators = plan.operators.get(name)  # some have none any more
        self._desks = plan.desks
        self._doors = plan.doors
        self._doors.open()
        self.tls[:] = self._doors.tls
        for section in config.listeners:
            for endpoint in section.endpoint:
                self.entrance(endpoint, plan).door = self._doors.by_listener[section.name]
        for endpoint in self._entrances.keys() - endpoints(config):
            del self._entrances[endpoint]
        self._close(gone)

    def _files(self, application: Application, app: schema.App) -> None:
        """Which files it has from now on. What is being played goes on."""
        past, films, playbacks = application.past, application.films, application.playbacks
        if app.outlets and not isinstance(past, History):
            past = application.past = History(application, self.library)
        if isinstance(past, History):
            past.playbacks.send_ahead(app.files_ahead)
        if app.files is None:
            application.films = None
            return
        if not isinstance(playbacks, FilePlaybacks):
            playbacks = application.playbacks = FilePlaybacks(self.library.pacer)
        playbacks.send_ahead(app.files_ahead)
        if not isinstance(films, FolderFilms):
            films = application.films = FolderFilms(self.library)
        films.serve(app.files, public=app.play.anyone and not app.hooks)

    def entrance(self, endpoint: str, plan: Plan | None = None) -> Entrance:
        """What listens there, as the present configuration or a plan has it."""
        if endpoint not in self._entrances:
            config, doors = (plan.config, plan.doors) if plan else (self.config, self.doors)
            section = endpoints(config)[endpoint]
            self._entrances[endpoint] = Entrance(doors.by_listener[section.name])
        return self._entrances[endpoint]

    def _kept(self, server: schema.Server) -> schema.Server:
        """What cannot be changed while the server runs stays as it was."""
        return replace(server, **{key: getattr(self.config.server, key) for key in FIXED})

    def _close(self, gone: set[Application]) -> None:
        """Applications that are no more."""
        for application in gone:
            application.retire()
        for connection in self.connections():
            visitor = connection.visitor
            if visitor is not None and visitor.application in gone:
                connection.expel(visitor.application.closed)
        for application in gone:  # those who came in by another one
            application.close(application.closed)

    # ------------------------------------------------------------- what there is

    @property
    def services(self) -> list[Service]:
        """What has to run before anybody is let in."""
        return [*self._book.services, *self._inlets.services, *self._outlets.services]

    @property
    def doors(self) -> Doors:
        """Of the present configuration."""
        assert self._doors is not None
        return self._doors

    @property
    def care(self) -> Care:
        """How patient we are with those who come."""
        return self.doors.care

    @property
    def rates(self) -> dict[Speech, AddressRate]:
        """What one address may ask for, through whichever listener."""
        return self.doors.rates

    @property
    def tunnels(self) -> list[Tunnels]:
        """All in which there may be somebody."""
        return self.doors.tunnels

    def listener(self, endpoint: str, section: str, plan: Plan | None = None) -> ListenerService:
        """A service that listens there."""
        return listener(self.reactor, endpoint, self.entrance(endpoint, plan), section)

    def listeners(self) -> list[ListenerService]:
        """One service for every endpoint."""
        return [
            self.listener(endpoint, section.name)
            for endpoint, section in endpoints(self.config).items()
        ]

    def connections(self) -> list[ServerConnection]:
        """Those that speak RTMP now."""
        return self.census.connections()

    def visitors(self) -> list[Visitor]:
        """Those that have not said what they speak, or speak HTTP."""
        return [c for c in self.registry.connections if isinstance(c, Visitor)]

    # ------------------------------------------------------------- who must leave

    def kick(self, connection_id: int, reason: str) -> bool:
        """End a connection; its client reads the reason. False: there is no such connection."""
        found = [c for c in self.connections() if c.id == connection_id]
        for connection in found:
            connection.expel(reason)
        return bool(found)

    def drain(self, why: str) -> None:
        """Stop the server as SIGTERM does; `why`, for the log. Harmless if it stops already."""
        if not self.draining:
            self.draining = True
            self.ready = False
            self.log.info("{why}: the server stops", why=why)
            self.reactor.stop()

    def named(self, path: Path) -> str:
        """Where the present configuration names a file, for the log."""
        return named(self.config, path)

    def _doubt(self) -> None:
        self.doubtful = True

    def reconsider(self, connection: ServerConnection) -> bool:
        """End a connection whose login is gone; whether it was. A microsecond, if it was not."""
        account = connection.account
        reason = account.objection() if account is not None else ""
        if reason:
            connection.expel(reason)
        return bool(reason)

    def _enforce_bans(self) -> None:
        """Somebody who is here may have been banned just now."""
        bans = self.bans.bans
        for connection in self.connections():
            reasons = (
                bans.of_address(connection.address),
                *map(bans.of_account, connection.accounts),
            )
            if reason := next(filter(None, reasons), ""):
                connection.expel(reason)
        for visitor in self.visitors():
            if bans.of_address(visitor.address):
                visitor.leave()
