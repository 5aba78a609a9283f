"""What the finished parts of a film are known by: equal keys, equal parts."""

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callsheet.media.encoding.encoders import Encoder
from callsheet.media.ffmpeg.binary import capabilities
from callsheet.media.ffmpeg.filter_graph import escape
from callsheet.media.ffmpeg.inputs import file_url
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.fonts import FONTS, fonts_digest
from callsheet.media.rendering import audio_mix
from callsheet.media.rendering.audio_track import audio_track_args
from callsheet.media.rendering.overlays import Above, AssScript
from callsheet.media.rendering.render_plan import RenderPlan
from callsheet.media.rendering.scene_filters import Canvas
from callsheet.media.rendering.segment_commands import compile_segments
from callsheet.media.rendering.segments import Segment

_RECIPE = 1
"""Part of every key: raise it when equal arguments come to make another picture."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of a film's parts."""

    segments: list[str]
    sound: str


async def keys_of(film: RenderPlan, segments: Sequence[Segment], encoder: Encoder, ffmpeg: FFmpeg) -> Keys:
    """Return the keys of a film's parts; all its files are read for that."""
    version = (await capabilities(ffmpeg.binary)).version
    contents = {path: await asyncio.to_thread(_sha256, path) for path in film.files}

    def keys() -> Keys:
        pictures = [digest(each, film.canvas, film.above, encoder, version, contents) for each in segments]
        return Keys([f"segment/{key}" for key in pictures], f"sound/{sound_digest(film, version, contents)}")

    # Many long scripts take their time.
    return await asyncio.to_thread(keys)


def digest(
    segment: Segment,
    canvas: Canvas,
    above: Sequence[Above],
    encoder: Encoder,
    ffmpeg: str,
    contents: Mapping[Path, str],
) -> str:
    """Return what identifies the outcome of a segment: equal digests, equal pictures.

    `ffmpeg` is its version; `contents` are the digests of all files in use.
    """
    work = compile_segments([segment], canvas, above, encoder, threads=1, stems=["segment"])
    arguments = _by_contents(work.args, contents)
    given = [thing.digest for thing in above if isinstance(thing, AssScript) and thing.name in str(arguments)]
    return _hashed([_RECIPE, ffmpeg, arguments, sorted(work.scripts.items()), given])


def sound_digest(film: RenderPlan, ffmpeg: str, contents: Mapping[Path, str]) -> str:
    """Return what identifies the sound of a film; `ffmpeg` and `contents` are as for `digest`."""
    steps = audio_mix.steps(film.plan, film.sounds, Path())
    made = [_by_contents(step.arguments, contents) for step in steps]
    return _hashed([_RECIPE, ffmpeg, made, repr(film.level), audio_track_args(film.container)])


def _by_contents(arguments: Sequence[str], contents: Mapping[Path, str]) -> list[str]:
    """Return arguments in which files, and our fonts, are told by what is in them."""
    known, fonts = {file_url(path): told for path, told in contents.items()}, escape(str(FONTS))
    told = [known.get(word, word) for word in arguments]
    return [word.replace(fonts, fonts_digest()) if fonts in word else word for word in told]


def _hashed(told: list[Any]) -> str:
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
