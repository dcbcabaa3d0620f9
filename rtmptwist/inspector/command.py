"""`rtmptwist inspect`: what is in a capture, or what a running server's connection does."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from rtmptwist.inspector.errors import InspectError
from rtmptwist.inspector.files import looks_like_capture, read_bytes, read_capture
from rtmptwist.inspector.lines import Way
from rtmptwist.inspector.messages import Reader
from rtmptwist.inspector.report import Report
from rtmptwist.inspector.watching import Remote, Writer, watch

_ABOUT: Final = """\
Show what goes over RTMP connections, message by message.

FILE is a capture (pcap or pcapng, as tcpdump -w and Wireshark write it), or the bare bytes of one
side of a connection; two of those are a client's and its server's. - is the standard input.

Or the address of a running server's API and the number of a connection, as the log shows it: its
last protocol events, and what it does from now on.
"""

_EXAMPLES: Final = """\
Each line has the connection, the time, who sent it, the byte where it begins, the chunk stream with
the format of its first header and how many chunks it took (cs3/0x2), the message stream (s1), its
timestamp, and what it says. What is illegal is marked with !!! and its byte; nothing behind it is
guessed. Names of streams are cut as in the server's log, and queries are left out, unless you say
--secrets.

  tcpdump -i any -w show.pcap tcp port 1935     then: rtmptwist inspect show.pcap
  rtmptwist inspect --json --media all show.pcap | jq 'select(.kind == "error")'
  rtmptwist inspect http://127.0.0.1:8080 12 --trace 30
"""


def add(commands: Any) -> None:
    """Say what may follow `rtmptwist inspect`."""
    found = commands.add_parser(
        "inspect",
        help="show what goes over RTMP connections, message by message",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.add_argument("what", nargs="+", metavar="FILE|URL ID")
    found.add_argument("--json", action="store_true", help="a JSON object on each line")
    found.add_argument(
        "--media",
        choices=("summary", "all", "none"),
        default="summary",
        help="frames of sound and pictures in sum (default), each of them, or none",
    )
    found.add_argument(
        "--secrets", action="store_true", help="show names of streams, queries and all values whole"
    )
    found.add_argument(
        "--port",
        type=int,
        action="append",
        default=[],
        metavar="N",
        help="captures: only connections with this port; may be said several times",
    )
    found.add_argument(
        "--connection",
        type=int,
        action="append",
        default=[],
        metavar="N",
        help="captures: only the connection #N; may be said several times",
    )
    found.add_argument(
        "--side", choices=("client", "server"), help="bare bytes: whose they are, if in doubt"
    )
    found.add_argument(
        "--chunks", action="store_true", help="bare bytes: they begin behind the handshake"
    )
    found.add_argument(
        "--trace",
        type=float,
        metavar="SECONDS",
        help="servers: every message, media too, for so long; the server has a little more to do",
    )
    found.add_argument("--once", action="store_true", help="servers: what was, and no more")
    found.add_argument(
        "--token-file", type=Path, metavar="FILE", help="servers: whose first line is the token"
    )
    found.add_argument(
        "--ca-file",
        type=Path,
        metavar="FILE",
        help="servers: the certificate that https is to have",
    )
    found.set_defaults(work=inspect)


def inspect(options: argparse.Namespace) -> str:
    """Write everything as it is found; there is nothing left to print."""
    if options.what[0].startswith(("http://", "https://")):
        _watch(options)
        return ""
    report = Report(
        sys.stdout.write,
        as_json=options.json,
        connections=frozenset(options.connection),
        media=options.media != "none",
    )
    reader = Reader(secrets=options.secrets)
    with ExitStack() as stack:
        try:
            files = [(_open(name, stack), name) for name in options.what]
            _read(files, reader, report, options)
        except BrokenPipeError:  # `| head`
            sys.stderr.close()
        except OSError as error:
            raise InspectError(f"{error.filename or 'reading'}: {error.strerror}") from error
    return ""


def _watch(options: argparse.Namespace) -> None:
    if len(options.what) != _ADDRESS:
        raise InspectError("after the server's address, the number of one connection is expected")
    url, number = options.what
    try:
        remote = Remote(url, token_file=options.token_file, ca_file=options.ca_file)
        writer = Writer(sys.stdout, as_json=options.json, media=options.media)
        watch(remote, number, writer, trace=options.trace, once=options.once)
    except BrokenPipeError:
        sys.stderr.close()
    except KeyboardInterrupt:
        return


_ADDRESS: Final = 2


def _read(
    files: list[tuple[BinaryIO, str]], reader: Reader, report: Report, options: argparse.Namespace
) -> None:
    every_frame = options.media == "all"
    if looks_like_capture(files[0][0]):
        if len(files) > 1:
            raise InspectError("one capture at a time: mergecap (of Wireshark) joins several")
        ports = frozenset(options.port)
        read_capture(files[0][0], reader, report.tell, every_frame=every_frame, ports=ports)
        return
    if len(files) > _SIDES:
        raise InspectError("a connection has two sides: one file or two are expected")
    side = Way(options.side) if options.side else None
    read_bytes(
        files, reader, report.tell, every_frame=every_frame, side=side, chunks=options.chunks
    )


_SIDES: Final = 2


def _open(name: str, stack: ExitStack) -> BinaryIO:
    if name == "-":
        return sys.stdin.buffer
    return cast("BinaryIO", stack.enter_context(Path(name).open("rb")))
