"""
What a configuration describes, put together: the registry that all listeners share, and the door
of each listener with the rooms behind it.

One session and one registry behind six ways in. TLS and the tunnel are transports under the same
connection, RTMPE is a stage beside its handshake:

    TCP ─┬─ 3 ──────────────────────────────────────────▶ RTMP ──┐
         ├─ 6, 8, 9 ────────────────────────────────────▶ RTMPE ─┤
         ├─ POST … ─▶ HTTP ─▶ tunnel ─┬─ 3 ─────────────▶ RTMPT ─┤
         │                            └─ 6, 8, 9 ───────▶ RTMPTE ┼─▶ ServerConnection ─▶ registry
         └─ 0x16 ─▶ TLS ─┬─ 3 ──────────────────────────▶ RTMPS ─┤
                         └─ POST … ─▶ HTTP ─▶ tunnel ─ 3 ▶ RTMPTS┘

The same door stands at the port, inside TLS and inside each tunnel.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from twisted.logger import Logger

from rtmptwist.auth.banfile import BanFile
from rtmptwist.auth.checkers import BadChecker
from rtmptwist.auth.files import BadFile
from rtmptwist.auth.gate import Rules, SiteGate
from rtmptwist.auth.limits import LimitedGate
from rtmptwist.auth.operators import Operators
from rtmptwist.config import schema
from rtmptwist.config.schema import Config
from rtmptwist.hooks.assembly import check_hooks, make_hooks
from rtmptwist.hooks.chain import Chain
from rtmptwist.hooks.gate import HookedGate
from rtmptwist.hooks.hook import Hooks
from rtmptwist.live.access import Gate
from rtmptwist.live.application import Application
from rtmptwist.live.registry import Registry, VirtualHost
from rtmptwist.net.beat import Beat
from rtmptwist.net.census import Census
from rtmptwist.net.certificate import CertificateError, pem_certificates
from rtmptwist.net.certificates import Certificates, Folder, OneFile, SelfMade, Source
from rtmptwist.net.connection import ServerConnection
from rtmptwist.net.frontdoor import FrontDoor, Maker, Speech, Visitor
from rtmptwist.net.listen import ListenerService, listener
from rtmptwist.net.rate import AddressRate
from rtmptwist.net.server import Care, ServerFactory
from rtmptwist.net.swffiles import SwfFileError, read_swfs
from rtmptwist.net.tls import ServerTls
from rtmptwist.net.tlstransport import TlsFactory
from rtmptwist.net.tunnel import TunnelLimits
from rtmptwist.net.tunnels import Tunnels
from rtmptwist.rules import RuleBook, limits_of
from rtmptwist.web import api, health, metrics, rtmpt
from rtmptwist.web.site import Mount
from rtmptwist.web.site import Site as WebSite
from rtmptwist.wire.limits import Limits
from rtmptwist.wire.rtmpe import unavailable
from rtmptwist.wire.swf import Swf

RTMP: Final = frozenset({3})
RTMPE: Final = frozenset({6, 8, 9})
"First bytes of the handshakes."

OVER_TLS: Final = frozenset({"rtmps", "rtmpts", "https"})
"Words of `serve` that need a certificate."

_ENCRYPTED: Final = frozenset({"rtmpe", "rtmpte"})


class SiteError(Exception):
    """A configuration that reads well cannot be put to work; a line for each reason."""


def check(config: Config) -> None:
    """
    Look at the files that a configuration names, without making anything.

    Raises:
        SiteError: with all that is wrong.
    """
    problems: list[str] = []
    book = RuleBook(time.time)
    for host in config.vhosts:
        for app in host.apps.values():
            _rules(book, host.name, app, problems)
            _swfs(host.name, app, problems)
    for section in config.listeners:
        _operators(book, section, problems)
        try:
            _check_rtmpe(section)
            _check_certificates(section)
        except (CertificateError, SiteError) as error:
            problems += _lines(section, error)
    check_hooks(config.hooks, _folder(config), problems)
    if problems:
        raise SiteError("\n".join(problems))


def _check_rtmpe(section: schema.Listener) -> None:
    reason = unavailable() if section.serve & {"rtmpe", "rtmpte"} else None
    if reason is not None:
        raise SiteError(f"serve: no RTMPE here: {reason}")


def _check_certificates(section: schema.Listener) -> None:
    if not section.serve & OVER_TLS:
        return
    if section.certificate is not None:
        Certificates(_source(section.certificate, section.key), time.time)
    if section.client_ca is not None:
        pem_certificates(section.client_ca)


def _source(path: Path, key: Path | None) -> Source:
    if not os.path.isdir(path):  # noqa: PTH112 - which says no where we may not look
        return OneFile(path, key)
    if key is not None:
        raise SiteError(
            f"key: means nothing beside the folder {path}: the key of its NAME.pem is there or in"
            " NAME.key, and that of its NAME/fullchain.pem in NAME/privkey.pem"
        )
    return Folder(path)


def _lines(section: schema.Listener, error: Exception) -> list[str]:
    return [f"[listener {section.name}] {line}" for line in str(error).split("\n")]


def _folder(config: Config) -> Path:
    return config.path.absolute().parent


def _rules(book: RuleBook, host: str, app: schema.App, problems: list[str]) -> Rules | None:
    """Who may do what in an application; else `problems` gets what is wrong with its files."""
    try:
        return book.rules(app)
    except (BadFile, BadChecker) as error:
        problems += [f"{_section(host, app)} {line}" for line in str(error).split("\n")]
        return None


def _operators(book: RuleBook, section: schema.Listener, problems: list[str]) -> Operators | None:
    """Who may operate the server by a listener; else `problems` gets what is wrong there."""
    if section.api is None:
        return None
    try:
        return book.operators(section.api)
    except (BadFile, BadChecker) as error:
        problems += _lines(section, error)
        return None


def _swfs(host: str, app: schema.App, problems: list[str]) -> tuple[Swf, ...]:
    """The SWF files of which players must know one; `problems` gets what is wrong with them."""
    found = []
    for place in app.swf:
        if isinstance(place, Path):
            try:
                found += read_swfs(place)
            except SwfFileError as error:
                problems.append(f"{_section(host, app)} swf: {error}")
        else:
            found.append(Swf(place.size, place.hash))
    return tuple(found)


def _section(host: str, app: schema.App) -> str:
    return f"[vhost {host} / app {app.name}]" if host else f"[app {app.name}]"


class Site:
    """The parts that all listeners share, and the door of each."""

    log = Logger()

    def __init__(self, config: Config, reactor: Any) -> None:
        self.config = config
        self.reactor = reactor
        limits = config.limits
        settings: dict[Application, schema.App] = {}
        problems: list[str] = []
        hosts = []
        for host in config.vhosts:
            applications = {
                Application(
                    app.name,
                    app,
                    reactor,
                    host=host.name,
                    swfs=_swfs(host.name, app, problems),
                ): app
                for app in host.apps.values()
            }
            settings.update(applications)
            hosts.append(VirtualHost(host.name, applications, host.aliases))
        self.registry = Registry(hosts, limits, reactor)
        book = RuleBook(time.time, reactor, config.server.state)
        rules = {
            application: found
            for application, app in settings.items()
            if (found := _rules(book, application.host, app, problems)) is not None
        }
        self._operators = {
            section.name: operators
            for section in config.listeners
            if (operators := _operators(book, section, problems)) is not None
        }
        self.ready = False
        "Whether somebody is let in."

        self.census = Census(self.registry, reactor.seconds())
        self.bans = BanFile(config.server.state / "bans", reactor.seconds)
        self.bans.changed.append(self._enforce_bans)
        self.registry.banned = self.bans.bans.of_address
        self.registry.guessing = book.brake.closed_to
        hooks, secrets = make_hooks(config.hooks, _folder(config), reactor, problems)
        self.hooks = Hooks(hooks.values())
        chains = {
            application: Chain([hooks[name] for name in app.hooks if name in hooks], time.time)
            for application, app in settings.items()
            if app.hooks
        }
        for name in hooks.keys() - {name for app in settings.values() for name in app.hooks}:
            self.log.warn("[hook {name}]: the hooks of no [app] name it", name=name)
        self.gate: Gate = LimitedGate(
            HookedGate(SiteGate(rules), chains, reactor, time.time),
            {application: limits_of(app) for application, app in settings.items()},
            limits.trusted,
            self.bans.bans.of_account,
        )
        self.files = [*book.files, *secrets]
        "With secrets; to be watched."

        self.services = book.services
        "To be run before anybody is let in."

        self.care = Care(
            limits=Limits(
                handshake_timeout=limits.handshake_timeout,
                connect_timeout=limits.connect_timeout,
                video_size=limits.video_size,
                commands_per_second=limits.commands_per_second,
            ),
            chunk_size=config.server.chunk_size,
            ping_interval=limits.ping_interval,
            ping_timeout=limits.ping_timeout,
            waiting_size=limits.waiting_per_viewer,
        )
        self.tls: list[ServerTls] = []
        "One for each listener that has TLS."

        self.tunnels: list[Tunnels] = []
        "One for each listener that has RTMPT in whatever form."

        self.rates = {
            Speech.RTMPE: AddressRate(reactor, limits.rtmpe_handshakes, limits.trusted),
            Speech.TLS: AddressRate(reactor, limits.tls_handshakes, limits.trusted),
        }
        "What one address may ask for, through whichever listener."

        self._beat = Beat(reactor, config.server.gather)
        self._doors: dict[str, FrontDoor] = {}
        for section in config.listeners:
            try:
                self._doors[section.name] = self._door(section)
            except (CertificateError, SiteError) as error:
                problems += _lines(section, error)
        if problems:
            raise SiteError("\n".join(problems))

    def listeners(self) -> list[ListenerService]:
        """One service for every endpoint."""
        return [
            listener(self.reactor, endpoint, self._doors[section.name], section.name)
            for section in self.config.listeners
            for endpoint in section.endpoint
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

    # ------------------------------------------------------------------ doors

    def _door(self, section: schema.Listener) -> FrontDoor:
        _check_rtmpe(section)
        serve = section.serve
        rooms: dict[Speech, Maker] = {}
        if "rtmp" in serve:
            rooms[Speech.RTMP] = self._connections("rtmp")
        if "rtmpe" in serve:
            rooms[Speech.RTMPE] = self._connections("rtmpe")
        tunnelled: dict[Speech, Maker] = {}
        if "rtmpt" in serve:
            tunnelled[Speech.RTMP] = self._connections("rtmpt")
        if "rtmpte" in serve:
            tunnelled[Speech.RTMPE] = self._connections("rtmpte")
        if tunnelled or "http" in serve:
            rooms[Speech.HTTP] = self._web(section, tunnelled, "HTTP", pages="http" in serve)
        if serve & OVER_TLS:
            rooms[Speech.TLS] = self._tls(section)
        return self._front_door(rooms, section)

    def _tls(self, section: schema.Listener) -> TlsFactory:
        tls = ServerTls(
            self._certificates(section),
            newest=section.tls_max,  # type: ignore[arg-type]  # the schema allows nothing else
            client_ca=section.client_ca,
            client_required=section.client_certificate == "required",
        )
        self.tls.append(tls)
        rooms: dict[Speech, Maker] = {}
        if "rtmps" in section.serve:
            rooms[Speech.RTMP] = self._connections("rtmps")
        tunnelled: dict[Speech, Maker] = {}
        if "rtmpts" in section.serve:
            tunnelled[Speech.RTMP] = self._connections("rtmpts")
        pages = "https" in section.serve
        if tunnelled or pages:
            rooms[Speech.HTTP] = self._web(section, tunnelled, "HTTPS", pages=pages)
        return TlsFactory(tls, self._front_door(rooms, section, "TLS"), self.reactor)

    def _certificates(self, section: schema.Listener) -> Certificates:
        path = section.certificate
        source: Source
        if path is None:
            names = [socket.gethostname()]
            source = SelfMade(self.config.server.state, names, time.time)
        else:
            source = _source(path, section.key)
        return Certificates(source, time.time)

    def _web(
        self, section: schema.Listener, tunnelled: Mapping[Speech, Maker], inside: str, pages: bool
    ) -> WebSite:
        mounts: list[Mount] = []
        tunnels = None
        if tunnelled:
            tunnels = self._tunnels(self._front_door(tunnelled, section, inside))
            mounts.append(partial(rtmpt.mount, tunnels=tunnels, proxies=section.proxies))
        if pages:
            mounts += self._pages(section)
        return WebSite(self.reactor, mounts, tunnels)

    def _pages(self, section: schema.Listener) -> list[Mount]:
        """What is served to people and their programs, some of it to operators only."""
        mounts: list[Mount] = [partial(health.mount, house=self)]
        operators = self._operators.get(section.name)
        if operators is not None:
            most = self.config.server.stream_metrics
            mounts.append(
                partial(metrics.mount, house=self, operators=operators, most_streams=most)
            )
            mounts.append(partial(api.mount, house=self, operators=operators))
        return mounts

    def _tunnels(self, tunnelled: FrontDoor) -> Tunnels:
        limits = self.config.limits
        tunnels = Tunnels(
            tunnelled,
            self.reactor,
            TunnelLimits(
                sessions=limits.connections,
                sessions_per_address=limits.tunnels_per_address,
                trusted=limits.trusted,
            ),
        )
        self.tunnels.append(tunnels)
        return tunnels

    def _front_door(
        self, rooms: Mapping[Speech, Maker], section: schema.Listener, inside: str = ""
    ) -> FrontDoor:
        return FrontDoor(
            rooms,
            self.registry,
            self.reactor,
            patience=self.config.limits.handshake_timeout,
            name=section.name,
            inside=inside,
            rates=self.rates,
        )

    def _connections(self, variant: str) -> ServerFactory:
        return ServerFactory(
            self.registry,
            self.gate,
            self.reactor,
            care=self.care,
            beat=self._beat,
            versions=RTMPE if variant in _ENCRYPTED else RTMP,
            variant=variant,
        )
