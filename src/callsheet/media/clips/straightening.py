"""Rewrite a file whose clock jumps, whose audio changes its format on the way, or that plays pieces, into a plain one.

Filters that count from their own start would restart at each of these places, because FFmpeg builds its filter graph
again when the audio changes, and so would everything that goes by timestamps.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from callsheet.media.clips.edit_pieces import EncodedVideo, EncodePieces, edit_list_note, play_pieces
from callsheet.media.clips.pcm_join import WAV_ARGS, list_input
from callsheet.media.encoding.encoders import EncodeSettings, select_encoder
from callsheet.media.encoding.pcm import SAMPLE_RATE
from callsheet.media.ffmpeg.filter_graph import FilterGraph
from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.filters.source_frames import picture_input, picture_stream, source_frames
from callsheet.media.probing.clock_parts import clock_parts
from callsheet.media.probing.joined_files import joined_files
from callsheet.media.probing.output_checks import check_stderr
from callsheet.media.probing.probe import MediaInfo, probe_details
from callsheet.media.probing.streams import Stream

_MIN_LATE_FRAMES = 2
"""One frame is not noticed."""
_RETIMED = EncodeSettings(crf=12, preset="veryfast")
"""Nearly lossless: the result is an input that is encoded again."""
_CHUNK = 16 * 2**20


EncodeParts = Callable[[FFmpeg, Sequence[MediaInfo], Path], Awaitable[EncodedVideo]]
"""Joins videos with an encode, in a folder, and returns the file."""


async def straighten(
    ffmpeg: FFmpeg, media: MediaInfo, folder: Path, encode_parts: EncodeParts, encode_pieces: EncodePieces
) -> MediaInfo:
    """Return a file that every operation reads alike: `media` itself, or a copy of it in a folder, with a note.

    In the copy, the clock runs on, and all audio has one format. The video is copied without encoding, unless the
    files or recordings of which it consists have different formats, its track plays several pieces, or an AVI does not
    state when its frames are shown. `encode_parts` and `encode_pieces` do that.
    """
    starts = await asyncio.to_thread(joined_files, media.path, media.probe.format)
    cuts = list(pairwise([*starts, media.path.stat().st_size])) if len(starts) > 1 else []
    is_late = media.late_frames >= _MIN_LATE_FRAMES
    if not (media.clock_jumps or media.audio_changes or media.empty_frames or cuts or media.edits or is_late):
        return media
    target = await asyncio.to_thread(_new_path, folder, media.path.name)
    if media.edits and not cuts:
        return await play_pieces(ffmpeg, media, target, encode_pieces)
    parts = await asyncio.to_thread(_write_parts, media.path, cuts, target.parent)
    note = _note(media, len(parts))
    damage: list[str] = []
    if not media.has_video:
        await _decode(ffmpeg, parts or [media.path], target)
    elif parts:
        found = [await probe_details(part) for part in parts]
        if _fit_together(found):
            await _join_parts(ffmpeg, found, target, decode=media.audio_changes or _have_different_audio(found))
        else:
            found = [replace(part, strict=media.strict) for part in found]
            target, damage = await _encode(ffmpeg, found, target, encode_parts, encode_pieces)
            note += "; they have different formats, so that they were encoded"
    elif media.clock_jumps and media.lacks_index:
        cuts = await asyncio.to_thread(clock_parts, media.path, media.probe.format, media.clock_jumps)
        parts = await asyncio.to_thread(_write_parts, media.path, cuts, target.parent)
        same = [replace(media, path=part) for part in parts]
        await _join_parts(ffmpeg, same, target, decode=media.audio_changes)
    else:
        args = _copy_args(media, len(media.decodable_audio), decode=media.audio_changes)
        args = await _retimed_args(ffmpeg, media) if is_late else args
        report = await ffmpeg.run([*args, file_url(target)], duration=media.probe.duration)
        decoded = is_late or media.audio_changes
        damage = check_stderr(report.stderr, f"'{media.path.name}'", strict=media.strict) if decoded else []
    straight = await probe_details(target)
    return replace(
        straight,
        tags=media.tags,
        chapters=media.chapters,
        strict=media.strict,
        original=media,
        notes=(*media.notes, *([note] if note else []), *damage),
    )


def encode_note(media: MediaInfo) -> str:
    """Return why the video of a whole file is encoded before it is used; empty if it is not."""
    if media.edits:
        return edit_list_note(media)
    if media.late_frames < _MIN_LATE_FRAMES:
        return ""
    return f"'{media.path.name}' does not state when its frames are shown, as no AVI does; its video is encoded first"


def _fit_together(parts: Sequence[MediaInfo]) -> bool:
    """Return whether the video of all parts can be joined without an encode, and all or none have audio."""
    kinds = {
        (each.probe.video_codec, each.probe.width, each.probe.height, each.video_headers, each.has_audio)
        for each in parts
    }
    return len(kinds) == 1


def _have_different_audio(parts: Sequence[MediaInfo]) -> bool:
    tracks = _shared_tracks(parts)
    return len({tuple(_audio_format(stream) for stream in each.decodable_audio[:tracks]) for each in parts}) > 1


def _audio_format(stream: Stream) -> tuple[str | None, int | None, int | None]:
    return stream.codec, stream.channels, stream.sample_rate


def _shared_tracks(parts: Sequence[MediaInfo]) -> int:
    return min(len(each.decodable_audio) for each in parts)


async def _encode(
    ffmpeg: FFmpeg, parts: Sequence[MediaInfo], target: Path, encode_parts: EncodeParts, encode_pieces: EncodePieces
) -> tuple[Path, list[str]]:
    """Join parts with an encode, and return the file and notes on damage."""
    straight = [await straighten(ffmpeg, part, target.parent, encode_parts, encode_pieces) for part in parts]
    film = await encode_parts(ffmpeg, straight, target.parent)
    for path in {each.path for each in (*parts, *straight)}:
        await asyncio.to_thread(path.unlink)
    await asyncio.to_thread(film.path.rename, target)
    return target, [f"'{target.name}': {note.split(': ', 1)[-1]}" for note in film.notes]


def _new_path(folder: Path, name: str) -> Path:
    """Return a path of this file name in a new folder: the name is part of messages."""
    number = 1
    while (target := folder / f"straight{number:03d}").exists():
        number += 1
    target.mkdir()
    return target / name


async def _join_parts(ffmpeg: FFmpeg, parts: Sequence[MediaInfo], target: Path, *, decode: bool) -> None:
    """Copy parts one behind the other. With `decode`, their audio gets one format.

    FFmpeg mends a clock that jumps by itself, but wrongly if the packets of both parts are mixed where they meet.
    """
    copies: list[Path] = []
    tracks = _shared_tracks(parts)
    for part in parts:
        copies.append(part.path.with_suffix(".mkv"))
        await ffmpeg.run([*_copy_args(part, tracks, decode=decode), file_url(copies[-1])])
        await asyncio.to_thread(part.path.unlink)
    args = ["-map", "0", "-c", "copy", "-fflags", "+bitexact", "-f", "matroska", file_url(target)]
    await ffmpeg.run([*await list_input(target.parent, copies), *args], read=copies)
    for copy in copies:
        await asyncio.to_thread(copy.unlink)


async def _retimed_args(ffmpeg: FFmpeg, media: MediaInfo) -> list[str]:
    """Return the arguments that encode the video of an AVI whose first frame FFmpeg shows too late, and copy the rest.

    Only the decoder knows the order of its frames, so that a copy would show them in the wrong one.
    """
    encoder = await select_encoder(ffmpeg, _RETIMED)
    graph = FilterGraph()
    video = source_frames(graph, picture_stream(media), media)
    video = graph.chain(graph.add("setpts", video, expr="PTS-STARTPTS"), *encoder.last_filters)
    args = [*encoder.device_args, *picture_input(media), "-filter_complex", str(graph), "-map", f"[{video}]"]
    args += ["-fps_mode", "passthrough", *encoder.args(rate=None, threads=ffmpeg.threads)]
    for number, stream in enumerate(media.decodable_audio):
        args += ["-map", f"0:{stream.index}", f"-c:a:{number}", "copy"]
    return [*args, "-fflags", "+bitexact", "-f", "matroska"]


def _copy_args(media: MediaInfo, tracks: int, *, decode: bool) -> list[str]:
    # Program streams do not store a timestamp for each frame.
    args = ["-fflags", "+genpts", *media_input(media.path), "-map", f"0:{media.video_index}", "-c", "copy"]
    for number, stream in enumerate(media.decodable_audio[:tracks]):
        args += ["-map", f"0:{stream.index}"]
        if decode:
            args += [f"-filter:a:{number}", _uniform(), f"-c:a:{number}", "pcm_f32le"]
        args += [f"-disposition:a:{number}", "default" if stream.index == media.audio_index else "0"]
    # An AVI without reordered frames states only when each is decoded, which is when it is shown.
    args += ["-bsf:v", "setts=pts=DTS"] if media.empty_frames else []
    return [*args, "-fflags", "+bitexact", "-f", "matroska"]


def _uniform() -> str:
    # These filters do not count, so it does not matter that they restart.
    return f"aresample={SAMPLE_RATE},aformat=sample_fmts=flt:channel_layouts=stereo"


async def _decode(ffmpeg: FFmpeg, parts: Sequence[Path], target: Path) -> None:
    """Write the audio of parts as PCM, one sample behind the other."""
    decoded: list[Path] = []
    for number, part in enumerate(parts):
        path = target.with_name(f"part{number:05d}.wav") if len(parts) > 1 else target
        await ffmpeg.run([*media_input(part), "-map", "0:a:0", "-af", _uniform(), *WAV_ARGS, file_url(path)])
        decoded.append(path)
    if len(parts) == 1:
        return
    await ffmpeg.run([*await list_input(target.parent, decoded), *WAV_ARGS, file_url(target)], read=decoded)
    for path in (*parts, *decoded):
        await asyncio.to_thread(path.unlink)


def _write_parts(path: Path, cuts: Sequence[tuple[int, int]], folder: Path) -> list[Path]:
    """Write each range of bytes of a file as a file of its own."""
    parts: list[Path] = []
    with path.open("rb") as file:
        for number, (start, end) in enumerate(cuts):
            file.seek(start)
            parts.append(folder / f"range{number:05d}.part")
            with parts[-1].open("wb") as part:
                for position in range(start, end, _CHUNK):
                    part.write(file.read(min(_CHUNK, end - position)))
    return parts


def _note(media: MediaInfo, parts: int) -> str:
    """Return what was changed; empty if it cannot be noticed."""
    if parts:
        return f"'{media.path.name}' consists of {parts} files that were put behind each other; they were joined"
    if media.clock_jumps and media.has_video:
        return f"the clock of '{media.path.name}' jumps; its parts were put behind each other"
    if note := encode_note(media):
        return note
    if not (media.audio_changes or media.clock_jumps):
        return ""
    return f"the audio of '{media.path.name}' changes its format on the way; it was decoded to one format first"
