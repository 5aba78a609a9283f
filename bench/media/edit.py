"""The film that all ways make: six scenes with cross-fades, a logo, burned-in subtitles and a loudness."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.media import inputs

WIDTH, HEIGHT, RATE = 720, 1280, 30
PASSING = 15
"""Frames of a cross-fade."""
PRESET, CRF = "medium", 20
LOUDNESS, TRUE_PEAK = -16.0, -1.5
_CHANGED = 2
LOGO_WIDTH, LOGO_EDGE, LOGO_OPACITY = 240, 72, 0.85


@dataclass(frozen=True)
class Piece:
    """A scene."""

    path: Path
    sounds: bool = False
    still: bool = False


@dataclass(frozen=True)
class Edit:
    """Scenes of `frames` each, and what lies over them, all in one folder."""

    pieces: list[Piece]
    frames: int
    logo: Path
    texts: list[inputs.Text]
    subtitles: Path
    """The texts, as a script."""

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self.logo.parent

    @property
    def whole(self) -> int:
        """Frames of the film."""
        return self.frames * len(self.pieces) - PASSING * (len(self.pieces) - 1)

    def first(self) -> "Edit":
        """Return a film of the first scene alone, and of a second only."""
        return replace(self, pieces=self.pieces[:1], frames=RATE)

    def timeline(self, **changes: Any) -> dict[str, Any]:
        """Return it in Callsheet's words; `changes` are those of the third scene."""
        scenes: list[dict[str, Any]] = [
            {
                "src": str(piece.path),
                "duration": self.frames / RATE,
                "transition": {"type": "fade", "duration": PASSING / RATE},
            }
            for piece in self.pieces
        ]
        del scenes[-1]["transition"]
        if changes:
            scenes[_CHANGED] |= changes
        return {
            "output": {"width": WIDTH, "height": HEIGHT, "fps": RATE, "preset": PRESET, "crf": CRF},
            "scenes": scenes,
            "overlays": [
                {
                    "src": str(self.logo),
                    "position": "top_right",
                    "offset": {"x": -LOGO_EDGE / WIDTH, "y": LOGO_EDGE / HEIGHT},
                    "width": LOGO_WIDTH,
                    "opacity": LOGO_OPACITY,
                }
            ],
            "captions": {"src": str(self.subtitles)},
            "loudness": LOUDNESS,
        }


def six_scenes(folder: Path, seconds: float) -> Edit:
    """Make the sources: of several sizes and rates, lying and upright, with and without sound, moving and still."""
    long = seconds + 1
    clicking = "sine=frequency=330:beep_factor=4:sample_rate=48000,aformat=channel_layouts=stereo,volume=-6dB"
    humming = "sine=frequency=440:sample_rate=44100,volume=-18dB"
    hissing = "anoisesrc=color=pink:amplitude=0.3:sample_rate=48000,aformat=channel_layouts=stereo"
    frames = round(seconds * RATE)
    pieces = [
        Piece(
            inputs.clip(folder, "1.mp4", "testsrc2", size="1920x1080", rate="30", seconds=long, sound=clicking),
            sounds=True,
        ),
        Piece(inputs.clip(folder, "2.mp4", "mandelbrot", size="1280x720", rate="25", seconds=long)),
        Piece(
            inputs.clip(folder, "3.mp4", "testsrc2", size="1080x1920", rate="60", seconds=long, sound=humming),
            sounds=True,
        ),
        Piece(inputs.still(folder, "4.jpg", "mandelbrot", "2400x1600"), still=True),
        Piece(
            inputs.clip(folder, "5.mp4", "mandelbrot", size="1280x720", rate="30000/1001", seconds=long, sound=hissing),
            sounds=True,
        ),
        Piece(inputs.still(folder, "6.png", "testsrc2", "1080x1350"), still=True),
    ]
    texts = inputs.texts((frames * len(pieces) - PASSING * (len(pieces) - 1)) / RATE)
    script = inputs.subtitles(folder, texts, width=WIDTH, height=HEIGHT)
    return Edit(pieces, frames, inputs.logo(folder), texts, script)
