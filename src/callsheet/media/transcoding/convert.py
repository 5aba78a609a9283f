"""Execution of a transcode plan: encoding passes, software fallback and output checks."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from callsheet.domain.errors import FFmpegFailed
from callsheet.media.encoding import encoders
from callsheet.media.encoding.downmix import downmix_filters, downmix_notes, mono_filters
from callsheet.media.encoding.encoders import Encoder
from callsheet.media.encoding.software_fallback import software_fallback
from callsheet.media.ffmpeg.progress import FFmpegProgress
from callsheet.media.ffmpeg.runner import FFmpeg, FFmpegReport
from callsheet.media.probing.output_checks import check_stderr
from callsheet.media.transcoding import arguments, hls
from callsheet.media.transcoding.budget import lower_bitrate
from callsheet.media.transcoding.codec_strings import codec_string
from callsheet.media.transcoding.hls import Playlist, Variant
from callsheet.media.transcoding.output_checks import check_file, check_frames, check_playlists
from callsheet.media.transcoding.plan import AudioEncoding, TranscodePlan
from callsheet.media.transcoding.playlist_frames import read_playlist_frames
from callsheet.media.transcoding.renditions import VideoRendition

_MAX_SIZE_ATTEMPTS = 4
_FIRST_PASS_SHARE = 0.4
"""Share of the progress that belongs to the first of two passes."""
_AAC_CODEC_STRING = "mp4a.40.2"

ProgressCallback = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class TranscodeOutput:
    """Files that a transcode wrote."""

    files: tuple[Path, ...]
    """One for each rendition. For HLS: the master playlist, then all files that it references."""
    encoders: tuple[Encoder, ...]
    """One for each rendition; empty for a stream copy."""
    notes: tuple[str, ...]


async def convert(plan: TranscodePlan, ffmpeg: FFmpeg, folder: Path, on_progress: ProgressCallback) -> TranscodeOutput:
    """Execute a plan in a subfolder of `folder` and return the verified output.

    `on_progress` receives the completed share, from 0 to 1. If a hardware encoder fails, all renditions are encoded
    again in software.

    Raises FFmpegFailed if the source is truncated or the output differs from the plan.
    """
    plan = await _with_downmix(plan, ffmpeg)
    folder = folder / "transcode"
    folder.mkdir(exist_ok=True)
    run = _TranscodeRun(plan, ffmpeg, folder, on_progress)
    if plan.copies_video:
        return TranscodeOutput((await run.copy(),), (), (*plan.notes, *run.damage))
    selected = [await encoders.select_encoder(ffmpeg, rendition.settings) for rendition in plan.renditions]
    notes = [*plan.notes, *(encoder.note for encoder in selected if encoder.note)]
    try:
        files = await run.encode(selected)
    except FFmpegFailed as error:
        if not any(encoder.is_hardware for encoder in selected):
            raise
        # Any failure of a hardware encode is retried in software. The software run also reports the true cause.
        selected = [await _software_encoder(ffmpeg, encoder, error.message) for encoder in selected]
        notes += [encoder.note for encoder in selected if encoder.note]
        files = await run.encode(selected)
    return TranscodeOutput(tuple(files), tuple(selected), tuple(dict.fromkeys([*notes, *run.damage])))


async def _with_downmix(plan: TranscodePlan, ffmpeg: FFmpeg) -> TranscodePlan:
    """Return the plan with the filters that mix the audio, and notes about what they do not keep."""
    if not isinstance(plan.audio, AudioEncoding):
        return plan
    stream = plan.source.audio
    if plan.audio.channels == "mono":
        filters, notes = await mono_filters(ffmpeg, plan.source, stream)
    else:
        filters = downmix_filters(stream.channel_layout)
        notes = [*downmix_notes(plan.source.path.name, stream.channel_layout)]
    return replace(plan, downmix=tuple(filters), notes=(*plan.notes, *notes))


async def _software_encoder(ffmpeg: FFmpeg, encoder: Encoder, reason: str) -> Encoder:
    return await software_fallback(ffmpeg, encoder, reason) if encoder.is_hardware else encoder


class _TranscodeRun:
    def __init__(self, plan: TranscodePlan, ffmpeg: FFmpeg, folder: Path, on_progress: ProgressCallback) -> None:
        self.plan = plan
        self.ffmpeg = ffmpeg
        self.folder = folder
        self._on_progress = on_progress
        self._done = 0.0
        self.damage: dict[str, None] = {}
        """Damage that was found while the source was read."""

    async def copy(self) -> Path:
        output = self._outputs()[0]
        await self._run(arguments.copy_args(self.plan, output), 0.0, 1.0)
        await check_file(output, self._checked_plan, self.plan.renditions[0])
        return output

    async def encode(self, selected: Sequence[Encoder]) -> list[Path]:
        start = 0.0
        if self.plan.passes == 2:
            start = _FIRST_PASS_SHARE
            await self._run(arguments.first_pass_args(self.plan, selected, self.ffmpeg.threads), 0.0, start)
        if self.plan.format == "hls":
            return await self._encode_hls(selected, start)
        outputs = self._outputs()
        await self._encode_within_target(self.plan, selected, outputs, start)
        for output, rendition in zip(outputs, self.plan.renditions, strict=True):
            await check_file(output, self._checked_plan, rendition)
        return outputs

    async def _encode_within_target(
        self, plan: TranscodePlan, selected: Sequence[Encoder], outputs: Sequence[Path], start: float
    ) -> None:
        """Encode until the file fits the target size. Encoders miss their bit rate, most of all in short videos."""
        size = 0
        for _ in range(_MAX_SIZE_ATTEMPTS):
            report = await self._run(arguments.encode_args(plan, selected, outputs, self.ffmpeg.threads), start, 1.0)
            check_frames(report, self._checked_plan)
            size = (await asyncio.to_thread(outputs[0].stat)).st_size
            if plan.target_size is None or size <= plan.target_size:
                return
            plan = lower_bitrate(plan, size)
            pairs = zip(selected, plan.renditions, strict=True)
            selected = [replace(encoder, settings=rendition.settings) for encoder, rendition in pairs]
        raise FFmpegFailed(
            f"the file still has {size:,} bytes after {_MAX_SIZE_ATTEMPTS} attempts; the target size is "
            f"{plan.target_size:,} bytes. Use a larger target size or a smaller resolution"
        )

    async def _encode_hls(self, selected: Sequence[Encoder], start: float) -> list[Path]:
        plan, folder = self.plan, self.folder
        report = await self._run(arguments.hls_args(plan, selected, self.ffmpeg.threads), start, 1.0)
        check_frames(report, self._checked_plan)
        names = [rendition.name for rendition in plan.renditions] + ([hls.AUDIO_GROUP] if plan.audio else [])
        playlists = [await asyncio.to_thread(hls.read_playlist, folder, name) for name in names]
        counts = []
        for number in range(len(plan.renditions)):
            frames = await read_playlist_frames(self.ffmpeg, folder, playlists[number])
            counts.append(frames.count)
            playlists[number] = await asyncio.to_thread(hls.with_length, folder, playlists[number], frames.seconds)
        await check_playlists(folder, self._checked_plan, playlists, counts)
        master = await asyncio.to_thread(_write_master_playlist, folder, plan, playlists)
        return [master, *(folder / file for playlist in playlists for file in playlist.files)]

    @property
    def _checked_plan(self) -> TranscodePlan:
        """The plan that the output is checked against. A decoder leaves out frames that are damaged."""
        return replace(self.plan, source=replace(self.plan.source, damaged=True)) if self.damage else self.plan

    def _outputs(self) -> list[Path]:
        if len(self.plan.renditions) == 1:
            return [self.folder / f"video.{self.plan.format}"]
        return [self.folder / f"video_{rendition.name}.{self.plan.format}" for rendition in self.plan.renditions]

    async def _run(self, args: Sequence[str], start: float, end: float) -> FFmpegReport:
        report = await self.ffmpeg.run(
            args,
            duration=self.plan.source.video_seconds or self.plan.duration,
            on_progress=lambda share: self._report_progress(share, start, end),
            cwd=self.folder,
        )
        source = self.plan.source
        found = check_stderr(report.stderr, f"'{source.path.name}'", strict=source.strict)
        self.damage.update(dict.fromkeys(found))
        return report

    def _report_progress(self, share: FFmpegProgress, start: float, end: float) -> None:
        # A retry starts again at 0, but the reported progress must not decrease.
        self._done = max(self._done, min(0.99, start + share * (end - start)))
        # The duration of the second pass is unknown during the first, so only the last pass reports the time left.
        self._on_progress(FFmpegProgress(self._done, share.speed, share.remaining if end == 1 else None))


def _write_master_playlist(folder: Path, plan: TranscodePlan, playlists: Sequence[Playlist]) -> Path:
    audio = plan.audio if isinstance(plan.audio, AudioEncoding) else None
    audio_rates = hls.bit_rates(folder, playlists[-1]) if audio else (0, 0)
    variants = [
        _variant(folder, plan, rendition, playlist, audio_rates)
        for rendition, playlist in zip(plan.renditions, playlists, strict=False)
    ]
    path = folder / hls.MASTER_PLAYLIST
    path.write_text(hls.master_playlist(variants, audio.channel_count if audio else None))
    return path


def _variant(
    folder: Path, plan: TranscodePlan, rendition: VideoRendition, playlist: Playlist, audio_rates: tuple[int, int]
) -> Variant:
    peak, average = hls.bit_rates(folder, playlist)
    video_codec = codec_string((folder / playlist.header).read_bytes())
    codecs = [video_codec, *([_AAC_CODEC_STRING] if audio_rates[0] else [])]
    return Variant(
        playlist=playlist.name,
        peak=peak + audio_rates[0],
        average=average + audio_rates[1],
        codecs=",".join(codecs),
        width=rendition.width,
        height=rendition.height,
        fps=plan.fps,
        range=plan.color.color_space.range,
    )
