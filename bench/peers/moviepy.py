"""MoviePy: the film as its documentation would have it made; `python -m bench.peers.moviepy`.

It knows no loudness, so the sound stays as it is.
"""

import asyncio
from typing import Any

from moviepy import CompositeVideoClip, ImageClip, TextClip, VideoFileClip, afx, vfx

from bench.peers.protocol import answer


async def render(film: dict[str, Any], output: str) -> dict[str, Any]:
    """Make the film."""
    await asyncio.to_thread(_render, film, output)
    return {"output": output}


def _render(film: dict[str, Any], output: str) -> None:
    seconds, passing, (width, height) = film["seconds"], film["passing"], film["size"]
    shots = []
    for number, scene in enumerate(film["scenes"]):
        clip = ImageClip(scene["path"], duration=seconds) if scene["still"] else VideoFileClip(scene["path"])
        clip = _cover(clip.subclipped(0, seconds), width, height)
        effects = _effects(passing, first=number == 0, last=number == len(film["scenes"]) - 1, sounds=clip.audio)
        shots.append(clip.with_start(number * (seconds - passing)).with_effects(effects))
    whole = seconds * len(shots) - passing * (len(shots) - 1)
    logo = film["logo"]
    mark = ImageClip(logo["path"]).resized(width=logo["width"]).with_opacity(logo["opacity"]).with_duration(whole)
    mark = mark.with_position((width - logo["width"] - logo["edge"], logo["edge"]))
    texts = [_text(film["font"], text, width, height) for text in film["texts"]]
    made = CompositeVideoClip([*shots, mark, *texts], size=(width, height)).with_duration(whole)
    made.write_videofile(
        output,
        fps=film["rate"],
        codec="libx264",
        preset=film["preset"],
        audio_codec="aac",
        audio_bitrate="192k",
        ffmpeg_params=["-crf", str(film["crf"])],
        logger=None,
        temp_audiofile_path=output.rpartition("/")[0],
    )
    made.close()


def _effects(passing: float, *, first: bool, last: bool, sounds: object) -> list[Any]:
    picture = [] if first else [vfx.CrossFadeIn(passing)]
    if sounds is None:
        return picture
    return [*picture, *([] if first else [afx.AudioFadeIn(passing)]), *([] if last else [afx.AudioFadeOut(passing)])]


def _cover(clip: Any, width: int, height: int) -> Any:
    clip = clip.resized(max(width / clip.w, height / clip.h))
    return clip.cropped(x_center=clip.w / 2, y_center=clip.h / 2, width=width, height=height)


def _text(font: str, text: dict[str, Any], width: int, height: int) -> Any:
    drawn = TextClip(
        font=font,
        text=text["text"],
        font_size=40,
        color="white",
        stroke_color="black",
        stroke_width=3,
        size=(width - 80, None),
        method="caption",
    )
    return drawn.with_start(text["start"]).with_duration(text["seconds"]).with_position(("center", height - 262))


if __name__ == "__main__":
    asyncio.run(answer(render=render))
