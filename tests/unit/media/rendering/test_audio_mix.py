from fractions import Fraction
from pathlib import Path

from callsheet.media.rendering import audio_mix
from callsheet.media.rendering.schedule import build_schedule
from callsheet.media.timeline.scene import Scene
from media.film import film

CLIP = film(Path("/in/a.mp4"), 2, width=64, height=64, fps=30, audio_codec="aac")


def test_an_audio_curve_also_applies_between_the_batches_of_a_mix():
    transition = {"duration": 0.5, "audioCurve": "exp"}
    scenes = [Scene.model_validate({"src": "a.mp4", "transition": transition}) for _ in range(30)]
    schedule = build_schedule([*scenes, Scene.model_validate("a.mp4")], [CLIP] * 31, Fraction(30))

    steps = audio_mix.mix_steps(schedule, [], Path("/job"))

    assert len(steps) == 3
    fades = [part for step in steps for arg in step.args for part in arg.split("[") if "]afade=" in part]
    assert len(fades) == 2
    assert all("curve=exp" in fade for fade in fades)
