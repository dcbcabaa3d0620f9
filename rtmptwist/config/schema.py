"""
Every section and key, one line each: name, type, converter, default.

A field with a converter is a key; the others come from the file's shape. conf/site.ini explains
each key, and a test compares the two. Times are seconds, sizes bytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, get_type_hints

from rtmptwist.config.access import ANYONE, LOOPBACK, NOBODY, Access, Network, Networks, Who
from rtmptwist.config.addresses import HostNames, HttpUrl, RtmpUrl, ServerEndpoint
from rtmptwist.config.convert import (
    Choice,
    Converter,
    Described,
    Folder,
    Lines,
    Names,
    Or,
    Place,
    Program,
    Words,
)
from rtmptwist.config.logins import Login, LoginKind, OperatorLogin
from rtmptwist.config.quantities import HOUR, Bitrate, Count, Duration, Size
from rtmptwist.config.swf import SwfFiles, SwfPlace


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """`[server]`: the process as a whole."""

    state: Annotated[Path, Folder()] = Path("var")
    drain: Annotated[float, Duration(0, HOUR)] = 5.0
    drain_to: Annotated[str | None, Or("none", RtmpUrl())] = None
    log: Annotated[str, Choice("text", "json")] = "text"
    chunk_size: Annotated[int, Size(128, 65536)] = 65536
    gather: Annotated[float, Duration(0, 0.2)] = 0.025
    stream_metrics: Annotated[int, Count(0, 10_000)] = 0
    disk_threads: Annotated[int, Count(1, 64)] = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`[limits]`: what others may cost us. Names that `wire.limits` has too mean the same."""

    connections: Annotated[int, Count(1, 1_000_000)] = 10_000
    connections_per_address: Annotated[int, Count(1, 1_000_000)] = 256
    tunnels_per_address: Annotated[int, Count(1, 1_000_000)] = 16
    rtmpe_handshakes: Annotated[int, Count(1, 1_000_000)] = 5
    tls_handshakes: Annotated[int, Count(1, 1_000_000)] = 20
    trusted: Annotated[tuple[Network, ...], Networks()] = LOOPBACK
    windows: Annotated[int, Size(1 << 20, 1 << 40)] = 1 << 30
    waiting: Annotated[int, Size(1 << 20, 1 << 40)] = 256 << 20
    waiting_per_viewer: Annotated[int, Size(1 << 16, 1 << 40)] = 4 << 20
    handshake_timeout: Annotated[float, Duration(0.1, HOUR)] = 10.0
    connect_timeout: Annotated[float, Duration(0.1, HOUR)] = 10.0
    ping_interval: Annotated[float, Duration(0.1, HOUR)] = 30.0
    ping_timeout: Annotated[float, Duration(0.1, HOUR)] = 30.0
    file_cache: Annotated[int, Size(1 << 20, 1 << 40)] = 64 << 20
    disk_waiting: Annotated[int, Size(1 << 20, 1 << 40)] = 256 << 20
    video_size: Annotated[int, Size(1 << 16, 0xFFFFFF)] = 0xFFFFFF
    commands_per_second: Annotated[int, Count(1, 100_000)] = 100


EVENTS: Final = (
    *("connect", "publish", "play", "disconnect", "publish_done", "play_done", "done"),
    *("record", "record_done", "record_end"),
)
"Of hooks; `done` is all that end with it."

VARIANTS: Final = ("rtmp", "rtmpe", "rtmps", "rtmpt", "rtmpte", "rtmpts")
PAGES: Final = ("http", "https")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """`[listener NAME]`: where we listen, and what is served there."""

    name: str
    endpoint: Annotated[tuple[str, ...], Lines(ServerEndpoint())] = ()
    serve: Annotated[frozenset[str], Words(*VARIANTS, *PAGES)] = frozenset({"rtmp"})
    certificate: Annotated[Path | None, Place("auto")] = None
    key: Annotated[Path | None, Place("none")] = None
    tls_max: Annotated[str, Choice("1.2", "1.3")] = "1.3"
    client_ca: Annotated[Path | None, Place("none")] = None
    client_certificate: Annotated[str, Choice("optional", "required")] = "optional"
    proxies: Annotated[tuple[Network, ...], Networks()] = ()
    api: Annotated[tuple[Login, ...] | None, Or("none", Lines(OperatorLogin()))] = None


_MOST: Final = Or("none", Count(1, 1_000_000))


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """`[app NAME]` and `[vhost HOST / app NAME]`. Fits `live.interfaces.StreamSettings`."""

    name: str
    publish: Annotated[Access, Who()] = NOBODY
    play: Annotated[Access, Who("users", "signed")] = ANYONE
    logins: Annotated[tuple[Login, ...] | None, Or("none", Lines(LoginKind()))] = None
    challenge: Annotated[str, Choice("adobe", "llnw", "none")] = "adobe"
    keys: Annotated[Path | None, Place("none")] = None
    signing: Annotated[Path | None, Place("none")] = None
    swf: Annotated[tuple[SwfPlace, ...], SwfFiles()] = ()
    files: Annotated[Path | None, Place("none")] = None
    files_ahead: Annotated[float, Duration(1, HOUR)] = 60.0
    inlet: Annotated[
        tuple[str, ...] | None, Or("none", Lines(Described("file:slate.flv?loop")))
    ] = None
    outlets: Annotated[
        tuple[str, ...] | None, Or("none", Lines(Described("record:DIR/{name}.flv")))
    ] = None
    merge: Annotated[float, Duration(0, 10)] = 0.0
    window: Annotated[float, Duration(0.1, HOUR)] = 10.0
    window_size: Annotated[int, Size(1 << 16, 1 << 40)] = 32 << 20
    max_lag: Annotated[float, Duration(0.1, HOUR)] = 3.0
    stall_timeout: Annotated[float, Duration(0.1, HOUR)] = 10.0
    grace: Annotated[float, Duration(0, 24 * HOUR)] = 10.0
    wait: Annotated[float, Duration(0, 24 * HOUR)] = 60.0
    takeover: Annotated[str, Choice("reject", "same", "any")] = "same"
    join: Annotated[str, Choice("instant", "keyframe", "live-edge")] = "instant"
    after_end: Annotated[str, Choice("stay", "close")] = "stay"
    max_connections: Annotated[int | None, _MOST] = None
    max_connections_per_account: Annotated[int | None, _MOST] = None
    max_connections_per_address: Annotated[int | None, _MOST] = None
    max_publishers: Annotated[int | None, _MOST] = None
    max_publishers_per_account: Annotated[int | None, _MOST] = None
    max_publishers_per_address: Annotated[int | None, _MOST] = None
    max_viewers: Annotated[int | None, _MOST] = None
    max_viewers_per_stream: Annotated[int | None, _MOST] = None
    max_viewers_per_account: Annotated[int | None, _MOST] = None
    max_viewers_per_address: Annotated[int | None, _MOST] = None
    max_bitrate: Annotated[int | None, Or("none", Bitrate(8000, 10_000_000_000))] = None
    max_session: Annotated[float | None, Or("none", Duration(1, 1000 * HOUR))] = None
    warn_gop: Annotated[float | None, Or("none", Duration(0.1, HOUR))] = 9.0
    warn_skew: Annotated[float | None, Or("none", Duration(0.1, HOUR))] = 1.0
    warn_missing: Annotated[float | None, Or("none", Duration(1, HOUR))] = 10.0
    warn_lag: Annotated[float | None, Or("none", Duration(0.5, 60))] = 5.0
    hooks: Annotated[tuple[str, ...], Names()] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """`[hook NAME]`: whom applications ask and tell. Fits `hooks.hook.Settings`."""

    name: str
    url: Annotated[str | None, Or("none", HttpUrl())] = field(default=None, repr=False)
    run: Annotated[tuple[str, ...] | None, Or("none", Program())] = field(default=None, repr=False)
    on: Annotated[frozenset[str], Words(*EVENTS)] = frozenset({"publish"})
    mode: Annotated[str, Choice("ask", "tell", "keep")] = "ask"
    timeout: Annotated[float, Duration(0.1, 24 * HOUR)] = 5.0
    retries: Annotated[int, Count(0, 100)] = 2
    on_failure: Annotated[str, Choice("deny", "allow", "cached")] = "deny"
    remember: Annotated[float, Duration(0, 24 * HOUR)] = HOUR
    at_once: Annotated[int, Count(1, 10_000)] = 16
    queue: Annotated[int, Count(0, 1_000_000)] = 1000
    format: Annotated[str, Choice("json", "form")] = "json"
    credentials: Annotated[str, Choice("yes", "no")] = "no"
    secret: Annotated[Path | None, Place("none")] = None
    ca: Annotated[Path | None, Place("system")] = None
    verify: Annotated[str, Choice("yes", "no")] = "yes"
    kill_after: Annotated[float, Duration(0, HOUR)] = 5.0
    restart: Annotated[float, Duration(0.1, HOUR)] = 5.0
    restarts: Annotated[int, Count(0, 1_000_000)] = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualHost:
    """`[vhost HOST]`: a host whose streams are its own."""

    name: str
    "Empty: every host that has no section."

    aliases: Annotated[tuple[str, ...], HostNames()] = ()

    apps: Mapping[str, App] = field(default_factory=dict)
    "By name, those of `[app NAME]` included."


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole file."""

    path: Path
    server: Server
    limits: Limits
    listeners: tuple[Listener, ...]

    vhosts: tuple[VirtualHost, ...]
    "The first is the one without a name."

    hooks: tuple[Hook, ...] = ()

    lines: Mapping[tuple[str, str], tuple[int, ...]] = field(
        default_factory=dict, compare=False, repr=False
    )
    "Where a section stands, by its name and an empty text, and what a key says, by both names."

    def sections(self) -> dict[str, Any]:
        """All of them, by their names as in the file."""
        found: dict[str, Any] = {"server": self.server, "limits": self.limits}
        found |= {f"listener {section.name}": section for section in self.listeners}
        for host in self.vhosts:
            prefix = f"vhost {host.name} / " if host.name else ""
            if host.name:
                found[f"vhost {host.name}"] = host
            found |= {f"{prefix}app {app.name}": app for app in host.apps.values()}
        return found | {f"hook {hook.name}": hook for hook in self.hooks}


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a section."""

    name: str
    converter: Converter[Any]
    default: object


def keys(section: type[Any]) -> dict[str, Key]:
    """The keys of a section, in their order."""
    hints = get_type_hints(section, include_extras=True)
    return {
        item.name: Key(item.name, converter, item.default)
        for item in dataclasses.fields(section)
        for converter in getattr(hints[item.name], "__metadata__", ())
        if isinstance(converter, Converter)
    }
