"""FFmpeg, its sandbox, and the fonts of texts."""

import asyncio
from collections.abc import AsyncIterator

from callsheet.cli.diagnostics.findings import Finding, ok
from callsheet.cli.diagnostics.installation import Installation
from callsheet.media.ffmpeg.binary import capabilities, find_ffmpeg
from callsheet.media.ffmpeg.sandbox import is_sandboxed
from callsheet.media.fonts import FAMILY, FONTCONFIG, FONTS
from callsheet.processes.landlock import landlock_version
from callsheet.settings import Settings

_NEEDED_ENCODERS = ("libx264", "aac")
_NEEDED_FILTERS = ("ass",)
_FULL_BUILD = "install an FFmpeg with it, or unset FFMPEG_PATH to use the bundled one"
_KERNEL = "use Linux 5.13 or later with Landlock enabled in `lsm=`, or let only trusted users submit media"


async def ffmpeg(installation: Installation) -> AsyncIterator[Finding]:
    """Run FFmpeg, and report what it lacks."""
    binary = find_ffmpeg(installation.settings)
    supported = await capabilities(binary)
    if missing := [encoder for encoder in _NEEDED_ENCODERS if encoder not in supported.encoders]:
        message = f"{binary} lacks {', '.join(missing)}; rendered videos will use other codecs"
        yield Finding("ffmpeg.lacks_encoders", message, _FULL_BUILD)
    if lacking := [name for name in _NEEDED_FILTERS if name not in supported.filters]:
        message = f"{binary} lacks the filter {', '.join(lacking)}; texts and burned-in subtitles fail"
        yield Finding("ffmpeg.lacks_filters", message, _FULL_BUILD)
    if not missing and not lacking:
        yield ok("ffmpeg", f"{supported.version} at {binary}")


async def sandbox(installation: Installation) -> AsyncIterator[Finding]:
    """Report whether decoders are restricted to the files of their job."""
    yield sandbox_finding(installation.settings)


def sandbox_finding(settings: Settings) -> Finding:
    """Return what the setting of the sandbox means on this kernel."""
    if is_sandboxed(settings.ffmpeg_sandbox):
        return ok("sandbox", f"FFmpeg sees only the files of its job (Landlock {landlock_version()})")
    if settings.ffmpeg_sandbox == "off":
        message = "FFmpeg sees all files of this user, since FFMPEG_SANDBOX is 'off'"
        return Finding("sandbox.off", message, "set FFMPEG_SANDBOX=auto")
    reason = "this kernel has no Landlock (Linux 5.13 or later, enabled in `lsm=`)"
    if settings.ffmpeg_sandbox == "required":
        message = f"FFmpeg does not start, since FFMPEG_SANDBOX is 'required': {reason}"
        return Finding("sandbox.unavailable", message, f"{_KERNEL}, with FFMPEG_SANDBOX=auto")
    return Finding("sandbox.off", f"FFmpeg sees all files of this user: {reason}", _KERNEL)


async def fonts(_: Installation) -> AsyncIterator[Finding]:
    """Open every font of the package."""
    yield await asyncio.to_thread(_fonts)


def _fonts() -> Finding:
    from PIL import ImageFont

    files = sorted(path for path in FONTCONFIG.parent.rglob("*") if path.suffix in (".ttf", ".otf"))
    damaged = []
    for path in files:
        try:
            ImageFont.truetype(path, 16, layout_engine=ImageFont.Layout.BASIC)
        except (OSError, ValueError):
            damaged.append(path.name)
    has_default = any(path.parent == FONTS for path in files)
    if damaged or not has_default or not FONTCONFIG.is_file():
        what = f"cannot be read: {', '.join(damaged)}" if damaged else f"{FAMILY} or {FONTCONFIG.name} is missing"
        message = f"the fonts in {FONTCONFIG.parent}: {what}"
        return Finding("fonts.missing", message, "install Callsheet again: pip install --force-reinstall callsheet")
    return ok("fonts", f"{len(files)} fonts of the package; default: {FAMILY}")
