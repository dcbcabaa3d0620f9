"""
The head of a recorded FLV file: an onMetaData with room for what is known only at the end.

While it is written, it says what the publisher said. When it is complete, duration, size and an
index of the key frames are added in place. The room for that is zeros, which are numbers to AMF0
and a hole to the file system: a short recording takes no more than it needs, and nothing behind
the head ever moves.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

from rtmptwist.amf import amf0
from rtmptwist.amf.errors import AmfError
from rtmptwist.amf.values import EcmaArray, Value
from rtmptwist.media.errors import MediaError
from rtmptwist.media.flv import FLV_START, SCRIPT, flv_header, flv_tag
from rtmptwist.media.flvindex import CAPACITY, MOST_HEADERS, Facts

NAME: Final = "onMetaData"

LARGEST: Final = 1 << 18
"Bytes of a head that is worth reading: ours have 65 KB, or twice that with the longest metadata."

_OWN: Final = 64 * 1024
"Bytes of a publisher's metadata that are kept, as for late viewers; real ones have hundreds."

HEADERS: Final = "sequenceheaders"
"""
Where sequence headers stand that say anything new: positions in the file, as those of key frames.
Our own: who does not know it passes it over.
"""

_NUMBERS: Final = 512
"Bytes for duration, size and the like."

_ENTRY: Final = 18
"Bytes of a key frame in the index: two numbers."

_TAG: Final = 11
_AROUND: Final = _TAG + 4
"Bytes of a tag around its data."

_NULL: Final = b"\x05"
_NUMBER: Final = 9
"Bytes of a number in AMF0; zeros are numbers."

_TYPE_AND_SIZE: Final = struct.Struct(">I")

_OURS: Final = frozenset(
    {
        *("duration", "lasttimestamp", "lastkeyframetimestamp", "lastkeyframelocation"),
        *("filesize", "datasize", "audiosize", "videosize", "canSeekToEnd"),
        *("hasAudio", "hasVideo", "hasMetadata", "hasKeyframes", "keyframes", "metadatacreator"),
        HEADERS,
    }
)
"What describes a file: the publisher's means nothing in ours."


class Head:
    """What stands before the first tag of media, always of the same size."""

    def __init__(self, metadata: Mapping[str, Value], creator: str, size: int = 0) -> None:
        """
        `metadata`: the publisher's own; `creator`: the program that records.

        `size`: of a head that is there already, in bytes; left out, there is room for all.
        """
        name: dict[str, Value] = {"metadatacreator": creator}
        self._own = _without_ours(metadata) | name
        if not 0 < len(own_metadata(self._own)) <= _OWN:
            self._own = name
        self.size = size or (
            FLV_START
            + _AROUND
            + len(_body(self._own))
            + _NUMBERS
            + MOST_HEADERS * _NUMBER
            + CAPACITY * _ENTRY
        )

    @property
    def metadata(self) -> Mapping[str, Value]:
        """What the publisher said."""
        return self._own

    def begin(self, *, audio: bool, video: bool) -> bytes:
        """The head of a file that is being written, which says nothing of how long it is."""
        return self._pack(_body(self._own), audio, video)

    def finish(self, facts: Facts) -> bytes:
        """
        The head of the complete file, with as many key frames as there is room for.

        Raises:
            MediaError: there is no room for anything, for another program wrote it.
        """
        time, position = facts.keyframes.last or (0, 0)
        values: dict[str, Value] = {
            "duration": facts.last / 1000,
            "filesize": float(facts.end),
            "lasttimestamp": facts.last / 1000,
            "lastkeyframetimestamp": time / 1000,
            "lastkeyframelocation": float(position),
            "hasAudio": facts.audio,
            "hasVideo": facts.video,
            "hasMetadata": True,
            "hasKeyframes": facts.keyframes.last is not None,
            **self._own,
        }
        headers: list[Value] = [float(position) for position in facts.headers.positions]
        if len(_body({**values, HEADERS: headers})) <= self._room:
            values[HEADERS] = headers
        times, positions = facts.keyframes.times, facts.keyframes.positions
        if times:
            fit = (self._room - len(_body({**values, "keyframes": _index([], [])}))) // _ENTRY
            step = -(-len(times) // fit) if fit > 0 else 0
            if step:
                values["keyframes"] = _index(times[::step], positions[::step])
        return self._pack(_body(values), facts.audio, facts.video)

    @property
    def _room(self) -> int:
        return self.size - FLV_START - _AROUND

    def _pack(self, body: bytes, audio: bool, video: bool) -> bytes:
        rest = self._room - len(body)
        if rest < 0:
            raise MediaError(f"{len(body)} bytes of metadata (expected {self._room} at most)")
        filler = _NULL * (rest % _NUMBER) + bytes(rest // _NUMBER * _NUMBER)
        return flv_header(audio, video) + flv_tag(SCRIPT, 0, body + filler)


def _index(times: list[int], positions: list[int]) -> dict[str, Value]:
    return {
        "times": [time / 1000 for time in times],
        "filepositions": [float(position) for position in positions],
    }


def _body(values: Mapping[str, Value]) -> bytes:
    return amf0.encode(NAME, EcmaArray(values))


def own_metadata(metadata: Mapping[str, Value]) -> bytes:
    """The payload of an onMetaData amid a file; empty: it cannot be written."""
    try:
        return _body(_without_ours(metadata))
    except AmfError:  # what refers to itself may be small to receive and huge to write
        return b""


def _without_ours(metadata: Mapping[str, Value]) -> dict[str, Value]:
    return {key: value for key, value in metadata.items() if key not in _OURS}


def head_size(start: bytes) -> int:
    """The size of the head that a file begins with, by its first 24 bytes; 0: it has none."""
    if len(start) < FLV_START + _TAG or start[:4] != b"FLV\x01" or start[5:FLV_START] != _REST:
        return 0
    type_and_size = int(_TYPE_AND_SIZE.unpack_from(start, FLV_START)[0])
    if type_and_size >> 24 != SCRIPT:
        return 0
    return FLV_START + _AROUND + (type_and_size & 0xFFFFFF)


_REST: Final = flv_header(audio=False, video=False)[5:]


def read_head(data: bytes, creator: str) -> Head | None:
    """
    The head that a file begins with, to be changed in place; None: it has none.

    One that was broken off while it was changed has lost its metadata, but has its size.
    """
    size = head_size(data)
    if not size or len(data) < size:
        return None
    return Head(metadata_of(data[FLV_START + _TAG : size - 4]) or {}, creator, size)


def metadata_of(payload: bytes) -> dict[str, Value] | None:
    """What onMetaData says; None: this data message is something else."""
    decoder = amf0.Decoder(payload)
    try:
        if decoder.read() != NAME:
            return None
        values = decoder.read()
    except AmfError:
        return None
    return dict(values) if isinstance(values, dict) else None
