"""Generates the files of the corpus with FFmpeg's test sources, in every container, codec and oddity of the table.

All show the same: a black picture of 96x54 that flashes white for 0.2 s at 0.5 and 1.5 s, with a red, green, blue and
white corner, and a beep of 1000 Hz at the same times, for 2 s at 25 frames per second.
"""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

SECONDS, RATE = 2.0, 25
BEEP = "0.5*sin(2*PI*1000*t)*between(mod(t,1),0.5,0.7)"
_FLASH = "drawbox=c=white:t=fill:enable='between(mod(t,1),0.499,0.689)'"
_PATCHES = ",".join(
    f"drawbox=x={x}:y={y}:w=iw/4+1:h=ih/4+1:c={color}:t=fill"
    for color, x, y in (
        ("0xDC1E1E", 0, 0),
        ("0x1EC81E", "iw-w", 0),
        ("0x1E1EDC", 0, "ih-h"),
        ("0xF0F0F0", "iw-w", "ih-h"),
    )
)
PICTURE = f"format=gbrp,{_FLASH},{_PATCHES}"
"""Filters that draw the picture on black frames, in RGB."""
TO_BT709 = "scale=out_color_matrix=bt709:out_range=tv"
BT709 = "-colorspace bt709 -color_range tv"

Recipe = Callable[["Clips", Path], None]


class Clips:
    """Runs FFmpeg in a folder."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self.binary = binary
        self.folder = folder

    def run(self, *args: str | Path) -> None:
        command = [str(self.binary), "-v", "error", "-nostdin", "-y", *map(str, args)]
        subprocess.run(command, check=True, timeout=60, cwd=self.folder)

    def film(
        self,
        output: Path,
        video: str,
        audio: str | None,
        *,
        size: str = "96x54",
        seconds: float = SECONDS,
        rate: str = "25",
        sound: Sequence[str] = (BEEP, BEEP),
        hertz: int = 48_000,
        colors: str = TO_BT709,
        tags: str = BT709,
        pixels: str = "yuv420p",
        filters: str = "null",
        extra: str = "",
    ) -> Path:
        """Write the film. `video` and `audio` are codecs with their options; `sound` has an expression per channel.

        `colors` are the filters that convert the picture from RGB, `tags` the options that describe it.
        """
        args = ["-f", "lavfi", "-i", f"color=black:s={size}:r={rate}:d={seconds}"]
        args += ["-f", "lavfi", "-i", f"aevalsrc=exprs='{'|'.join(sound)}':s={hertz}:d={seconds}"] if audio else []
        args += ["-vf", f"{PICTURE},{colors},format={pixels},{filters}", "-c:v", *video.split(), *tags.split()]
        args += ["-c:a", *audio.split()] if audio else []
        self.run(*args, *extra.split(), output)
        return output

    def sound(self, output: Path, codec: str, *, channels: int = 1, hertz: int = 24_000, extra: str = "") -> Path:
        """Write the beeps alone."""
        source = f"aevalsrc=exprs='{'|'.join([BEEP] * channels)}':s={hertz}:d={SECONDS}"
        self.run("-f", "lavfi", "-i", source, "-c:a", *codec.split(), *extra.split(), output)
        return output

    def part(self, name: str) -> Path:
        """Return a path for an intermediate file."""
        return self.folder / name

    def copy(self, source: Path, output: Path, *options: str) -> Path:
        """Write a file with the same streams."""
        self.run("-i", source, "-map", "0", "-c", "copy", *options, output)
        return output


X264 = "libx264 -preset ultrafast -g 25"
