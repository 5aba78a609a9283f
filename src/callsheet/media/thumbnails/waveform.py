"""Draws the sound of a file in a process of its own: `python waveform.py REQUEST`.

The request is one JSON object, see `main`. Each line of stdout is a JSON object: `{"done": 0.5}` as it goes, then
`{"file": …}` or `{"error": "…"}`.
It is run by its path and imports little of ours, so that it starts quickly. The samples stream by: of a film of
hours no more is kept than of one of seconds.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from PIL import Image, ImageDraw

from callsheet.media.thumbnails.subprocess_protocol import ProgressReport, answer

_MOST_PEAKS = 65_536
_FINEST = 16
"""Samples in one peak, at first; twice as many whenever there are too many peaks."""
_GAP = 0.05
"""Seconds without sound that are not taken for inaccurate time stamps."""
_OVERSAMPLING = 4

Peak = tuple[float, float]
"""Lowest and highest of some samples."""


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Draw the picture.

    `path`, `output`, `width`, `height`, `color`; `background`, or null; `duration` of the film in seconds, or null;
    `demuxer`, or null; `input`: its options.
    """
    source, demuxer = f"file:{request['path']}", request["demuxer"]
    with av.open(source, format=demuxer, options=request["input"], metadata_errors="replace") as container:
        sound = _listen(container, request["duration"] or 0.0)
    output = Path(request["output"])
    _drawn(sound.columns(request["width"]), request).save(output, lossless=True)
    return {"file": output.name}


def _listen(container: InputContainer, duration: float) -> "_Sound":
    sound: _Sound | None = None
    progress = ProgressReport()
    resampler = AudioResampler(format="fltp")
    start = (container.start_time or 0) / av.time_base
    for frame in _decoded(container):
        sound = sound or _Sound(frame.sample_rate)
        if frame.time is not None:
            sound.go_to(frame.time - start)
        for part in resampler.resample(frame):
            sound.add(part)
        progress(sound.seconds / max(duration, sound.seconds))
    if sound is None:
        raise ValueError("no sound in it can be decoded")
    sound.go_to(duration)
    return sound


def _decoded(container: InputContainer) -> Iterator[AudioFrame]:
    """Decode the first sound track, as far as it goes."""
    stream = container.streams.audio[0]
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):  # the end, or the file breaks off
            return
        try:
            yield from stream.codec_context.decode(packet)
        except av.FFmpegError:  # a damaged packet costs its own samples only
            continue


class _Sound:
    """The peaks of a sound track, of all its channels together."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._peaks: list[Peak] = []
        self._step = _FINEST
        self._samples = 0
        self._open: Peak = (0.0, 0.0)
        self._filled = 0

    @property
    def seconds(self) -> float:
        """Length so far."""
        return self._samples / self._rate

    def add(self, frame: AudioFrame) -> None:
        """Append the samples of a frame of planar floats."""
        # Of eight channels PyAV tells nine planes (seen with 18.1.0), and reading the last one crashes.
        channels = frame.planes[: frame.layout.nb_channels]
        planes = [bytes(plane)[: frame.samples * 4] for plane in channels]
        at = 0
        while at < frame.samples:
            taken = min(self._step - self._filled, frame.samples - at)
            lowest, highest = zip(*(_extremes(plane, at, taken) for plane in planes), strict=True)
            self._append((min(lowest), max(highest)), taken)
            at += taken

    def go_to(self, time: float) -> None:
        """Append silence up to a time, in seconds, where there is a gap before it."""
        missing = round(time * self._rate) - self._samples
        if missing < _GAP * self._rate:
            return
        while missing > 0:
            taken = min(self._step - self._filled, missing)
            self._append((0.0, 0.0), taken)
            missing -= taken

    def columns(self, count: int) -> list[Peak]:
        """Return the peaks of equal parts, from the start to the end."""
        peaks = [*self._peaks, self._open] if self._filled else self._peaks
        length = self._samples / self._step  # in peaks, of which the last may be short
        columns = []
        for index in range(count):
            first = int(index * length / count)
            until = max(first + 1, math.ceil((index + 1) * length / count))
            lowest, highest = zip(*peaks[first:until], strict=True)
            columns.append((min(lowest), max(highest)))
        return columns

    def _append(self, peak: Peak, samples: int) -> None:
        self._open = (min(peak[0], self._open[0]), max(peak[1], self._open[1])) if self._filled else peak
        self._filled += samples
        self._samples += samples
        if self._filled == self._step:
            self._peaks.append(self._open)
            self._filled = 0
            if len(self._peaks) == _MOST_PEAKS:
                pairs = zip(self._peaks[::2], self._peaks[1::2], strict=True)
                self._peaks = [(min(a[0], b[0]), max(a[1], b[1])) for a, b in pairs]
                self._step *= 2


def _extremes(plane: bytes, at: int, samples: int) -> Peak:
    """Return the lowest and the highest of some floats, which Pillow finds far quicker than Python."""
    row = Image.frombuffer("F", (samples, 1), plane[at * 4 : (at + samples) * 4], "raw", "F", 0, 1)
    lowest, highest = row.getextrema()
    return float(lowest), float(highest)  # type: ignore[arg-type]


def _drawn(columns: list[Peak], request: dict[str, Any]) -> Image.Image:
    size = width, height = request["width"], request["height"]
    shape = Image.new("L", (width, height * _OVERSAMPLING))
    pen = ImageDraw.Draw(shape)
    middle, thin = height * _OVERSAMPLING / 2, _OVERSAMPLING / 2
    for x, (lowest, highest) in enumerate(columns):
        top = min(middle - max(-1.0, min(1.0, highest)) * middle, middle - thin)
        bottom = max(middle - max(-1.0, min(1.0, lowest)) * middle, middle + thin)
        pen.rectangle((x, round(top), x, round(bottom) - 1), fill=255)
    picture = Image.new("RGBA", size, request["background"] or "#00000000")
    if request["background"] is None:
        picture.paste(request["color"], (0, 0, *size))
        picture.putalpha(shape.reduce((1, _OVERSAMPLING)))
        return picture
    picture.paste(request["color"], (0, 0, *size), shape.reduce((1, _OVERSAMPLING)))
    return picture.convert("RGB")


if __name__ == "__main__":
    answer(main)
