"""PyAV: preview pictures by seeking, without a child process; `python -m bench.peers.pyav`."""

import asyncio
from pathlib import Path
from typing import Any

import av
from PIL import Image

from bench.peers.protocol import answer


async def frames(path: str, times: list[float], exact: bool, width: int, folder: str) -> dict[str, Any]:
    """Save the pictures seen at some times, or the key frames before them; return the times of those taken."""
    taken = _taken(path, times, exact, width)
    for number, (_, image) in enumerate(taken):
        image.save(Path(folder) / f"{number:03d}.jpg", quality=85)
    return {"times": [time for time, _ in taken]}


async def sprite(path: str, times: list[float], columns: int, width: int, folder: str) -> dict[str, Any]:
    """Save small pictures of key frames on one sheet, with a WebVTT file."""
    taken = _taken(path, times, False, width)
    height, spacing = taken[0][1].height, times[1] - times[0]
    sheet = Image.new("RGB", (columns * width, -(-len(taken) // columns) * height))
    cues = ["WEBVTT\n"]
    for number, (_, image) in enumerate(taken):
        x, y = number % columns * width, number // columns * height
        sheet.paste(image, (x, y))
        start, end = _clock(number * spacing), _clock((number + 1) * spacing)
        cues.append(f"{start} --> {end}\nsprite.jpg#xywh={x},{y},{width},{height}\n")
    sheet.save(Path(folder) / "sprite.jpg", quality=85)
    (Path(folder) / "sprite.vtt").write_text("\n".join(cues))
    return {"times": [time for time, _ in taken]}


def _taken(path: str, times: list[float], exact: bool, width: int) -> list[tuple[float, Image.Image]]:
    taken = []
    with av.open(path) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        if exact:
            stream.thread_type = "AUTO"
        else:
            stream.codec_context.skip_frame = "NONKEY"
        for time in times:
            wanted = int(time / stream.time_base)
            container.seek(wanted, stream=stream, backward=True)
            for frame in container.decode(stream):
                assert frame.pts is not None
                if not exact or frame.pts + (frame.duration or 0) > wanted:
                    break
            height = round(width * frame.height / frame.width / 2) * 2
            image = frame.reformat(width=width, height=height, format="rgb24").to_image()
            taken.append((float(frame.pts * stream.time_base), image))
    return taken


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60):02d}:{seconds % 60:06.3f}"


if __name__ == "__main__":
    asyncio.run(answer(frames=frames, sprite=sprite))
