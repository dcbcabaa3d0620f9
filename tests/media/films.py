"""Files that are played: from memory, through FFmpeg 9, and what it makes of them."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Iterator
from pathlib import Path

from rtmptwist.media.container import Container, Point
from rtmptwist.media.flv import AUDIO, SCRIPT, VIDEO, FlvReader, FlvTag
from rtmptwist.media.tag import Tag, audio_tag, video_tag
from tests.media.samples import FOLDER
from tests.support.programs import ffmpeg9


class Film:
    """`Source`: a file in memory."""

    def __init__(self, data: bytes | str) -> None:
        """`data`: bytes, or the name of a sample."""
        self.data = (FOLDER / data).read_bytes() if isinstance(data, str) else data
        self.reads = 0
        self._file = io.BytesIO(self.data)

    def read(self, position: int, size: int) -> bytes:
        """As `Source`."""
        self.reads += 1
        self._file.seek(position)
        return self._file.read(size)

    @property
    def size(self) -> int:
        """As `Source`."""
        return len(self.data)


def what(tag: FlvTag) -> Tag:
    """What a tag of sound or pictures carries."""
    return (video_tag if tag.type == VIDEO else audio_tag)(tag.payload)


def frames(tags: list[FlvTag]) -> dict[int, list[FlvTag]]:
    """The frames of pictures and of sound, each in their order."""
    return {
        kind: [tag for tag in tags if tag.type == kind and what(tag).coded]
        for kind in (AUDIO, VIDEO)
    }


def headers(tags: list[FlvTag]) -> list[bytes]:
    """The sequence headers; FFmpeg writes an empty one before that of ADTS."""
    return [
        tag.payload
        for tag in tags
        if tag.type != SCRIPT and what(tag).header and "sequence" in what(tag).content.value
    ]


def remuxed(path: Path) -> list[FlvTag]:
    """What FFmpeg 9 makes of a file: the tags of an FLV."""
    command = [ffmpeg9(), "-v", "error", "-nostdin", "-i", str(path), "-c", "copy", "-f", "flv"]
    done = subprocess.run([*command, "-"], capture_output=True, check=True, timeout=60)
    return [tag for tag in FlvReader().feed(done.stdout) if len(tag.payload) > 2]


def mp4(path: Path, *sources: Path, options: tuple[str, ...] = (), skip: str = "") -> Path:
    """Let FFmpeg 9 make an MP4 of the packets of other files."""
    before = ["-ss", skip] if skip else []
    inputs = [part for source in sources for part in (*before, "-i", str(source))]
    subprocess.run(
        [ffmpeg9(), "-v", "error", "-nostdin", *inputs, "-c", "copy", "-strict", "-2",
         "-fflags", "+bitexact", *options, str(path)],
        check=True, timeout=60,
    )  # fmt: skip
    return path


def blocks(film: Container, point: Point, size: int = 1 << 14) -> Iterator[list[FlvTag]]:
    """Everything from a point on, block by block."""
    place = point.place
    while (block := film.read(place, size)).tags:
        yield block.tags
        place = block.next


def played(film: Container, point: Point, size: int = 1 << 14) -> list[FlvTag]:
    """Everything from a point on, without its headers."""
    return [tag for tags in blocks(film, point, size) for tag in tags]
