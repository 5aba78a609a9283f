"""Every operation shows the same colors of a still image."""

import subprocess
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from PIL import Image
from tests.support.tiny_models import write_models

from callsheet.domain.plan_validation import validate_params
from callsheet.operations.preview import PreviewParams, preview
from callsheet.operations.probe import ProbeParams, probe
from callsheet.operations.render import RenderParams, render
from callsheet.operations.upscale import UpscaleParams, upscale
from unit.media.studio import FakeContext

from .rows.stills import BACKGROUND, HEIGHT, STILLS, WIDTH, StillRow
from .sisters import WHOLE
from .test_corpus import BINARY

pytestmark = pytest.mark.corpus

_SLACK = 8
"""Levels. Video has fewer than images."""
_OUTPUT = {"width": WIDTH, "height": HEIGHT, "fps": 10, "preset": "ultrafast", "crf": 4}


async def _preview(source: Path, folder: Path) -> np.ndarray:
    stage = FakeContext(folder)
    params = validate_params({"src": str(source), "times": [0], "format": "png"}, PreviewParams)
    await preview.run(stage, params)
    return _pixels(next(file for file in stage.kept if file.suffix == ".png"))


async def _render(source: Path, folder: Path, scene: dict[str, object] | None = None) -> np.ndarray:
    stage = FakeContext(folder)
    scene = scene or {"src": str(source), "duration": 0.1, "fit": "fill"}
    await render.run(stage, validate_params({"scenes": [scene], "output": _OUTPUT}, RenderParams))
    return _first_frame(stage.kept[0])


def _first_frame(path: Path) -> np.ndarray:
    command = [str(BINARY), "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, HEIGHT, WIDTH, 3)[0]


async def _overlay(source: Path, folder: Path) -> np.ndarray:
    color = "#{:02X}{:02X}{:02X}".format(*BACKGROUND)
    overlays = [{"src": str(source), "scale": 1.0}]
    return await _render(source, folder, {"color": color, "duration": 0.1, "overlays": overlays})


async def _upscale(source: Path, folder: Path) -> np.ndarray:
    stage = FakeContext(folder, models_dir=write_models(folder / "models"))
    await upscale.run(stage, validate_params({"src": str(source), "model": "double"}, UpscaleParams))
    return _pixels(stage.kept[-1])


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        image = opened.convert("RGBA")
        black = Image.new("RGBA", image.size, "black")
        return np.asarray(Image.alpha_composite(black, image).convert("RGB").resize((WIDTH, HEIGHT)))


_WAYS = {"preview": _preview, "render": _render, "overlay": _overlay, "upscale": _upscale}


def _cases() -> list[tuple[StillRow, str]]:
    """Return each file with each operation; by default with one, which its name decides."""
    return [
        (row, way)
        for row in STILLS
        for number, way in enumerate(_WAYS)
        if WHOLE or crc32(row.name.encode()) % len(_WAYS) == number
    ]


@pytest.mark.parametrize(("row", "way"), _cases(), ids=lambda value: value if isinstance(value, str) else value.name)
async def test_a_still_image_has_its_colors(row: StillRow, way: str, tmp_path: Path):
    source = tmp_path / row.name
    row.make(source)
    (tmp_path / "probe").mkdir()
    facts = await probe.run(FakeContext(tmp_path / "probe"), validate_params({"src": str(source)}, ProbeParams))

    found = await _WAYS[way](source, tmp_path)

    assert (facts.width, facts.height) == (WIDTH, HEIGHT)
    corners = [found[y, x].astype(int) for y in (6, -7) for x in (10, -11)]
    assert np.abs(np.array(corners) - row.corners).max() <= _SLACK, corners
    seen = BACKGROUND if way == "overlay" else (0, 0, 0)
    middle = seen if row.clear else (128,) * 3
    assert np.abs(found[HEIGHT // 2, WIDTH // 2].astype(int) - middle).max() <= _SLACK
