"""
The door of each listener, as one configuration has it, with the rooms behind it.

The same door stands at the port, inside TLS and inside each tunnel. Doors are made anew for each
configuration; what others hold on to stays, and leads to the new ones from then on: the entrance of
each endpoint, and the tables of tunnels, whose clients come back with every request.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory

from rtmptwist.auth.operators import Desk
from rtmptwist.config import schema
from rtmptwist.config.schema import Config
from rtmptwist.config.whereabouts import named
from rtmptwist.live.access import Gate
from rtmptwist.net.beat import Beat
from rtmptwist.net.certificate import CertificateError, pem_certificates
from rtmptwist.net.certificates import Certificates, Folder, OneFile, SelfMade, Source
from rtmptwist.net.frontdoor import FrontDoor, Maker, Speech, Visitor
from rtmptwist.net.rate import AddressRate
from rtmptwist.net.server import Care, ServerFactory
from rtmptwist.net.tls import ServerTls
from rtmptwist.net.tlstransport import TlsFactory
from rtmptwist.net.tunnel import TunnelLimits
from rtmptwist.net.tunnels import Tunnels
from rtmptwist.web import health, metrics, rtmpt, status
from rtmptwist.web.api import resource as api
from rtmptwist.web.house import House
from rtmptwist.web.site import Mount
from rtmptwist.web.site import Site as WebSite
from rtmptwist.wire.limits import Limits
from rtmptwist.wire.rtmpe import unavailable

RTMP: Final = frozenset({3})
RTMPE: Final = frozenset({6, 8, 9})
"First bytes of the handshakes."

OVER_TLS: Final = frozenset({"rtmps", "rtmpts", "https"})
"Words of `serve` that need a certificate."

_ENCRYPTED: Final = frozenset({"rtmpe", "rtmpte"})


class DoorError(Exception):
    """A listener that reads well cannot be put to work."""


def check_listener(section: schema.Listener, problems: list[str]) -> None:
    """Look at the files that a listener names; `problems` gets what is wrong with them."""
    try:
        _check_rtmpe(section)
        _check_certificates(section)
    except (CertificateError, DoorError) as error:
        problems += _lines(section, error)


class Entrance(Factory):
    """What listens at an endpoint: leads to the door that is the listener's at present."""

    noisy = False

    def __init__(self, door: FrontDoor) -> None:
        self.door = door

    def buildProtocol(self, addr: IAddress | None) -> Visitor | None:
        """Somebody comes."""
        return self.door.buildProtocol(addr)


class _Tunnelled(NamedTuple):
    """A table of tunnels, and what becomes of those who open one from now on."""

    tunnels: Tunnels
    door: FrontDoor
    limits: TunnelLimits


class Doors:
    """All doors that one configuration describes; nobody comes in by them before `open`."""

    def __init__(
        self,
        config: Config,
        house: House,
        gate: Gate,
        beat: Beat,
        desks: Mapping[str, Desk],
        problems: list[str],
        before: Doors | None = None,
    ) -> None:
        """
        `desks`: where operators are known, by the listener; `problems` gets why one cannot be
        served. `before`: whose place these take.
        """
        limits = config.limits
        reactor: Any = house.reactor
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

        self.rates = {
            Speech.RTMPE: AddressRate(reactor, limits.rtmpe_handshakes, limits.trusted),
            Speech.TLS: AddressRate(reactor, limits.tls_handshakes, limits.trusted),
        }
        "What one address may ask for, through whichever listener."

        self._config = config
        self._house = house
        self._gate = gate
        self._beat = beat
        self._desks = desks
        self._reactor = reactor
        self._before = before
        self._tunnelled: dict[tuple[str, str], _Tunnelled] = {}
        "By listener and what they are in."
        self._left = before.tunnels if before is not None else []
        "Tables of before, some of which nobody opens a tunnel in any more."

        self.by_listener: dict[str, FrontDoor] = {}
        for section in config.listeners:
            try:
                self.by_listener[section.name] = self._door(section)
            except (CertificateError, DoorError) as error:
                problems += _lines(section, error)

    def open(self) -> None:
        """Take the place of those before."""
        self._before = None
        for tunnels, door, limits in self._tunnelled.values():
            tunnels.factory = door
            tunnels.limits = limits

    @property
    def tunnels(self) -> list[Tunnels]:
        """One for each listener that has RTMPT in whatever form, or has had while some last."""
        mine = [tunnels for tunnels, *_ in self._tunnelled.values()]
        return mine + [tunnels for tunnels in self._left if tunnels not in mine and len(tunnels)]

    # ------------------------------------------------------------------ making them

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
        return TlsFactory(tls, self._front_door(rooms, section, "TLS"), self._reactor)

    def _certificates(self, section: schema.Listener) -> Certificates:
        path = section.certificate
        source: Source
        if path is None:
            names = [socket.gethostname()]
            source = SelfMade(self._config.server.state, names, time.time)
        else:
            source = _source(path, section.key)
        return Certificates(source, time.time, partial(named, self._config))

    def _web(
        self, section: schema.Listener, tunnelled: Mapping[Speech, Maker], inside: str, pages: bool
    ) -> WebSite:
        mounts: list[Mount] = []
        tunnels = None
        if tunnelled:
            tunnels = self._tunnels(section, self._front_door(tunnelled, section, inside))
            mounts.append(partial(rtmpt.mount, tunnels=tunnels, proxies=section.proxies))
        if pages:
            mounts += self._pages(section)
        return WebSite(self._reactor, mounts, tunnels)

    def _pages(self, section: schema.Listener) -> list[Mount]:
        """What is served to people and their programs, some of it to operators only."""
        house = self._house
        mounts: list[Mount] = [partial(health.mount, house=house)]
        desk = self._desks.get(section.name)
        if desk is not None:
            most = self._config.server.stream_metrics
            mounts.append(partial(metrics.mount, house=house, desk=desk, most_streams=most))
            mounts.append(partial(api.mount, house=house, desk=desk))
            mounts.append(status.mount)
        return mounts

    def _tunnels(self, section: schema.Listener, door: FrontDoor) -> Tunnels:
        limits = self._config.limits
        bounds = TunnelLimits(
            sessions=limits.connections,
            sessions_per_address=limits.tunnels_per_address,
            trusted=limits.trusted,
        )
        key = section.name, door.inside
        known = self._before._tunnelled.get(key) if self._before is not None else None  # noqa: SLF001
        tunnels = known.tunnels if known is not None else Tunnels(door, self._reactor, bounds)
        self._tunnelled[key] = _Tunnelled(tunnels, door, bounds)
        return tunnels

    def _front_door(
        self, rooms: Mapping[Speech, Maker], section: schema.Listener, inside: str = ""
    ) -> FrontDoor:
        return FrontDoor(
            rooms,
            self._house.registry,
            self._reactor,
            patience=self._config.limits.handshake_timeout,
            name=section.name,
            inside=inside,
            rates=self.rates,
            proxies=section.proxies,
        )

    def _connections(self, variant: str) -> ServerFactory:
        return ServerFactory(
            self._house.registry,
            self._gate,
            self._reactor,
            care=self.care,
            beat=self._beat,
            versions=RTMPE if variant in _ENCRYPTED else RTMP,
            variant=variant,
        )


def _check_rtmpe(section: schema.Listener) -> None:
    reason = unavailable() if section.serve & {"rtmpe", "rtmpte"} else None
    if reason is not None:
        raise DoorError(f"serve: no RTMPE here: {reason}")


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
        raise DoorError(
            f"key: means nothing beside the folder {path}: the key of its NAME.pem is there or in"
            " NAME.key, and that of its NAME/fullchain.pem in NAME/privkey.pem"
        )
    return Folder(path)


def _lines(section: schema.Listener, error: Exception) -> list[str]:
    return [f"[listener {section.name}] {line}" for line in str(error).split("\n")]
