"""`rtmptwist keys`: make, list and revoke stream keys."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from rtmptwist.auth.commands import add_line, mind_permissions, moment, table, take_lines, word
from rtmptwist.auth.keyfile import (
    StreamKey,
    checked_name,
    hash_of,
    new_key,
    parse_keys,
    read_bitrate,
    read_codecs,
    read_keys,
    read_line,
    read_networks,
    read_size,
    show_bitrate,
)
from rtmptwist.auth.options import read_note, show_time
from rtmptwist.live.access import Terms

HEADER: Final = """\
# Stream keys of rtmptwist: a line for each, with the name that viewers know and the key's hash.
# The keys themselves are nowhere. `rtmptwist keys make`, `list` and `revoke` change this file, and
# so may you: the server reads it again within seconds. A line that begins with # is a comment.
"""


def add(commands: Any) -> None:
    """Say what may follow `rtmptwist keys`."""
    keys = commands.add_parser("keys", help="make, list and revoke stream keys")
    verbs = keys.add_subparsers(required=True, metavar="make|list|revoke")

    made = verbs.add_parser("make", help="make a key for a stream, and print it this once")
    made.add_argument("file", type=Path, metavar="FILE", help="what `keys =` names; made if new")
    made.add_argument("name", type=word(checked_name), metavar="NAME", help="what viewers watch")
    made.add_argument("--server", default="rtmp://HOST", metavar="URL", help="for what is printed")
    made.add_argument("--app", default="live", help="for what is printed; default: live")
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


def make(options: argparse.Namespace) -> str:
    """Add a key to the file; it is shown here, and never again."""

    def new_line(text: str) -> tuple[str, tuple[str, StreamKey]]:
        known = {key.id for key in parse_keys(options.file, text).values()}
        while (key := _new(options, secret := new_key())).id in known:
            pass  # two that people could not tell apart
        return key.line(), (secret, key)

    secret, key = add_line(options.file, HEADER, new_line)
    if options.quiet:
        return f"{secret}\n"
    url = f"{options.server.rstrip('/')}/{options.app}"
    return (
        f"The stream key, shown this once:\n\n    {secret}\n\n"
        "In OBS: Settings, Stream, Service: Custom\n\n"
        f"    Server      {url}\n"
        f"    Stream Key  {secret}\n\n"
        f"Elsewhere send to {url}/{secret}\n"
        f"Viewers watch     {url}/{quote(key.name)}\n\n"
        f"It is key {key.id} in {options.file}; `rtmptwist keys revoke` ends it.\n"
    )


def _new(options: argparse.Namespace, secret: str) -> StreamKey:
    width, height = options.size
    return StreamKey(
        options.name,
        hash_of(secret),
        Terms(bitrate=options.bitrate, codecs=options.codecs, width=width, height=height),
        networks=options.networks,
        created=int(time.time()),
        expires=options.expires,
        note=options.note,
    )


def show(options: argparse.Namespace) -> str:
    """A table of the keys, by their names."""
    keys = sorted(
        read_keys(options.file).values(), key=lambda each: (each.name, each.created or 0.0)
    )
    mind_permissions(options.file)
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
    return table(rows)


def revoke(options: argparse.Namespace) -> str:
    """Take keys out of the file."""
    gone = take_lines(options.file, options.ids, "key", read_line)
    return "".join(f"{key.id} of {key.name} is revoked\n" for key in gone)


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
