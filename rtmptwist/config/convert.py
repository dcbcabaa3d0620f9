"""
Text to values and back: durations, sizes, words, networks, endpoints.

A converter stands beside the type of a key in `schema`. `read` raises BadValue that says what was
found and what is allowed; `show` writes a value as the manual does: `read(show(value))` is the
value again.
"""

from __future__ import annotations

import difflib
import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Final, Generic, TypeAlias, TypeVar
from urllib.parse import urlsplit

from twisted.cred.credentials import IUsernameHashedPassword, IUsernamePassword
from twisted.cred.strcred import findCheckerFactories
from twisted.internet.endpoints import serverFromString

from rtmptwist.config.ini import quoted

T = TypeVar("T")
N = TypeVar("N", int, float)

HOUR: Final = 3600.0


class BadValue(ValueError):
    """A text is no value of its key. The message says what was found and what is allowed."""

    part = 0
    "Which line of the text."


class Converter(ABC, Generic[T]):
    """How the value of a key is read and shown."""

    @abstractmethod
    def read(self, text: str) -> T: ...

    @abstractmethod
    def show(self, value: T) -> str: ...


def wrong(found: str, allowed: str, known: Iterable[str] = ()) -> BadValue:
    """The error for a text; `known` are the words that might have been meant."""
    return BadValue(f"{quoted(found)}; expected {allowed}{meant(found, known)}")


def meant(word: str, known: Iterable[str]) -> str:
    """The question whether the nearest known word was meant, if one is near."""
    near = difflib.get_close_matches(word, known, n=1)
    return f'; did you mean "{near[0]}"?' if near else ""


# --- numbers


class _Bounded(Converter[N]):
    """A number from `at_least` to `at_most`."""

    def __init__(self, at_least: N, at_most: N) -> None:
        self.at_least: N = at_least
        self.at_most: N = at_most

    def within(self, text: str, value: N) -> N:
        if not self.at_least <= value <= self.at_most:
            raise wrong(text, f"{self.show(self.at_least)} to {self.show(self.at_most)}")
        return value


class Count(_Bounded[int]):
    """A whole number."""

    def read(self, text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text):
            raise wrong(text, "a whole number")
        return self.within(text, int(text))

    def show(self, value: int) -> str:
        return str(value)


class Duration(_Bounded[float]):
    """Seconds, written with a unit."""

    _MILLISECONDS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}

    def read(self, text: str) -> float:
        parts = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|s|m|h|d)", text)
        if text != "0" and not parts:
            raise wrong(text, "a duration such as 250ms, 10s, 2m, 1h or 0")
        seconds = float(parts[1]) * self._MILLISECONDS[parts[2]] / 1000 if parts else 0.0
        return self.within(text, seconds)

    def show(self, value: float) -> str:
        milliseconds = round(value * 1000)
        for unit, size in self._MILLISECONDS.items():
            if milliseconds and milliseconds % size == 0:
                return f"{milliseconds // size}{unit}"
        return "0"


class Size(_Bounded[int]):
    """Bytes; K, M and G are powers of 1024."""

    _BYTES: Final = {"G": 1 << 30, "M": 1 << 20, "K": 1 << 10, "": 1}

    def read(self, text: str) -> int:
        parts = re.fullmatch(r"([0-9]{1,13}) ?([KMG]?)", text.upper())
        if not parts:
            raise wrong(text, "a size in bytes such as 65536, 64K, 32M or 1G")
        return self.within(text, int(parts[1]) * self._BYTES[parts[2]])

    def show(self, value: int) -> str:
        for unit, size in self._BYTES.items():
            if value and value % size == 0:
                return f"{value // size}{unit}"
        return "0"


class Bitrate(_Bounded[int]):
    """Bits per second; k and M are powers of 1000, as encoders write them."""

    _BITS: Final = {"M": 1_000_000, "k": 1000, "": 1}

    def read(self, text: str) -> int:
        parts = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?([kKM]?)", text)
        if not parts:
            raise wrong(text, "bits per second such as 2500k or 6M")
        unit = self._BITS[parts[2].replace("K", "k")]
        return self.within(text, round(float(parts[1]) * unit))

    def show(self, value: int) -> str:
        for unit, size in self._BITS.items():
            if value and value % size == 0:
                return f"{value // size}{unit}"
        return "0"


class Or(Converter[T | None]):
    """What another converter reads, or a word that stands for None."""

    def __init__(self, word: str, other: Converter[T]) -> None:
        self._word = word
        self._other = other

    def read(self, text: str) -> T | None:
        if text == self._word:
            return None
        try:
            return self._other.read(text)
        except BadValue as error:
            raise BadValue(f"{error}, or {self._word}") from None

    def show(self, value: T | None) -> str:
        return self._word if value is None else self._other.show(value)


# --- words


class Choice(Converter[str]):
    """One of some words."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def read(self, text: str) -> str:
        if text not in self.words:
            raise wrong(text, _either(self.words), self.words)
        return text

    def show(self, value: str) -> str:
        return value


class Words(Converter[frozenset[str]]):
    """One or more of some words."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def read(self, text: str) -> frozenset[str]:
        found = _split(text)
        bad = [word for word in found if word not in self.words]
        if bad or not found:
            raise wrong(", ".join(bad), _either(self.words), self.words)
        return frozenset(found)

    def show(self, value: frozenset[str]) -> str:
        return ", ".join(word for word in self.words if word in value)


class HostNames(Converter[tuple[str, ...]]):
    """Host names or addresses as they stand in URLs, in small letters."""

    def read(self, text: str) -> tuple[str, ...]:
        return tuple(host_name(word) for word in _split(text))

    def show(self, value: tuple[str, ...]) -> str:
        return ", ".join(value)


def host_name(text: str) -> str:
    """Check a host name; raise BadValue if it is none."""
    name = text.lower().removesuffix(".")
    if not re.fullmatch(r"(?!-)[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:]+:[0-9a-f:.]*", name):
        raise wrong(text, "a host name such as example.org, or an address")
    return name


class Folder(Converter[Path]):
    """A path, seen from the folder of the file that names it."""

    def read(self, text: str) -> Path:
        if not text or "\0" in text:
            raise wrong(text, "a folder")
        return Path(text)

    def show(self, value: Path) -> str:
        return str(value)


class Place(Converter[Path | None]):
    """A file or folder, seen as `Folder` is, or a word that stands for None."""

    def __init__(self, word: str) -> None:
        self._word = word

    def read(self, text: str) -> Path | None:
        if text == self._word:
            return None
        if not text or "\0" in text:
            raise wrong(text, f"a path, or {self._word}")
        return Path(text)

    def show(self, value: Path | None) -> str:
        return self._word if value is None else str(value)


class Names(Converter[tuple[str, ...]]):
    """Names of sections, in an order that counts; `none` for no name."""

    def read(self, text: str) -> tuple[str, ...]:
        found = tuple(_split(text))
        if not found or ("none" in found and len(found) > 1):
            raise wrong(text, "names, or none")
        if twice := [name for name in found if found.count(name) > 1]:
            raise wrong(text, f"{twice[0]} only once")
        return () if found == ("none",) else found

    def show(self, value: tuple[str, ...]) -> str:
        return ", ".join(value) or "none"


def _split(text: str) -> list[str]:
    return [word for word in re.split(r"[,\s]+", text) if word]


def _either(words: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


# --- what others do


class HttpUrl(Converter[str]):
    """The address of something on the web. It may hold a user, a password and other secrets."""

    def read(self, text: str) -> str:
        if not _is_http_url(text):
            raise wrong(_without_login(text), "an URL such as https://example.org/hook, in ASCII")
        return text

    def show(self, value: str) -> str:
        return value


def _without_login(url: str) -> str:
    return re.sub(r"//[^/]*@", "//...@", url.partition("?")[0])


def _is_http_url(text: str) -> bool:
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


class Program(Converter[tuple[str, ...]]):
    """A program and its arguments, quoted as in a shell, which has no part in it."""

    def read(self, text: str) -> tuple[str, ...]:
        try:
            words = tuple(shlex.split(text))
        except ValueError as error:
            raise BadValue(
                f"{str(error).lower()}; expected a program and its arguments, quoted as in a shell"
                " (a ; after a blank begins a comment)"
            ) from None
        if not words or not words[0] or "\0" in text:
            raise wrong(text, "a program and its arguments")
        return words

    def show(self, value: tuple[str, ...]) -> str:
        return shlex.join(value)


# --- networks


Network: TypeAlias = IPv4Network | IPv6Network


PROOFS: Final = ("users", "keys", "signed")
"What may be shown instead of coming from the right network. Each has a proof in `auth`."


@dataclass(frozen=True, slots=True)
class Access:
    """Who may do something: anyone, or who comes from a network or shows a proof, if there are."""

    networks: tuple[Network, ...] = ()
    anyone: bool = False

    proofs: frozenset[str] = frozenset()
    "Of `PROOFS`."


NOBODY: Final = Access()
ANYONE: Final = Access(anyone=True)
LOOPBACK: Final[tuple[Network, ...]] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))


class Networks(Converter[tuple[Network, ...]]):
    """Networks, IPv4 or IPv6; `none` for no network."""

    def read(self, text: str) -> tuple[Network, ...]:
        return () if text == "none" else tuple(_network(word) for word in _split(text) or [""])

    def show(self, value: tuple[Network, ...]) -> str:
        return ", ".join(map(str, value)) or "none"


class Who(Converter[Access]):
    """`anyone`, `nobody`, or proofs and networks."""

    def __init__(self, *proofs: str) -> None:
        """`proofs`: those that make sense; all of them if none is named."""
        self._proofs = proofs or PROOFS

    def read(self, text: str) -> Access:
        words = _split(text)
        if words == ["anyone"]:
            return ANYONE
        if words == ["nobody"]:
            return NOBODY
        networks = [word for word in words or [""] if word not in self._proofs]
        for word in networks:
            if word in ("anyone", "nobody"):
                raise wrong(text, f"{word} to stand alone")
            if not re.search(r"[0-9:]", word):
                known = ("anyone", "nobody", *self._proofs)
                allowed = f"{', '.join(known)}, or networks such as 10.0.0.0/8 and 2001:db8::/32"
                raise wrong(word, allowed, known)
        proofs = frozenset(word for word in words if word in self._proofs)
        return Access(tuple(map(_network, networks)), proofs=proofs)

    def show(self, value: Access) -> str:
        if value.anyone:
            return "anyone"
        proofs = [word for word in PROOFS if word in value.proofs]
        return ", ".join([*proofs, *map(str, value.networks)]) or "nobody"


def _network(text: str) -> Network:
    try:
        near = ip_network(text, strict=False)
    except ValueError:
        raise wrong(text, "networks such as 10.0.0.0/8 or 2001:db8::/32") from None
    try:
        return ip_network(text)
    except ValueError:
        raise wrong(text, f"a network: is {near} meant?") from None


# --- logins


@dataclass(frozen=True, slots=True)
class Login:
    """By what a login is checked."""

    kind: str

    argument: str = field(default="", repr=False)
    "A path for kinds in `LOGIN_FILES`. May hold secrets."


LOGIN_FILES: Final = frozenset({"file", "token"})

_LOGINS: Final = {
    "file": re.compile(r"[^\0]+"),
    "token": re.compile(r"[^\0]+"),
    "http": re.compile(r"https?://[^/?@]+(?:[/?].*)?"),
    "certificate": re.compile(""),
}
_FORMS: Final = {
    "file": "file:FILE",
    "token": "token:FILE",
    "http": "http:URL, as in http:https://example.org/login",
    "certificate": "certificate",
}


class LoginKind(Converter[Login]):
    """A kind of checker and, after a colon, what belongs to it; kinds are ours, or cred's."""

    def read(self, text: str) -> Login:
        kind, _, argument = text.partition(":")
        form = _LOGINS.get(kind)
        if form is None:
            plugins = sorted(_login_plugins())
            if kind not in plugins:
                allowed = f"file:FILE, token:FILE, http:URL, certificate, or {_either(plugins)}"
                raise wrong(kind, allowed, (*_LOGINS, *plugins))
        elif not form.fullmatch(argument) or (kind == "http" and not _is_http_url(argument)):
            raise BadValue(f"{quoted(kind)}: expected {_FORMS[kind]}")
        return Login(kind, argument)

    def show(self, value: Login) -> str:
        return f"{value.kind}:{value.argument}" if value.argument else value.kind


class OperatorLogin(LoginKind):
    """The same, for operators, and `loopback`: whoever is on this machine."""

    def read(self, text: str) -> Login:
        if text == "loopback":
            return Login(text)
        try:
            found = super().read(text)
        except BadValue as error:
            raise BadValue(f"{error}, or loopback") from None
        if found.kind == "certificate":
            raise BadValue("'certificate': expected another kind, which HTTP can carry")
        return found


def _login_plugins() -> list[str]:
    """Kinds that `twisted.cred.strcred` knows and that can check a user and a password."""
    return [
        plugin.authType
        for plugin in findCheckerFactories()
        if {IUsernamePassword, IUsernameHashedPassword} & set(plugin.credentialInterfaces)
        and plugin.authType not in _LOGINS
    ]


# --- endpoints


class Lines(Converter[tuple[T, ...]]):
    """One or more values, one on a line. `read` raises an ExceptionGroup of BadValue."""

    def __init__(self, item: Converter[T]) -> None:
        self.item = item

    def read(self, text: str) -> tuple[T, ...]:
        values: list[T] = []
        errors: list[BadValue] = []
        for part, line in enumerate(text.split("\n")):
            try:
                if line or not text:
                    values.append(self.item.read(line))
            except BadValue as error:
                error.part = part
                errors.append(error)
        if errors:
            raise ExceptionGroup("lines", errors)
        return tuple(values)

    def show(self, value: tuple[T, ...]) -> str:
        return "\n".join(self.item.show(item) for item in value)


class Described(Converter[str]):
    """`kind:argument:key=value`, which the plugin of that kind understands."""

    def __init__(self, example: str) -> None:
        self._example = example

    def read(self, text: str) -> str:
        if not re.fullmatch(r"[a-z][a-z0-9_-]*(?::.+)?", text):
            raise wrong(text, f"a kind and what belongs to it, such as {self._example}")
        return text

    def show(self, value: str) -> str:
        return value


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
