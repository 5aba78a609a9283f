"""Rewrite pictures that FFmpeg alone would show otherwise than viewers do.

FFmpeg shows one tile of a HEIC photo, drops the alpha channel of AVIF, shows the first picture of an animated one,
and ignores color profiles and the mirroring of photos, and PyAV cannot read animated WebP. Such a file is rewritten
once, without loss, when a job reads it: a still image as upright PNG in sRGB, an animation as FFV1 in Matroska. Then
all operations show the same.
"""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from callsheet.domain.errors import DiskFull, FFmpegFailed
from callsheet.media.ffmpeg.inputs import MAX_PIXELS
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.ffmpeg.sandbox import script_access
from callsheet.media.probing.probe import MediaInfo, probe_details
from callsheet.processes.child import ProcessLimits
from callsheet.processes.json_script import run_script

_IMAGE_SCRIPT = Path(__file__).with_name("still_image.py")
_SCRIPTS = {
    "animation": Path(__file__).with_name("animated_webp.py"),
    "sequence": Path(__file__).with_name("image_sequence.py"),
}
"""Scripts of other kinds than still images."""
_SEQUENCE_CODECS = {"av1": "avif", "hevc": "heif"}
"""The names of video codecs in animations, which cannot be copied as video."""
_LIMITS = ProcessLimits(file_bytes=64 * 2**30, memory_bytes=4 * 2**30)


async def normalize(media: MediaInfo, ffmpeg: FFmpeg, folder: Path) -> MediaInfo:
    """Return a file as operations use it: itself, or a copy of the same name in a new subfolder of `folder`.

    The copy states the format and the codec of the original.

    Raises FFmpegFailed if the file is damaged, DiskFull without disk space.
    """
    if media.normalization is None:
        return media
    target = await asyncio.to_thread(_new_folder, folder)
    copy = target / media.path.name
    script = _SCRIPTS.get(media.normalization, _IMAGE_SCRIPT)
    request = {
        "kind": media.normalization,
        "source": str(media.path.absolute()),
        "output": str(copy.absolute()),
        "max_pixels": MAX_PIXELS,
        "cut_off": bool(media.notes),
    }
    await _run(script, request, media, ffmpeg, target)
    rewritten = await probe_details(copy)
    codec = media.probe.video_codec
    if media.normalization == "sequence":
        codec = _SEQUENCE_CODECS.get(codec or "", codec)
    probe = rewritten.probe.model_copy(
        update={"format": media.probe.format, "video_codec": codec, "bit_rate": media.probe.bit_rate}
    )
    return replace(rewritten, probe=probe, tags=media.tags, strict=media.strict, original=media, notes=media.notes)


def _new_folder(folder: Path) -> Path:
    """Create a subfolder: several inputs of a job may have the same name."""
    number = 1
    while True:
        target = folder / f"normalized-{number}"
        try:
            target.mkdir()
        except FileExistsError:
            number += 1
        else:
            return target


async def _run(script: Path, request: dict[str, Any], media: MediaInfo, ffmpeg: FFmpeg, folder: Path) -> None:
    access = script_access(ffmpeg.sandbox, read=[media.path], write=[folder])
    last: dict[str, Any] = {}
    result = await run_script(script, request, last.update, cwd=folder, limits=_LIMITS, access=access)
    if "error" in last:
        error_type = DiskFull if last.get("disk_full") else FFmpegFailed
        raise error_type(f"'{media.path.name}' cannot be decoded: {last['error']}")
    if result.code != 0:
        raise FFmpegFailed(f"'{media.path.name}' crashes the decoder: {result.error}")
