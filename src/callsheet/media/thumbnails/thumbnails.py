"""Takes pictures from a video in a process of its own, which a hostile file may crash: `python thumbnails.py REQUEST`.

The request is one JSON object, see `main`. Each line of stdout is a JSON object: `{"done": 0.5}` as it goes, then
what `main` returns, or `{"error": "…"}`.
It is run by its path and imports little of ours, so that it starts quickly.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
from av.video.frame import VideoFrame

from callsheet.media.thumbnails.animation import animate
from callsheet.media.thumbnails.display_image import display_image, save
from callsheet.media.thumbnails.frame_score import frame_score
from callsheet.media.thumbnails.sample_times import sample_times
from callsheet.media.thumbnails.scene_changes import scene_changes
from callsheet.media.thumbnails.sprite import draw_sprite
from callsheet.media.thumbnails.subprocess_protocol import ProgressReport, answer
from callsheet.media.thumbnails.video_reader import VideoReader

_POSTER_SIDE = 1920
_JUDGED_SIDE = 320
_CANDIDATES = 12
"""Pictures that a poster is chosen from, at least."""
_SLACK = {"keyframe": float("inf"), "exact": 0.0}

Tell = Callable[[float], None]


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Take the pictures, and return the parts asked for; each is null where it is not wanted.

    `path`, `folder`, `format`, `accuracy`; `frames`: see `_frames`; `poster`: true, or seconds; `sprite` and
    `animation`: see there; `demuxer`, or null; `input`: its options; `max_pixels`; `threads`.
    """
    source, demuxer = f"file:{request['path']}", request["demuxer"]
    makers = {"frames": _frames, "poster": _poster, "sprite": _sprite, "animation": _animation}
    wanted = [name for name in makers if request[name] is not None]
    progress = ProgressReport()
    made: dict[str, Any] = dict.fromkeys(makers)
    with av.open(source, format=demuxer, options=request["input"], metadata_errors="replace") as container:
        reel = VideoReader(container, max_pixels=request["max_pixels"], threads=request["threads"])
        for index, name in enumerate(wanted):

            def told(done: float, index: int = index) -> None:
                progress((index + done) / len(wanted))

            made[name] = makers[name](reel, request, made, told)
    return made


def _frames(reel: VideoReader, request: dict[str, Any], _: dict[str, Any], told: Tell) -> dict[str, Any]:
    """Take pictures of `count` parts, every `interval` seconds, at `times`, or where scenes begin.

    For the last, `at` is `scene_changes`, and `threshold` says how large a change has to be; of `most` pictures
    the largest changes are taken.
    """
    wish = request["frames"]
    times, slack, asked = _moments(reel, wish, request["accuracy"], lambda done: told(done / 2))
    pictures: list[dict[str, Any]] = []
    seen: set[float] = set()
    begun = 0.5 if wish["at"] else 0.0
    for index, wanted in enumerate(times):
        frame, time = reel.frame_at(wanted, slack)
        if wish["times"] or time not in seen:  # two moments may share a key frame
            seen.add(time)
            image = display_image(frame, reel.shape, wish["width"])
            path = save(image, Path(request["folder"]), f"frame-{len(pictures) + 1:03d}", request["format"])
            telling = _telling(reel, frame) if request["poster"] is True else None
            pictures.append({"file": path.name, "time": time, "interest": telling})
        told(begun + (1 - begun) * (index + 1) / len(times))
    return {"pictures": pictures, "asked": asked}


def _moments(reel: VideoReader, wish: dict[str, Any], accuracy: str, told: Tell) -> tuple[list[float], float, int]:
    """Return the moments to show, how far before them a key frame will do, and how many moments were asked for."""
    if wish["times"]:
        return wish["times"], _SLACK.get(accuracy, 0.0), len(wish["times"])
    if wish["at"] is not None:
        changes = scene_changes(reel, wish["threshold"], accuracy, told)
        largest = sorted(changes, key=lambda change: -change[1])[: wish["most"] - 1]
        return [0.0, *sorted(time for time, _ in largest if time > 0)], 0.0, len(changes) + 1
    times, asked = sample_times(reel.duration, wish["count"], wish["interval"], wish["most"])
    spacing = times[1] - times[0] if len(times) > 1 else reel.duration
    return times, _SLACK.get(accuracy, spacing / 4), asked


def _poster(reel: VideoReader, request: dict[str, Any], made: dict[str, Any], told: Tell) -> str:
    """Save one large picture: that of the moment asked for, else the most telling one."""
    time = request["poster"]
    if time is True:
        taken = made["frames"]["pictures"] if made["frames"] else []
        candidates = [(picture["interest"], picture["time"]) for picture in taken]
        if len(taken) < _CANDIDATES:
            candidates += _looked_at(reel, _CANDIDATES - len(taken), told)
        time = max(candidates)[1]
    frame, _ = reel.frame_at(time)
    image = display_image(frame, reel.shape, longest=_POSTER_SIDE)
    return save(image, Path(request["folder"]), "poster", request["format"]).name


def _looked_at(reel: VideoReader, count: int, told: Tell) -> list[tuple[float, float]]:
    """Return how telling the key frames of `count` moments are, with their times."""
    found = []
    for index, wanted in enumerate(sample_times(reel.duration, count, None, count)[0]):
        frame, time = reel.frame_at(wanted, float("inf"))
        found.append((_telling(reel, frame), time))
        told((index + 1) / count)
    return found


def _telling(reel: VideoReader, frame: VideoFrame) -> float:
    return frame_score(display_image(frame, reel.shape, longest=_JUDGED_SIDE))


def _sprite(reel: VideoReader, request: dict[str, Any], _: dict[str, Any], told: Tell) -> dict[str, Any]:
    slack = _SLACK.get(request["accuracy"])
    return draw_sprite(reel, request["sprite"], slack, Path(request["folder"]), request["format"], told)


def _animation(reel: VideoReader, request: dict[str, Any], _: dict[str, Any], told: Tell) -> dict[str, Any]:
    return animate(reel, request["animation"], Path(request["folder"]), told)


if __name__ == "__main__":
    answer(main)
