"""Rewrite an MP4 whose tracks play several pieces of their samples into a file that plays from start to end."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path

from callsheet.media.clips.pcm_join import WAV_ARGS, list_input
from callsheet.media.clips.pcm_range import pcm_range_args
from callsheet.media.encoding.pcm import sample_at
from callsheet.media.encoding.stream_copy_rules import channel_layout
from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.filters.source_frames import picture_stream
from callsheet.media.probing.cut_off import without_missing_part
from callsheet.media.probing.edit_lists import EditList, Piece, read_edit_lists, write_without_edit_lists
from callsheet.media.probing.probe import MediaInfo, probe_details
from callsheet.media.probing.streams import Stream

_SHORTEST = 0.001
"""Seconds. A shorter piece has no sample that can be played."""

EncodePieces = Callable[[FFmpeg, MediaInfo, Sequence[Piece], Path], Awaitable[Path]]
"""Writes pieces of a video one behind the other with an encode, in a folder, and returns the file."""


async def play_pieces(ffmpeg: FFmpeg, media: MediaInfo, target: Path, encode_pieces: EncodePieces) -> MediaInfo:
    """Write what the tracks of a file play to `target`, and return it with a note. Its folder must be empty.

    The video is encoded, unless all of its samples are played: decoders need frames that are not shown.
    """
    lists = await asyncio.to_thread(read_edit_lists, media.path)
    plain = target.with_name(f"samples{media.path.suffix}")
    await asyncio.to_thread(write_without_edit_lists, media.path, plain, lists)
    samples = without_missing_part(await probe_details(plain, to_end=True))
    tracks = [stream for stream in media.decodable_audio if stream.index in media.edits]
    tracks = tracks if media.has_video else tracks[:1]
    first = min(_delay(media.edits[index]) for index in media.edits)
    args: list[str] = []
    if media.has_video:
        picture = await _write_picture(ffmpeg, media, samples, lists, target.parent, encode_pieces)
        delay = _delay(media.edits.get(media.video_index or 0, ())) - first
        args += ["-itsoffset", f"{delay:.6f}", *media_input(picture)]
    outputs: list[str] = ["-map", "0:v"] if media.has_video else []
    for number, stream in enumerate(tracks):
        pieces = _available(media.edits[stream.index], samples)
        sound = await _write_sound(ffmpeg, samples, stream, pieces, target.with_name(f"track{number:02d}.wav"))
        args += ["-itsoffset", f"{_delay(media.edits[stream.index]) - first:.6f}", *media_input(sound)]
        outputs += ["-map", f"{number + media.has_video}:a", *_track_args(number, stream, media)]
    muxer = "matroska" if media.has_video else "wav"
    await ffmpeg.run([*args, *outputs, "-c", "copy", "-fflags", "+bitexact", "-f", muxer, file_url(target)])
    await asyncio.to_thread(plain.unlink)
    straight = await probe_details(target)
    note = f"'{media.path.name}' plays several pieces of its tracks (edit list); they were put behind each other"
    return replace(
        straight,
        tags=media.tags,
        chapters=media.chapters,
        strict=media.strict,
        original=media,
        notes=(*media.notes, f"{note} and encoded" if media.has_video else note),
    )


def _delay(pieces: Sequence[Piece]) -> float:
    return pieces[0].seconds if pieces and pieces[0].start is None else 0.0


def _available(pieces: Sequence[Piece], samples: MediaInfo) -> list[Piece]:
    """Return the pieces after the delay, with times from the start of the file. What is missing there is left out."""
    end = samples.start + (samples.probe.duration or 0.0)
    found = [*(pieces[1:] if pieces[0].start is None else pieces)]
    while found and found[-1].start is not None and found[-1].start > end - _SHORTEST:
        found.pop()
    if found and found[-1].start is not None:
        found[-1] = Piece(found[-1].start, min(found[-1].seconds, end - found[-1].start))
    return [
        piece if piece.start is None else Piece(max(0.0, piece.start - samples.start), piece.seconds) for piece in found
    ]


async def _write_picture(
    ffmpeg: FFmpeg,
    media: MediaInfo,
    samples: MediaInfo,
    lists: Sequence[EditList],
    folder: Path,
    encode_pieces: EncodePieces,
) -> Path:
    video = media.video
    assert video is not None and media.video_index is not None  # noqa: S101 - the caller has seen it
    pieces = media.edits.get(video.index)
    if pieces is None:
        pieces = (Piece(samples.start, samples.length),)
    return await encode_pieces(ffmpeg, samples, _available(pieces, samples), folder)


async def _write_sound(
    ffmpeg: FFmpeg, samples: MediaInfo, stream: Stream, pieces: Sequence[Piece], target: Path
) -> Path:
    """Write the pieces of a track as PCM, and return the file."""
    source, layout = replace(samples, audio_index=stream.index), channel_layout(stream)
    borders = [sample_at(Fraction(end)) for end in accumulate((piece.seconds for piece in pieces), initial=0.0)]
    parts: list[Path] = []
    for number, (piece, (first, last)) in enumerate(zip(pieces, pairwise(borders), strict=True)):
        parts.append(target.with_name(f"{target.stem}-{number:05d}.w64"))
        heard = None if piece.start is None else source
        await ffmpeg.run(
            pcm_range_args(heard, parts[-1], count=last - first, start=piece.start or 0.0, layout=layout)
        )
    await ffmpeg.run([*await list_input(target.parent, parts), *WAV_ARGS, file_url(target)], read=parts)
    for part in parts:
        await asyncio.to_thread(part.unlink)
    return target


def _track_args(number: int, stream: Stream, media: MediaInfo) -> list[str]:
    args = [f"-disposition:a:{number}", "default" if stream.index == media.audio_index else "0"]
    for name, value in (("language", stream.language), ("title", stream.title)):
        args += [f"-metadata:s:a:{number}", f"{name}={value}"] if value else []
    return args
