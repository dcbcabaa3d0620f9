"""
`rtmptwist`: the command line for what is done beside the server, such as making stream keys.

A subcommand is a module with `add`, which says what may follow it and which function does the work;
that returns what is to be printed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rtmptwist import __version__
from rtmptwist.auth import keycommand, passwordcommand, signcommand
from rtmptwist.auth.files import BadFile
from rtmptwist.inspector import command as inspectcommand
from rtmptwist.inspector.errors import InspectError

COMMANDS = (keycommand, signcommand, passwordcommand, inspectcommand)


def parser() -> argparse.ArgumentParser:
    """All that may be said."""
    found = argparse.ArgumentParser(
        prog="rtmptwist",
        description="Tools for the live video server; the server itself is `twistd rtmp`.",
    )
    found.add_argument("--version", action="version", version=f"rtmptwist {__version__}")
    commands = found.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; the status of the process."""
    options = parser().parse_args(arguments)
    try:
        sys.stdout.write(options.work(options))
    except (BadFile, InspectError) as error:
        sys.stderr.write(f"rtmptwist: {error}\n")
        return 1
    return 0
