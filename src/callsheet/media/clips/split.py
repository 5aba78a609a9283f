"""Split a file into parts. Together they contain every frame and every sample of the source."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from callsheet.media.clips.pcm_range import pcm_range_args
from callsheet.media.encoding import codecs
from callsheet.media.encoding.codecs import Format
from callsheet.media.encoding.encoders import Encoder
from callsheet.media.encoding.pcm import SAMPLE_RATE, sample_at
from callsheet.media.encoding.stream_copy_rules import channel_layout, container_for, default_audio_args
from callsheet.media.ffmpeg.filter_graph import FilterGraph
from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.ffmpeg.runner import FFmpeg, FFmpegReport
from callsheet.media.filters.scaling import Box, flatten_alpha, scale_to_box
from callsheet.media.filters.source_frames import copy_input, picture_input, picture_stream, source_frames
from callsheet.media.probing.frame_index import FrameIndex, read_frame_index
from callsheet.media.probing.output_checks import (
    audio_presence_problems,
    check_frame_count,
    check_stderr,
    duration_problems,
    frame_count_problems,
    raise_on_problems,
)
from callsheet.media.probing.probe import MediaInfo, probe_details
from callsheet.media.values import even

_BACKGROUND = "#000000"
"""What is seen through transparent video."""
_VIDEO_SHARE = 0.7
"""Share of the progress for writing the video segments."""
_MIN_HELD = 0.05
"""Seconds. A last frame that is shown longer than the others by less need not be."""
_LOST_SHARE = 0.1
"""Share of the frames of a damaged source that a part may lack."""
_DURATION_TOLERANCE = 0.1
"""Seconds. Audio codecs encode whole frames, so that audio may end after the video."""


@dataclass(frozen=True, slots=True)
class SplitPoint:
    """The border between two parts."""

    time: Fraction
    """Seconds from the start of the source."""
    frame: int | None = None
    """The first frame after it. None for audio files."""


@dataclass(frozen=True, slots=True)
class SplitPart:
    """One part of a file, as a file of its own."""

    path: Path
    format: Format
    start: float
    """Seconds from the start of the source."""
    seconds: float
    frame_count: int | None
    """None for audio files."""


@dataclass(frozen=True, slots=True)
class Splitter:
    """Splits a file, in a folder.

    `frames` is None for audio files. The video is encoded by `encoder`; without an encoder it is copied, and split at
    key frames.
    """

    source: MediaInfo
    ffmpeg: FFmpeg
    folder: Path
    frames: FrameIndex | None = None
    encoder: Encoder | None = None
    notes: dict[str, None] = field(default_factory=dict)
    """Damage that was found while the source was read."""

    @property
    def stream_copy(self) -> bool:
        """Whether the video is copied without encoding."""
        return self.frames is not None and self.encoder is None

    @property
    def seconds(self) -> float:
        """Duration of the video, or of an audio file."""
        if self.frames is None:
            return self.source.probe.duration or 0.0
        return float(self.frames.length + self._delay)

    @property
    def _delay(self) -> Fraction:
        """Seconds before the first frame, in which there is only audio. Less than half a frame is left out."""
        delay = self.source.video_delay
        return Fraction(delay).limit_denominator(SAMPLE_RATE) if delay > 1 / (2 * self.source.rate) else Fraction(0)

    @property
    def format(self) -> Format:
        """The container of the parts."""
        return "mp4" if self.encoder is not None else container_for(self.source.probe.video_codec)

    def split_points(self, times: Sequence[float]) -> list[SplitPoint]:
        """Return the frames or samples nearest to the requested times, in seconds, at which a split is possible."""
        if self.frames is None:
            return [SplitPoint(Fraction(sample_at(Fraction(time)), SAMPLE_RATE)) for time in times]
        nearest = self.frames.nearest_key_frame if self.stream_copy else self.frames.nearest
        delay = self._delay
        numbers = sorted({nearest(time - float(delay)) for time in times} - {0, len(self.frames)})
        return [SplitPoint(self.frames.times[number] + delay, number) for number in numbers]

    async def split(self, points: Sequence[SplitPoint], on_progress: Callable[[float], None]) -> list[SplitPart]:
        """Split at points from `split_points`, and return the verified parts.

        Raises FFmpegFailed if the source is truncated, or a part differs from the plan.
        """
        borders = [SplitPoint(Fraction(0), 0), *points, self._end()]
        await self._write_video(
            [point.frame for point in points if point.frame], lambda share: on_progress(share * _VIDEO_SHARE)
        )
        audio = await self._write_audio(borders[-1].time)
        parts: list[SplitPart] = []
        for number, (start, end) in enumerate(pairwise(borders)):
            parts.append(await self._write_part(number, start, end, audio))
            on_progress(_VIDEO_SHARE + (1 - _VIDEO_SHARE) * len(parts) / (len(borders) - 1))
        return parts

    def _end(self) -> SplitPoint:
        """Return the end of the last part. Audio that continues after the video is kept."""
        video_end = (
            self.frames.length + self._delay
            if self.frames is not None
            else Fraction(self.seconds).limit_denominator(SAMPLE_RATE)
        )
        audio_end = Fraction(0)
        if self.source.has_audio and (length := self.source.audio.duration):
            delay = self.source.stream_delay(self.source.audio)
            audio_end = Fraction(delay + length - self._audio_start).limit_denominator(SAMPLE_RATE)
        return SplitPoint(max(video_end, audio_end), len(self.frames) if self.frames is not None else None)

    @property
    def _audio_start(self) -> float:
        """Seconds from the start of the file to the start of the first part."""
        return max(0.0, self.source.video_delay - float(self._delay))

    async def _write_video(self, first_frames: list[int], on_progress: Callable[[float], None]) -> None:
        """Write the video of each part to a file. Every part but the first starts with one of the numbered frames."""
        if self.frames is None:
            return
        args = copy_input(self.source) if self.encoder is None else picture_input(self.source)
        args += self._video_args(first_frames)
        args += ["-an", "-sn", "-dn", "-map_metadata", "-1", "-map_chapters", "-1"]
        muxer = codecs.MUXERS[self.format]
        if first_frames:
            args += ["-f", "segment", "-segment_format", muxer, "-reset_timestamps", "1"]
            args += ["-segment_frames", ",".join(map(str, first_frames)), f"file:picture%05d.{self.format}"]
        else:
            args += ["-f", muxer, f"file:picture00000.{self.format}"]
        report = await self.ffmpeg.run(args, duration=self.seconds, on_progress=on_progress, cwd=self.folder)
        self._note_damage(report)
        if not self.notes:
            check_frame_count(report, len(self.frames), f"'{self.source.path.name}'")

    def _video_args(self, first_frames: list[int]) -> list[str]:
        """Return the video arguments. If the video is encoded, each part starts with a forced key frame."""
        if self.encoder is None:
            return ["-map", picture_stream(self.source), "-c:v", "copy"]
        assert self.frames is not None  # noqa: S101 - only video is encoded
        times = self.frames.times
        # Slightly before each frame, since timestamps are rounded: some encoders round to the nearest frame.
        keys = ",".join(f"{float(times[n] - (times[n] - times[n - 1]) / 4):.6f}" for n in first_frames)
        graph, args = FilterGraph(), self.encoder.device_args
        return [
            *args,
            *("-map", f"[{self._normalized(graph)}]", "-filter_complex", str(graph), "-fps_mode", "passthrough"),
            *self.encoder.args(rate=None, threads=self.ffmpeg.threads),
            # Without B-frames, the last frame of the file is the last one that is shown.
            *(("-bf", "0") if any(self._is_held(end) for end in (*first_frames, len(self.frames))) else ()),
            *(("-force_key_frames", keys) if keys else ()),
        ]

    def _normalized(self, graph: FilterGraph) -> str:
        """Append filters that apply rotation, square pixels and BT.709, which every player displays correctly."""
        facts = self.source.probe
        assert self.encoder is not None and facts.width and facts.height  # noqa: S101 - it is a video to encode
        stream = source_frames(graph, picture_stream(self.source), self.source)
        stream = graph.add("setpts", stream, expr="PTS-STARTPTS")
        stream = flatten_alpha(graph, stream, self.source, _BACKGROUND)
        stream = scale_to_box(graph, stream, self.source, Box(even(facts.width), even(facts.height), "fill"))
        return graph.chain(stream, *self.encoder.last_filters)

    async def _write_audio(self, end: Fraction) -> MediaInfo | None:
        """Write the whole audio as PCM, and return it. None without an audio stream."""
        if not self.source.has_audio:
            return None
        path = self.folder / "sound.w64"
        layout = channel_layout(self.source.audio)
        report = await self.ffmpeg.run(
            pcm_range_args(self.source, path, count=sample_at(end), start=self._audio_start, layout=layout)
        )
        self._note_damage(report)
        return await probe_details(path)

    def _note_damage(self, report: FFmpegReport) -> None:
        found = check_stderr(report.stderr, f"'{self.source.path.name}'", strict=self.source.strict)
        self.notes.update(dict.fromkeys(found))

    async def _write_part(self, number: int, start: SplitPoint, end: SplitPoint, audio: MediaInfo | None) -> SplitPart:
        """Mux video and audio of one part."""
        suffix = self.format if self.frames is not None else "m4a"
        path = self.folder / f"part-{number + 1:03d}.{suffix}"
        args: list[str] = []
        if self.frames is not None:
            args += ["-itsoffset", f"{float(self._delay):.6f}"] if number == 0 and self._delay else []
            args += media_input(self.folder / f"picture{number:05d}.{self.format}")
        if audio is not None:
            args += _sample_range_input(audio, sample_at(start.time), sample_at(end.time))
            args += ["-map", f"{int(self.frames is not None)}:a:0"]
            args += default_audio_args(self.format, channel_layout(audio.audio))
        args += ["-map", "0:v:0", "-c:v", "copy"] if self.frames is not None else []
        args += self._last_frame_args(start, end)
        await self.ffmpeg.run([*args, *self._container_args(), file_url(path)])
        frame_count = None if start.frame is None or end.frame is None else end.frame - start.frame
        part = SplitPart(path, self.format, float(start.time), float(end.time - start.time), frame_count)
        await self._verify(part)
        return part

    def _is_held(self, end: int) -> bool:
        """Return whether the last frame of a part is shown so long that the part would end noticeably early.

        `end` is the frame after it. Encoders lose how long their last frame is shown.
        """
        if self.frames is None or self.encoder is None:
            return False
        seconds = self.frames.time_of(end) - self.frames.times[end - 1]
        return float(seconds - 1 / self.source.constant_rate) > _MIN_HELD

    def _last_frame_args(self, start: SplitPoint, end: SplitPoint) -> list[str]:
        """Return the options that state how long the last frame of an encoded part is shown, if that is long."""
        if self.frames is None or start.frame is None or end.frame is None or not self._is_held(end.frame):
            return []
        seconds = float(self.frames.time_of(end.frame) - self.frames.times[start.frame])
        duration = f"if(eq(N,{end.frame - start.frame - 1}),round({seconds:.6f}/TB-(DTS-STARTPTS)),DURATION)"
        # By default, the filter would also replace the time at which a frame is shown by that at which it is decoded.
        return ["-bsf:v", f"setts=pts=PTS:dts=DTS:duration='{duration}'"]

    async def _verify(self, part: SplitPart) -> None:
        found = await probe_details(part.path)
        # A decoder leaves out frames that are damaged.
        lost = round(_LOST_SHARE * (part.frame_count or 0)) + 2 if self.notes else 0
        tolerance = _DURATION_TOLERANCE + (1 + lost) / float(found.rate)
        problems = [
            *duration_problems(found.probe.duration, part.seconds, tolerance),
            *audio_presence_problems(found.has_audio, expected=self.source.has_audio),
        ]
        if part.frame_count is not None:
            problems += frame_count_problems(
                len(await read_frame_index(self.ffmpeg, found)), part.frame_count, tolerance=lost
            )
        raise_on_problems(f"'{part.path.name}'", problems)

    def _container_args(self) -> list[str]:
        args = ["-map_metadata", "-1", "-map_chapters", "-1"]
        if self.frames is None:
            return [*args, "-movflags", "+faststart", "-f", "ipod"]
        args += ["-movflags", "+faststart"] if self.format == "mp4" else []
        args += ["-tag:v", "hvc1"] if self.stream_copy and self.source.probe.video_codec == "hevc" else []
        return [*args, "-f", codecs.MUXERS[self.format]]


def _sample_range_input(audio: MediaInfo, first: int, last: int) -> list[str]:
    """Return the arguments that read the samples from `first` up to, but not including, `last` of a PCM file."""
    # Seek to a whole second, which is an exact sample, then trim by samples.
    seek = max(0, first // SAMPLE_RATE - 1)
    offset = seek * SAMPLE_RATE
    trim = f"atrim=start_sample={first - offset}:end_sample={last - offset},asetpts=PTS-STARTPTS"
    return [*media_input(audio.path, start=seek), "-af", trim]
