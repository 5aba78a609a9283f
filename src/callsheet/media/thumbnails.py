"""Takes pictures from a video in a process of its own, which a hostile file may crash: `python thumbnails.py REQUEST`.

The request is one JSON object, see `main`. Each line of stdout is a JSON object: `{"done": 0.5}` as it goes, then
`{"frames": [{"file": …, "time": …}], "poster": …}` or `{"error": "…"}`.
It is run by its path and imports nothing of ours, so that it starts quickly.
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream
from PIL import Image, ImageFilter, ImageStat

_SAVING: dict[str, dict[str, Any]] = {
    "jpeg": {"quality": 86, "optimize": True},
    "webp": {"quality": 82, "method": 4},
    "png": {"optimize": True},
}
_POSTER_SIDE = 1920
_COLOURS_NOT_TOLD = 2
_SD_HEIGHT = 576


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Take the pictures.

    `path`, `folder`; `count` of pictures or `interval` in seconds; `width`; `format`; `accuracy`; `poster`: true,
    or seconds; `most` pictures; `demuxer`, or null; `input`: its options; `max_pixels`; `threads`.
    """
    source, demuxer = f"file:{request['path']}", request["demuxer"]
    with av.open(source, format=demuxer, options=request["input"], metadata_errors="replace") as container:
        stream = next((s for s in container.streams.video if not _is_cover(s)), None)
        if stream is None:
            raise ValueError("there is no picture in it")
        if stream.codec_context.width * stream.codec_context.height > request["max_pixels"]:
            raise ValueError("its pictures are too large to be decoded safely")
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = request["threads"]
        film = _Film(container, stream, request["accuracy"])
        times = wanted_times(film.duration, request["count"], request["interval"], request["most"])
        return _take(film, times, request)


def _take(film: "_Film", times: list[float], request: dict[str, Any]) -> dict[str, Any]:
    folder, width, saving = Path(request["folder"]), request["width"], request["format"]
    spacing = times[1] - times[0] if len(times) > 1 else film.duration
    found: dict[float, tuple[Path, float]] = {}
    for index, wanted in enumerate(times):
        frame, time = film.frame_at(wanted, spacing)
        if time not in found:  # two moments may share a key frame
            image = _upright(frame, film.shape, width)
            path = folder / f"frame-{len(found) + 1:03d}.{_suffix(saving)}"
            image.save(path, **_SAVING[saving])
            found[time] = path, _interest(image)
        _tell({"done": (index + 1) / (len(times) + 1)})
    frames = [{"file": path.name, "time": round(time, 3)} for time, (path, _) in sorted(found.items())]
    return {"frames": frames, "poster": _poster(film, found, spacing, request)}


def _poster(
    film: "_Film", found: dict[float, tuple[Path, float]], spacing: float, request: dict[str, Any]
) -> str | None:
    """Save one large picture: that of the moment asked for, else the most telling of those taken."""
    if request["poster"] is False:
        return None
    given = request["poster"] is not True
    time = request["poster"] if given else max(found, key=lambda each: found[each][1])
    film.accuracy = "exact" if given else film.accuracy
    frame, _ = film.frame_at(time, spacing)
    path = Path(request["folder"]) / f"poster.{_suffix(request['format'])}"
    _upright(frame, film.shape, None).save(path, **_SAVING[request["format"]])
    return path.name


def wanted_times(duration: float, count: int | None, interval: float | None, most: int) -> list[float]:
    """Return the moments to show: the middles of equal parts, or every `interval` seconds from the start."""
    if interval is not None:
        number = min(most, max(1, int(duration / interval - 1e-6) + 1))
        return [index * interval for index in range(number)]
    number = min(most, count or 1)
    return [(index + 0.5) * duration / number for index in range(number)]


class _Film:
    """A video in which one can look at any moment."""

    def __init__(self, container: InputContainer, stream: VideoStream, accuracy: str) -> None:
        self.accuracy = accuracy
        self.shape = float(stream.sample_aspect_ratio or 1)
        self._container = container
        self._stream = stream
        self._base = float(stream.time_base or 1 / av.time_base)
        self._start = (stream.start_time or 0) * self._base
        self.duration = self._find_duration()

    def frame_at(self, wanted: float, spacing: float) -> tuple[VideoFrame, float]:
        """Return the picture seen at a moment, with its time in seconds.

        By accuracy: `keyframe`, the key frame before it, which costs one decode; `exact`; `auto`, the key frame
        where that is near enough for pictures that stand `spacing` seconds apart.
        """
        if self.accuracy != "exact":
            frame, time = self._look(wanted, keys_only=True)
            if self.accuracy == "keyframe" or abs(wanted - time) <= spacing / 4:
                return frame, time
        return self._look(wanted, keys_only=False)

    def _look(self, wanted: float, *, keys_only: bool) -> tuple[VideoFrame, float]:
        self._stream.codec_context.skip_frame = "NONKEY" if keys_only else "DEFAULT"
        last: VideoFrame | None = None
        for frame in self._decoded_from(wanted):
            if last is not None and self._time(frame) > wanted + self._base / 2:
                break
            last = frame
            if keys_only:
                break
        if last is None:
            raise ValueError("no picture in it can be decoded")
        return last, self._time(last)

    def _decoded_from(self, wanted: float) -> Iterator[VideoFrame]:
        """Decode from the key frame before a moment, or from the start where the file cannot be searched."""
        ticks = int((wanted + self._start) / self._base)
        for position in dict.fromkeys((ticks, int(self._start / self._base))):
            any_frame = False
            try:
                self._container.seek(position, stream=self._stream, backward=True)
            except av.FFmpegError:
                continue
            for frame in self._container.decode(self._stream):
                any_frame = True
                yield frame
            if any_frame:
                return

    def _time(self, frame: VideoFrame) -> float:
        return max(0.0, (frame.pts or 0) * self._base - self._start)

    def _find_duration(self) -> float:
        if self._stream.duration:
            return float(self._stream.duration * self._base)
        if self._container.duration:
            return float(self._container.duration / av.time_base)
        ends = [(p.pts or 0) + (p.duration or 0) for p in self._container.demux(self._stream) if p.pts is not None]
        self._container.seek(0)
        return float(max(ends, default=0) * self._base - self._start)


def _upright(frame: VideoFrame, shape: float, width: int | None) -> Image.Image:
    """Return the picture as a player shows it: turned, with square pixels, `width` wide (None: as large as it is).

    `shape` is that of a stored pixel, width by height.
    """
    turn = round(frame.rotation) % 360
    seen = (frame.width * shape, float(frame.height))
    across, down = (seen[1], seen[0]) if turn in (90, 270) else seen
    factor = width / across if width else min(1.0, _POSTER_SIDE / max(across, down))
    stored = (max(1, round(seen[0] * factor)), max(1, round(seen[1] * factor)))
    rgb = frame.reformat(*stored, format="rgb24", src_colorspace=_matrix(frame), interpolation=Interpolation.AREA)
    image: Image.Image = rgb.to_image()  # type: ignore[no-untyped-call]
    turns = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}
    return image.transpose(turns[turn]) if turn in turns else image


def _matrix(frame: VideoFrame) -> str | None:
    """Return the colour matrix that players assume where the video does not tell its own."""
    if int(frame.colorspace) != _COLOURS_NOT_TOLD or frame.format.is_rgb:
        return None
    return "ITU709" if frame.height > _SD_HEIGHT else "ITU601"


def _interest(image: Image.Image) -> float:
    """Return how telling a picture is: sharp and neither black nor white."""
    grey = image.convert("L")
    edges = ImageStat.Stat(grey.filter(ImageFilter.FIND_EDGES)).stddev[0]
    return float(edges + ImageStat.Stat(grey).stddev[0] + ImageStat.Stat(image.convert("HSV")).mean[1] / 4)


def _is_cover(stream: VideoStream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _suffix(saving: str) -> str:
    return "jpg" if saving == "jpeg" else saving


def _tell(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _answered(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return work()
    except (av.FFmpegError, MemoryError, ValueError, OSError) as error:
        full = getattr(error, "errno", None) == 28
        return {"error": getattr(error, "strerror", None) or str(error) or type(error).__name__, "disk_full": full}


if __name__ == "__main__":
    _tell(_answered(lambda: main(json.loads(sys.argv[1]))))
