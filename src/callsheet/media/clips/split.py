"""Cutting a file into pieces that are together what it was, to the frame and to the sample."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from callsheet.domain.errors import FFmpegFailed
from callsheet.media.clips.pcm_range import RATE, pcm_range_args, samples
from callsheet.media.encoding import codecs
from callsheet.media.encoding.codecs import Format
from callsheet.media.encoding.encoders import Encoder
from callsheet.media.encoding.stream_copy_rules import channel_layout, container_for, default_audio_args
from callsheet.media.ffmpeg.filter_graph import FilterGraph
from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.filters.scaling import Box, even, scale_to_box
from callsheet.media.probing.frame_index import FrameIndex, read_frame_index
from callsheet.media.probing.output_checks import check_frame_count, check_stderr
from callsheet.media.probing.probe import MediaInfo, probe_details

_SHARE_OF_PICTURE = 0.7
_SLACK = 0.1
"""Seconds; sound is encoded in frames of its own."""


@dataclass(frozen=True, slots=True)
class SplitPoint:
    """Where one piece ends and the next begins."""

    time: Fraction
    """Seconds from the beginning."""
    frame: int | None = None
    """The first one after it; None for sound alone."""


@dataclass(frozen=True, slots=True)
class SplitPart:
    """A part of a file, by itself."""

    path: Path
    format: Format
    start: float
    """Seconds into the source."""
    seconds: float
    frame_count: int | None
    """None for sound alone."""


@dataclass(frozen=True, slots=True)
class Splitter:
    """A file that is to be cut, in a folder.

    With `frames` it has a picture, which is encoded by `encoder`; without one it is passed on, and cut at key frames.
    """

    source: MediaInfo
    ffmpeg: FFmpeg
    folder: Path
    frames: FrameIndex | None = None
    encoder: Encoder | None = None

    @property
    def stream_copy(self) -> bool:
        """Whether the picture is passed on as it is."""
        return self.frames is not None and self.encoder is None

    @property
    def seconds(self) -> float:
        """How long the file plays: its picture, or where it has none, its sound."""
        return float(self.frames.length) if self.frames is not None else self.source.probe.duration or 0.0

    @property
    def format(self) -> Format:
        """The container of the pieces."""
        return "mp4" if self.encoder is not None else container_for(self.source.probe.video_codec)

    def split_points(self, times: Sequence[float]) -> list[SplitPoint]:
        """Return where it is really cut for times, in seconds, that were wished for."""
        if self.frames is None:
            return [SplitPoint(Fraction(samples(Fraction(time)), RATE)) for time in times]
        find = self.frames.nearest_key_frame if self.stream_copy else self.frames.nearest
        numbers = sorted({find(time) for time in times} - {0, len(self.frames)})
        return [SplitPoint(self.frames.times[number], number) for number in numbers]

    async def split(self, cuts: Sequence[SplitPoint], tell: Callable[[float], None]) -> list[SplitPart]:
        """Cut where `at` said, and return the checked pieces.

        Raises FFmpegFailed when the source breaks off, or a piece is not what was planned.
        """
        borders = [SplitPoint(Fraction(0), 0), *cuts, self._end()]
        await self._pictures([cut.frame for cut in cuts if cut.frame], lambda share: tell(share * _SHARE_OF_PICTURE))
        heard = await self._sound(borders[-1].time)
        pieces: list[SplitPart] = []
        for number, (start, end) in enumerate(pairwise(borders)):
            pieces.append(await self._piece(number, start, end, heard))
            tell(_SHARE_OF_PICTURE + (1 - _SHARE_OF_PICTURE) * len(pieces) / (len(borders) - 1))
        return pieces

    def _end(self) -> SplitPoint:
        """Return where the last piece ends: what sounds on after the last picture is not lost."""
        seen = self.frames.length if self.frames is not None else Fraction(self.seconds).limit_denominator(RATE)
        heard = Fraction(0)
        if self.source.has_audio and (length := self.source.audio_streams[0].duration):
            begin = self.source.stream_delay(self.source.audio_streams[0])
            heard = Fraction(begin + length - self.source.video_delay).limit_denominator(RATE)
        return SplitPoint(max(seen, heard), len(self.frames) if self.frames is not None else None)

    async def _pictures(self, numbers: list[int], tell: Callable[[float], None]) -> None:
        """Write the picture of each piece by itself; each begins with one of the numbered frames."""
        if self.frames is None:
            return
        words = [*media_input(self.source.path), *self._coding(numbers)]
        words += ["-an", "-sn", "-dn", "-map_metadata", "-1", "-map_chapters", "-1"]
        muxer = codecs.MUXERS[self.format]
        if numbers:
            words += ["-f", "segment", "-segment_format", muxer, "-reset_timestamps", "1"]
            words += ["-segment_frames", ",".join(map(str, numbers)), f"file:picture%05d.{self.format}"]
        else:
            words += ["-f", muxer, f"file:picture00000.{self.format}"]
        report = await self.ffmpeg.run(words, duration=self.seconds, on_progress=tell, cwd=self.folder)
        check_stderr(report.stderr, f"'{self.source.path.name}'")
        check_frame_count(report, len(self.frames), f"'{self.source.path.name}'")

    def _coding(self, numbers: list[int]) -> list[str]:
        """Return the words for the picture; when encoded, a piece begins with a key frame."""
        if self.encoder is None:
            return ["-map", f"0:{self.source.video_index}", "-c:v", "copy"]
        assert self.frames is not None  # noqa: S101 - only a picture is encoded
        times = self.frames.times
        # A little before each frame, since times are rounded on their way: by some to the nearest whole frame.
        keys = ",".join(f"{float(times[n] - (times[n] - times[n - 1]) / 4):.6f}" for n in numbers)
        graph, words = FilterGraph(), self.encoder.device_args
        return [
            *words,
            *("-map", f"[{self._upright(graph)}]", "-filter_complex", str(graph), "-fps_mode", "passthrough"),
            *self.encoder.args(rate=None, threads=self.ffmpeg.threads),
            *(("-force_key_frames", keys) if keys else ()),
        ]

    def _upright(self, graph: FilterGraph) -> str:
        """Append what brings the picture to the colours and pixels that every player shows rightly."""
        facts = self.source.probe
        assert self.encoder is not None and facts.width and facts.height  # noqa: S101 - it is a picture to encode
        stream = graph.add("setpts", f"0:{self.source.video_index}", expr="PTS-STARTPTS")
        stream = scale_to_box(graph, stream, self.source, Box(even(facts.width), even(facts.height), "fill"))
        return graph.chain(stream, *self.encoder.last_filters)

    async def _sound(self, end: Fraction) -> MediaInfo | None:
        """Write the whole sound as samples, and return it; None where there is none."""
        if not self.source.has_audio:
            return None
        path = self.folder / "sound.w64"
        layout = channel_layout(self.source.audio_streams[0])
        report = await self.ffmpeg.run(
            pcm_range_args(self.source, path, count=samples(end), start=self.source.video_delay, layout=layout)
        )
        check_stderr(report.stderr, f"'{self.source.path.name}'")
        return await probe_details(path)

    async def _piece(self, number: int, start: SplitPoint, end: SplitPoint, heard: MediaInfo | None) -> SplitPart:
        """Put picture and sound of one piece together."""
        suffix = self.format if self.frames is not None else "m4a"
        path = self.folder / f"part-{number + 1:03d}.{suffix}"
        words: list[str] = []
        if self.frames is not None:
            words += media_input(self.folder / f"picture{number:05d}.{self.format}")
        if heard is not None:
            words += _stretch_of(heard, samples(start.time), samples(end.time))
            words += [
                "-map",
                f"{int(self.frames is not None)}:a:0",
                *default_audio_args(self.format, channel_layout(heard.audio_streams[0])),
            ]
        words += ["-map", "0:v:0", "-c:v", "copy"] if self.frames is not None else []
        await self.ffmpeg.run([*words, *self._tags(), file_url(path)])
        frames = None if start.frame is None or end.frame is None else end.frame - start.frame
        piece = SplitPart(path, self.format, float(start.time), float(end.time - start.time), frames)
        await self._check(piece)
        return piece

    async def _check(self, piece: SplitPart) -> None:
        found = await probe_details(piece.path)
        wrong: list[str] = []
        if abs((found.probe.duration or 0) - piece.seconds) > _SLACK + 1 / float(found.rate):
            wrong.append(f"{found.probe.duration or 0:.3f} s instead of {piece.seconds:.3f} s")
        if found.has_audio != self.source.has_audio:
            wrong.append("sound where none was planned" if found.has_audio else "no sound")
        if (
            piece.frame_count is not None
            and (count := len(await read_frame_index(self.ffmpeg, found))) != piece.frame_count
        ):
            wrong.append(f"{count} frames instead of {piece.frame_count}")
        if wrong:
            raise FFmpegFailed(f"FFmpeg reported success, but '{piece.path.name}' is wrong: {'; '.join(wrong)}")

    def _tags(self) -> list[str]:
        tags = ["-map_metadata", "-1", "-map_chapters", "-1"]
        if self.frames is None:
            return [*tags, "-movflags", "+faststart", "-f", "ipod"]
        tags += ["-movflags", "+faststart"] if self.format == "mp4" else []
        tags += ["-tag:v", "hvc1"] if self.stream_copy and self.source.probe.video_codec == "hevc" else []
        return [*tags, "-f", codecs.MUXERS[self.format]]


def _stretch_of(heard: MediaInfo, first: int, last: int) -> list[str]:
    """Return the words that read samples `first` to `last` (not included) of a file of samples."""
    # Sought for by whole seconds, which are whole samples too.
    skipped = max(0, first // RATE - 1)
    cut = f"atrim=start_sample={first - skipped * RATE}:end_sample={last - skipped * RATE},asetpts=PTS-STARTPTS"
    return [*media_input(heard.path, start=skipped), "-af", cut]
