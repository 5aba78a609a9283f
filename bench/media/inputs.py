"""Sources of the benchmarks: clips, images and texts, each created once."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.media.ffmpeg import ffmpeg

X264 = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p"]
COLOR_ARGS = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"]


def clip(
    folder: Path,
    name: str,
    source: str,
    *,
    size: str,
    rate: str,
    seconds: float,
    audio: str | None = None,
    codec_args: tuple[str, ...] = ("-crf", "18"),
) -> Path:
    """Create a clip from a video source of FFmpeg, with some noise to create it hard to compress."""

    def create(path: Path) -> None:
        args = ["-f", "lavfi", "-i", f"{source}=size={size}:rate={rate}"]
        args += ["-f", "lavfi", "-i", audio] if audio else []
        args += ["-vf", "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p,noise=alls=1:allf=t"]
        args += ["-t", str(seconds), *X264, *COLOR_ARGS, *codec_args]
        ffmpeg(*args, *(["-c:a", "aac"] if audio else []), path)

    return _create_once(folder / name, create)


def still(folder: Path, name: str, source: str, size: str) -> Path:
    """Create an image."""
    args = ["-f", "lavfi", "-i", f"{source}=size={size}", "-frames:v", "1", "-q:v", "2", "-update", "1"]
    return _create_once(folder / name, lambda path: ffmpeg(*args, path))


def logo(folder: Path) -> Path:
    """Create a translucent image."""
    boxes = (
        "drawbox=x=10:y=10:w=280:h=100:color=white@0.9:t=fill:replace=1,"
        "drawbox=x=40:y=40:w=220:h=40:color=blue@0.9:t=fill:replace=1"
    )
    args = ["-f", "lavfi", "-i", "color=c=red@0.0:size=300x120,format=rgba", "-vf", boxes, "-frames:v", "1"]
    return _create_once(folder / "logo.png", lambda path: ffmpeg(*args, path))


def long_video(folder: Path, *, seconds: int, keyframe_interval: int) -> Path:
    """Create a video in 1080p with audio and a keyframe every `keyframe_interval` frames, by repeating a short part."""
    part = min(30, seconds)
    codec_args = (
        "-crf",
        "23",
        "-g",
        str(keyframe_interval),
        "-keyint_min",
        str(min(keyframe_interval, 25)),
        "-sc_threshold",
        "0",
    )
    once = clip(
        folder,
        f"part-{keyframe_interval}.mp4",
        "testsrc2",
        size="1920x1080",
        rate="30",
        seconds=part,
        audio="sine=frequency=300",
        codec_args=codec_args,
    )
    args = ["-stream_loop", str(seconds // part - 1), "-i", once, "-c", "copy"]
    return _create_once(folder / f"video-{keyframe_interval}.mp4", lambda path: ffmpeg(*args, path))


@dataclass(frozen=True)
class Text:
    """A subtitle; times are in seconds."""

    start: float
    seconds: float
    text: str


def texts(seconds: float) -> list[Text]:
    """Return a text for every 1.5 seconds."""
    return [Text(1.5 * n, 1.4, f"Caption number {n} is read") for n in range(int(seconds / 1.5))]


def subtitles(folder: Path, texts: list[Text], *, width: int, height: int) -> Path:
    """Write the texts as an ASS script."""
    events = "".join(
        f"Dialogue: 0,{_clock(text.start)},{_clock(text.start + text.seconds)},Default,,0,0,0,,{text.text}\n"
        for text in texts
    )
    return _create_once(folder / "subtitles.ass", lambda path: path.write_text(_SCRIPT.format(width, height) + events))


def _clock(seconds: float) -> str:
    return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d}:{seconds % 60:05.2f}"


def _create_once(path: Path, create: Callable[[Path], object]) -> Path:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_stem(f"{path.stem}-temporary")
        create(temporary)
        temporary.rename(path)
    return path


_SCRIPT = """[Script Info]
ScriptType: v4.00+
PlayResX: {}
PlayResY: {}
ScaledBorderAndShadow: yes
YCbCr Matrix: TV.709

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Inter,48,&H00FFFFFF,&H0000FFFF,&H00000000,&H80000000,-1,0,0,0,100,100,0,0,1,3,1,2,40,40,210,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
