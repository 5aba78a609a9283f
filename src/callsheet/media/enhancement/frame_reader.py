"""Read the frames of parts of a video by their stored timestamps."""

from collections.abc import Iterator
from fractions import Fraction

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from callsheet.media.enhancement.frame_shaping import shaped, stored_aspect
from callsheet.media.enhancement.requests import VideoSource
from callsheet.media.thumbnails.stream_decoder import stream_decoder
from callsheet.media.thumbnails.subprocess_protocol import open_source

_SEEK_DISTANCES = (0.0, 2.0, 10.0)
"""Seconds before a frame to which the reader seeks to find a key frame before it; then it reads from the start."""


class FrameReader:
    """The frames of a video in order. Parts that follow each other are read without a seek."""

    def __init__(self, source: VideoSource, threads: int) -> None:
        """Open the video. Raises av.FFmpegError if it cannot be read, ValueError if its frames are too large."""
        self._source = source
        self._threads = threads
        self._next: VideoFrame | None = None
        self._open()

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def frames(self, start: int, end: int | None) -> Iterator[VideoFrame]:
        """Yield the frames with timestamps from `start` up to `end`, without the one at `end`.

        Raises ValueError for a frame without a timestamp.
        """
        if self._next is None or _pts(self._next) != start:
            self._seek(start)
        while (frame := self._next) is not None and (end is None or _pts(frame) < end):
            self._next = next(self._decoded, None)
            if _pts(frame) >= start:
                yield frame

    def peek(self) -> VideoFrame | None:
        """Return the frame after those that were yielded; None at the end of the video."""
        return self._next

    def _open(self) -> None:
        self._container: InputContainer = open_source(self._source.file)
        stream = self._container.streams[self._source.stream]
        if not isinstance(stream, VideoStream):
            raise ValueError("it contains no video")
        if stream.codec_context.width * stream.codec_context.height > self._source.max_pixels:
            raise ValueError("its frames are too large to be decoded safely")
        self._stream = stream
        self._first_aspect = stream.codec_context.sample_aspect_ratio
        self._decoder = stream_decoder(stream, self._source.file.decoder, self._threads)
        self._decoded: Iterator[VideoFrame] = shaped(self._decode(), self._source)
        self._next = next(self._decoded, None)

    def _seek(self, start: int) -> None:
        unit = self._stream.time_base or 1 / av.time_base
        # The lines of an interlaced frame are found with the help of the frame before it.
        lead = 1 if self._source.may_be_interlaced else 0
        for distance in _SEEK_DISTANCES:
            try:
                self._container.seek(start - lead - round(distance / unit), stream=self._stream)
            except av.FFmpegError:  # the format cannot seek
                break
            self._decoder.flush_buffers()
            self._decoded = shaped(self._decode(), self._source)
            self._next = next(self._decoded, None)
            if self._next is not None and _pts(self._next) <= start - lead:
                return
        self.close()
        self._open()

    def _decode(self) -> Iterator[tuple[VideoFrame, Fraction]]:
        """Yield the frames, each with its pixel aspect ratio."""
        for packet in self._container.demux(self._stream):
            try:
                frames = self._decoder.decode(packet if packet.size else None)
            except av.InvalidDataError:  # a damaged frame: players leave it out, too
                continue
            for frame in frames:
                frame.time_base = self._stream.time_base or Fraction(1, av.time_base)
                yield frame, self._pixel_aspect()

    def _pixel_aspect(self) -> Fraction:
        """Return the pixel aspect ratio of the frame that was decoded last, as it is stored."""
        now, first = self._decoder.sample_aspect_ratio, self._first_aspect
        return now if now and first and now != first else stored_aspect(self._source)


def _pts(frame: VideoFrame) -> int:
    if frame.pts is None:
        raise ValueError("its frames have no timestamps; run `transcode` on it first")
    return frame.pts
