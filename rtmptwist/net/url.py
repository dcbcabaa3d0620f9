"""URLs of servers, as clients write them. Knows schemes and their ports, not what they need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_PORTS: Final = {
    "rtmp": 1935,
    "rtmpe": 1935,
    "rtmps": 443,
    "rtmpt": 80,
    "rtmpte": 80,
    "rtmpts": 443,
}


@dataclass(frozen=True, slots=True)
class Url:
    """Where to connect: `rtmp://host[:port]/app`. The stream's name is not part of it."""

    scheme: str
    host: str
    port: int
    app: str
    "With its query, if it has one."

    @classmethod
    def parse(cls, text: str) -> Url:
        """
        Read a URL.

        Raises:
            ValueError: what is wrong with it; repeats nothing that may be a secret.
        """
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise ValueError("the URL's host or port cannot be read") from None
        usual = _PORTS.get(parts.scheme)
        if usual is None:
            known = ", ".join(_PORTS)
            raise ValueError(f"{parts.scheme or 'no'} scheme in the URL (expected {known})")
        if parts.username is not None:
            raise ValueError("a user in the URL (expected in `properties` or `arguments`)")
        if not parts.hostname:
            raise ValueError(f"no host in the URL (expected {parts.scheme}://host/app)")
        app = parts.path.lstrip("/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.scheme, parts.hostname, usual if port is None else port, app)

    @property
    def encrypted(self) -> bool:
        """RTMPE: Adobe's encrypted handshake."""
        return self.scheme in ("rtmpe", "rtmpte")

    @property
    def secure(self) -> bool:
        """TLS."""
        return self.scheme in ("rtmps", "rtmpts")

    @property
    def tunnelled(self) -> bool:
        """Inside HTTP requests."""
        return self.scheme in ("rtmpt", "rtmpte", "rtmpts")

    @property
    def tc_url(self) -> str:
        """As a server gets to hear it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}/{self.app}"
