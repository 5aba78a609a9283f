"""Preview pictures of a video, taken and laid out in child processes."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callsheet.domain.errors import DiskFull, MediaFailed
from callsheet.media.child import Limits, plain_environment, started
from callsheet.media.fonts import FONTS
from callsheet.media.inputs import MAX_PIXELS, MEDIA_FORMATS, forced_demuxer
from callsheet.media.runner import usable_processors

_THUMBNAILS = Path(__file__).with_name("thumbnails.py")
_CONTACT_SHEET = Path(__file__).with_name("contact_sheet.py")
_LIMITS = Limits(file_bytes=2**30, memory_bytes=8 * 2**30)


@dataclass(frozen=True, slots=True)
class Taken:
    """The pictures of a video, in order."""

    files: list[Path]
    times: list[float]
    """Seconds."""
    poster: Path | None


async def take(
    video: Path,
    folder: Path,
    *,
    count: int | None = None,
    interval: float | None = None,
    width: int = 480,
    format: str = "jpeg",
    accuracy: str = "auto",
    poster: bool | float = False,
    most: int = 500,
    on_progress: Callable[[float], None] | None = None,
) -> Taken:
    """Take pictures from a video, `count` of them or one every `interval` seconds. Equal ones are taken once.

    Raises MediaFailed when the file cannot be shown, or crashes the decoder.
    """
    request = {
        "path": os.path.abspath(video),  # noqa: ASYNC240, PTH100 - looks at no file
        "folder": str(folder),
        "count": count,
        "interval": interval,
        "width": width,
        "format": format,
        "accuracy": accuracy,
        "poster": poster,
        "most": most,
        "threads": usable_processors(),
        "demuxer": await asyncio.to_thread(forced_demuxer, video),
        "input": {"format_whitelist": MEDIA_FORMATS, "protocol_whitelist": "file,pipe"},
        "max_pixels": MAX_PIXELS,
    }
    answer = await _ask(_THUMBNAILS, request, folder, on_progress)
    if "error" in answer:
        kind = DiskFull if answer.get("disk_full") else MediaFailed
        raise kind(f"no pictures of '{video.name}' can be taken: {answer['error']}")
    if "frames" not in answer:
        raise MediaFailed(f"'{video.name}' crashes the decoder; no pictures of it can be taken")
    return Taken(
        [folder / frame["file"] for frame in answer["frames"]],
        [frame["time"] for frame in answer["frames"]],
        folder / answer["poster"] if answer["poster"] else None,
    )


async def lay_out(taken: Taken, output: Path, *, columns: int, facts: str) -> None:
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
        raise MediaFailed("the contact sheet could not be drawn")


async def _ask(
    script: Path, request: dict[str, Any], folder: Path, on_progress: Callable[[float], None] | None
) -> dict[str, Any]:
    """Run one of the scripts and return the last line it wrote, or nothing if it crashed."""
    # -P: the folder of the script holds names such as `graph` that must not hide other modules.
    argv = [sys.executable, "-P", str(script), json.dumps(request)]
    answer: dict[str, Any] = {}
    async with started(argv, cwd=folder, env=plain_environment(), limits=_LIMITS) as process:
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
        raise MediaFailed(f"{script.stem} stopped: {said[-1] if said else f'exit status {code}'}")
    return answer
