"""Rewrite an MP4 whose tracks play several pieces of their samples into a file that plays from start to end."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Protocol

from callsheet.media.clips.pcm_join import WAV_ARGS, list_input
from callsheet.media.clips.pcm_range import pcm_range_args
from callsheet.media.encoding.pcm import sample_at
from callsheet.media.encoding.stream_copy_rules import channel_layout
from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.filters.source_frames import copy_input, picture_stream
from callsheet.media.probing.cut_off import without_missing_part
from callsheet.media.probing.edit_lists import Piece, read_edit_lists, write_without_edit_lists
from callsheet.media.probing.output_checks import check_stderr
from callsheet.media.probing.probe import MediaInfo, probe_details
from callsheet.media.probing.streams import Stream

_SHORTEST = 0.001
"""Seconds. A shorter piece has no sample that can be played."""


class EncodedVideo(Protocol):
    """A file that was written with an encode."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def notes(self) -> Sequence[str]:
        """Damage that was found in its sources."""


EncodePieces = Callable[[FFmpeg, MediaInfo, Sequence[Piece], Path], Awaitable[EncodedVideo]]
"""Writes pieces of a video one behind the other with an encode, in a folder, and returns the file."""


async def play_pieces(ffmpeg: FFmpeg, media: MediaInfo, target: Path, encode_pieces: EncodePieces) -> MediaInfo:
    """Write what the tracks of a file play to `target`, and return it with a note. Its folder must be empty.

    Video of which several pieces are played is encoded: decoders need frames that are not shown.
    """
    samples = await _without_edit_lists(media, target)
    played = [*media.audio_streams, *([media.video] if media.video is not None else [])]
    pieces = {each.index: _pieces_of(each, media, samples) for each in played}
    available = {index: _available(each, samples) for index, each in pieces.items()}
    tracks = [stream for stream in media.decodable_audio if available[stream.index]][: None if media.has_video else 1]
    first = min(_delay(each) for each in pieces.values())
    notes = dict.fromkeys([*media.notes, edit_list_note(media)])
    args: list[str] = []
    if media.has_video and _copies_video(media):
        args, outputs = copy_input(media), ["-map", picture_stream(media)]
    elif media.has_video:
        index = media.video_index or 0
        picture = await encode_pieces(ffmpeg, samples, available[index], target.parent)
        notes |= dict.fromkeys(f"'{media.path.name}': {note.split(': ', 1)[-1]}" for note in picture.notes)
        args = ["-itsoffset", f"{_delay(pieces[index]) - first:.6f}", *media_input(picture.path)]
        outputs = ["-map", "0:v"]
    else:
        outputs = []
    for number, stream in enumerate(tracks):
        sound = target.with_name(f"track{number:02d}.wav")
        track = replace(samples, audio_index=stream.index)
        damage = await _write_sound(ffmpeg, track, available[stream.index], sound, f"'{media.path.name}'")
        notes |= dict.fromkeys(damage)
        args += ["-itsoffset", f"{_delay(pieces[stream.index]) - first:.6f}", *media_input(sound)]
        outputs += ["-map", f"{number + media.has_video}:a", *_track_args(number, stream, media)]
    muxer = "matroska" if media.has_video else "wav"
    await ffmpeg.run([*args, *outputs, "-c", "copy", "-fflags", "+bitexact", "-f", muxer, file_url(target)])
    await asyncio.to_thread(samples.path.unlink)
    straight = await probe_details(target)
    return replace(
        straight,
        tags=media.tags,
        chapters=media.chapters,
        strict=media.strict,
        original=media,
        notes=tuple(notes),
    )


def edit_list_note(media: MediaInfo) -> str:
    """Return what is done with a file that plays several pieces."""
    is_encoded = media.has_video and not _copies_video(media)
    way = "it is encoded as one video first" if is_encoded else "they are put behind each other"
    return f"'{media.path.name}' plays several pieces of its tracks (edit list); {way}"


async def _without_edit_lists(media: MediaInfo, target: Path) -> MediaInfo:
    """Return a copy of a file that plays all of its samples, as far as they are there."""
    lists = await asyncio.to_thread(read_edit_lists, media.path)
    copy = target.with_name(f"samples{media.path.suffix}")
    await asyncio.to_thread(write_without_edit_lists, media.path, copy, lists)
    return replace(without_missing_part(await probe_details(copy, to_end=True)), strict=media.strict)


def _copies_video(media: MediaInfo) -> bool:
    """Return whether the video is one piece without hidden frames."""
    pieces = media.edits.get(media.video_index or 0, ())
    return media.hidden_frames == 0 and sum(piece.start is not None for piece in pieces) <= 1


def _pieces_of(stream: Stream, media: MediaInfo, samples: MediaInfo) -> tuple[Piece, ...]:
    """Return what a track plays: all of its samples if it has no edit list."""
    return media.edits.get(stream.index) or (Piece(0.0, samples.start + (samples.probe.duration or 0.0)),)


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


async def _write_sound(
    ffmpeg: FFmpeg, source: MediaInfo, pieces: Sequence[Piece], target: Path, subject: str
) -> list[str]:
    """Write pieces of the audio of a file as PCM, and return notes on damage. `subject` names the file in them."""
    layout = channel_layout(source.audio)
    borders = [sample_at(Fraction(end)) for end in accumulate((piece.seconds for piece in pieces), initial=0.0)]
    parts: list[Path] = []
    notes: list[str] = []
    for number, (piece, (first, last)) in enumerate(zip(pieces, pairwise(borders), strict=True)):
        parts.append(target.with_name(f"{target.stem}-{number:05d}.w64"))
        track = None if piece.start is None else source
        args = pcm_range_args(track, parts[-1], count=last - first, start=piece.start or 0.0, layout=layout)
        report = await ffmpeg.run(args)
        notes += check_stderr(report.stderr, subject, strict=source.strict)
    await ffmpeg.run([*await list_input(target.parent, parts), *WAV_ARGS, file_url(target)], read=parts)
    for part in parts:
        await asyncio.to_thread(part.unlink)
    return notes


def _track_args(number: int, stream: Stream, media: MediaInfo) -> list[str]:
    args = [f"-disposition:a:{number}", "default" if stream.index == media.audio_index else "0"]
    for name, value in (("language", stream.language), ("title", stream.title)):
        args += [f"-metadata:s:a:{number}", f"{name}={value}"] if value else []
    return args
