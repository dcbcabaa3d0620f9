"""`rtmptwist passwd` and `rtmptwist token`: what logins are checked by."""

from __future__ import annotations

import argparse
import getpass
import secrets
import sys
from pathlib import Path
from typing import Any, Final

from rtmptwist.auth.commands import add_line, mind_permissions, word
from rtmptwist.auth.files import rewrite
from rtmptwist.auth.passwordfile import User, checked_user, parse_users
from rtmptwist.auth.passwords import (
    PASSWORD_LENGTH,
    PasswordHash,
    adobe_salt,
    adobe_verifier,
    llnw_verifier,
    normal,
)
from rtmptwist.auth.tokenfile import hash_of, new_token, parse_tokens

USERS: Final = """\
# Users of rtmptwist: a line for each, with the hash of the password. `rtmptwist passwd` changes
# this file, and so may you: to take a user out, delete the line. The server reads it again within
# seconds.
"""

TOKENS: Final = """\
# Tokens of rtmptwist: a line for each, with the name of who has it and the token's hash. The tokens
# themselves are nowhere. `rtmptwist token` adds one; to take one out, delete the line. The server
# reads this file again within seconds.
"""

WEAK: Final = """\
{name} can log in from encoders ({ways}). For that the file holds an MD5 of the password beside
the hash: who reads the file can log in with it, and guess the password quickly. Take a password
that is used nowhere else, and RTMPS: without it, whoever sees the login can guess as well.
"""


def add(commands: Any) -> None:
    """Say what may follow."""
    passwd = commands.add_parser(
        "passwd",
        help="set a user's password, read from the terminal or from standard input",
        description="Set a user's password, read from the terminal or from standard input.",
    )
    passwd.add_argument("file", type=Path, metavar="FILE", help="of `logins = file:FILE`")
    passwd.add_argument("user", type=word(checked_user), metavar="USER")
    passwd.add_argument(
        "--adobe", action="store_true", help="for the user and password fields of OBS, for FFmpeg"
    )
    passwd.add_argument(
        "--llnw", action="store_true", help="for encoders that know Limelight's way"
    )
    passwd.set_defaults(work=set_password)

    token = commands.add_parser("token", help="make a token for somebody, and print it this once")
    token.add_argument("file", type=Path, metavar="FILE", help="of `logins = token:FILE`")
    token.add_argument("name", type=word(checked_user), metavar="NAME", help="whose it is")
    token.set_defaults(work=make_token)


def set_password(options: argparse.Namespace) -> str:
    """Put a user into the file, or another password into the user's line."""
    path, name = options.file, options.user
    password = _asked(name)
    hashed = PasswordHash.of(password)
    said: list[str] = []

    def change(text: str) -> str:
        old = parse_users(path, text).get(name.encode())
        adobe = options.adobe or (old is not None and old.adobe is not None)
        llnw = options.llnw or (old is not None and bool(old.llnw))
        same = old is not None and old.hash.matches(password)
        # another hash would be another password to a server that runs, which ends whoever is there
        kept = old.hash if old is not None and same else hashed
        line = _user(name, password, kept, adobe=adobe, llnw=llnw).line()
        news = "is new" if old is None else "keeps the password" if same else "has a new password"
        said.append(f"{path}: {name} {news}\n")
        if adobe or llnw:
            ways = " and ".join(["adobe"] * adobe + ["llnw"] * llnw)
            said.append(WEAK.format(name=name, ways=ways))
        if old is None:
            return (text or USERS).rstrip("\n") + f"\n{line}\n"
        lines = text.split("\n")
        return "\n".join(line if _is_of(name, each) else each for each in lines)

    rewrite(path, change)
    mind_permissions(path)
    return "".join(said)


def make_token(options: argparse.Namespace) -> str:
    """Add a token to the file; it is shown here, and never again."""
    token = new_token()

    def make(text: str) -> tuple[str, None]:
        parse_tokens(options.file, text)  # a file of another kind is not spoiled
        return f"{options.name}  sha256:{hash_of(token)}", None

    add_line(options.file, TOKENS, make)
    return f"{token}\n"


def _asked(name: str) -> bytes:
    """The password: typed twice at a terminal, or the first line of what is piped in."""
    if sys.stdin.isatty():
        text = getpass.getpass(f"Password for {name}: ")
        if getpass.getpass("Once more: ") != text:
            raise SystemExit("rtmptwist: the two differ")
    else:
        text = sys.stdin.readline().rstrip("\r\n")
    password = normal(text)
    if not 0 < len(password) <= PASSWORD_LENGTH:
        raise SystemExit(f"rtmptwist: expected a password of 1 to {PASSWORD_LENGTH} bytes")
    return password


def _user(name: str, password: bytes, hashed: PasswordHash, *, adobe: bool, llnw: bool) -> User:
    user, verifiers = name.encode(), None
    if adobe:
        salt = adobe_salt(secrets.token_bytes(12))
        verifiers = salt, adobe_verifier(user, salt.encode(), password).decode()
    return User(name, hashed, verifiers, llnw_verifier(user, password).decode() if llnw else "")


def _is_of(name: str, line: str) -> bool:
    return normal(line.strip()).startswith(f"{name}:".encode())
