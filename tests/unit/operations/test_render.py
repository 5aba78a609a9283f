import asyncio
import shutil
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from media.studio import FakeContext, Studio
from tests.support.ended import all_end

from callsheet.domain.errors import BadParams
from callsheet.domain.plan_validation import validate_params
from callsheet.media.encoding import encoders, hardware
from callsheet.media.encoding.loudness import measure
from callsheet.media.rendering import segments
from callsheet.operations.render import RenderResult, render

SMALL = {"width": 160, "height": 284, "fps": 30, "preset": "ultrafast"}
TINY = {"width": 64, "height": 64, "fps": 30, "preset": "ultrafast", "crf": 5}
TONE = "sine=frequency=440:sample_rate=44100"


async def make(stage: FakeContext, **params: object) -> tuple[RenderResult, Path]:
    result = await render.run(stage, validate_params({"output": SMALL, **params}, render.params))
    assert isinstance(result, RenderResult)
    return result, stage.kept[-1]


async def test_scenes_of_every_kind_become_one_video(stage: FakeContext, studio: Studio, tmp_path: Path):
    flat = studio.clip("flat.mp4", "testsrc2=size=160x96:rate=30")
    odd = studio.clip(
        "odd.mkv", "testsrc2=size=161x97:rate=24", sound="sine=frequency=300:sample_rate=22050", pixels="yuv444p"
    )
    names = ['it\'s "it".mp4', "a:b [x],y;z.mp4", "-dash 100%d 🎬.mp4"]
    for name in names:
        shutil.copy(studio.clip("sounding.mp4", sound=TONE), tmp_path / name)
    turned = studio.make("turned.mp4", "-display_rotation", "90", "-i", str(flat), "-c", "copy")
    fade = {"type": "fade", "duration": 0.2}

    result, path = await make(
        stage,
        scenes=[
            {"src": str(tmp_path / names[0]), "transition": fade},
            {"src": str(tmp_path / names[1])},
            {"src": str(tmp_path / names[2]), "fit": "contain"},
            {"src": str(flat), "transition": "wipeleft", "fit": "contain_blur"},
            {"src": str(odd), "transition": fade},
            {"src": str(turned), "transition": fade},
            {"src": str(studio.still("still.png")), "duration": 1, "motion": "pan_left", "transition": fade},
            {"color": "navy", "duration": 1},
        ],
    )

    probe = result.video.probe
    assert probe is not None
    assert result.duration == pytest.approx(8 - 0.2 * 4 - 0.5)
    assert (probe.width, probe.height, probe.fps, probe.frames) == (160, 284, 30.0, 201)
    assert (probe.video_codec, probe.pixel_format, probe.audio_codec, probe.audio_channels) == (
        "h264",
        "yuv420p",
        "aac",
        2,
    )
    assert probe.duration == pytest.approx(result.duration, abs=0.05)
    assert (result.encoder, result.notes) == ("libx264", [])
    assert stage.reported_progress == sorted(stage.reported_progress)
    assert stage.reported_progress[-1] == pytest.approx(0.97, abs=0.03)
    assert len(studio.gray_frames(path, size=(160, 284))) == 201
    assert b"moov" in path.read_bytes()[:64]


async def test_the_format_of_earlier_systems_is_rendered(stage: FakeContext, studio: Studio):
    params = {
        "scenes": [{"video_path": str(studio.clip("plain.mp4"))}, {"video_path": str(studio.clip("plain.mp4"))}],
        "output_format": {"width": 160, "height": 90, "fps": 25},
        "use_gpu": True,
    }

    result = await render.run(stage, validate_params(params, render.params))

    assert result.video.probe.frames == 50
    assert result.encoder == "libx264" or not result.notes
    assert result.encoder == "h264_nvenc" or "not on the GPU" in result.notes[0]


async def test_a_failing_gpu_falls_back_to_a_software_encoder(
    stage: FakeContext, studio: Studio, monkeypatch: pytest.MonkeyPatch
):
    nvenc = encoders.Encoder("h264_nvenc", encoders.EncodeSettings(hardware="nvenc"))
    able = await encoders.capabilities(stage.ffmpeg.binary)
    if nvenc.name not in able.encoders:
        pytest.skip("this FFmpeg has no NVENC")
    if (await encoders.select_encoder(stage.ffmpeg, nvenc.settings)).is_hardware:
        pytest.skip("this machine has NVENC")
    outcomes = {(stage.ffmpeg.binary, nvenc.name, nvenc.pixel_format): (time.monotonic(), None)}
    monkeypatch.setattr(hardware, "_outcomes", outcomes)

    result, _ = await make(stage, scenes=[str(studio.clip("plain.mp4"))], use_gpu=True)

    assert result.encoder == "libx264"
    assert "encoded again by libx264" in result.notes[0]
    assert (await encoders.select_encoder(stage.ffmpeg, nvenc.settings)).note is not None


async def test_every_frame_of_a_source_is_shown_once_across_segments(
    stage: FakeContext, studio: Studio, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(segments.split_segments, "__kwdefaults__", {"max_seconds": 0.3})
    source = studio.counting("counting.mp4", sound=True)

    _, path = await make(stage, scenes=[{"src": str(source), "trim_start": 0.2}], output=TINY)

    assert np.round(studio.frame_numbers(path)).astype(int).tolist() == list(range(6, 60))


async def test_a_video_at_another_frame_rate_keeps_its_speed(stage: FakeContext, studio: Studio):
    source = studio.counting("slow.mp4", rate=15, frames=30)

    _, path = await make(stage, scenes=[str(source)], output={**TINY, "fps": 30})

    assert np.abs(np.round(studio.frame_numbers(path)) - np.arange(60) / 2).max() <= 0.5


async def test_a_transition_mixes_both_scenes_in_its_middle(stage: FakeContext, studio: Studio):
    scenes = [
        {"color": "black", "duration": 1, "transition": {"type": "crossfade", "duration": 0.5}},
        {"color": "white", "duration": 1},
    ]

    _, path = await make(stage, scenes=scenes, output=TINY)

    levels = studio.gray_frames(path, size=(64, 64)).mean(axis=(1, 2))
    assert len(levels) == 45
    assert levels[14] < 3
    assert levels[30] > 252
    assert levels[22] == pytest.approx(127, abs=12)
    assert (np.diff(levels) > -1).all()


@pytest.mark.parametrize("name", ["red.png", "photo 100%d.jpg"])
async def test_colors_are_rendered_exactly(stage: FakeContext, studio: Studio, name: str):
    red = studio.still(name, "color=red:size=64x64,format=rgb24")
    _, path = await make(
        stage, scenes=[{"color": "red", "duration": 0.2}, {"src": str(red), "duration": 0.2}], output=TINY
    )

    args = ["-i", f"file:{path}", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = np.frombuffer((await stage.ffmpeg.capture(args)).stdout, np.uint8).reshape(-1, 64 * 64, 3)

    for frame in raw.mean(axis=1):
        assert frame == pytest.approx((255, 0, 0), abs=4)


async def test_titles_and_captions_are_visible_at_their_times(stage: FakeContext, studio: Studio):
    scene = {"color": "black", "duration": 2, "title": {"text": "Hello", "start": 0.5, "duration": 0.5, "fade": 0}}
    cues = [{"start": 1.2, "end": 1.7, "text": "A caption {\\fs200}"}, {"start": 9, "end": 10, "text": "late"}]

    result, path = await make(stage, scenes=[scene], captions={"cues": cues})

    frames = studio.gray_frames(path, size=(160, 284))
    bright = [(frame > 200).sum() for frame in frames]
    assert [bool(count) for count in bright] == [15 <= n < 30 or 36 <= n < 51 for n in range(60)]
    rows = np.nonzero((frames[20] > 200).any(axis=1))[0]
    assert rows.mean() == pytest.approx(142, abs=6)
    below = np.nonzero((frames[40] > 200).any(axis=1))[0]
    assert 200 < below.min() < below.max() < 235
    assert result.notes == ["1 of 2 captions start after the end of the video"]


@pytest.mark.parametrize(
    "text",
    [
        "1\n00:00:00,200 --> 00:00:00,800\nHello there\n",
        "WEBVTT\n\n00:00.200 --> 00:00.800\nHello there\n",
        "[Script Info]\nPlayResX: 160\nPlayResY: 284\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize, PrimaryColour\n"
        "Style: Default,Inter,20,&H00FFFFFF\n[Events]\nFormat: Start, End, Style, Text\n"
        "Dialogue: 0:00:00.20,0:00:00.80,Default,Hello there\n",
    ],
)
async def test_captions_are_burned_in_from_a_file(stage: FakeContext, studio: Studio, tmp_path: Path, text: str):
    captions = tmp_path / "it's a:b.txt"
    captions.write_text(text)

    _, path = await make(stage, scenes=[{"color": "black", "duration": 1}], captions={"src": str(captions)})

    bright = [(frame > 200).sum() > 0 for frame in studio.gray_frames(path, size=(160, 284))]
    assert bright == [6 <= n < 24 for n in range(30)]


async def test_an_image_is_zoomed_without_jitter(stage: FakeContext, studio: Studio):
    edge = studio.still("edge.png", "color=black:size=320x320,drawbox=x=0:y=0:w=80:h=320:color=white:t=fill")
    scenes = [{"src": str(edge), "duration": 1, "motion": {"effect": "zoom_in", "amount": 0.1}}]

    _, path = await make(stage, scenes=scenes, output={**TINY, "width": 160, "height": 160})

    # The position of the edge, to a fraction of a pixel, is the sum of the brightness of a row.
    places = studio.gray_frames(path, size=(160, 160))[:, 80, :].sum(axis=1) / 255
    steps = -np.diff(places)
    assert places[0] == pytest.approx(40, abs=0.5)
    assert places[-1] == pytest.approx(36.2, abs=0.6)
    assert steps.mean() == pytest.approx(0.13, abs=0.03)
    assert steps.max() < 0.35
    assert steps.min() > -0.1


async def test_audio_and_video_stay_in_sync(stage: FakeContext, studio: Studio):
    video_source = "nullsrc=size=64x64:rate=30,geq=lum='255*between(N,15,16)':cb=128:cr=128"
    beep = "aevalsrc='sin(2*PI*1000*t)*between(t,0.5,0.5667)':s=48000"
    flash = studio.clip("flash.mp4", video_source, seconds=1, sound=beep)
    fade = {"type": "fade", "duration": 0.2}

    _, path = await make(
        stage, scenes=[{"src": str(flash), "transition": fade}] * 3 + [str(flash)], output=TINY, loudness=False
    )

    levels = studio.gray_frames(path, size=(64, 64)).mean(axis=(1, 2))
    flashes = [n / 30 for n in range(1, len(levels)) if levels[n] > 128 >= levels[n - 1]]
    loud = np.abs(studio.audio_samples(path)).max(axis=1) > 0.3
    beeps = [n / 48000 for n in np.nonzero(loud)[0] if not loud[max(0, n - 9600) : n].any()]
    assert flashes == pytest.approx([0.5, 1.3, 2.1, 2.9], abs=1e-6)
    assert beeps == pytest.approx(flashes, abs=0.02)


async def test_the_loudness_target_is_reached_with_silent_scenes(stage: FakeContext, studio: Studio):
    quiet = studio.clip("quiet.mp4", seconds=2, sound="sine=frequency=300:sample_rate=48000,volume=-20dB")

    _, path = await make(stage, scenes=[str(quiet), {"color": "red", "duration": 1}], loudness=-18)

    assert (await measure(stage.ffmpeg, path)).integrated == pytest.approx(-18, abs=0.5)
    assert len(studio.audio_samples(path)) == pytest.approx(3 * 48000, abs=1100)


async def test_a_video_without_audio_sources_has_no_audio_track(stage: FakeContext, studio: Studio):
    result, _ = await make(stage, scenes=[str(studio.clip("plain.mp4"))])

    assert result.video.probe is not None
    assert result.video.probe.audio_codec is None


async def test_a_soundtrack_is_looped_and_ducked(stage: FakeContext, studio: Studio):
    music = studio.sound("music.wav", "sine=frequency=2000:sample_rate=48000", seconds=0.7)
    talk = "aevalsrc='0.5*sin(2*PI*200*t)*between(t,1,2)':s=48000"
    scene = studio.clip("talk.mp4", seconds=3, sound=talk)
    soundtrack = {"src": str(music), "loop": True, "fade_out": 0.5, "duck": {"ratio": 20}}

    _, path = await make(stage, scenes=[str(scene)], soundtrack=soundtrack, loudness=False)

    samples = studio.audio_samples(path)[:, 0]
    tone = [np.abs(np.fft.rfft(samples[a : a + 4800]))[200] for a in (24000, 72000, 120000)]
    assert tone[1] < tone[0] / 2
    assert tone[2] > tone[0] * 0.8
    assert np.abs(samples[-400:]).max() < 0.02


async def test_a_source_of_one_frame_is_rendered(stage: FakeContext, studio: Studio):
    one = studio.clip("one.mp4", seconds=1 / 30)

    result, _ = await make(stage, scenes=[str(one), {"src": str(one), "duration": 0.5}])

    assert result.video.probe is not None
    assert result.video.probe.frames == 16


async def test_a_truncated_source_is_shown_as_far_as_it_goes_or_refused(
    stage: FakeContext, studio: Studio, tmp_path: Path
):
    whole = studio.make(
        "front.mp4", "-i", str(studio.clip("long.mp4", seconds=3)), "-c", "copy", "-movflags", "+faststart"
    )
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])

    scenes = [str(studio.clip("plain.mp4")), str(torn)]
    with pytest.raises(BadParams, match="cut off"):
        await make(stage, scenes=scenes, strict=True)
    assert stage.kept == []

    result, _ = await make(stage, scenes=scenes)

    assert any("'torn.mp4' is cut off" in note for note in result.notes)
    assert 1.5 < result.duration < 3.5


async def test_a_file_that_is_not_media_is_reported(stage: FakeContext, tmp_path: Path):
    (tmp_path / "film.mp4").write_text("#EXTM3U\n#EXTINF:1,\n/etc/hostname\n#EXT-X-ENDLIST\n")

    with pytest.raises(BadParams) as caught:
        await make(stage, scenes=[str(tmp_path / "film.mp4")])

    (problem,) = caught.value.problems
    assert problem.path == "scenes[0].src"
    assert "'film.mp4' cannot be read as media" in problem.message


async def test_every_scene_that_cannot_be_placed_is_reported(stage: FakeContext, studio: Studio):
    clip = str(studio.clip("plain.mp4"))

    with pytest.raises(BadParams) as caught:
        await make(stage, scenes=[{"src": clip, "motion": "zoom_in"}, {"src": clip, "trim_start": 7}])

    assert [p.path for p in caught.value.problems] == ["scenes[0].motion", "scenes[1].trimStart"]


async def test_odd_sizes_are_made_even_and_noted(stage: FakeContext):
    result, _ = await make(stage, scenes=[{"color": "red", "duration": 0.2}], output={**SMALL, "width": 161})

    assert result.video.probe is not None
    assert result.video.probe.width == 160
    assert "made even" in result.notes[0]


def encoder_processes() -> list[psutil.Process]:
    return [p for p in psutil.Process().children() if "libx264" in p.cmdline()]


async def test_a_cancelled_render_leaves_no_process(stage: FakeContext, studio: Studio):
    scenes = [{"color": "red", "duration": 600}, {"color": "blue", "duration": 600}]
    output = {**SMALL, "width": 1080, "height": 1920, "preset": "slow"}
    running = asyncio.create_task(make(stage, scenes=scenes, output=output))
    async with asyncio.timeout(10):
        while not (found := encoder_processes()):  # noqa: ASYNC110 - other processes set no event
            await asyncio.sleep(0.02)
    started = time.monotonic()

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert time.monotonic() - started < 1
    assert await all_end(process.pid for process in found)


async def test_a_looped_aac_has_no_gaps(stage: FakeContext, studio: Studio):
    tone = "sine=frequency=440:sample_rate=44100:duration=1"
    music = studio.make("padded.m4a", "-f", "lavfi", "-i", tone, "-c:a", "aac")

    scene = {"color": "black", "duration": 4}

    _, path = await make(stage, scenes=[scene], soundtrack={"src": str(music), "loop": True}, loudness=False)

    level = np.abs(studio.audio_samples(path)[:, 0])
    assert level[: 4 * 48_000].reshape(-1, 480).max(axis=1).min() > 0.05
