"""The clips, pictures and texts that are worked on, each made once."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.media.ffmpeg import ffmpeg

X264 = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p"]
COLOURS = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"]


def clip(
    folder: Path,
    name: str,
    picture: str,
    *,
    size: str,
    rate: str,
    seconds: float,
    sound: str | None = None,
    coding: tuple[str, ...] = ("-crf", "18"),
) -> Path:
    """Make a clip of one of FFmpeg's pictures with a little noise, which no encoder gets for nothing."""

    def make(path: Path) -> None:
        words = ["-f", "lavfi", "-i", f"{picture}=size={size}:rate={rate}"]
        words += ["-f", "lavfi", "-i", sound] if sound else []
        words += ["-vf", "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p,noise=alls=1:allf=t"]
        words += ["-t", str(seconds), *X264, *COLOURS, *coding]
        ffmpeg(*words, *(["-c:a", "aac"] if sound else []), path)

    return _made(folder / name, make)


def still(folder: Path, name: str, picture: str, size: str) -> Path:
    """Make a photo."""
    words = ["-f", "lavfi", "-i", f"{picture}=size={size}", "-frames:v", "1", "-q:v", "2", "-update", "1"]
    return _made(folder / name, lambda path: ffmpeg(*words, path))


def logo(folder: Path) -> Path:
    """Make a picture that can be seen through."""
    boxes = (
        "drawbox=x=10:y=10:w=280:h=100:color=white@0.9:t=fill:replace=1,"
        "drawbox=x=40:y=40:w=220:h=40:color=blue@0.9:t=fill:replace=1"
    )
    words = ["-f", "lavfi", "-i", "color=c=red@0.0:size=300x120,format=rgba", "-vf", boxes, "-frames:v", "1"]
    return _made(folder / "logo.png", lambda path: ffmpeg(*words, path))


def long_film(folder: Path, *, seconds: int, keys: int) -> Path:
    """Make a film in 1080p with sound and a key frame every `keys` frames: a part of it is made, and repeated."""
    part = min(30, seconds)
    coding = ("-crf", "23", "-g", str(keys), "-keyint_min", str(min(keys, 25)), "-sc_threshold", "0")
    once = clip(
        folder,
        f"part-{keys}.mp4",
        "testsrc2",
        size="1920x1080",
        rate="30",
        seconds=part,
        sound="sine=frequency=300",
        coding=coding,
    )
    words = ["-stream_loop", str(seconds // part - 1), "-i", once, "-c", "copy"]
    return _made(folder / f"film-{keys}.mp4", lambda path: ffmpeg(*words, path))


@dataclass(frozen=True)
class Text:
    """A subtitle, with its times in seconds."""

    start: float
    seconds: float
    text: str


def texts(seconds: float) -> list[Text]:
    """Return a text for every second and a half."""
    return [Text(1.5 * n, 1.4, f"Caption number {n} is read") for n in range(int(seconds / 1.5))]


def subtitles(folder: Path, texts: list[Text], *, width: int, height: int) -> Path:
    """Write the texts as a script."""
    events = "".join(
        f"Dialogue: 0,{_clock(text.start)},{_clock(text.start + text.seconds)},Default,,0,0,0,,{text.text}\n"
        for text in texts
    )
    return _made(folder / "subtitles.ass", lambda path: path.write_text(_SCRIPT.format(width, height) + events))


def _clock(seconds: float) -> str:
    return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d}:{seconds % 60:05.2f}"


def _made(path: Path, make: Callable[[Path], object]) -> Path:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_stem(f"{path.stem}-unfinished")
        make(unfinished)
        unfinished.rename(path)
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
