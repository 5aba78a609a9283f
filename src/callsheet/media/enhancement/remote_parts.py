"""Parts of a video whose frames a server makes: written for the server, and encoded from what it returns."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image as PillowImage

from callsheet.media.enhancement.frame_reader import FrameReader
from callsheet.media.enhancement.inference import Image
from callsheet.media.enhancement.parallel import ordered_map
from callsheet.media.enhancement.part_writer import OutputFrame, PartFormat, write_parts
from callsheet.media.enhancement.pixels import to_frame, to_image
from callsheet.media.enhancement.requests import EncodeRequest, ExtractRequest

_RATE = 25
"""Frames per second of the file for the server. The true times are kept here."""
# Without B-frames, no decoder starts before 0; with qp 0, nothing is lost.
_LOSSLESS = {"qp": "0", "preset": "veryfast", "bf": "0"}


def extract_part(request: ExtractRequest) -> Iterator[dict[str, Any]]:
    """Write the frames of a part as they are displayed. Yield `{"times": […], "size": [width, height]}`.

    The times are timestamps from the start of the part. Raises ValueError if no frame can be decoded.
    """
    reader = FrameReader(request.source, request.threads)
    source, times = request.source, list[int]()
    with av.open(request.output, "w", format="mp4") as container:
        stream: VideoStream | None = None
        for frame in reader.frames(request.part.start, request.part.end):
            assert frame.pts is not None  # noqa: S101 - the reader checks it
            image = to_image(frame, source)
            if stream is None:
                stream = _lossless_stream(container, image)
            shown = VideoFrame.from_ndarray(_to_bytes(image), format="rgb24")
            shown.pts, shown.time_base = len(times), Fraction(1, _RATE)
            container.mux(stream.encode(shown))
            times.append(frame.pts - request.part.start)
        if stream is None:
            raise ValueError(f"none of the frames of part {request.part.number} can be decoded")
        container.mux(stream.encode(None))
    reader.close()
    yield {"times": times, "size": [stream.width, stream.height]}


def _lossless_stream(container: Any, image: Image) -> VideoStream:
    stream = container.add_stream("libx264rgb", rate=_RATE, options=_LOSSLESS)
    assert isinstance(stream, VideoStream)  # noqa: S101 - it is a video encoder
    _, stream.height, stream.width = image.shape
    stream.pix_fmt = "rgb24"
    return stream


def _to_bytes(image: Image) -> Any:
    return np.ascontiguousarray((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0))


def encode_received(request: EncodeRequest) -> Iterator[dict[str, Any]]:
    """Encode received frames. Yield the messages of `write_parts`, and then `{"received": number of frames}`.

    Frames beyond those of the part are only counted. Raises ValueError for a frame of another size.
    """
    part, color, received = request.part, request.source.color, 0
    size = request.size if request.size != _even(request.received_size) else None

    def convert(item: tuple[int, str | VideoFrame]) -> OutputFrame:
        number, frame = item
        image = _read_image(frame, request.received_size)
        return OutputFrame(part, request.times[number], to_frame(image, color, depth=8, size=size))

    def frames() -> Iterator[tuple[int, str | VideoFrame]]:
        nonlocal received
        for number, frame in enumerate(_received(request)):
            received = number + 1
            if number < len(request.times):
                yield number, frame

    def output() -> Iterator[OutputFrame]:
        yield from ordered_map(convert, frames(), request.threads)
        yield OutputFrame(part)

    pixel_aspect = Fraction(*request.source.pixel_aspect)
    form = PartFormat(Path(request.folder), request.encode, color, Fraction(*request.time_base), pixel_aspect)
    yield from write_parts(output(), form)
    yield {"received": received}


def _even(size: tuple[int, int]) -> tuple[int, int]:
    return size[0] - size[0] % 2, size[1] - size[1] % 2


def _received(request: EncodeRequest) -> Iterator[str | VideoFrame]:
    if request.kind == "images":
        yield from request.files
        return
    options = {"protocol_whitelist": "file,pipe"}
    with av.open(f"file:{request.files[0]}", options=options, metadata_errors="replace") as container:
        stream = container.streams.video[0]
        _check_size((stream.codec_context.width, stream.codec_context.height), request.received_size)
        yield from container.decode(stream)


def _read_image(frame: str | VideoFrame, size: tuple[int, int]) -> Image:
    if isinstance(frame, VideoFrame):
        _check_size((frame.width, frame.height), size)
        pixels = frame.to_ndarray(format="rgb24")
    else:
        with PillowImage.open(frame) as opened:
            _check_size(opened.size, size)
            pixels = np.asarray(opened.convert("RGB"))
    return np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32) / np.float32(255)


def _check_size(size: tuple[int, int], expected: tuple[int, int]) -> None:
    if size != expected:
        raise ValueError(
            f"a frame from the server is {size[0]}x{size[1]}, and the first one {'x'.join(map(str, expected))}"
        )
