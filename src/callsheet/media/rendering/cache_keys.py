"""Cache keys of the encoded segments and the audio track: equal keys mean equal contents."""

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callsheet.files.digest import sha256_of_file
from callsheet.media.encoding.encoders import Encoder
from callsheet.media.ffmpeg.binary import capabilities
from callsheet.media.ffmpeg.filter_graph import escape
from callsheet.media.ffmpeg.inputs import file_url
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.fonts import FONTS, fonts_digest
from callsheet.media.rendering.audio_mix import mix_steps
from callsheet.media.rendering.audio_track import audio_track_args
from callsheet.media.rendering.layers import AssScript, Layer
from callsheet.media.rendering.render_plan import RenderPlan
from callsheet.media.rendering.scene_filters import Canvas
from callsheet.media.rendering.segment_commands import compile_segments
from callsheet.media.rendering.segments import Segment

_KEY_VERSION = 1
"""Part of every key. Increase it when equal FFmpeg args start to produce different output."""


@dataclass(frozen=True, slots=True)
class CacheKeys:
    """The cache keys of one render."""

    segments: list[str]
    audio: str


async def compute_cache_keys(
    plan: RenderPlan, segments: Sequence[Segment], encoder: Encoder, ffmpeg: FFmpeg
) -> CacheKeys:
    """Return the cache keys of a render. All its source files are read for their digests."""
    version = (await capabilities(ffmpeg.binary)).version
    digests = {path: await asyncio.to_thread(sha256_of_file, path) for path in plan.source_files}

    def compute() -> CacheKeys:
        keys = [segment_digest(each, plan.canvas, plan.layers, encoder, version, digests) for each in segments]
        return CacheKeys([f"segment/{key}" for key in keys], f"audio/{audio_digest(plan, version, digests)}")

    # In a thread: hashing many long subtitle scripts would block the event loop.
    return await asyncio.to_thread(compute)


def segment_digest(
    segment: Segment,
    canvas: Canvas,
    layers: Sequence[Layer],
    encoder: Encoder,
    ffmpeg_version: str,
    file_digests: Mapping[Path, str],
) -> str:
    """Return the digest of everything that determines an encoded segment.

    `file_digests` are the digests of all source files.
    """
    command = compile_segments([segment], canvas, layers, encoder, threads=1, stems=["segment"])
    args = _replace_paths(command.args, file_digests)
    scripts = [layer.digest for layer in layers if isinstance(layer, AssScript) and layer.name in str(args)]
    return _digest([_KEY_VERSION, ffmpeg_version, args, sorted(command.scripts.items()), scripts])


def audio_digest(plan: RenderPlan, ffmpeg_version: str, file_digests: Mapping[Path, str]) -> str:
    """Return the digest of everything that determines the audio track; parameters as in `segment_digest`."""
    steps = mix_steps(plan.schedule, plan.audio, Path())
    args = [_replace_paths(step.args, file_digests) for step in steps]
    return _digest([_KEY_VERSION, ffmpeg_version, args, repr(plan.loudness), audio_track_args(plan.container)])


def _replace_paths(args: Sequence[str], file_digests: Mapping[Path, str]) -> list[str]:
    """Return args in which the paths of source files and of the bundled fonts are replaced by digests."""
    digests, fonts = {file_url(path): digest for path, digest in file_digests.items()}, escape(str(FONTS))
    replaced = [digests.get(arg, arg) for arg in args]
    return [arg.replace(fonts, fonts_digest()) if fonts in arg else arg for arg in replaced]


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
