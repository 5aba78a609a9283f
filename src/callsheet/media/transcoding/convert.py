"""Doing the work of a plan: the passes, a second try without hardware, the checks."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from callsheet.domain.errors import FFmpegFailed
from callsheet.media.encoding import encoders
from callsheet.media.encoding.encoders import Encoder
from callsheet.media.ffmpeg.progress import FFmpegProgress
from callsheet.media.ffmpeg.runner import FFmpeg, FFmpegReport
from callsheet.media.probing.output_checks import check_stderr
from callsheet.media.transcoding import arguments, hls
from callsheet.media.transcoding.budget import lowered
from callsheet.media.transcoding.codec_strings import codec_string
from callsheet.media.transcoding.hls import Playlist, Variant
from callsheet.media.transcoding.output_checks import check_file, check_frames, check_playlists
from callsheet.media.transcoding.plan import AudioEncoding, TranscodePlan
from callsheet.media.transcoding.renditions import VideoRendition

_TRIES_FOR_A_SIZE = 4
_SHARE_OF_LEARNING = 0.4
_SOUND_CODEC = "mp4a.40.2"

Tell = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Converted:
    """What a plan has come to."""

    files: tuple[Path, ...]
    """One for each picture; for HLS the master playlist, then all that it leads to."""
    encoders: tuple[Encoder, ...]
    """One for each picture; none where it was copied."""
    notes: tuple[str, ...]


async def convert(plan: TranscodePlan, ffmpeg: FFmpeg, folder: Path, tell: Tell) -> Converted:
    """Do the work of a plan in a folder and return the outcome checked; `tell` gets the share done.

    Raises FFmpegFailed when the source breaks off or the outcome is not what was planned.
    """
    folder = folder / "transcode"
    folder.mkdir(exist_ok=True)
    work = _Work(plan, ffmpeg, folder, tell)
    if plan.copies_picture:
        return Converted((await work.copy(),), (), plan.notes)
    chosen = [await encoders.select_encoder(ffmpeg, picture.settings) for picture in plan.renditions]
    notes = [*plan.notes, *(encoder.note for encoder in chosen if encoder.note)]
    try:
        files = await work.encode(chosen)
    except FFmpegFailed as error:
        if not any(encoder.is_hardware for encoder in chosen):
            raise
        # Whatever went wrong there is worth a second look without hardware, which also tells the true cause.
        chosen = [await _spared(ffmpeg, encoder, error.message) for encoder in chosen]
        notes += [encoder.note for encoder in chosen if encoder.note]
        files = await work.encode(chosen)
    return Converted(tuple(files), tuple(chosen), tuple(dict.fromkeys(notes)))


async def _spared(ffmpeg: FFmpeg, encoder: Encoder, reason: str) -> Encoder:
    return await encoders.software_fallback(ffmpeg, encoder, reason) if encoder.is_hardware else encoder


class _Work:
    def __init__(self, plan: TranscodePlan, ffmpeg: FFmpeg, folder: Path, tell: Tell) -> None:
        self.plan = plan
        self.ffmpeg = ffmpeg
        self.folder = folder
        self._tell = tell
        self._done = 0.0

    async def copy(self) -> Path:
        output = self._outputs()[0]
        await self._run(arguments.copy_args(self.plan, output), 0.0, 1.0)
        await check_file(output, self.plan, self.plan.renditions[0])
        return output

    async def encode(self, chosen: Sequence[Encoder]) -> list[Path]:
        begun = 0.0
        if self.plan.passes == 2:
            begun = _SHARE_OF_LEARNING
            await self._run(arguments.first_pass_args(self.plan, chosen, self.ffmpeg.threads), 0.0, begun)
        if self.plan.format == "hls":
            return await self._segments(chosen, begun)
        outputs = self._outputs()
        await self._within_target(self.plan, chosen, outputs, begun)
        for output, picture in zip(outputs, self.plan.renditions, strict=True):
            await check_file(output, self.plan, picture)
        return outputs

    async def _within_target(
        self, plan: TranscodePlan, chosen: Sequence[Encoder], outputs: Sequence[Path], begun: float
    ) -> None:
        """Encode until the size is kept: encoders miss their bit rate, most of all in short films."""
        size = 0
        for _ in range(_TRIES_FOR_A_SIZE):
            report = await self._run(arguments.encode_args(plan, chosen, outputs, self.ffmpeg.threads), begun, 1.0)
            check_frames(report, plan)
            size = (await asyncio.to_thread(outputs[0].stat)).st_size
            if plan.target is None or size <= plan.target:
                return
            plan = lowered(plan, size)
            pairs = zip(chosen, plan.renditions, strict=True)
            chosen = [replace(encoder, settings=picture.settings) for encoder, picture in pairs]
        raise FFmpegFailed(
            f"the file is {size:,} bytes after {_TRIES_FOR_A_SIZE} tries, and was to stay within {plan.target:,}. "
            "Ask for more, or for a smaller resolution"
        )

    async def _segments(self, chosen: Sequence[Encoder], begun: float) -> list[Path]:
        plan, folder = self.plan, self.folder
        report = await self._run(arguments.hls_args(plan, chosen, self.ffmpeg.threads), begun, 1.0)
        check_frames(report, plan)
        names = [picture.name for picture in plan.renditions] + ([hls.SOUND] if plan.sound else [])
        playlists = [await asyncio.to_thread(hls.read, folder, name) for name in names]
        await check_playlists(self.ffmpeg, folder, plan, playlists)
        master = await asyncio.to_thread(_write_master, folder, plan, playlists)
        return [master, *(folder / file for playlist in playlists for file in playlist.files)]

    def _outputs(self) -> list[Path]:
        if len(self.plan.renditions) == 1:
            return [self.folder / f"video.{self.plan.format}"]
        return [self.folder / f"video_{picture.name}.{self.plan.format}" for picture in self.plan.renditions]

    async def _run(self, words: Sequence[str], begun: float, ended: float) -> FFmpegReport:
        report = await self.ffmpeg.run(
            words,
            duration=self.plan.source.video_seconds or self.plan.seconds,
            on_progress=lambda share: self._report(share, begun, ended),
            cwd=self.folder,
        )
        check_stderr(report.stderr, f"'{self.plan.source.path.name}'")
        return report

    def _report(self, share: FFmpegProgress, begun: float, ended: float) -> None:
        # A second try begins anew, which is not to be seen.
        self._done = max(self._done, min(0.99, begun + share * (ended - begun)))
        # How long a second pass takes is not known during the first.
        self._tell(FFmpegProgress(self._done, share.speed, share.remaining if ended == 1 else None))


def _write_master(folder: Path, plan: TranscodePlan, playlists: Sequence[Playlist]) -> Path:
    sound = plan.sound if isinstance(plan.sound, AudioEncoding) else None
    extra = hls.rates(folder, playlists[-1]) if sound else (0, 0)
    variants = [
        _variant(folder, plan, picture, playlist, extra)
        for picture, playlist in zip(plan.renditions, playlists, strict=False)
    ]
    path = folder / hls.MASTER
    path.write_text(hls.master(variants, sound.count if sound else None))
    return path


def _variant(
    folder: Path, plan: TranscodePlan, picture: VideoRendition, playlist: Playlist, sound: tuple[int, int]
) -> Variant:
    peak, average = hls.rates(folder, playlist)
    found = [codec_string((folder / playlist.header).read_bytes()), *([_SOUND_CODEC] if sound[0] else [])]
    return Variant(
        playlist=playlist.name,
        peak=peak + sound[0],
        average=average + sound[1],
        codecs=",".join(found),
        width=picture.width,
        height=picture.height,
        fps=plan.fps,
        range=plan.tones.colours.range,
    )
