"""
Names: what clients say in `connect`, `publish` and `play`, made into one spelling.

The same URL arrives cut at different slashes, with prefixes and extensions added or taken away,
with queries in three places. Here all of that becomes a virtual host, a path and a query, once, so
that nobody else needs to know. Which application a path belongs to is the registry's knowledge: the
longest configured prefix of `path`.

FFmpeg cuts `rtmp://host/live/a/b/s` into `live` and `a/b/s`, librtmp and GStreamer into `live/a/b`
and `s`; for `live/x.mp4` FFmpeg says `mp4:x.mp4`, librtmp `mp4:x`, GStreamer `x.mp4`; FFmpeg and
librtmp cut `.flv`, GStreamer does not. Encoders with two fields send both as they were typed.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import unquote, unquote_to_bytes

from rtmptwist.wire.command import KNOWN
from rtmptwist.wire.limits import Limits

_LIMITS: Final = Limits()


class BadName(ValueError):
    """
    A name that cannot be served.

    The text says why, in words for whoever typed it, and repeats nothing that may be a secret.
    """


@dataclass(frozen=True, slots=True)
class ConnectTarget:
    """Where a `connect` wants to go."""

    host: str
    """
    The virtual host: of the query's `vhost` or `domain`, else of tcUrl. In small letters, without
    port, brackets and final dot, international names in ASCII (`xn--`); empty: unknown.
    """

    path: str
    "Application and instance: segments joined by `/`. Never empty."

    query: Mapping[str, str] = field(default_factory=dict, hash=False, repr=False)
    "Of tcUrl and app. May hold secrets."

    doubled: frozenset[str] = field(default=frozenset(), compare=False)
    "What stands twice in the query of one of the two."

    kind: str = field(default="", compare=False)
    "As in `StreamName`: librtmp and GStreamer cut `live/mp4:folder/x` after the prefix."

    @property
    def segments(self) -> tuple[str, ...]:
        """The parts of `path`."""
        return tuple(self.path.split("/"))


@dataclass(frozen=True, slots=True)
class StreamName:
    """A stream: (`host`, `path`) is its identity, wherever a client cut the URL."""

    host: str
    "As in `ConnectTarget`, or what the name's own query says: then another than that of `connect`."

    path: str
    "Application, instance and name, without prefix and extension. At least two segments."

    query: Mapping[str, str] = field(default_factory=dict, hash=False, repr=False)
    "Of tcUrl, app and name, the later the stronger. May hold secrets."

    doubled: frozenset[str] = field(default=frozenset(), compare=False)
    "What stands twice in the query of one of the three; `query` has the first of both."

    kind: str = field(default="", compare=False)
    "The recording asked for: `flv`, `mp4` or `mp3` by prefix or extension; empty: not said."

    extension: str = field(default="", compare=False)
    "What was cut off `path`, with its dot. The same name comes with and without it."

    @property
    def segments(self) -> tuple[str, ...]:
        """The parts of `path`."""
        return tuple(self.path.split("/"))


def parse_connect(app: str, tc_url: str | None = None, limits: Limits = _LIMITS) -> ConnectTarget:
    """
    Understand the two strings of a `connect`; of tcUrl only the host and the query are taken.

    Raises:
        BadName: the application has no possible name.
    """
    # gortmplib met clients that wrap tcUrl in quotes, and some that leave it out
    url = (tc_url or "").strip().strip("\"'")
    both = app + url
    # a query or a login is for one client, and may be a secret that is not ours to keep
    shared = len(both) <= _SHARED and "?" not in both and "@" not in both
    return (_known if shared else _parse)(app, url, limits)


def _parse(app: str, url: str, limits: Limits) -> ConnectTarget:
    what = "application name"
    path, app_query, app_doubled = _cut(app, what, limits)
    rest, url_query, url_doubled = _cut(url, "tcUrl", limits)
    query = {**url_query, **app_query}
    segments, kind = _segments(_decode(path, what, limits), what, limits)
    if not segments:
        raise BadName("the application name is empty (expected rtmp://host/application)")
    host = _virtual_host(query) or _url_host(rest)
    return ConnectTarget(host, "/".join(segments), query, app_doubled | url_doubled, kind)


_SHARED: Final = 256
"Characters of both that are worth keeping: hosts and applications are shorter."

_known: Final = lru_cache(maxsize=256)(_parse)
"Nearly all clients of an application say the same: 1 µs instead of 5, and 0.4 KB is shared."


def stream_name(target: ConnectTarget, name: str, limits: Limits = _LIMITS) -> StreamName:
    """
    Understand the name of a `publish` or `play` on a connection to `target`.

    Raises:
        BadName: no stream can have this name.
    """
    what = "stream name"
    path, own_query, own_doubled = _cut(name, what, limits)
    path = _decode(path, what, limits)
    extension = ""
    if found := _EXTENSION.search(path):
        path, extension = path[: found.start()], path[-4:]
    segments, kind = _segments(path, what, limits)
    if not segments:
        raise BadName("the stream name is empty (expected a stream key after the application)")
    return StreamName(
        _virtual_host(own_query) or target.host,
        "/".join((target.path, *segments)),
        {**target.query, **own_query},
        target.doubled | own_doubled,
        kind or target.kind or _KIND_OF.get(extension, ""),
        extension,
    )


def redacted(text: str, *, key: bool = True) -> str:
    """
    Make a URL, an application or a stream name fit for a log.

    Query and user info are cut, control characters and overlong text as well. With `key`, a last
    segment longer than eight characters, and any other one as long as keys of programs are, is cut
    to its first three and a check sum: enough to tell two streams apart and to recognise one whose
    name is known, too little to publish with.
    """
    if "@" in text:
        text = _USER_INFO.sub(r"\1…@", text)
    path, mark, _ = text.partition("?")
    if len(path) > _LOGGED:
        path = path[:_LOGGED] + "…"
    if not path.isprintable():
        path = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in path)
    if key:
        scheme, slashes, rest = path.rpartition("://")
        host, slash, rest = rest.partition("/") if slashes else ("", "", rest)
        *folders, last = rest.split("/")
        rest = "/".join([*(_hidden(each, _LONG) for each in folders), _hidden(last, _SHORT)])
        path = f"{scheme}{slashes}{host}{slash}{rest}"
    return path + (mark and "?…")


def redacted_command(name: str) -> str:
    """Make the name of a command fit for a log: what may be anything is cut as a stream's name."""
    return name if name in KNOWN else redacted(name)


def _hidden(segment: str, most: int) -> str:
    if len(segment) <= most:
        return segment
    return f"{segment[:3]}…{hashlib.sha256(segment.encode()).hexdigest()[:4]}"


# ---- paths

_PREFIX: Final = re.compile(r"(?:(flv|mp4|mp3|id3):)+")
_EXTENSION: Final = re.compile(r"(?<=[^/])(?:\.(?:flv|mp4|f4v|mp3))+\Z")
"What FFmpeg or librtmp cut off; perhaps several: they cut one and leave us the next."

_KIND_OF: Final = {".flv": "flv", ".mp4": "mp4", ".f4v": "mp4", ".mp3": "mp3"}
_DEFAULT_INSTANCE: Final = "_definst_"

_REFUSED: Final = re.compile("[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\\\\]")
"""
Controls, line separators and marks that turn the direction of text would forge lines of a log;
a backslash is a separator elsewhere. (Lone surrogates are no UTF-8 and do not come this far.)
"""


def _decode(text: str, what: str, limits: Limits) -> str:
    """
    Undo percent-encoding, bring equal letters to equal code points; refuse what is no text.

    Decoded before it is split: librtmp decodes %2F itself, FFmpeg does not, both mean one stream.
    """
    if len(text) > 3 * limits.name_length:  # before any work; a byte is three characters at most
        raise _too_long(what, len(text), limits.name_length)
    try:
        text = unquote_to_bytes(text).decode()
    except UnicodeError:
        raise BadName(f"the {what} is not UTF-8") from None
    text = unicodedata.normalize("NFC", text)
    if (size := len(text.encode())) > limits.name_length:
        raise _too_long(what, size, limits.name_length)
    if bad := _REFUSED.search(text):
        raise BadName(f"the {what} contains the character U+{ord(bad[0]):04X}")
    return text.strip("/")


def _segments(text: str, what: str, limits: Limits) -> tuple[list[str], str]:
    """Split and check a decoded path; also tell the kind of recording that a prefix asked for."""
    kind = ""
    segments = []
    for segment in text.split("/") if text else ():
        if prefix := _PREFIX.match(segment):
            kind = prefix[1]
            segment = segment[prefix.end() :]
        if segment != _DEFAULT_INSTANCE:
            _check_segment(segment, what, limits)
            segments.append(segment)
    return segments, "mp3" if kind == "id3" else kind


def _check_segment(segment: str, what: str, limits: Limits) -> None:
    if not segment:
        raise BadName(f"the {what} has an empty part (two slashes, or nothing after a prefix)")
    if segment in {".", ".."}:
        raise BadName(f'the {what} has a part "{segment}"')
    if segment != segment.strip():
        raise BadName(f"a part of the {what} begins or ends with white space")
    if (size := len(segment.encode())) > limits.name_part_length:
        raise _too_long(f"part of the {what}", size, limits.name_part_length)


def _too_long(what: str, length: int, allowed: int) -> BadName:
    return BadName(f"the {what} is {length} bytes long (expected at most {allowed})")


# ---- queries

_AUTHENTICATION: Final = re.compile(r"(?:^|\?)(?=authmod=)")


def _cut(text: str, what: str, limits: Limits) -> tuple[str, dict[str, str], frozenset[str]]:
    """Cut a query off and read it; also tell which keys stand in it more than once."""
    path, mark, query = text.partition("?")
    if not mark:  # of most: 0.2 µs, and 7 for the rest
        return path, {}, frozenset()
    if len(query) > limits.query_length:
        raise _too_long(f"query of the {what}", len(query), limits.query_length)
    # clients append `?authmod=adobe&user=…` to whatever is there, and do not percent-encode it
    plain, *literal = _AUTHENTICATION.split(query, maxsplit=1)
    pairs = [(key, unquote(value)) for key, value in _pairs(plain)]
    verbatim = [pair for part in literal for pair in _pairs(part)]
    times = Counter(key for key, _ in pairs + verbatim)
    doubled = frozenset(key for key, count in times.items() if count > 1)
    # of repeated keys the first counts
    return path, dict(reversed(pairs)) | dict(reversed(verbatim)), doubled


def _pairs(query: str) -> list[tuple[str, str]]:
    """Keys and values, undecoded."""
    pairs = [part.partition("=") for part in query.split("&")]
    return [(key, value) for key, _, value in pairs if key]


# ---- hosts

_USER_INFO: Final = re.compile(r"(://)[^/?#]*@")
_AUTHORITY: Final = re.compile(r"[a-z][a-z0-9+.-]*://([^/?#]*@)?([^/#]*)", re.IGNORECASE)
_HOST: Final = re.compile(r"[\w.-]+")
_HOST_LENGTH: Final = 253
"Of the name system (RFC 1035)."


def _virtual_host(query: Mapping[str, str]) -> str:
    return _host(query.get("vhost") or query.get("domain") or "")


def _url_host(url: str) -> str:
    found = _AUTHORITY.match(url)
    return _host(found[2]) if found else ""


def _host(text: str) -> str:
    """A host as it is looked up, or nothing when it cannot be one: that is the default host."""
    if len(text) > _HOST_LENGTH:
        return ""
    if text.count(":") > 1:
        literal = text[1:].partition("]")[0] if text.startswith("[") else text
        try:
            address = IPv6Address(literal.partition("%")[0])
        except ValueError:
            return ""
        return str(address.ipv4_mapped or address)
    host = text.partition(":")[0]
    if not _HOST.fullmatch(host):
        return ""
    try:
        return host.encode("idna").decode().lower().removesuffix(".")
    except UnicodeError:
        return ""


# ---- logs

_SHORT: Final = 8
"Characters of a segment that is shown whole: names that people give, not keys that programs make."

_LONG: Final = 24
"The same of a folder, which is seldom a key; those of programs have more."

_LOGGED: Final = 200
"Characters of one name that a log line shows."
