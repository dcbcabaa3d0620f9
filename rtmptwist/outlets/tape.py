"""
Messages to tags of one file: on its own timeline, from a key frame on, of what is to be taken.

`encode` belongs into a thread. Next to the writing it is what recording costs, so it is written as
a hot path is: 0.3 µs for each message, and three times that after a second in which others came.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from rtmptwist.amf.values import Value
from rtmptwist.live.headers import Header
from rtmptwist.media.flvhead import metadata_of, own_metadata
from rtmptwist.media.tag import Slot, audio_tag, video_tag
from rtmptwist.outlets.settled import Settled
from rtmptwist.wire.message import Message, MessageType

_AUDIO: Final = int(MessageType.AUDIO)
_VIDEO: Final = int(MessageType.VIDEO)

_NEXT: Final = struct.Struct(">III3x")
"""
Size of the tag before; type and size of the data; timestamp, whose highest byte comes last; stream
id, always 0.
"""

_SIZE: Final = struct.Struct(">I")
_METADATA: Final = b"\x02\0\x0aonMetaData"
_BEFORE: Final = 11
"Bytes of a tag before its data."

_KEYS: Final = frozenset(bytes((first,)) for first in range(256) if first & 0x70 in (0x10, 0x40))
"First bytes of video that may be a key frame, legacy and Enhanced; `media.tag` knows for sure."


_SHORT: Final = 64
"Bytes of sound that may be a header: FLAC's has 47, and nearly all frames have more."


class Take(StrEnum):
    """What of a stream is recorded. Data always is."""

    ALL = "all"
    AUDIO = "audio"
    VIDEO = "video"
    KEYS = "keys"
    "Key frames only."


_KINDS: Final = {
    Take.ALL: (MessageType.AUDIO, MessageType.VIDEO),
    Take.AUDIO: (MessageType.AUDIO,),
    Take.VIDEO: (MessageType.VIDEO,),
    Take.KEYS: (MessageType.VIDEO,),
}


@dataclass(slots=True)
class Batch:
    """Some tags, ready to be written."""

    data: bytes = b""
    "Their bytes: payloads as they came."

    size: int = 0
    keyframes: list[tuple[int, int]] = field(default_factory=list)
    "Their times in the file (ms), and their places in the batch."

    headers: list[tuple[Slot, int, int]] = field(default_factory=list)
    "Of sequence headers: their slots, the hashes of their payloads, and their places."

    last: int = 0
    "The greatest timestamp of sound or pictures in the file so far, in milliseconds."

    audio: bool = False
    video: bool = False


class Tape:
    """One file's worth of a stream."""

    def __init__(
        self,
        take: Take,
        metadata: Message | None = None,
        *,
        until: float = math.inf,
        most: float = math.inf,
        settled: bool = False,
    ) -> None:
        """
        `metadata`: what stands in the head of the file.

        `until`, in milliseconds, and `most`, in bytes: when the next file is due. `settled`: it
        takes no headers but those that it begins with, so that others make a next one due, too.
        """
        self.size = 0
        "Bytes of tags so far."
        self.last = 0
        "The greatest timestamp of sound or pictures in the file so far, in milliseconds."
        self._take = take
        self._metadata = metadata
        self.until = until
        "Milliseconds of the file, after which the next one is due."
        self._most = most
        self._settled = Settled(_KINDS[take]) if settled else None
        self._base = 0
        "Stream time where that of the file begins,"
        self._begin = 0
        "and that of the first frame, before which nothing comes."
        self._cutting = False
        "What it begins with belongs to it, whatever its time, or there would be no end of files."
        self._blind = take is not Take.AUDIO
        "No key frame yet: pictures that need one are left out."

    @property
    def begins(self) -> tuple[int, int]:
        """Stream time (ms) of the first frame, and that at which the file's own time is 0."""
        return self._begin, self._base

    def begin(
        self, messages: Sequence[Message], headers: Sequence[Header], at: int = 0
    ) -> list[Message]:
        """
        Set the clock, and tell what has to be written before the first of these messages.

        Sound and pictures are not quite in order: the earliest frame of all that are there comes
        `at` so many milliseconds. `headers`: those in force before the first message.
        """
        chosen, _ = self._chosen(messages)
        begin = min((m.timestamp for m in chosen if is_frame(m)), default=0)
        self._begin = begin
        self._base = begin - at
        self.last = at
        if self._settled is not None:
            self._settled.news(header.message for header in headers)
        return [header.at(begin) for header in headers if header.message is not self._metadata]

    def cut(self, messages: Sequence[Message], waiting: int = 0, *, pictures: bool) -> int | None:
        """
        The index of the message that the next file begins with; None: it is not due.

        `waiting`: bytes before that which have not been encoded yet.
        `pictures`: whether there are any in the stream, so that one must wait for a key frame.
        """
        due = self._base + (-math.inf if self.size + waiting >= self._most else self.until)
        found = None
        if due != math.inf:
            begins = cut_at(self._take, pictures=pictures)
            first = 0
            if not self._cutting:
                first = 1 + next((n for n, message in enumerate(messages) if begins(message)), 0)
            late = (n for n in range(first, len(messages)) if messages[n].timestamp >= due)
            found = next((n for n in late if begins(messages[n])), None)
        self._cutting = True
        if self._settled is not None:
            news = self._settled.news(messages[:found])
            return found if news is None else news
        return found

    def encode(self, messages: Sequence[Message]) -> Batch:
        """Make tags of what comes next."""
        if self._take is not Take.ALL or self._blind:
            messages, self._blind = self._chosen(messages)
        batch, parts = Batch(last=self.last), list[bytes]()
        begin, base = self._begin, self._base
        try:
            if begin != base and not self.size:  # what is appended must not begin before that
                raise struct.error
            before = self._add(batch, parts, messages, self.last >> 24, 0)
        except struct.error:
            # from before the file begins, or beyond 24 bits: each by itself
            batch, parts = Batch(last=self.last), list[bytes]()
            before = 0
            for message in messages:
                time = max(begin, message.timestamp)
                late = Message(message.type, time, message.stream_id, message.payload)
                before = self._add(batch, parts, (late,), time - base >> 24, before)
        if before:
            parts[0] = parts[0][4:]
            parts.append(_SIZE.pack(before))
            # one buffer costs the kernel a tenth less than hundreds of parts (pwritev)
            batch.data = b"".join(parts)
        self.last = batch.last
        self.size += batch.size
        return batch

    def _add(
        self, batch: Batch, parts: list[bytes], messages: Iterable[Message], high: int, before: int
    ) -> int:
        """
        Add tags, each behind the size of the one `before` it; return the size of the last.

        `high`: the highest byte of their timestamps, which stands behind the others and changes
        every four hours. It makes the others fit: struct.error if they do not.
        """
        base, last = self._base + (high << 24), batch.last - (high << 24)
        position, top = batch.size, high & 0xFF
        pack, keys, sound, picture = _NEXT.pack, _KEYS, _AUDIO, _VIDEO
        audio = video = False
        for message in messages:
            kind, payload = message.type, message.payload
            time = message.timestamp - base
            if kind == sound:
                audio = True
                if time > last:
                    last = time
                if len(payload) < _SHORT:
                    tag = audio_tag(payload)
                    if tag.header and tag.slot is not None:
                        batch.headers.append((tag.slot, hash(payload), position))
            elif kind == picture:
                video = True
                if time > last:
                    last = time
                if payload[:1] in keys:
                    tag = video_tag(payload)
                    if tag.keyframe:
                        batch.keyframes.append((time + (high << 24), position))
                    elif tag.header and tag.slot is not None:
                        batch.headers.append((tag.slot, hash(payload), position))
            else:
                payload = self._data(message)
                if not payload:
                    continue
            size = len(payload)
            parts += pack(before, (kind << 24) + size, (time << 8) + top), payload
            before = size + _BEFORE
            position += before + 4
        batch.size = position
        batch.last = last + (high << 24)
        batch.audio |= audio
        batch.video |= video
        return before

    def _chosen(self, messages: Sequence[Message]) -> tuple[Sequence[Message], bool]:
        """What is taken of these, and whether there was still no key frame among them."""
        match self._take:
            case Take.AUDIO:
                messages = [message for message in messages if message.type != _VIDEO]
            case Take.VIDEO:
                messages = [message for message in messages if message.type != _AUDIO]
            case Take.KEYS:
                messages = [message for message in messages if _is_key_or_header(message)]
        return _seen(messages) if self._blind else (messages, False)

    def _data(self, message: Message) -> bytes:
        """The payload of a data message; onMetaData must not say what is wrong for this file."""
        payload = message.payload
        if not is_metadata(message):
            return payload
        if self._metadata is not None and payload == self._metadata.payload:
            return b""
        wrapped = message.type != MessageType.DATA
        return (b"\0" if wrapped else b"") + own_metadata(metadata_in(message))


def cut_at(take: Take, *, pictures: bool) -> Callable[[Message], bool]:
    """What tells whether a file can begin with a message, in the middle of a stream."""
    if take is Take.AUDIO:
        return _is_sound
    return is_frame if take is Take.ALL and not pictures else _is_keyframe


def begin_at(take: Take) -> Callable[[Message], bool]:
    """
    What tells whether there is anything yet that a recording can begin with.

    At the beginning of a stream that may be sound, although pictures may follow.
    """

    def begins(message: Message) -> bool:
        if message.type == _VIDEO:
            return take is not Take.AUDIO and video_tag(message.payload).key
        return take in (Take.ALL, Take.AUDIO) and _is_sound(message)

    return begins


def is_frame(message: Message) -> bool:
    """Whether it is sound or a picture, not only what describes them."""
    if message.type == _VIDEO:
        return video_tag(message.payload).coded
    return _is_sound(message)


def is_metadata(message: Message) -> bool:
    """Whether it is onMetaData."""
    return _body(message).startswith(_METADATA)


def metadata_in(message: Message) -> dict[str, Value]:
    """What an onMetaData says."""
    return metadata_of(_body(message)) or {}


def _seen(messages: Sequence[Message]) -> tuple[list[Message], bool]:
    """Messages without the pictures before the first key frame, and whether there is none."""
    seen, blind = [], True
    for message in messages:
        if blind and message.type == _VIDEO:
            tag = video_tag(message.payload)
            blind = not tag.key
            if blind and tag.coded:
                continue
        seen.append(message)
    return seen, blind


def _body(message: Message) -> bytes:
    """The AMF0 values of a data message."""
    if message.type == MessageType.DATA:
        return message.payload
    return message.payload[1:] if message.type == MessageType.DATA_AMF3 else b""


def _is_sound(message: Message) -> bool:
    return message.type == _AUDIO and audio_tag(message.payload).coded


def _is_keyframe(message: Message) -> bool:
    return message.type == _VIDEO and video_tag(message.payload).keyframe


def _is_key_or_header(message: Message) -> bool:
    if message.type == _VIDEO:
        tag = video_tag(message.payload)
        return tag.key or tag.header
    return message.type != _AUDIO
