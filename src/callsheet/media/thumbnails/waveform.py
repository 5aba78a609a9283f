"""Waveform script: draws the audio of a file in a child process, as `python waveform.py REQUEST`.

REQUEST is a `WaveformJob` as JSON. See `subprocess_protocol` for the output. The script is run by its path, and imports
few modules, so that it starts quickly. It streams the samples, so its memory does not depend on the duration.
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

from callsheet.media.thumbnails.preview_requests import WaveformJob, WaveformRequest
from callsheet.media.thumbnails.subprocess_protocol import ProgressReporter, open_source, run_request

_MAX_PEAKS = 65_536
_MIN_STEP = 16
"""Samples per peak at the start. The number doubles whenever there are too many peaks."""
_MAX_TIMESTAMP_ERROR = 0.05
"""Seconds. A longer gap between timestamps counts as silence."""
_OVERSAMPLING = 4

Peak = tuple[float, float]
"""Minimum and maximum of consecutive samples."""


def main(data: dict[str, Any]) -> dict[str, Any]:
    """Draw the waveform and return its file name."""
    job = WaveformJob.from_json(data)
    with open_source(job.source) as container:
        peaks = _read_peaks(container, job.source.stream, job.request.duration or 0.0)
    output = Path(job.output)
    _draw(peaks.columns(job.request.width), job.request).save(output, lossless=True)
    return {"file": output.name}


def _read_peaks(container: InputContainer, stream: int | None, duration: float) -> "_Peaks":
    peaks: _Peaks | None = None
    progress = ProgressReporter()
    resampler = AudioResampler(format="fltp")
    start = (container.start_time or 0) / av.time_base
    for frame in _decode_audio(container, stream):
        peaks = peaks or _Peaks(frame.sample_rate)
        if frame.time is not None:
            peaks.pad_to(frame.time - start)
        for part in resampler.resample(frame):
            peaks.add(part)
        progress(peaks.seconds / max(duration, peaks.seconds))
    if peaks is None:
        raise ValueError("its audio cannot be decoded")
    peaks.pad_to(duration)
    return peaks


def _decode_audio(container: InputContainer, index: int | None) -> Iterator[AudioFrame]:
    """Yield the frames of an audio stream, to the end or the truncation of the file."""
    stream = next(each for each in container.streams.audio if index in (None, each.index))
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):  # end of file, or truncated file
            return
        try:
            yield from stream.codec_context.decode(packet)
        except av.FFmpegError:  # a damaged packet loses only its own samples
            continue


class _Peaks:
    """Peaks of an audio stream over all its channels."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._peaks: list[Peak] = []
        self._step = _MIN_STEP
        self._samples = 0
        self._partial: Peak = (0.0, 0.0)
        self._partial_samples = 0

    @property
    def seconds(self) -> float:
        """Duration of all samples so far."""
        return self._samples / self._sample_rate

    def add(self, frame: AudioFrame) -> None:
        """Add the samples of a frame of planar floats."""
        # PyAV reports nine planes for eight channels (seen with 18.1.0). Reading the last one crashes.
        channels = frame.planes[: frame.layout.nb_channels]
        planes = [bytes(plane)[: frame.samples * 4] for plane in channels]
        offset = 0
        while offset < frame.samples:
            count = min(self._step - self._partial_samples, frame.samples - offset)
            lowest, highest = zip(*(_extremes(plane, offset, count) for plane in planes), strict=True)
            self._append((min(lowest), max(highest)), count)
            offset += count

    def pad_to(self, time: float) -> None:
        """Add silence up to a time in seconds, if there is a gap before it."""
        missing = round(time * self._sample_rate) - self._samples
        if missing < _MAX_TIMESTAMP_ERROR * self._sample_rate:
            return
        while missing > 0:
            count = min(self._step - self._partial_samples, missing)
            self._append((0.0, 0.0), count)
            missing -= count

    def columns(self, count: int) -> list[Peak]:
        """Return the peaks of `count` equal parts."""
        peaks = [*self._peaks, self._partial] if self._partial_samples else self._peaks
        length = self._samples / self._step  # in peaks; the last one may be partial
        columns = []
        for index in range(count):
            first = int(index * length / count)
            until = max(first + 1, math.ceil((index + 1) * length / count))
            lowest, highest = zip(*peaks[first:until], strict=True)
            columns.append((min(lowest), max(highest)))
        return columns

    def _append(self, peak: Peak, samples: int) -> None:
        if self._partial_samples:
            self._partial = (min(peak[0], self._partial[0]), max(peak[1], self._partial[1]))
        else:
            self._partial = peak
        self._partial_samples += samples
        self._samples += samples
        if self._partial_samples == self._step:
            self._peaks.append(self._partial)
            self._partial_samples = 0
            if len(self._peaks) == _MAX_PEAKS:
                pairs = zip(self._peaks[::2], self._peaks[1::2], strict=True)
                self._peaks = [(min(a[0], b[0]), max(a[1], b[1])) for a, b in pairs]
                self._step *= 2


def _extremes(plane: bytes, offset: int, samples: int) -> Peak:
    """Return the minimum and maximum of floats. Pillow is much faster than Python here."""
    row = Image.frombuffer("F", (samples, 1), plane[offset * 4 : (offset + samples) * 4], "raw", "F", 0, 1)
    lowest, highest = row.getextrema()
    return float(lowest), float(highest)  # type: ignore[arg-type]


def _draw(columns: list[Peak], request: WaveformRequest) -> Image.Image:
    size = width, height = request.width, request.height
    mask = Image.new("L", (width, height * _OVERSAMPLING))
    pen = ImageDraw.Draw(mask)
    middle, min_height = height * _OVERSAMPLING / 2, _OVERSAMPLING / 2
    for x, (lowest, highest) in enumerate(columns):
        top = min(middle - max(-1.0, min(1.0, highest)) * middle, middle - min_height)
        bottom = max(middle - max(-1.0, min(1.0, lowest)) * middle, middle + min_height)
        pen.rectangle((x, round(top), x, round(bottom) - 1), fill=255)
    image = Image.new("RGBA", size, request.background or "#00000000")
    if request.background is None:
        image.paste(request.color, (0, 0, *size))
        image.putalpha(mask.reduce((1, _OVERSAMPLING)))
        return image
    image.paste(request.color, (0, 0, *size), mask.reduce((1, _OVERSAMPLING)))
    return image.convert("RGB")


if __name__ == "__main__":
    run_request(main)
