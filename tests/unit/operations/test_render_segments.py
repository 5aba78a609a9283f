"""Segments: encoded once, cached, stream-copied, and encoded by other machines."""

import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from media.studio import FakeContext, Studio

from callsheet.domain.errors import BadParams, FFmpegFailed
from callsheet.domain.plan_validation import validate_params
from callsheet.media.rendering.renderer import Renderer
from callsheet.media.rendering.segments import group_segments, segment_stem
from callsheet.media.timeline.timeline import Timeline
from callsheet.operation_api.contract import RunChildJobs
from callsheet.operations import staging
from callsheet.operations.render import RenderResult, render
from callsheet.operations.render_segments import render_segments

TINY = {"width": 64, "height": 64, "fps": 30, "preset": "ultrafast", "crf": 5}
PLAIN = {"width": 64, "height": 64, "fps": 30, "preset": "ultrafast"}
TONE = "sine=frequency=1000:sample_rate=48000"


async def make(stage: FakeContext, **params: object) -> tuple[RenderResult, Path]:
    given = {"output": TINY, "loudness": False, **params}
    result = await render.run(stage, validate_params(given, render.params))
    assert isinstance(result, RenderResult)
    return result, stage.kept[-1]


def scenes(studio: Studio, *colors: str) -> list[dict[str, object]]:
    """Scenes with transitions."""
    fade = {"duration": 0.2}
    scenes = [{"color": color, "duration": 0.8, "title": color, "transition": fade} for color in colors]
    return [*scenes[:-1], {**scenes[-1], "transition": None}]


async def test_a_change_of_one_scene_encodes_only_its_segments(stage: FakeContext, studio: Studio):
    first, _ = await make(stage, scenes=scenes(studio, "red", "green", "blue", "navy", "teal"))
    again, _ = await make(stage, scenes=scenes(studio, "red", "green", "blue", "navy", "teal"))
    changed, path = await make(stage, scenes=scenes(studio, "red", "green", "white", "navy", "teal"))

    # Five scenes and four transitions. The change affects the third scene and its two transitions.
    assert (first.segments, first.cached) == (9, 0)
    assert (again.segments, again.cached) == (9, 9)
    assert (changed.segments, changed.cached) == (9, 6)
    assert len(studio.gray_frames(path, size=(64, 64))) == 96


async def test_a_segment_has_the_same_bytes_whichever_segments_share_its_command(stage: FakeContext, studio: Studio):
    clips = [
        studio.clip("wide.mp4", "testsrc2=size=128x72:rate=25", seconds=3),
        studio.clip("upright.mp4", "mandelbrot=size=72x128:rate=60", seconds=2),
        studio.clip("odd.mp4", "testsrc=size=66x50:rate=30000/1001", seconds=3),
    ]
    fade = {"type": "wipeleft", "duration": 0.3}
    timeline = {
        "output": TINY,
        "scenes": [
            {"src": str(clips[0]), "trim_start": 0.55, "duration": 1.2, "fade_out": 0.5, "transition": fade},
            {"src": str(clips[1]), "speed": 1.3, "duration": 1, "filters": ["contrast"], "transition": fade},
            # Its transitions cover it completely.
            {"src": str(clips[2]), "duration": 0.6, "fit": "contain_blur", "title": "Hello", "transition": fade},
            {"src": str(clips[2]), "duration": 1, "transition": "dissolve"},
            {"color": "teal", "duration": 1.5},
        ],
        "overlays": [{"src": str(clips[1]), "width": 20, "start": 0.5, "duration": 2, "opacity": 0.7}],
    }
    staged = await staging.stage(stage, validate_params(timeline, render.params))
    renderer = Renderer(staged.plan, staged.encoder, stage.ffmpeg, stage.dir, lambda share: None)
    numbers = await renderer.fetch_cached_segments()
    files = [stage.dir / f"{segment_stem(number)}.mp4" for number in numbers]

    await renderer.encode(numbers)
    together = [file.read_bytes() for file in files]
    for number in numbers:
        await renderer.encode([number])

    assert [len(run) for run in group_segments(numbers, renderer.segments)] == [2, 2, 1, 2, 1]
    assert [file.read_bytes() for file in files] == together


async def test_a_longer_scene_keeps_later_segments_cached(stage: FakeContext, studio: Studio):
    await make(stage, scenes=scenes(studio, "red", "green", "blue"))
    longer = scenes(studio, "red", "green", "blue")
    longer[0]["duration"] = 1.5

    result, path = await make(stage, scenes=longer)

    # Only the first scene is encoded. Its transition shows the same still frames as before.
    assert result.segments - result.cached == 1
    assert len(studio.gray_frames(path, size=(64, 64))) == 81


async def test_a_changed_file_of_the_same_name_is_encoded_again(stage: FakeContext, studio: Studio, tmp_path: Path):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(studio.clip("white.mp4", "color=white:size=64x64:rate=30", seconds=0.5).read_bytes())
    await make(stage, scenes=[str(clip)])
    clip.write_bytes(studio.clip("black.mp4", "color=black:size=64x64:rate=30", seconds=0.5).read_bytes())

    result, path = await make(stage, scenes=[str(clip)])

    assert result.cached == 0
    assert studio.gray_frames(path, size=(64, 64)).max() < 5


async def test_segments_of_a_failed_render_stay_cached(stage: FakeContext, studio: Studio, tmp_path: Path):
    long = studio.clip("long.mp4", "testsrc2=size=64x64:rate=30", seconds=2)
    # The longest are encoded first.
    good = [{"src": str(long), "duration": 3 - n / 10} for n in range(6)]
    data = studio.make("front.mp4", "-i", str(long), "-c", "copy", "-movflags", "+faststart").read_bytes()
    damaged = bytearray(data)
    for place in range(data.find(b"mdat") + 1000, len(data), 1009):
        damaged[place] ^= 0xFF
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(damaged)
    with pytest.raises(FFmpegFailed, match=r"scenes\[6\]"):
        await make(stage, scenes=[*good, str(broken)], strict=True)
    broken.write_bytes(data)

    result, _ = await make(stage, scenes=[*good, str(broken)], strict=True)

    assert result.cached >= 4


async def test_unchanged_audio_is_not_encoded_again(
    stage: FakeContext, studio: Studio, monkeypatch: pytest.MonkeyPatch
):
    clip = str(studio.clip("tone.mp4", "testsrc2=size=64x64:rate=30", sound=TONE, seconds=1))
    mixed: list[str] = []
    run = stage.ffmpeg.run

    async def recorded(arguments: list[str], **more: object) -> object:
        mixed.extend(arg for arg in arguments if arg.endswith("mix.w64"))
        return await run(arguments, **more)

    monkeypatch.setattr(stage.ffmpeg, "run", recorded)

    async def render_audio(loudness: float = -18, **scene: object) -> np.ndarray:
        _, path = await make(stage, scenes=[{"src": clip, **scene}], loudness=loudness)
        return studio.audio_samples(path)

    first, before = await render_audio(), len(mixed)
    again = await render_audio(filters=["grayscale"])
    assert len(mixed) == before

    louder, cut = await render_audio(loudness=-12), await render_audio(trim_start=0.5)

    assert len(mixed) == 3 * before
    assert np.array_equal(again, first)
    assert np.abs(louder).max() > 1.5 * np.abs(first).max()
    assert len(cut) < len(first)


class HalfFull:
    """A cache that holds nothing and takes nothing."""

    async def fetch(self, key: str, target: Path) -> bool:
        return False

    async def keep(self, key: str, path: Path) -> None:
        return None


async def test_a_video_is_rendered_without_a_cache(stage: FakeContext, studio: Studio):
    stage.cache = HalfFull()

    result, _ = await make(stage, scenes=scenes(studio, "red", "green"))

    assert (result.segments, result.cached) == (3, 0)


async def rendered_clip(
    stage: FakeContext, studio: Studio, name: str, source: str, tmp_path: Path, **output: object
) -> str:
    clip = str(studio.clip(name, source, seconds=1, sound=TONE))
    _, path = await make(stage, scenes=[{"src": clip, "filters": ["saturation"]}], output={**PLAIN, **output})
    return str(path.rename(tmp_path / name))


async def test_an_unchanged_scene_is_stream_copied(stage: FakeContext, studio: Studio, tmp_path: Path):
    one = await rendered_clip(stage, studio, "one.mp4", "testsrc2=size=64x64:rate=30", tmp_path)
    two = await rendered_clip(stage, studio, "two.mp4", "testsrc=size=64x64:rate=30", tmp_path)

    between = {"color": "navy", "duration": 0.5}
    result, path = await make(stage, scenes=[one, between, two], output=PLAIN)

    assert (result.segments, result.copied) == (3, 2)
    frames = studio.gray_frames(path, size=(64, 64))
    assert len(frames) == 75
    assert np.array_equal(frames[:30], studio.gray_frames(Path(one), size=(64, 64)))
    assert np.array_equal(frames[45:], studio.gray_frames(Path(two), size=(64, 64)))


@pytest.mark.parametrize(
    ("change", "more"),
    [
        ({"trim_start": 0.2}, {}),
        ({"filters": ["blur"]}, {}),
        ({"speed": 2}, {}),
        ({"fade_in": 0.1}, {}),
        ({"title": "hello"}, {}),
        ({}, {"overlays": [{"text": "hello", "duration": 0.1}]}),
        ({}, {"captions": {"cues": [{"start": 0.2, "end": 0.4, "text": "hello"}]}}),
        ({}, {"output": {**PLAIN, "fps": 25}}),
        ({}, {"output": {**PLAIN, "width": 96}}),
        ({}, {"output": {**PLAIN, "crf": 30}}),
        ({}, {"output": {**PLAIN, "codec": "h265"}}),
    ],
)
async def test_a_changed_scene_is_not_stream_copied(
    stage: FakeContext, studio: Studio, tmp_path: Path, change: dict[str, object], more: dict[str, object]
):
    one = await rendered_clip(stage, studio, "one.mp4", "testsrc2=size=64x64:rate=30", tmp_path)

    result, _ = await make(stage, scenes=[{"src": one, **change}], **{"output": PLAIN, **more})

    assert result.copied == 0


async def test_a_clip_with_other_codec_headers_is_encoded(stage: FakeContext, studio: Studio, tmp_path: Path):
    one = await rendered_clip(stage, studio, "one.mp4", "testsrc2=size=64x64:rate=30", tmp_path)
    # Looks equal in a player, but has other codec headers.
    other = str(
        studio.make(
            "other.mp4",
            "-f",
            "lavfi",
            "-i",
            "testsrc=size=64x64:rate=30",
            "-t",
            "1",
            "-vf",
            "scale=out_color_matrix=bt709:out_range=tv",
            "-c:v",
            "libx264",
            "-preset",
            "slow",
            "-pix_fmt",
            "yuv420p",
            "-colorspace",
            "bt709",
            "-color_range",
            "tv",
        )
    )

    result, path = await make(stage, scenes=[one, other, {"color": "navy", "duration": 0.2}], output=PLAIN)

    assert result.copied == 1
    assert len(studio.gray_frames(path, size=(64, 64))) == 66
    alone, _ = await make(stage, scenes=[other, other], output=PLAIN)
    assert alone.copied == 2


async def test_a_variable_frame_rate_is_not_stream_copied(stage: FakeContext, studio: Studio):
    uneven = str(
        studio.make(
            "uneven.mp4",
            "-f",
            "lavfi",
            "-i",
            "testsrc=size=64x64:rate=30",
            "-t",
            "1",
            "-vf",
            "settb=1/600,setpts=PTS+8*mod(N\\,2),scale=out_color_matrix=bt709:out_range=tv",
            "-enc_time_base",
            "1/600",
            "-fps_mode",
            "vfr",
            "-c:v",
            "libx264",
            "-pix_fmt",
            "yuv420p",
            "-colorspace",
            "bt709",
            "-color_range",
            "tv",
            "-preset",
            "ultrafast",
        )
    )

    result, _ = await make(stage, scenes=[uneven], output=PLAIN)

    assert result.copied == 0


async def test_two_hundred_clips_become_one_video(stage: FakeContext, studio: Studio):
    clips = [
        str(studio.clip(f"c{n}.mp4", f"color={c}:size=64x64:rate=30", seconds=0.2, sound=TONE))
        for n, c in enumerate(("red", "green", "blue", "white"))
    ]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    try:
        result, path = await make(stage, scenes=[{"src": clips[n % 4], "duration": 0.1} for n in range(200)])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert result.video.probe and result.video.probe.frames == 600
    samples = studio.audio_samples(path)
    assert len(samples) == pytest.approx(960_000, abs=2048)
    assert np.abs(samples[2_000:-2_000, 0]).reshape(-1, 500).max(axis=1).min() > 0.05
    # Repeated clips are separate segments.
    assert result.segments == 200


async def test_a_long_video_is_spread_over_other_machines(stage: FakeContext, studio: Studio):
    stage.host_count = 3
    timeline = {
        "scenes": [{"color": c, "duration": 15} for c in ("red", "green", "blue")],
        "output": {**TINY, "fps": 5},
    }

    with pytest.raises(RunChildJobs) as asked:
        await make(stage, **timeline)
    parts = asked.value.jobs
    for part in parts:
        await render_segments.run(stage, validate_params(part.params, render_segments.params))
    stage.children_done = True
    result, _ = await make(stage, **timeline)

    assert [part.operation for part in parts] == ["render-segments"] * 3
    assert sorted(n for part in parts for n in part.params["segments"]) == [0, 1, 2]
    assert (result.segments, result.cached) == (3, 3)


@pytest.mark.parametrize("reason", ["short", "spread is false", "a local file"])
async def test_a_video_is_rendered_locally_when_spreading_does_not_help(
    stage: FakeContext, studio: Studio, reason: str
):
    stage.host_count = 3
    clip = str(studio.clip("plain.mp4", "color=red:size=64x64:rate=30"))
    long = [{"color": "red", "duration": 40}]
    timeline: dict[str, object] = {
        "short": {"scenes": [{"color": "red", "duration": 1}]},
        "spread is false": {"scenes": long, "spread": False},
        "a local file": {"scenes": [*long, clip]},
    }[reason]

    result, _ = await make(stage, **{"output": {**TINY, "fps": 2}, **timeline})

    assert result.cached == 0


async def test_an_unknown_segment_is_rejected(stage: FakeContext):
    params = {"timeline": {"scenes": [{"color": "red", "duration": 1}], "output": TINY}, "segments": [0, 7]}

    with pytest.raises(BadParams) as caught:
        await render_segments.run(stage, validate_params(params, render_segments.params))

    assert [(p.path, p.code) for p in caught.value.problems] == [("segments", "out_of_range")]


async def test_an_encode_with_other_settings_does_not_overwrite_the_cached_segment(stage: FakeContext):
    given = {"scenes": [{"color": "red", "duration": 0.5}], "loudness": False, "output": TINY}
    staged = await staging.stage(stage, validate_params(given, Timeline))
    first = Renderer(staged.plan, staged.encoder, stage.ffmpeg, stage.dir, lambda _: None, stage.cache)
    await first.encode(await first.fetch_cached_segments())
    cached = Renderer(staged.plan, staged.encoder, stage.ffmpeg, stage.dir, lambda _: None, stage.cache)
    (stage.dir / "segment00000.mp4").unlink()
    assert await cached.fetch_cached_segments() == []

    other = replace(staged.encoder, settings=replace(staged.encoder.settings, crf=40))
    await Renderer(staged.plan, other, stage.ffmpeg, stage.dir, lambda _: None).encode([0])

    (stage.dir / "segment00000.mp4").unlink()
    again = Renderer(staged.plan, staged.encoder, stage.ffmpeg, stage.dir, lambda _: None, stage.cache)
    assert await again.fetch_cached_segments() == []
