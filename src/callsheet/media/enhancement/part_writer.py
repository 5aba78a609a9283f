"""Write a stream of frames to the files of their parts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.video.frame import VideoFrame

from callsheet.media.enhancement.frame_writer import FrameWriter
from callsheet.media.enhancement.requests import ColorTags, EncodeOptions, Part


@dataclass(frozen=True, slots=True)
class OutputFrame:
    """A frame of a part; without a frame, the end of the part."""

    part: Part
    pts: int = 0
    """From the start of the part, in the time base of the output."""
    frame: VideoFrame | None = None


@dataclass(frozen=True, slots=True)
class PartFormat:
    """What the files of all parts have in common."""

    folder: Path
    encode: EncodeOptions
    color: ColorTags
    time_base: Fraction
    pixel_aspect: Fraction


def write_parts(frames: Iterable[OutputFrame], form: PartFormat) -> Iterator[dict[str, Any]]:
    """Encode frames, part by part. Yield `{"done": n}` per frame, and `{"part": [number, frames]}` per finished file.

    A part without frames has no file.
    """
    done = 0
    writer: FrameWriter | None = None
    for each in frames:
        if each.frame is None:
            count = writer.frames if writer is not None else 0
            if writer is not None:
                writer.close()
                writer = None
            yield {"part": [each.part.number, count]}
            continue
        if writer is None:
            path = form.folder / f"{each.part.number}.mp4"
            writer = FrameWriter(path, form.encode, form.color, form.time_base, form.pixel_aspect)
        writer.write(each.frame, each.pts)
        done += 1
        yield {"done": done}
