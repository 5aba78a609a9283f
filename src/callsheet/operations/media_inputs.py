"""Media inputs of jobs: fetch, probe, and check against the operation and the limits."""

import asyncio
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol

from callsheet.domain.errors import BadParams, FFmpegFailed, Problem
from callsheet.domain.media_source import MediaSource
from callsheet.media.clips.straightening import encode_note, straighten
from callsheet.media.ffmpeg.progress import format_duration
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.normalization.normalize import normalize
from callsheet.media.probing.cut_off import cut_off_notes, without_missing_part
from callsheet.media.probing.mp4_boxes import incomplete_fragment
from callsheet.media.probing.probe import MediaInfo, probe_details
from callsheet.media.probing.segment_index import write_without_segment_indexes, wrong_segment_indexes
from callsheet.media.rendering.part_encode import encode_parts, encode_pieces
from callsheet.settings import Settings

RequiredMedia = Literal["video", "image", "audio", "media"]
"""`video`: a video; `image`: a video or a still image; `audio`: an audio stream; `media`: any of them."""


class MediaContext(Protocol):
    """The part of a job's context that reading inputs needs."""

    @property
    def dir(self) -> Path:
        """The working folder of the job."""

    @property
    def settings(self) -> Settings:
        """The settings of the worker."""

    @property
    def ffmpeg(self) -> FFmpeg:
        """Runs FFmpeg."""

    async def fetch_input(self, source: MediaSource) -> Path:
        """Download an input and return its local path."""


async def read_media(
    job: MediaContext,
    source: MediaSource,
    field: str,
    required: RequiredMedia = "media",
    *,
    original: bool = False,
    strict: bool = False,
    facts_only: bool = False,
) -> MediaInfo:
    """Download an input, probe it and return the result.

    All operations open their inputs here. A picture that FFmpeg alone would show otherwise than viewers do is
    normalized, unless `original` is set. A file whose clock jumps, whose audio changes its format, or whose tracks play
    several pieces is rewritten, and the durations of a file that is cut off are those of what is there, with notes.
    With `facts_only`, it is not encoded for that: the facts about it are right, but FFmpeg does not read it so.

    `field` is the name of its parameter, for errors. Raises BadParams if the file is not of the required kind, exceeds
    the limits of the settings, or is cut off and `strict`; BadSource if it is not allowed, SourceUnreachable if it
    cannot be downloaded, FFmpegFailed if it cannot be read as media.
    """
    media = await _probe(job, await job.fetch_input(source))
    problems = [*_mismatches(media, required), *_exceeded_limits(media, job.settings)]
    notes = [*media.notes, *await asyncio.to_thread(cut_off_notes, media)]
    problems += [("cut_off", note) for note in notes if strict]
    notes += _doubtful_colors(media)
    _raise_on_problems(field, media, problems)
    media = replace(without_missing_part(media), strict=strict, notes=tuple(notes))
    if facts_only and (note := encode_note(media)):
        return replace(media, notes=(*notes, note))
    if media.normalization is None:
        media = await straighten(job.ffmpeg, media, job.dir, encode_parts, encode_pieces)
    elif not original:
        media = await normalize(media, job.ffmpeg, job.dir)
    # The first of several joined files may have no audio.
    _raise_on_problems(field, media, _lacks_audio(media, required))
    return media


def _raise_on_problems(field: str, media: MediaInfo, problems: Iterable[tuple[str, str]]) -> None:
    """Raise BadParams if there are problems. They are given by their codes and messages."""
    found = [Problem(field, code, f"{message}: '{media.path.name}'") for code, message in problems]
    if found:
        raise BadParams(found)


async def _probe(job: MediaContext, path: Path) -> MediaInfo:
    """Return the facts about a file, read to its end; those about its whole fragments if it ends inside of one.

    A segment index that leads to no fragment is left out.
    """
    if indexes := await asyncio.to_thread(wrong_segment_indexes, path):
        copy = await asyncio.to_thread(_fragments_path, job, path)
        await asyncio.to_thread(write_without_segment_indexes, path, copy, indexes)
        path = copy
    try:
        return await probe_details(path, to_end=True)
    except FFmpegFailed:
        start = await asyncio.to_thread(incomplete_fragment, path)
        if start is None:
            raise
    copy = await asyncio.to_thread(_fragments_path, job, path)
    await asyncio.to_thread(_copy_start, path, copy, start)
    note = f"'{path.name}' is cut off: its last fragment is incomplete"
    return replace(await probe_details(copy, to_end=True), notes=(note,))


def _fragments_path(job: MediaContext, path: Path) -> Path:
    """Return a path of this file name in a new folder: the name is part of messages."""
    number = 1
    while (folder := job.dir / f"fragments{number:03d}").exists():
        number += 1
    folder.mkdir()
    return folder / path.name


def _doubtful_colors(media: MediaInfo) -> Iterator[str]:
    """Yield a note on a video that states HDR with 8 bits, as editors leave the tags on a picture of SDR."""
    video = media.video
    if video is not None and video.hdr and (video.bit_depth or 8) <= 8:
        yield (
            f"'{media.path.name}' states HDR ({video.hdr.upper()}), but has only 8 bits per color; if it is SDR with "
            "wrong tags, its colors are wrong as well"
        )


def _copy_start(path: Path, copy: Path, size: int) -> None:
    shutil.copyfile(path, copy)
    with copy.open("r+b") as file:
        file.truncate(size)


def _mismatches(media: MediaInfo, required: RequiredMedia) -> Iterator[tuple[str, str]]:
    if required in ("video", "image") and not media.has_video:
        yield "no_picture", "there is no video or image in this file"
    elif required == "video" and media.still:
        yield "not_a_video", "this is a still image, not a video"


def _lacks_audio(media: MediaInfo, required: RequiredMedia) -> Iterator[tuple[str, str]]:
    if required == "audio" and not media.has_audio:
        yield "no_sound", "there is no audio in this file"


def _exceeded_limits(media: MediaInfo, settings: Settings) -> Iterator[tuple[str, str]]:
    max_seconds = settings.media_max_duration.total_seconds()
    seconds = max(media.probe.duration or 0.0, media.video_seconds or 0.0)
    if seconds > max_seconds:
        yield "too_long", f"the file lasts {format_duration(seconds)}; the limit is {format_duration(max_seconds)}"
    pixels = (media.probe.width or 0) * (media.probe.height or 0)
    if pixels > settings.media_max_pixels:
        size = f"{media.probe.width}x{media.probe.height}"
        yield "too_large", f"its frames are {size}; the limit is {settings.media_max_pixels:,} pixels"
    if len(media.streams) > settings.media_max_streams:
        message = f"the file has {len(media.streams)} streams; the limit is {settings.media_max_streams}"
        yield "too_many_streams", message
