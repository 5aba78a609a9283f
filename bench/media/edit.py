"""The benchmark video: six scenes with cross-fades, a logo, burned-in subtitles and a loudness target."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.media import inputs

WIDTH, HEIGHT, RATE = 720, 1280, 30
TRANSITION_FRAMES = 15
"""Length of a cross-fade in frames."""
PRESET, CRF = "medium", 20
LOUDNESS, TRUE_PEAK = -16.0, -1.5
_CHANGED_SCENE = 2
LOGO_WIDTH, LOGO_EDGE, LOGO_OPACITY = 240, 72, 0.85


@dataclass(frozen=True)
class Clip:
    """A scene."""

    path: Path
    has_audio: bool = False
    still: bool = False


@dataclass(frozen=True)
class Edit:
    """Scenes of `frames` each, a logo and subtitles. All files are in one folder."""

    clips: list[Clip]
    frames: int
    logo: Path
    texts: list[inputs.Text]
    subtitles: Path
    """The texts as an ASS script."""

    @property
    def folder(self) -> Path:
        """Folder of the files."""
        return self.logo.parent

    @property
    def total_frames(self) -> int:
        """Length of the video in frames."""
        return self.frames * len(self.clips) - TRANSITION_FRAMES * (len(self.clips) - 1)

    def first(self) -> "Edit":
        """Return a video of one second of the first scene."""
        return replace(self, clips=self.clips[:1], frames=RATE)

    def timeline(self, **changes: Any) -> dict[str, Any]:
        """Return the Callsheet timeline; `changes` are fields of the third scene."""
        scenes: list[dict[str, Any]] = [
            {
                "src": str(clip.path),
                "duration": self.frames / RATE,
                "transition": {"type": "fade", "duration": TRANSITION_FRAMES / RATE},
            }
            for clip in self.clips
        ]
        del scenes[-1]["transition"]
        if changes:
            scenes[_CHANGED_SCENE] |= changes
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
    """Create the sources: videos and images of several sizes and rates, with and without audio."""
    source_seconds = seconds + 1
    clicks = "sine=frequency=330:beep_factor=4:sample_rate=48000,aformat=channel_layouts=stereo,volume=-6dB"
    hum = "sine=frequency=440:sample_rate=44100,volume=-18dB"
    noise = "anoisesrc=color=pink:amplitude=0.3:sample_rate=48000,aformat=channel_layouts=stereo"
    frames = round(seconds * RATE)
    clips = [
        Clip(
            inputs.clip(folder, "1.mp4", "testsrc2", size="1920x1080", rate="30", seconds=source_seconds, audio=clicks),
            has_audio=True,
        ),
        Clip(inputs.clip(folder, "2.mp4", "mandelbrot", size="1280x720", rate="25", seconds=source_seconds)),
        Clip(
            inputs.clip(folder, "3.mp4", "testsrc2", size="1080x1920", rate="60", seconds=source_seconds, audio=hum),
            has_audio=True,
        ),
        Clip(inputs.still(folder, "4.jpg", "mandelbrot", "2400x1600"), still=True),
        Clip(
            inputs.clip(
                folder, "5.mp4", "mandelbrot", size="1280x720", rate="30000/1001", seconds=source_seconds, audio=noise
            ),
            has_audio=True,
        ),
        Clip(inputs.still(folder, "6.png", "testsrc2", "1080x1350"), still=True),
    ]
    texts = inputs.texts((frames * len(clips) - TRANSITION_FRAMES * (len(clips) - 1)) / RATE)
    script = inputs.subtitles(folder, texts, width=WIDTH, height=HEIGHT)
    return Edit(clips, frames, inputs.logo(folder), texts, script)
