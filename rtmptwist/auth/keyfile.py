"""
Stream keys, and the files they are kept in: one line for each key.

    NAME  sha256:HASH  created=TIME expires=TIME networks=A,B bitrate=6M codecs=avc1,mp4a
                       size=1920x1080 note=all the rest of the line

NAME is the public name, as it stands in an URL (a blank is %20). Only the first two are needed.
TIME is UTC, such as 2030-12-31T23:59:59Z or 2030-12-31, at whose beginning it is. The bitrate is in
bits per second, with k or M for thousands or millions.

The file holds hashes, so that who reads it cannot publish. They are plain SHA-256, without salt and
fast, unlike those of passwords: a key is 130 random bits, which nobody guesses or finds in a table,
and the one that somebody sends is found by a look into a dictionary, however many there are. What
such a look takes says nothing about the keys, for its way depends on the hash only.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from rtmptwist.auth.files import BadFile, BadLine, entries, read_text
from rtmptwist.auth.options import read_note, read_options, read_time, show_options, show_time
from rtmptwist.live.access import FREE, Terms
from rtmptwist.live.names import BadName, ConnectTarget, stream_name
from rtmptwist.media.packet import ENHANCED_AUDIO, ENHANCED_VIDEO, LEGACY_AUDIO, LEGACY_VIDEO

PREFIX: Final = "key_"
"Every key begins with it, so that one that is not known is not taken for a name."

LENGTH: Final = 26
"Letters after the prefix, of 5 bits each."

ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"
"Nothing that an URL, a shell or a form would change, and no 0 and 1 beside o and l."

ID_LENGTH: Final = 8
"Hexadecimal digits of the hash by which people call a key."

CODECS: Final = frozenset(
    {*ENHANCED_AUDIO, *ENHANCED_VIDEO, *LEGACY_AUDIO.values(), *LEGACY_VIDEO.values()}
)


@dataclass(frozen=True, slots=True)
class StreamKey:
    """What the file knows of a key: everything but the key."""

    name: str
    "Of the stream, below its application: what viewers know."

    hash: str = field(repr=False)
    "SHA-256 in hexadecimal digits."

    terms: Terms = FREE
    "Of what is sent with it. When it expires stands in `expires`, which may change meanwhile."

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    "From where it may be used; empty: from everywhere."

    created: float | None = None
    "Seconds since the epoch."

    expires: float | None = None
    "Seconds since the epoch; None: never."

    note: str = ""

    @property
    def id(self) -> str:
        """What people call it: the beginning of its hash. No secret."""
        return self.hash[:ID_LENGTH]

    def line(self) -> str:
        """As it stands in a file; `read_line` makes the same of it."""
        terms = self.terms
        size = f"{terms.width}x{terms.height}" if terms.width and terms.height else ""
        said = {
            "created": "" if self.created is None else show_time(self.created),
            "expires": "" if self.expires is None else show_time(self.expires),
            "networks": ",".join(map(str, self.networks)),
            "bitrate": "" if terms.bitrate is None else show_bitrate(terms.bitrate),
            "codecs": ",".join(sorted(terms.codecs or ())),
            "size": size,
            "note": self.note,
        }
        return f"{_as_in_url(self.name)} sha256:{self.hash}{show_options(said)}"


def new_key() -> str:
    """A key that nobody ever had."""
    return PREFIX + "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def hash_of(key: str) -> str:
    """What a file keeps of a key."""
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def read_keys(path: Path) -> Mapping[str, StreamKey]:
    """
    The keys of a file by their hashes. May block.

    Raises:
        BadFile: with everything that is wrong in it.
    """
    return parse_keys(path, read_text(path))


def parse_keys(path: Path, text: str) -> Mapping[str, StreamKey]:
    """
    As `read_keys`, of the text that stands there.

    Raises:
        BadFile: with everything that is wrong in it.
    """
    keys: dict[str, StreamKey] = {}
    lines: dict[str, int] = {}
    problems = []
    for line, key in entries(path, text, read_line):
        first = lines.setdefault(key.id, line)
        if first != line:
            problems.append((line, f"key {key.id} stands in line {first} already"))
        keys[key.hash] = key
    if problems:
        raise BadFile(path, problems)
    return keys


def read_line(line: str) -> StreamKey:
    """
    One line of a file.

    Raises:
        BadLine: it is none.
    """
    name, hashed, rest = (*re.split(r"[ \t]+", line, maxsplit=2), "", "")[:3]
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", hashed):
        raise BadLine(
            "expected NAME sha256:HASH with 64 hexadecimal digits, as `rtmptwist keys make` writes"
        )
    said = read_options(rest, _OPTIONS)
    width, height = said.get("size", (None, None))
    return StreamKey(
        checked_name(unquote(name)),
        hashed.removeprefix("sha256:"),
        Terms(
            bitrate=said.get("bitrate"),
            codecs=said.get("codecs"),
            width=width,
            height=height,
        ),
        networks=said.get("networks", ()),
        created=said.get("created"),
        expires=said.get("expires"),
        note=said.get("note", ""),
    )


def checked_name(name: str) -> str:
    """
    A public name, as streams are known by it.

    Raises:
        BadLine: no stream can have it.
    """
    try:
        path = stream_name(ConnectTarget("", "app"), quote(name, safe="/")).path
    except BadName as error:
        raise BadLine(str(error)) from error
    if looks_like_key(path):
        raise BadLine(f"no part of a name can begin with {PREFIX}, as keys do")
    return path.removeprefix("app/")


def looks_like_key(name: str) -> bool:
    """Whether a part of a stream's name can only be meant as a key."""
    return any(part.startswith(PREFIX) for part in name.split("/"))


# ---- what may stand behind the name and the hash


def read_networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """
    Networks or addresses, between commas.

    Raises:
        BadLine: one of them is none.
    """
    try:
        return tuple(ip_network(word.strip()) for word in text.split(","))
    except ValueError as error:
        raise BadLine(f"expected networks such as 192.0.2.0/24,2001:db8::/32 ({error})") from None


def read_bitrate(text: str) -> int:
    """
    Bits per second.

    Raises:
        BadLine: it is no bitrate.
    """
    found = re.fullmatch(r"([1-9][0-9]{0,9})([kM]?)", text)
    if not found:
        raise BadLine("expected bits per second such as 6M, 2500k or 800000")
    return int(found[1]) * _UNITS[found[2]]


def show_bitrate(bitrate: int) -> str:
    """As `read_bitrate` reads it."""
    unit = next(unit for unit, size in _UNITS.items() if bitrate % size == 0)
    return f"{bitrate // _UNITS[unit]}{unit}"


def read_codecs(text: str) -> frozenset[str]:
    """
    Codecs, between commas.

    Raises:
        BadLine: one of them is not known.
    """
    found = {word.strip() for word in text.split(",")}
    if found - CODECS:
        known = ", ".join(sorted(CODECS, key=str.lower))
        raise BadLine(f"expected some of {known}")
    return frozenset(found)


def read_size(text: str) -> tuple[int, int]:
    """
    Width and height in pixels.

    Raises:
        BadLine: it is no size.
    """
    found = re.fullmatch(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", text)
    if not found:
        raise BadLine("expected width and height in pixels such as 1920x1080")
    return int(found[1]), int(found[2])


_OPTIONS: Final[Mapping[str, Callable[[str], object]]] = {
    "created": read_time,
    "expires": read_time,
    "networks": read_networks,
    "bitrate": read_bitrate,
    "codecs": read_codecs,
    "size": read_size,
    "note": read_note,
}

_UNITS: Final = {"M": 1_000_000, "k": 1000, "": 1}


def _as_in_url(name: str) -> str:
    """Only what would end a name, or make a comment of it, is changed: people read this."""
    return re.sub(r"[\s%#]", lambda found: quote(found[0]), name)
