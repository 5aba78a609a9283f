"""Face restoration after upscaling, by tiny models: a detector that always sees the same face, and a negative."""

import re
from pathlib import Path

import numpy as np
import pytest
from media.studio import FakeContext, Studio
from PIL import Image
from tests.support.tiny_models import write_models
from tests.support.tiny_onnx import write_detector, write_negative

from callsheet.domain.errors import BadParams, JobError
from callsheet.domain.plan_validation import validate_params
from callsheet.media.enhancement.face_detection import FaceDetector
from callsheet.media.enhancement.face_restoration import _MASK, _TEMPLATE
from callsheet.media.enhancement.requests import Compute, ModelFiles
from callsheet.operations.upscale import upscale
from callsheet.operations.upscale_params import UpscaleResult

SIDE = 128
FACE = (_TEMPLATE * 64 / 512 + 32).astype(np.float32)
"""An upright face of 64 pixels, from 32 to 96."""


def cells(points: np.ndarray, stride: int, row: int, column: int) -> list[float]:
    """Return points in cells from a place."""
    return list((points / stride - (column, row)).ravel())


@pytest.fixture
def job(tmp_path: Path) -> FakeContext:
    models = write_models(tmp_path / "models")
    faces = {
        (16, 4, 4): (0.9, 4, 4, *cells(FACE, 16, 4, 4)),
        (8, 8, 8): (0.7, 7, 7, *cells(FACE + 3, 8, 8, 8)),  # the same face, with a lower score
        (32, 0, 3): (0.5, 1, 1, *cells(FACE + 9, 32, 0, 3)),  # too unsure
    }
    write_detector(models / "face_detection_yunet_2023mar.onnx", SIDE, faces)
    write_negative(models / "negative.onnx", 512)
    write_negative(models / "small.onnx", 64)
    return FakeContext(tmp_path, models_dir=models)


async def run(job: FakeContext, source: Path, **params: object) -> tuple[UpscaleResult, Path]:
    for part in job.dir.glob("*.mp4"):
        part.unlink()
    given = {"src": str(source), "model": "double", "faces": "negative", "crf": 1, "preset": "ultrafast", **params}
    result = await upscale.run(job, validate_params(given, upscale.params))
    assert isinstance(result, UpscaleResult)
    return result, job.kept[-1]


def test_each_face_is_found_once_at_its_place_in_an_image_of_another_size(job, tmp_path):
    path = job.settings.models_folder / "face_detection_yunet_2023mar.onnx"
    detector = FaceDetector(ModelFiles("yunet", "onnx", str(path)), Compute(1))

    (same,) = detector.find(np.zeros((3, SIDE, SIDE), np.float32))
    (larger,) = detector.find(np.zeros((3, 2 * SIDE, SIDE), np.float32))

    assert same == pytest.approx(FACE, abs=0.01)
    assert larger == pytest.approx(FACE * 2, abs=0.01)


async def test_the_face_of_an_image_is_restored_with_soft_edges_and_the_rest_is_untouched(job, tmp_path):
    Image.new("RGB", (SIDE, SIDE), (200, 120, 40)).save(tmp_path / "face.png")

    _, path = await run(job, tmp_path / "face.png", faceWeight=0.5)

    with Image.open(path) as opened:
        pixels = np.asarray(opened.convert("RGB"), np.float32)
    assert pixels.shape == (256, 256, 3)
    # The upright face is from 64 to 192. Its negative has half of the weight.
    assert pixels[128, 128] == pytest.approx((127.5, 127.5, 127.5), abs=1)
    assert (pixels[:63] == (200, 120, 40)).all()
    assert (pixels[:, 193:] == (200, 120, 40)).all()
    share = (200 - pixels[128, 64:192, 0]) / (200 - 127.5)
    assert share == pytest.approx(_MASK[256, 2::4], abs=0.05)
    assert np.abs(np.diff(share)).max() < 0.12, "a visible edge"


async def test_a_turned_face_is_restored_where_it_is(job, tmp_path):
    middle = np.array((64, 64), np.float32)
    quarter = (FACE - middle) @ np.array([[0, 1], [-1, 0]], np.float32) + middle
    faces = {(16, 4, 4): (0.9, 4, 4, *cells(quarter, 16, 4, 4))}
    write_detector(job.settings.models_folder / "turned.onnx", SIDE, faces)
    ramp = np.linspace(0, 255, SIDE, dtype=np.uint8)
    Image.fromarray(np.repeat(ramp[np.newaxis], SIDE, 0)).convert("RGB").save(tmp_path / "ramp.png")

    _, path = await run(job, tmp_path / "ramp.png", faceDetector="turned", faceWeight=1)

    with Image.open(path) as opened:
        pixels = np.asarray(opened.convert("L"), np.float32)
    original = np.repeat(ramp, 2)
    # Inside the face, each pixel is the negative of itself: it came back to its own place.
    assert np.abs(pixels[100:156, 90:166] - (255 - original[90:166])).max() < 5


async def test_the_faces_of_a_video_are_restored_and_parts_with_other_models_are_not_mixed(job, studio: Studio):
    source = studio.clip("face.mp4", f"color=#c07828:size={SIDE}x{SIDE}:rate=20", seconds=0.2)

    plain, path = await run(job, source, faces=None)
    before = studio.gray_frames(path, size=(256, 256))
    result, path = await run(job, source, faceWeight=1)
    after = studio.gray_frames(path, size=(256, 256))

    assert (plain.frames, result.frames, result.cached) == (4, 4, 0)
    assert np.abs(after[:, :60].astype(float) - before[:, :60]).max() < 4
    assert np.abs(after[:, 128, 128].astype(float) + before[:, 128, 128] - 255).max() < 12


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"faces": "gfpgan", "faceDetector": "unknown"}, BadParams, "faces.*faceDetector"),
        ({"faces": "blend"}, JobError, "'blend' has 3 inputs"),
        ({"faces": "small"}, JobError, "'small' takes images of 64x64; faces are 512x512"),
        ({"faceDetector": "negative"}, JobError, "the outputs of 'negative' are not those of YuNet"),
        ({"faceDetector": "double"}, JobError, "is not an ONNX file"),
    ],
)
async def test_models_that_cannot_restore_faces_are_named(job, tmp_path, params, error, message):
    Image.new("RGB", (32, 32)).save(tmp_path / "small.png")

    with pytest.raises(error) as failed:
        await run(job, tmp_path / "small.png", **params)

    problems = " ".join(problem.path for problem in getattr(failed.value, "problems", ()))
    assert re.search(message, f"{failed.value} {problems}")
