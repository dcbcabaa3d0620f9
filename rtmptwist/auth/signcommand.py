"""`rtmptwist secrets` and `rtmptwist sign`: what signs URLs, and a signed URL."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from rtmptwist.auth.commands import add_line, mind_permissions, span, table, take_lines, word
from rtmptwist.auth.files import BadFile, BadLine
from rtmptwist.auth.keyfile import checked_name
from rtmptwist.auth.options import read_note, show_time
from rtmptwist.auth.signing import (
    LONGEST,
    Secret,
    called,
    canonical,
    checked_addr,
    checked_id,
    new_secret,
    parse_secrets,
    read_secret,
    read_secrets,
)

HEADER: Final = """\
# Secrets of rtmptwist that sign URLs: KID SECRET on each line, the last one signs what is new. Who
# reads this file can publish and watch. `rtmptwist secrets make`, `list` and `revoke` change it,
# and so may you: the server reads it again within seconds. A line that begins with # is a comment.
"""


def add(commands: Any) -> None:
    """Say what may follow `rtmptwist secrets` and `rtmptwist sign`."""
    both = commands.add_parser("secrets", help="make, list and revoke what signs URLs")
    verbs = both.add_subparsers(required=True, metavar="make|list|revoke")

    made = verbs.add_parser("make", help="make a secret, and print it for whoever signs")
    made.add_argument("file", type=Path, metavar="FILE", help="what `signing =` names; made if new")
    made.add_argument("kid", type=word(checked_id), metavar="KID", help="what URLs call it")
    made.add_argument("--note", type=word(read_note), default="", help="for whom, for you")
    made.set_defaults(work=make)

    listed = verbs.add_parser("list", help="show what is known of all secrets, but no secret")
    listed.add_argument("file", type=Path, metavar="FILE")
    listed.set_defaults(work=show)

    revoked = verbs.add_parser("revoke", help="end secrets, and with them what they have signed")
    revoked.add_argument("file", type=Path, metavar="FILE")
    revoked.add_argument("ids", nargs="+", metavar="KID")
    revoked.set_defaults(work=revoke)

    signed = commands.add_parser("sign", help="print a signed URL")
    signed.add_argument("file", type=Path, metavar="FILE", help="with the secrets")
    signed.add_argument("--app", required=True, type=word(read_note), help="the application")
    signed.add_argument("--name", required=True, type=word(checked_name), help="of the stream")
    signed.add_argument("--action", required=True, choices=("publish", "play"))
    signed.add_argument(
        "--for",
        dest="span",
        required=True,
        type=word(lifetime),
        metavar="TIME",
        help="how long it may be used, as in 90s, 30m, 12h and 7d",
    )
    signed.add_argument(
        "--address",
        type=word(checked_addr),
        help="from where only, as in 192.0.2.1 or 2001:db8::/64",
    )
    signed.add_argument("--kid", type=word(checked_id), help="default: the last in FILE")
    signed.add_argument(
        "--vhost",
        type=word(read_note),
        help="if the application belongs to a [vhost] of the configuration",
    )
    signed.add_argument("--server", default="rtmp://HOST", metavar="URL", help="for the beginning")
    signed.set_defaults(work=sign)


def lifetime(text: str) -> int:
    """
    Seconds for which a URL may be used.

    Raises:
        BadLine: it is no span of time, or too long.
    """
    seconds = span(text)
    if seconds > LONGEST:
        raise BadLine(f"expected at most {LONGEST // 86400}d")
    return seconds


def make(options: argparse.Namespace) -> str:
    """Add a secret to the file."""

    def new_line(text: str) -> tuple[str, Secret]:
        if options.kid in parse_secrets(options.file, text):
            raise BadFile(options.file, [(0, f"there is a secret {options.kid} already")])
        secret = Secret(options.kid, new_secret(), int(time.time()), options.note)
        return secret.line(), secret

    secret = add_line(options.file, HEADER, new_line)
    return f"{secret.id} {secret.text}\n"


def show(options: argparse.Namespace) -> str:
    """A table of the secrets, without them."""
    secrets = read_secrets(options.file).values()
    mind_permissions(options.file)
    rows = [("KID", "CREATED", "NOTE")]
    rows += [
        (each.id, "-" if each.created is None else show_time(each.created), each.note)
        for each in secrets
    ]
    return table(rows)


def revoke(options: argparse.Namespace) -> str:
    """Take secrets out of the file."""
    gone = take_lines(options.file, options.ids, "secret", read_secret)
    return "".join(f"{secret.id} is revoked\n" for secret in gone)


def sign(options: argparse.Namespace) -> str:
    """A URL."""
    secrets = read_secrets(options.file)
    mind_permissions(options.file)
    kid = options.kid or next(reversed(list(secrets)), "")
    if kid not in secrets:
        words = f"there is no secret {kid}".rstrip()
        raise BadFile(options.file, [(0, f"{words}; `rtmptwist secrets make` makes one")])
    exp = int(time.time()) + options.span
    application = called(options.app, options.vhost or "")
    addr = options.address or ""
    text = canonical(application, options.name, options.action, exp, addr)
    query = {"exp": exp, "kid": kid, "sig": secrets[kid].sign(text)}
    if addr:
        query["addr"] = addr
    where = "/".join((options.server.rstrip("/"), quote(options.app), quote(options.name)))
    return f"{where}?{urlencode(query)}\n"
