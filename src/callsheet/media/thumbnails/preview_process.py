"""Preview pictures of a video, taken and laid out in child processes."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callsheet.domain.errors import DiskFull, FFmpegFailed
from callsheet.media.ffmpeg.inputs import MAX_PIXELS, MEDIA_FORMATS, forced_demuxer
from callsheet.media.ffmpeg.runner import usable_processors
from callsheet.media.fonts import FONTS
from callsheet.media.thumbnails.storyboard import Grid
from callsheet.processes.child import ProcessLimits, child_environment, start_child

_THUMBNAILS = Path(__file__).with_name("thumbnails.py")
_CONTACT_SHEET = Path(__file__).with_name("contact_sheet.py")
_WAVEFORM = Path(__file__).with_name("waveform.py")
_LIMITS = ProcessLimits(file_bytes=2**30, memory_bytes=8 * 2**30)


@dataclass(frozen=True, slots=True)
class Sprite:
    """Sprite sheets, and what their tiles show."""

    sheets: list[Path]
    starts: list[float]
    """Where the part of the film begins that a tile stands for, in seconds."""
    end: float
    """Of the last part."""
    grid: Grid
    asked: int
    """Tiles asked for, which may be more than are allowed."""


@dataclass(frozen=True, slots=True)
class Animation:
    """A short film that plays by itself."""

    file: Path
    width: int
    """Pixels; less than asked for where it would have been too large a file."""


@dataclass(frozen=True, slots=True)
class Stills:
    """What was taken from a video; what was not asked for is empty or None."""

    files: list[Path]
    times: list[float]
    """Of the files, in seconds."""
    asked: int
    """Pictures asked for, which may be more than are allowed."""
    poster: Path | None
    sprite: Sprite | None
    animation: Animation | None


NOTHING = Stills([], [], 0, None, None, None)


async def take_stills(
    video: Path,
    folder: Path,
    *,
    format: str = "jpeg",
    accuracy: str = "auto",
    frames: dict[str, Any] | None = None,
    poster: bool | float | None = None,
    sprite: dict[str, Any] | None = None,
    animation: dict[str, Any] | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Stills:
    """Take pictures from a video, in one pass over the moments that matter.

    `frames`, `sprite` and `animation` are wishes as `thumbnails.py` reads them; None: not wanted. `poster` is the
    moment of a large picture, or True for the most telling one. Equal pictures are taken once.

    Raises FFmpegFailed when the file cannot be shown, or crashes the decoder.
    """
    request = {
        "folder": str(folder),
        "format": format,
        "accuracy": accuracy,
        "frames": frames,
        "poster": poster,
        "sprite": sprite,
        "animation": animation,
        "threads": usable_processors(),
        "max_pixels": MAX_PIXELS,
    }
    answer = await _ask_of_file(_THUMBNAILS, video, request, folder, on_progress)
    pictures = answer["frames"]["pictures"] if answer["frames"] else []
    return Stills(
        [folder / picture["file"] for picture in pictures],
        [round(picture["time"], 3) for picture in pictures],
        answer["frames"]["asked"] if answer["frames"] else 0,
        folder / answer["poster"] if answer["poster"] else None,
        _sprite(folder, answer["sprite"]) if answer["sprite"] else None,
        Animation(folder / answer["animation"]["file"], answer["animation"]["width"]) if answer["animation"] else None,
    )


def _sprite(folder: Path, answer: dict[str, Any]) -> Sprite:
    sheets = [folder / name for name in answer["sheets"]]
    return Sprite(sheets, answer["starts"], answer["end"], Grid(*answer["grid"]), answer["asked"])


async def draw_waveform(
    source: Path, output: Path, wish: dict[str, Any], *, on_progress: Callable[[float], None] | None = None
) -> None:
    """Draw the sound of a file, as `waveform.py` reads the wish. Raises as `take` does."""
    request = {**wish, "output": str(output)}
    await _ask_of_file(_WAVEFORM, source, request, output.parent, on_progress)


async def lay_out(taken: Stills, output: Path, *, columns: int, facts: str) -> None:
    """Draw a contact sheet of pictures; `facts` stands above them, its first part (to two blanks) in bold."""
    request = {
        "frames": [{"file": str(f), "time": t} for f, t in zip(taken.files, taken.times, strict=True)],
        "columns": columns,
        "facts": facts,
        "fonts": {"bold": str(FONTS / "Inter-Bold.otf"), "regular": str(FONTS / "Inter-Regular.otf")},
        "output": str(output),
    }
    await _ask(_CONTACT_SHEET, request, output.parent, None)
    if not await asyncio.to_thread(output.exists):
        raise FFmpegFailed("the contact sheet could not be drawn")


async def _ask_of_file(
    script: Path,
    source: Path,
    request: dict[str, Any],
    folder: Path,
    on_progress: Callable[[float], None] | None,
) -> dict[str, Any]:
    request |= {
        "path": os.path.abspath(source),  # noqa: ASYNC240, PTH100 - looks at no file
        "demuxer": await asyncio.to_thread(forced_demuxer, source),
        "input": {"format_whitelist": MEDIA_FORMATS, "protocol_whitelist": "file,pipe"},
    }
    answer = await _ask(script, request, folder, on_progress)
    if "error" in answer:
        kind = DiskFull if answer.get("disk_full") else FFmpegFailed
        raise kind(f"no preview of '{source.name}' can be made: {answer['error']}")
    if "done" in answer or not answer:
        raise FFmpegFailed(f"'{source.name}' crashes the decoder; no preview of it can be made")
    return answer


async def _ask(
    script: Path, request: dict[str, Any], folder: Path, on_progress: Callable[[float], None] | None
) -> dict[str, Any]:
    """Run one of the scripts and return the last line it wrote, or nothing if it crashed."""
    # -P: the folder of the script holds names such as `graph` that must not hide other modules.
    argv = [sys.executable, "-P", str(script), json.dumps(request)]
    answer: dict[str, Any] = {}
    async with start_child(argv, cwd=folder, env=child_environment(), limits=_LIMITS) as process:
        assert process.stdout is not None and process.stderr is not None  # noqa: S101 - both are pipes
        complaints = asyncio.create_task(process.stderr.read())
        try:
            async for line in process.stdout:
                answer = json.loads(line)
                if on_progress is not None and "done" in answer:
                    on_progress(answer["done"])
            code = await process.wait()
            said = (await complaints).decode("utf-8", "replace").strip().splitlines()
        finally:
            complaints.cancel()
    if code > 0:  # a fault of the script itself; a crash of the decoder is a signal
        raise FFmpegFailed(f"{script.stem} stopped: {said[-1] if said else f'exit status {code}'}")
    return answer
