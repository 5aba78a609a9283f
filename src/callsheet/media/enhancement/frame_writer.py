"""Encode the frames of one part to an MP4 file without audio."""

from fractions import Fraction
from pathlib import Path

import av
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from callsheet.media.enhancement.requests import ColorTags, EncodeOptions

_KEY_FRAME_SECONDS = 4


class FrameWriter:
    """Writes frames to a file, which is complete after `close`. The first frame starts at 0."""

    def __init__(
        self, path: Path, options: EncodeOptions, color: ColorTags, time_base: Fraction, pixel_aspect: Fraction
    ) -> None:
        self._path = path
        self._options = options
        self._color = color
        self._time_base = time_base
        self._pixel_aspect = pixel_aspect
        self._container = av.open(str(path), "w", format="mp4")
        self._stream: VideoStream | None = None
        self.frames = 0

    def write(self, frame: VideoFrame, pts: int) -> None:
        """Encode a frame with a timestamp in the time base."""
        if self._stream is None:
            self._stream = self._add_stream(frame)
        frame.pts, frame.time_base = pts, self._time_base
        self._container.mux(self._stream.encode(frame))
        self.frames += 1

    def close(self) -> None:
        """Write what the encoder still holds, and the end of the file."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    def _add_stream(self, frame: VideoFrame) -> VideoStream:
        rate = Fraction(*self._options.rate)
        stream = self._container.add_stream(self._options.encoder, rate=rate, options=self._encoder_options(rate))
        assert isinstance(stream, VideoStream)  # noqa: S101 - both encoders are video encoders
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, frame.format.name
        stream.time_base = self._time_base
        codec = stream.codec_context
        codec.time_base, codec.framerate = self._time_base, rate
        codec.sample_aspect_ratio = self._pixel_aspect
        codec.colorspace, codec.color_range = self._color.matrix, self._color.range
        codec.color_primaries, codec.color_trc = self._color.primaries, self._color.transfer
        codec.thread_count = self._options.threads
        if self._options.encoder == "libx265":
            codec.codec_tag = "hvc1"
        return stream

    def _encoder_options(self, rate: Fraction) -> dict[str, str]:
        options = {"crf": str(self._options.crf), "preset": self._options.preset}
        options["g"] = str(max(1, round(_KEY_FRAME_SECONDS * rate)))
        # Parts are joined without an encode, so their headers must be equal, whatever they show.
        if self._options.encoder == "libx264":
            return options | {"x264-params": "stitchable=1"}
        return options | {"x265-params": f"log-level=error:open-gop=0:pools={self._options.threads}"}
