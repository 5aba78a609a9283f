"""Segments: made once, known again, taken over as they are, made by others."""

import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from media.studio import Stage, Studio

from callsheet.domain.errors import BadParams, FFmpegFailed
from callsheet.domain.plan_validation import validate_params
from callsheet.media.rendering.renderer import Renderer
from callsheet.media.rendering.segments import stem_of
from callsheet.media.timeline.timeline import Timeline
from callsheet.operation.contract import RunChildJobs
from callsheet.operations import staging
from callsheet.operations.render import RenderResult, render
from callsheet.operations.render_segments import render_segments

TINY = {"width": 64, "height": 64, "fps": 30, "preset": "ultrafast", "crf": 5}
PLAIN = {"width": 64, "height": 64, "fps": 30, "preset": "ultrafast"}
TONE = "sine=frequency=1000:sample_rate=48000"


async def make(stage: Stage, **params: object) -> tuple[RenderResult, Path]:
    given = {"output": TINY, "loudness": False, **params}
    result = await render.run(stage, validate_params(given, render.params))
    assert isinstance(result, RenderResult)
    return result, stage.kept[-1]


def scenes(studio: Studio, *colours: str) -> list[dict[str, object]]:
    """Scenes that pass into each other."""
    fade = {"duration": 0.2}
    made = [{"color": colour, "duration": 0.8, "title": colour, "transition": fade} for colour in colours]
    return [*made[:-1], {**made[-1], "transition": None}]


async def test_changing_one_scene_encodes_what_it_touches_and_nothing_else(stage: Stage, studio: Studio):
    first, _ = await make(stage, scenes=scenes(studio, "red", "green", "blue", "navy", "teal"))
    again, _ = await make(stage, scenes=scenes(studio, "red", "green", "blue", "navy", "teal"))
    changed, path = await make(stage, scenes=scenes(studio, "red", "green", "white", "navy", "teal"))

    # Five scenes and four transitions; the third scene with the two transitions it takes part in.
    assert (first.segments, first.cached) == (9, 0)
    assert (again.segments, again.cached) == (9, 9)
    assert (changed.segments, changed.cached) == (9, 6)
    assert len(studio.look(path, size=(64, 64))) == 96


async def test_a_segment_is_the_same_to_the_byte_whatever_is_made_with_it(stage: Stage, studio: Studio):
    clips = [
        studio.clip("wide.mp4", "testsrc2=size=128x72:rate=25", seconds=3),
        studio.clip("upright.mp4", "mandelbrot=size=72x128:rate=60", seconds=2),
        studio.clip("odd.mp4", "testsrc=size=66x50:rate=30000/1001", seconds=3),
    ]
    fade = {"type": "wipeleft", "duration": 0.3}
    film = {
        "output": TINY,
        "scenes": [
            {"src": str(clips[0]), "trim_start": 0.55, "duration": 1.2, "fade_out": 0.5, "transition": fade},
            {"src": str(clips[1]), "speed": 1.3, "duration": 1, "filters": ["contrast"], "transition": fade},
            # Nothing of it is seen by itself.
            {"src": str(clips[2]), "duration": 0.6, "fit": "contain_blur", "title": "Hello", "transition": fade},
            {"src": str(clips[2]), "duration": 1, "transition": "dissolve"},
            {"color": "teal", "duration": 1.5},
        ],
        "overlays": [{"src": str(clips[1]), "width": 20, "start": 0.5, "duration": 2, "opacity": 0.7}],
    }
    staged = await staging.stage(stage, validate_params(film, render.params))
    production = Renderer(staged.film, staged.encoder, stage.ffmpeg, stage.dir, lambda share: None)
    numbers = await production.look_up()
    files = [stage.dir / f"{stem_of(number)}.mp4" for number in numbers]

    await production.encode(numbers)
    together = [file.read_bytes() for file in files]
    for number in numbers:
        await production.encode([number])

    assert [len(run) for run in production.encode_together(numbers)] == [2, 2, 1, 2, 1]
    assert [file.read_bytes() for file in files] == together


async def test_a_longer_scene_leaves_those_behind_it_known(stage: Stage, studio: Studio):
    await make(stage, scenes=scenes(studio, "red", "green", "blue"))
    longer = scenes(studio, "red", "green", "blue")
    longer[0]["duration"] = 1.5

    result, path = await make(stage, scenes=longer)

    # The first scene and its transition alone; the transition shows other frames of nothing that moves.
    assert result.segments - result.cached == 1
    assert len(studio.look(path, size=(64, 64))) == 81


async def test_a_changed_file_of_the_same_name_is_encoded_again(stage: Stage, studio: Studio, tmp_path: Path):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(studio.clip("white.mp4", "color=white:size=64x64:rate=30", seconds=0.5).read_bytes())
    await make(stage, scenes=[str(clip)])
    clip.write_bytes(studio.clip("black.mp4", "color=black:size=64x64:rate=30", seconds=0.5).read_bytes())

    result, path = await make(stage, scenes=[str(clip)])

    assert result.cached == 0
    assert studio.look(path, size=(64, 64)).max() < 5


async def test_what_was_made_before_a_crash_is_not_made_again(stage: Stage, studio: Studio, tmp_path: Path):
    long = studio.clip("long.mp4", "testsrc2=size=64x64:rate=30", seconds=2)
    # The longest are made first.
    good = [{"src": str(long), "duration": 3 - n / 10} for n in range(6)]
    # With the index in front, it tells the whole length and breaks off.
    data = studio.make("front.mp4", "-i", str(long), "-c", "copy", "-movflags", "+faststart").read_bytes()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(data[: int(len(data) * 0.6)])
    with pytest.raises(FFmpegFailed, match=r"scenes\[6\]"):
        await make(stage, scenes=[*good, str(broken)])
    broken.write_bytes(data)

    result, _ = await make(stage, scenes=[*good, str(broken)])

    assert result.cached >= 4


async def test_sound_that_did_not_change_is_not_made_again(
    stage: Stage, studio: Studio, monkeypatch: pytest.MonkeyPatch
):
    clip = str(studio.clip("tone.mp4", "testsrc2=size=64x64:rate=30", sound=TONE, seconds=1))
    mixed: list[str] = []
    run = stage.ffmpeg.run

    async def recorded(arguments: list[str], **more: object) -> object:
        mixed.extend(word for word in arguments if word.endswith("mix.w64"))
        return await run(arguments, **more)

    monkeypatch.setattr(stage.ffmpeg, "run", recorded)

    async def heard(loudness: float = -18, **scene: object) -> np.ndarray:
        _, path = await make(stage, scenes=[{"src": clip, **scene}], loudness=loudness)
        return studio.listen(path)

    first, before = await heard(), len(mixed)
    again = await heard(filters=["grayscale"])
    assert len(mixed) == before

    louder, cut = await heard(loudness=-12), await heard(trim_start=0.5)

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


async def test_a_film_is_made_without_a_cache_as_well(stage: Stage, studio: Studio):
    stage.cache = HalfFull()

    result, _ = await make(stage, scenes=scenes(studio, "red", "green"))

    assert (result.segments, result.cached) == (3, 0)


async def film_of_ours(stage: Stage, studio: Studio, name: str, picture: str, tmp_path: Path, **output: object) -> str:
    clip = str(studio.clip(name, picture, seconds=1, sound=TONE))
    _, path = await make(stage, scenes=[{"src": clip, "filters": ["saturation"]}], output={**PLAIN, **output})
    return str(path.rename(tmp_path / name))


async def test_a_scene_that_needs_nothing_is_taken_over_as_it_is(stage: Stage, studio: Studio, tmp_path: Path):
    one = await film_of_ours(stage, studio, "one.mp4", "testsrc2=size=64x64:rate=30", tmp_path)
    two = await film_of_ours(stage, studio, "two.mp4", "testsrc=size=64x64:rate=30", tmp_path)

    between = {"color": "navy", "duration": 0.5}
    result, path = await make(stage, scenes=[one, between, two], output=PLAIN)

    assert (result.segments, result.copied) == (3, 2)
    seen = studio.look(path, size=(64, 64))
    assert len(seen) == 75
    assert np.array_equal(seen[:30], studio.look(Path(one), size=(64, 64)))
    assert np.array_equal(seen[45:], studio.look(Path(two), size=(64, 64)))


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
async def test_whatever_touches_a_scene_has_it_encoded(
    stage: Stage, studio: Studio, tmp_path: Path, change: dict[str, object], more: dict[str, object]
):
    one = await film_of_ours(stage, studio, "one.mp4", "testsrc2=size=64x64:rate=30", tmp_path)

    result, _ = await make(stage, scenes=[{"src": one, **change}], **{"output": PLAIN, **more})

    assert result.copied == 0


async def test_pictures_of_another_making_are_encoded_between_our_own(stage: Stage, studio: Studio, tmp_path: Path):
    one = await film_of_ours(stage, studio, "one.mp4", "testsrc2=size=64x64:rate=30", tmp_path)
    # Equal in all that a player shows, but set up otherwise.
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
    assert len(studio.look(path, size=(64, 64))) == 66
    alone, _ = await make(stage, scenes=[other, other], output=PLAIN)
    assert alone.copied == 2


async def test_frames_at_uneven_times_are_encoded(stage: Stage, studio: Studio):
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


async def test_two_hundred_clips_become_one_film(stage: Stage, studio: Studio):
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
    heard = studio.listen(path)
    assert len(heard) == pytest.approx(960_000, abs=2048)
    assert np.abs(heard[2_000:-2_000, 0]).reshape(-1, 500).max(axis=1).min() > 0.05
    # The same four clips again and again are encoded four times.
    assert result.segments == 200


async def test_other_machines_are_asked_to_make_a_part_of_a_long_film(stage: Stage, studio: Studio):
    stage.host_count = 3
    film = {"scenes": [{"color": c, "duration": 15} for c in ("red", "green", "blue")], "output": {**TINY, "fps": 5}}

    with pytest.raises(RunChildJobs) as asked:
        await make(stage, **film)
    parts = asked.value.jobs
    for part in parts:
        await render_segments.run(stage, validate_params(part.params, render_segments.params))
    stage.children_done = True
    result, _ = await make(stage, **film)

    assert [part.operation for part in parts] == ["render-segments"] * 3
    assert sorted(n for part in parts for n in part.params["segments"]) == [0, 1, 2]
    assert (result.segments, result.cached) == (3, 3)


@pytest.mark.parametrize("why", ["short", "told not to", "a local file"])
async def test_a_film_is_made_here_where_others_would_not_help(stage: Stage, studio: Studio, why: str):
    stage.host_count = 3
    clip = str(studio.clip("plain.mp4", "color=red:size=64x64:rate=30"))
    long = [{"color": "red", "duration": 40}]
    film: dict[str, object] = {
        "short": {"scenes": [{"color": "red", "duration": 1}]},
        "told not to": {"scenes": long, "spread": False},
        "a local file": {"scenes": [*long, clip]},
    }[why]

    result, _ = await make(stage, **{"output": {**TINY, "fps": 2}, **film})

    assert result.cached == 0


async def test_a_part_that_the_film_does_not_have_is_refused(stage: Stage):
    params = {"timeline": {"scenes": [{"color": "red", "duration": 1}], "output": TINY}, "segments": [0, 7]}

    with pytest.raises(BadParams) as caught:
        await render_segments.run(stage, validate_params(params, render_segments.params))

    assert [(p.path, p.code) for p in caught.value.problems] == [("segments", "out_of_range")]


async def test_a_segment_made_in_another_way_leaves_the_kept_one_as_it_is(stage: Stage):
    given = {"scenes": [{"color": "red", "duration": 0.5}], "loudness": False, "output": TINY}
    staged = await staging.stage(stage, validate_params(given, Timeline))
    kept = Renderer(staged.film, staged.encoder, stage.ffmpeg, stage.dir, lambda _: None, stage.cache)
    await kept.encode(await kept.look_up())
    known = Renderer(staged.film, staged.encoder, stage.ffmpeg, stage.dir, lambda _: None, stage.cache)
    (stage.dir / "segment00000.mp4").unlink()
    assert await known.look_up() == []

    other = replace(staged.encoder, settings=replace(staged.encoder.settings, crf=40))
    await Renderer(staged.film, other, stage.ffmpeg, stage.dir, lambda _: None).encode([0])

    (stage.dir / "segment00000.mp4").unlink()
    again = Renderer(staged.film, staged.encoder, stage.ffmpeg, stage.dir, lambda _: None, stage.cache)
    assert await again.look_up() == []
