"""Where something is on a network: hosts, URLs, endpoints to listen at."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from twisted.internet.endpoints import serverFromString

from rtmptwist.config.convert import BadValue, Converter, meant, words_of, wrong
from rtmptwist.config.ini import quoted


class HostNames(Converter[tuple[str, ...]]):
    """Host names or addresses as they stand in URLs, in small letters."""

    def read(self, text: str) -> tuple[str, ...]:
        return tuple(host_name(word) for word in words_of(text))

    def show(self, value: tuple[str, ...]) -> str:
        return ", ".join(value)


def host_name(text: str) -> str:
    """Check a host name; raise BadValue if it is none."""
    name = text.lower().removesuffix(".")
    if not re.fullmatch(r"(?!-)[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:]+:[0-9a-f:.]*", name):
        raise wrong(text, "a host name such as example.org, or an address")
    return name


class HttpUrl(Converter[str]):
    """The address of something on the web. It may hold a user, a password and other secrets."""

    def read(self, text: str) -> str:
        if not is_http_url(text):
            raise wrong(_without_login(text), "an URL such as https://example.org/hook, in ASCII")
        return text

    def show(self, value: str) -> str:
        return value


def _without_login(url: str) -> str:
    return re.sub(r"//[^/]*@", "//...@", url.partition("?")[0])


def is_http_url(text: str) -> bool:
    """Whether it could be asked for; with a host, in ASCII, without a part of a page."""
    try:
        parts = urlsplit(text)
        fine = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return False
    return bool(fine and re.fullmatch(r"[!-~]+", text)) and "#" not in text


class RtmpUrl(Converter[str]):
    """Where else clients can go; `{app}` stands for the application that they want."""

    def read(self, text: str) -> str:
        if not _is_rtmp_url(text.replace("{app}", "app")):
            raise wrong(_without_login(text), "an URL such as rtmp://b.example.org/{app}")
        return text

    def show(self, value: str) -> str:
        return value


def _is_rtmp_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        fine = parts.scheme in _RTMP and parts.hostname and parts.port != 0
    except ValueError:
        return False
    # nothing of a login, which would be told to everybody
    return bool(fine and parts.path.strip("/") and re.fullmatch(r"[!-~]+", text)) and not (
        set("{}?#@") & set(text)
    )


_RTMP: Final = ("rtmp", "rtmpe", "rtmps", "rtmpt", "rtmpte", "rtmpts")


class ServerEndpoint(Converter[str]):
    """A string for Twisted's `serverFromString`, which checks it here; nothing is opened."""

    def read(self, text: str) -> str:
        try:
            serverFromString(None, text)  # its endpoints only keep the reactor
        except Exception as error:  # plugins read endpoints too, and may raise anything
            if not (isinstance(error, LookupError) and _SYSTEMD.match(text)):
                raise _no_endpoint(text, error) from error
        port = _PORT.match(text)
        if port and int(port[1]) not in range(65536):
            raise wrong(port[1], "a port from 0 to 65535")
        return text

    def show(self, value: str) -> str:
        return value


_PORT = re.compile(r"(?:haproxy:)*(?:tcp6?|ssl):(?:port=)?(-?[0-9]+)")
_SYSTEMD = re.compile(r"(?:haproxy:)*systemd:")  # no such socket: only systemd itself passes them


def _no_endpoint(text: str, error: Exception) -> BadValue:
    prefix = text.removeprefix("haproxy:").partition(":")[0]
    known = ("tcp", "tcp6", "unix", "systemd", "haproxy", "ssl", "tls")
    near = "" if prefix in known else meant(prefix, known)
    why = re.sub(r"^\S*\(\) ", "", str(error))  # without the name of Twisted's function
    return BadValue(
        f"{quoted(text)}: {why}; expected a Twisted endpoint such as tcp6:1935,"
        rf" tcp:1935:interface=127.0.0.1 or unix:/run/rtmp.sock, with \: for a colon in it{near}"
    )
