"""Makes a short silent film that plays by itself on a page, as WebP or GIF."""

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import av.filter
from av.filter.context import FilterContext
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream

from callsheet.media.thumbnails.display_image import display_image
from callsheet.media.thumbnails.frame_score import frame_score
from callsheet.media.thumbnails.video_reader import VideoReader

_LOOKS = 4
"""Pictures looked at to find the best moment of a part of the film."""
_JUDGED_SIDE = 320
_ROOM = 2
"""How many times longer than its animation a film has to be for choosing moments of it."""
_TRIES = 6
_LEAST_WIDTH = 16
_LONGEST = 1600

Tell = Callable[[float], None]
Piece = tuple[float, float]
"""Where it starts, and how long it is, in seconds."""


def animate(reel: VideoReader, wish: dict[str, Any], folder: Path, tell: Tell) -> dict[str, Any]:
    """Make the film. `wish`: `format`, `seconds`, `fps`, `width`, `start`, `highlights`, `max_bytes`.

    It is made narrower until it has at most `max_bytes`. Raises ValueError where that cannot be reached.
    """
    cut, output = folder / "animation-cut.mkv", folder / f"animation.{wish['format']}"
    pieces = _pieces(reel, wish, lambda done: tell(0.3 * done))
    width = _cut(reel, pieces, wish, cut, lambda done: tell(0.3 + 0.4 * done))
    least, encode = min(_LEAST_WIDTH, width), _write_gif if wish["format"] == "gif" else _write_webp
    for attempt in range(_TRIES):
        encode(cut, output, width)
        tell(0.7 + 0.3 * (attempt + 1) / _TRIES)
        size = output.stat().st_size
        if size <= wish["max_bytes"]:
            cut.unlink()
            return {"file": output.name, "width": width}
        # The number of bytes goes with that of pixels; a little less, so that the next try fits.
        width = max(least, int(width * min(0.85, 0.95 * math.sqrt(wish["max_bytes"] / size))))
    raise ValueError(f"an animation of these pictures does not fit into {wish['max_bytes']:,} bytes")


def _pieces(reel: VideoReader, wish: dict[str, Any], tell: Tell) -> list[Piece]:
    """Return the stretches to show: one from `start`, else the most telling one of each of equal parts."""
    seconds = min(wish["seconds"], reel.duration)
    if wish["start"] is not None:
        start = min(wish["start"], reel.duration)
        return [(start, min(seconds, max(reel.duration - start, 1 / wish["fps"])))]
    number = wish["highlights"] if reel.duration > _ROOM * seconds else 1
    length, part = seconds / number, reel.duration / number
    pieces = []
    for index in range(number):
        pieces.append((_best_start(reel, index * part, part, length), length))
        tell((index + 1) / number)
    return pieces


def _best_start(reel: VideoReader, start: float, part: float, length: float) -> float:
    room = part - length
    if room <= 0:
        return start
    slack = room / _LOOKS
    judged = [
        # Both ends count, so that it does not run into a fade or the end of a scene.
        (min(_interest(reel, look, slack), _interest(reel, look + length, slack)), -look)
        for look in (start + room * (index + 0.5) / _LOOKS for index in range(_LOOKS))
    ]
    return -max(judged)[1]


def _interest(reel: VideoReader, time: float, slack: float) -> float:
    return frame_score(display_image(reel.frame_at(time, slack)[0], reel.shape, longest=_JUDGED_SIDE))


def _cut(reel: VideoReader, pieces: list[Piece], wish: dict[str, Any], path: Path, tell: Tell) -> int:
    """Write the pictures without loss, at the size and rate of the animation, so that the film is read once.

    Return their width, which is less than wished for where they would be too high.
    """
    fps = Fraction(wish["fps"]).limit_denominator(1000)
    moments = [start + n / fps for start, length in pieces for n in range(max(1, round(length * fps)))]
    size: tuple[int, int] | None = None

    def pictures() -> Iterator[VideoFrame]:
        nonlocal size
        for index, moment in enumerate(moments):
            image = display_image(reel.frame_at(float(moment))[0], reel.shape, wish["width"], longest=_LONGEST)
            size = size or image.size  # a film may change its size
            frame: VideoFrame = VideoFrame.from_image(image.resize(size))  # type: ignore[no-untyped-call]
            frame.pts, frame.time_base = index, 1 / fps
            yield frame.reformat(format="bgr0")
            tell((index + 1) / len(moments))

    _write(path, "ffv1", pictures())
    assert size is not None  # noqa: S101 - there is always a first picture
    return size[0]


def _write_webp(cut: Path, output: Path, width: int) -> None:
    _write(output, "libwebp_anim", _pictures(cut, width), quality="70", compression_level="4")


def _write_gif(cut: Path, output: Path, width: int) -> None:
    """Write it in the 256 colours that fit these pictures best."""
    palette = _palette(_pictures(cut, width))
    _write(output, "gif", _painted(_pictures(cut, width), palette))


def _pictures(cut: Path, width: int) -> Iterator[VideoFrame]:
    with av.open(str(cut)) as container:
        for frame in container.decode(container.streams.video[0]):
            height = max(1, round(frame.height * width / frame.width))
            yield frame.reformat(width, height, format="bgra", interpolation=Interpolation.AREA)


def _palette(pictures: Iterator[VideoFrame]) -> VideoFrame:
    first = next(pictures)
    graph = av.filter.Graph()
    graph.link_nodes(_source(graph, first), graph.add("palettegen", "stats_mode=full"), graph.add("buffersink"))
    graph.configure()
    for picture in chain([first], pictures):
        graph.vpush(picture)
    graph.vpush(None)
    return graph.vpull()


def _painted(pictures: Iterator[VideoFrame], palette: VideoFrame) -> Iterator[VideoFrame]:
    first = next(pictures)
    graph = _painter(first, palette)
    for picture in chain([first], pictures):
        graph.vpush(picture, 0)
        yield from _pulled(graph)
    graph.vpush(None, 0)
    yield from _pulled(graph)


def _painter(picture: VideoFrame, palette: VideoFrame) -> av.filter.Graph:
    graph = av.filter.Graph()
    painter = graph.add("paletteuse", "dither=sierra2_4a:diff_mode=rectangle")
    _source(graph, picture).link_to(painter, 0, 0)
    _source(graph, palette).link_to(painter, 0, 1)
    graph.link_nodes(painter, graph.add("buffersink")).configure()
    graph.vpush(palette, 1)
    graph.vpush(None, 1)
    return graph


def _pulled(graph: av.filter.Graph) -> Iterator[VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (av.BlockingIOError, av.EOFError):
            return


def _source(graph: av.filter.Graph, like: VideoFrame) -> FilterContext:
    return graph.add_buffer(width=like.width, height=like.height, format=like.format, time_base=like.time_base)


def _write(output: Path, codec: str, pictures: Iterator[VideoFrame], **options: str) -> None:
    first = next(pictures)
    with av.open(str(output), "w", options={"loop": "0"}) as container:
        stream = container.add_stream(codec, options=options)
        assert isinstance(stream, VideoStream) and first.time_base  # noqa: S101 - as asked, and as given
        stream.codec_context.time_base, stream.codec_context.framerate = first.time_base, 1 / first.time_base
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, first.format.name
        for picture in chain([first], pictures):
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
