"""`rtmptwist keys`: make, list and revoke stream keys."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

from rtmptwist.auth.files import BadFile, BadLine, loose, rewrite
from rtmptwist.auth.keyfile import (
    StreamKey,
    checked_name,
    hash_of,
    new_key,
    parse_keys,
    read_bitrate,
    read_codecs,
    read_keys,
    read_networks,
    read_note,
    read_size,
    read_time,
    show_bitrate,
    show_time,
)
from rtmptwist.live.access import Terms

T = TypeVar("T")

HEADER: Final = """\
# Stream keys of rtmptwist: a line for each, with the name that viewers know and the key's hash.
# The keys themselves are nowhere. `rtmptwist keys make`, `list` and `revoke` change this file, and
# so may you: the server reads it again within seconds. A line that begins with # is a comment.
"""

UNITS: Final = {"m": 60, "h": 3600, "d": 86400}


def add(commands: Any) -> None:
    """Say what may follow `rtmptwist keys`."""
    keys = commands.add_parser("keys", help="make, list and revoke stream keys")
    verbs = keys.add_subparsers(required=True, metavar="make|list|revoke")

    made = verbs.add_parser("make", help="make a key for a stream, and print it this once")
    made.add_argument("file", type=Path, metavar="FILE", help="what `keys =` names; made if new")
    made.add_argument("name", type=word(checked_name), metavar="NAME", help="what viewers watch")
    made.add_argument(
        "--url",
        default="rtmp://HOST/live",
        help="of the server with the application, for the words that are printed (%(default)s)",
    )
    made.add_argument(
        "--expires",
        type=word(moment),
        metavar="TIME",
        help="such as 30d, 12h, or 2030-12-31T23:59:59Z; default: never",
    )
    made.add_argument(
        "--networks", type=word(read_networks), default=(), help="from where, as in 192.0.2.0/24"
    )
    made.add_argument("--bitrate", type=word(read_bitrate), help="at most, as in 6M or 2500k")
    made.add_argument("--codecs", type=word(read_codecs), help="only these, as in avc1,mp4a")
    made.add_argument(
        "--size", type=word(read_size), default=(None, None), help="at most, as in 1920x1080"
    )
    made.add_argument("--note", type=word(read_note), default="", help="whose it is, for you")
    made.add_argument("-q", "--quiet", action="store_true", help="print the key and nothing else")
    made.set_defaults(work=make)

    listed = verbs.add_parser("list", help="show what is known of all keys, but no key")
    listed.add_argument("file", type=Path, metavar="FILE")
    listed.set_defaults(work=show)

    revoked = verbs.add_parser("revoke", help="end keys; what is sent with them ends as well")
    revoked.add_argument("file", type=Path, metavar="FILE")
    revoked.add_argument("ids", nargs="+", metavar="ID", help="as `list` and the log show it")
    revoked.set_defaults(work=revoke)


def word(read: Callable[[str], T]) -> Callable[[str], T]:
    """A reader of the key file, as argparse wants one."""

    def converter(text: str) -> T:
        try:
            return read(text)
        except BadLine as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return converter


def moment(text: str) -> float:
    """
    A time that somebody names: when it is, or how long it is until then.

    Raises:
        BadLine: it is neither.
    """
    if found := re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", text):
        return int(time.time()) + int(found[1]) * UNITS[found[2]]
    try:
        return read_time(text)
    except BadLine as error:
        raise BadLine(f"{error}, or minutes, hours or days such as 30m, 12h and 90d") from None


def make(options: argparse.Namespace) -> str:
    """Add a key to the file; it is shown here, and never again."""
    width, height = options.size
    made: list[tuple[str, StreamKey]] = []

    def add_to(text: str) -> str:
        known = {key.id for key in parse_keys(options.file, text).values()}
        while True:
            secret = new_key()
            key = StreamKey(
                options.name,
                hash_of(secret),
                Terms(
                    bitrate=options.bitrate,
                    codecs=options.codecs,
                    width=width,
                    height=height,
                ),
                networks=options.networks,
                created=int(time.time()),
                expires=options.expires,
                note=options.note,
            )
            if key.id not in known:
                made.append((secret, key))
                return (text or HEADER).rstrip("\n") + f"\n{key.line()}\n"

    rewrite(options.file, add_to)
    _mind_permissions(options.file)
    ((secret, key),) = made
    if options.quiet:
        return f"{secret}\n"
    url = options.url.rstrip("/")
    return (
        f"The stream key, shown this once:\n\n    {secret}\n\n"
        "In OBS: Settings, Stream, Service: Custom\n\n"
        f"    Server      {url}\n"
        f"    Stream Key  {secret}\n\n"
        f"Elsewhere send to {url}/{secret}\n"
        f"Viewers watch     {url}/{key.name}\n\n"
        f"It is key {key.id} in {options.file}; `rtmptwist keys revoke` ends it.\n"
    )


def show(options: argparse.Namespace) -> str:
    """A table of the keys, by their names."""
    keys = sorted(
        read_keys(options.file).values(), key=lambda each: (each.name, each.created or 0.0)
    )
    _mind_permissions(options.file)
    rows = [("ID", "NAME", "CREATED", "EXPIRES", "ONLY", "NOTE")]
    rows += [
        (
            key.id,
            key.name,
            "-" if key.created is None else show_time(key.created),
            _expiry(key.expires),
            " ".join(_bounds(key)) or "-",
            key.note,
        )
        for key in keys
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "\n".join(lines) + "\n"


def revoke(options: argparse.Namespace) -> str:
    """Take keys out of the file; every other line stays as it is."""
    wanted = dict.fromkeys(options.ids)
    said: list[str] = []

    def take_from(text: str) -> str:
        keys = {key.id: key for key in parse_keys(options.file, text).values()}
        unknown = [each for each in wanted if each not in keys]
        if unknown:
            raise BadFile(options.file, [(0, f"there is no key {each}") for each in unknown])
        said.extend(f"{each} of {keys[each].name} is revoked\n" for each in wanted)
        gone = re.compile(rf"[^#\s]\S*[ \t]+sha256:({'|'.join(wanted)})")
        return "\n".join(line for line in text.split("\n") if not gone.match(line.strip()))

    rewrite(options.file, take_from)
    _mind_permissions(options.file)
    return "".join(said)


def _expiry(expires: float | None) -> str:
    if expires is None:
        return "never"
    return show_time(expires) + (" (over)" if expires <= time.time() else "")


def _bounds(key: StreamKey) -> Iterable[str]:
    yield from map(str, key.networks)
    terms = key.terms
    if terms.bitrate is not None:
        yield show_bitrate(terms.bitrate)
    yield from sorted(terms.codecs or ())
    if terms.width is not None:
        yield f"{terms.width}x{terms.height}"


def _mind_permissions(path: Path) -> None:
    warning = loose(path)
    if warning:
        sys.stderr.write(f"rtmptwist: {warning}\n")
