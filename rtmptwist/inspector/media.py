"""Audio and video payloads in words: codec, what kind of frame, what a header says, tracks."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

from rtmptwist.inspector.values import printable
from rtmptwist.media.details import Details, read_details
from rtmptwist.media.errors import MediaError
from rtmptwist.media.packet import Content, Kind, Packet, read_audio, read_video

_FRAMES: Final = {
    1: "key frame",
    2: "inter frame",
    3: "disposable frame",
    4: "generated key frame",
}
_PARTS: Final = 8
"Tracks of one payload that are named."


@dataclass(frozen=True, slots=True)
class Payload:
    """What an audio or video message is."""

    words: str
    facts: dict[str, Any] = field(default_factory=dict)
    frame: bool = False
    "One of the thousands: coded sound or pictures, and nothing wrong with it."

    key: bool = False
    trouble: str = ""
    "Why it cannot be read."


def describe(kind: Kind, payload: bytes) -> Payload:
    """Tell what a payload is. Never raises."""
    size = f"{len(payload)} bytes"
    try:
        packet = read_audio(payload) if kind is Kind.AUDIO else read_video(payload)
    except MediaError as error:
        return Payload(f"{kind.value}, {size}", trouble=printable(str(error)))
    frame = packet.content is Content.FRAME
    details = () if frame else read_details(kind, payload)
    words = [kind.value, *(["(Enhanced)"] if packet.enhanced else []), _what(packet)]
    if packet.content is Content.OPAQUE:
        words.append("(not understood, relayed as it is)")
    said = [words, *_tracks(packet, details)]
    if packet.nanoseconds:
        said.append([f"+{packet.nanoseconds} ns"])
    facts: dict[str, Any] = {
        "content": packet.content.value,
        "enhanced": packet.enhanced,
        "tracks": [_facts(part.track, part.codec, details) for part in packet.parts[:_PARTS]],
    }
    if frame and kind is Kind.VIDEO:
        facts["frame"] = _FRAMES.get(packet.frame_type, str(packet.frame_type))
        facts["composition_time"] = packet.parts[0].composition_time
    return Payload(
        ", ".join(" ".join(part) for part in said) + f", {size}",
        facts,
        frame=frame,
        key=frame and packet.frame_type in (1, 4),
    )


def _what(packet: Packet) -> str:
    if packet.content is Content.FRAME and packet.kind is Kind.VIDEO:
        return _FRAMES.get(packet.frame_type, f"frame of type {packet.frame_type}")
    return packet.content.value


def _tracks(packet: Packet, details: tuple[Details, ...]) -> list[list[str]]:
    """A list of words for each track."""
    several = len(packet.parts) > 1 or any(part.track for part in packet.parts)
    found = []
    for part in packet.parts[:_PARTS]:
        words = [f"track {part.track}"] if several else []
        said = next((each for each in details if each.number == part.track), None)
        words.append(printable((said.parameters if said else "") or part.codec or "no codec"))
        if said is not None:
            words += _said(said)
        if part.composition_time:
            words.append(f"{part.composition_time:+d} ms")
        found.append(words)
    if len(packet.parts) > _PARTS:
        found.append([f"{len(packet.parts)} tracks in all"])
    return found


def _said(details: Details) -> list[str]:
    words = [details.profile, details.level]
    if details.width:
        words.append(f"{details.width}x{details.height}")
    if details.sample_rate:
        words.append(f"{details.sample_rate} Hz")
    if details.channels:
        words.append(f"{details.channels} channel{'s' if details.channels > 1 else ''}")
    return [word for word in words if word]


def _facts(track: int, codec: str, details: tuple[Details, ...]) -> dict[str, Any]:
    said = next((each for each in details if each.number == track), None)
    known = asdict(said) if said is not None else {}
    more = {k: v for k, v in known.items() if v and k not in ("kind", "number", "codec")}
    return {"track": track, "codec": printable(codec), **more}
