"""The first filters of every video input: its frames as one picture of constant size, without interlacing.

The size, the shape or the scanning of a picture may change on the way: in recordings of calls, in broadcasts, and in
recordings that were put behind each other. FFmpeg would then build the filter graph again, and every filter that counts
from its own start would restart. Here the graph stays, and changed frames are fitted into the first one.
"""

from callsheet.media.ffmpeg.filter_graph import FilterGraph, Options
from callsheet.media.ffmpeg.inputs import media_input
from callsheet.media.probing.probe import MediaInfo

_TICK = 0.0005
"""Seconds. Times of frames are rounded to milliseconds in Matroska."""
_TOLERANCE = 0.01
"""Share by which aspect ratios may differ without bars."""
DEINTERLACE: tuple[str, Options] = ("bwdif", {"mode": "send_frame", "deint": "interlaced"})
"""Only frames that are marked as interlaced are changed."""


def picture_input(media: MediaInfo, *, start: float | None = None, length: float | None = None) -> list[str]:
    """Return the arguments for an input whose frames go through `source_frames`."""
    keep_graph = ["-reinit_filter:v", "0"] if media.may_change_size else []
    return [*keep_graph, *media.decoder_args, *media_input(media.path, start=start, length=length)]


def copy_input(media: MediaInfo) -> list[str]:
    """Return the arguments for an input whose video is copied. Program streams and AVI do not time each frame."""
    return [
        *(["-fflags", "+genpts"] if media.lacks_index or media.probe.format == "avi" else []),
        *media_input(media.path),
    ]


def picture_stream(media: MediaInfo, number: int = 0) -> str:
    """Return the video stream of an input for a filter graph or `-map`. `number` is that of the input."""
    return f"{number}:{media.video_index}"


def audio_stream(media: MediaInfo, number: int = 0) -> str:
    """Return the audio stream of an input for a filter graph or `-map`. `number` is that of the input."""
    return f"{number}:{media.audio.index}"


def source_frames(graph: FilterGraph, stream: str, media: MediaInfo) -> str:
    """Append the filters that keep the frame size of a file, and that deinterlace what is interlaced."""
    if media.may_change_size:
        stream = _fit_into_first_frame(graph, stream, media)
    return graph.chain(stream, DEINTERLACE) if media.may_be_interlaced else stream


def hold_last_frame(graph: FilterGraph, stream: str, *, start: float, end: float, usual: float) -> str:
    """Append filters that repeat the last frame just before the end of the video, so that it is shown up to there.

    Encoders and containers lose how long the last frame is shown. `start` and `end` are those of this frame, and
    `usual` is how long other frames are shown, in seconds.
    """
    again = end - min(usual, (end - start) / 2)
    # After some filters, the repeated frame has the time of the last one, not a later one.
    time = f"if(gt(PTS*TB,{start + _TICK:.6f})+eq(PTS,PREV_INPTS),{again:.6f}/TB,PTS)"
    return graph.chain(stream, ("tpad", {"stop": 1, "stop_mode": "clone"}), ("setpts", {"expr": time}))


def _fit_into_first_frame(graph: FilterGraph, stream: str, media: MediaInfo) -> str:
    video = media.video
    assert video is not None and video.width and video.height  # noqa: S101 - it was probed as a video
    width, height = video.width, video.height
    if width % 2 or height % 2:  # `pad` would cut off the last column or row
        return graph.add("scale", stream, w=width, h=height, interl=-1)
    across, down = (int(part) for part in (video.pixel_aspect_ratio or "1:1").split(":"))
    aspect = width / height * (across / down if across and down else 1)
    narrow, wide = f"{aspect * (1 - _TOLERANCE):.6f}", f"{aspect * (1 + _TOLERANCE):.6f}"
    scale: Options = {
        "w": f"if(lt(dar,{narrow}),max(2,2*trunc({width}*dar/{aspect:.6f}/2)),{width})",
        "h": f"if(gt(dar,{wide}),max(2,2*trunc({height}*{aspect:.6f}/dar/2)),{height})",
        "eval": "frame",
        "interl": -1,
    }
    bars: Options = {"w": width, "h": height, "x": "(ow-iw)/2", "y": "(oh-ih)/2", "eval": "frame"}
    return graph.chain(stream, ("scale", scale), ("pad", bars))
