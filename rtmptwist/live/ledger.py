"""What connections that are gone have carried, by application and variant: totals never shrink."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Page(NamedTuple):
    """Where traffic is entered."""

    host: str
    application: str
    "Empty: the connection never got as far."

    variant: str
    "`rtmp`, `rtmpe`, `rtmps`, `rtmpt`, `rtmpte` or `rtmpts`."


@dataclass(slots=True)
class Traffic:
    """Bytes of RTMP, without what TLS and HTTP add; those received without the handshake."""

    connections: int = 0
    bytes_in: int = 0
    bytes_out: int = 0

    def add(self, connections: int, bytes_in: int, bytes_out: int) -> None:
        """So much more."""
        self.connections += connections
        self.bytes_in += bytes_in
        self.bytes_out += bytes_out


class Ledger:
    """Bounded: as many pages as there are applications and variants."""

    def __init__(self) -> None:
        self.gone: dict[Page, Traffic] = {}

    def close(self, page: Page, bytes_in: int, bytes_out: int) -> None:
        """A connection has ended."""
        self.gone.setdefault(page, Traffic()).add(1, bytes_in, bytes_out)
