"""Every feature of scenes, overlays and audio, checked in the rendered frames and samples."""

from pathlib import Path

import numpy as np
import pytest
from media.studio import FakeContext, Studio

from callsheet.domain.errors import BadParams
from callsheet.domain.plan_validation import validate_params
from callsheet.operations.render import RenderParams, RenderResult, render

SMALL = {"width": 64, "height": 64, "fps": 30, "preset": "ultrafast", "crf": 1}
GREY, WHITE = "color=gray:size=64x64:rate=30", "color=white:size=16x16:rate=30"
TONE = "sine=frequency=1000:sample_rate=48000"


async def make(stage: FakeContext, **params: object) -> tuple[RenderResult, Path]:
    given = {"output": SMALL, "loudness": False, **params}
    result = await render.run(stage, validate_params(given, render.params))
    assert isinstance(result, RenderResult)
    return result, stage.kept[-1]


def sine_level(samples: np.ndarray) -> float:
    """The amplitude of the first channel."""
    return float(np.sqrt(2 * (samples[:, 0] ** 2).mean()))


async def test_speed_changes_the_visible_frames_and_keeps_the_pitch(stage: FakeContext, studio: Studio):
    clip = str(studio.counting("sounding.mp4", frames=60, sound=True))

    result, path = await make(stage, scenes=[{"src": clip, "speed": 2}, {"src": clip, "speed": 0.5, "duration": 1}])

    frames = studio.frame_numbers(path)
    assert result.video.probe and result.video.probe.frames == 60
    assert np.abs(frames[:30] - np.arange(0, 60, 2)).max() < 1.1
    assert np.abs(frames[30:] - np.arange(30) / 2).max() < 1.1
    for part in (slice(9_600, 38_400), slice(57_600, 86_400)):
        spectrum = np.abs(np.fft.rfft(studio.audio_samples(path)[part, 0]))
        assert spectrum.argmax() * 48_000 / 28_800 == pytest.approx(300, abs=3)


async def test_trims_select_their_frames(stage: FakeContext, studio: Studio):
    clip = str(studio.counting("count.mp4", frames=60))

    _, path = await make(stage, scenes=[{"src": clip, "trim_start": 0.5, "trim_end": 1}])

    assert np.abs(studio.frame_numbers(path) - np.arange(15, 30)).max() < 0.5


async def test_gaps_show_the_background(stage: FakeContext, studio: Studio):
    white = str(studio.clip("white.mp4", "color=white:size=64x64:rate=30", seconds=0.5))

    _, path = await make(stage, scenes=[{"src": white}, {"src": white, "start": 1}])

    frames = studio.gray_frames(path, size=(64, 64)).mean(axis=(1, 2))
    assert len(frames) == 45
    assert (frames[:15] > 250).all() and (frames[15:30] < 5).all() and (frames[30:] > 250).all()


async def test_focus_and_crop_select_the_visible_part(stage: FakeContext, studio: Studio):
    # Black on the left, white on the right.
    halves = "color=black:size=128x64:rate=30,drawbox=x=64:w=64:h=64:color=white:t=fill"
    clip = str(studio.clip("halves.mp4", halves, seconds=0.2))

    scenes = [
        {"src": clip, "focus": {"x": 0}},
        {"src": clip, "focus": {"x": 1}},
        {"src": clip, "crop": {"left": 0.5}},
        {"src": clip, "crop": {"right": 0.5}},
        {"src": clip, "fit": "fill"},
    ]
    _, path = await make(stage, scenes=scenes)

    frames = studio.gray_frames(path, size=(64, 64))[3::6]
    assert [round(frame.mean() / 255, 1) for frame in frames] == [0, 1, 1, 0, 0.5]
    assert frames[4][:, 40:].mean() > 250


async def test_an_image_with_fit_none_keeps_its_size(stage: FakeContext, studio: Studio):
    small = str(studio.still("small.png", "color=white:size=20x10"))

    _, path = await make(
        stage, scenes=[{"src": small, "fit": "none", "duration": 0.2, "background": "black"}], output=SMALL
    )

    frame = studio.gray_frames(path, size=(64, 64))[0]
    assert frame[28:36, 24:40].min() > 245
    assert (frame > 128).sum() == pytest.approx(200, abs=20)


async def test_scenes_fade_in_and_out_with_their_audio(stage: FakeContext, studio: Studio):
    clip = str(studio.clip("grey.mp4", "color=white:size=64x64:rate=30", seconds=2, sound=TONE))

    _, path = await make(stage, scenes=[{"src": clip, "fade_in": 0.5, "fade_out": 1}])

    frames = studio.gray_frames(path, size=(64, 64)).mean(axis=(1, 2))
    assert frames[0] < 10 and frames[-1] < 20
    assert frames[7] == pytest.approx(127, abs=25)
    assert (frames[16:30] > 250).all()
    assert frames[45] == pytest.approx(127, abs=25)
    samples = studio.audio_samples(path)
    loud = sine_level(samples[30_000:40_000])
    assert sine_level(samples[11_000:13_000]) == pytest.approx(loud / 2, rel=0.15)
    assert sine_level(samples[71_000:73_000]) == pytest.approx(loud / 2, rel=0.15)


@pytest.mark.parametrize(
    ("filters", "low", "high"),
    [(["grayscale"], 0, 2), ([{"type": "saturation", "amount": 2}], 60, 256), ([], 20, 60)],
)
async def test_filters_change_the_colors(
    stage: FakeContext, studio: Studio, filters: list[object], low: float, high: float
):
    # The difference between red and blue.
    _, path = await make(stage, scenes=[{"color": "#a08070", "duration": 0.2, "filters": filters}])

    rgb = studio.rgb_frames(path, size=(64, 64))[0].mean(axis=(0, 1))
    assert low <= rgb[0] - rgb[2] <= high


async def test_overlays_are_visible_at_their_positions_and_times(stage: FakeContext, studio: Studio):
    logo = str(studio.still("logo.png", "color=white:size=16x16"))
    places = [
        {"src": logo, "position": "top_left", "start": 0.2, "duration": 0.2},
        {"src": logo, "position": "bottomRight", "offset": {"x": -0.25, "y": 0}, "start": 0.5},
    ]

    _, path = await make(stage, scenes=[{"color": "black", "duration": 1}], overlays=places)

    frames = studio.gray_frames(path, size=(64, 64))
    top = frames[:, :16, :16].mean(axis=(1, 2)) > 128
    assert top.nonzero()[0].tolist() == list(range(6, 12))
    bottom = frames[:, 48:, 32:48].mean(axis=(1, 2)) > 240
    assert bottom.nonzero()[0].tolist() == list(range(15, 30))
    assert frames[20, :48].mean() < 3


async def test_an_offset_is_exact_to_the_pixel(stage: FakeContext, studio: Studio):
    logo = str(studio.still("logo.png", "color=white:size=16x16"))
    placed = {"src": logo, "position": "top_right", "offset": {"x": -6 / 90, "y": 0}}

    _, path = await make(
        stage, scenes=[{"color": "black", "duration": 0.2}], overlays=[placed], output={**SMALL, "width": 90}
    )

    lit = np.flatnonzero(studio.gray_frames(path, size=(90, 64))[2][8] > 128)
    assert (lit[0], lit[-1]) == (68, 83)


async def test_an_overlay_continues_across_scenes(stage: FakeContext, studio: Studio):
    count = str(studio.counting("count.mp4", frames=60))
    scenes = [{"color": "black", "duration": 0.7}, {"color": "red", "duration": 0.7}]
    overlay = {"src": count, "start": 0.5, "trim_start": 0.5, "fit": "cover"}

    _, path = await make(stage, scenes=scenes, overlays=[overlay])

    frames = studio.frame_numbers(path)
    assert np.abs(frames[15:] - np.arange(15, 42)).max() < 0.6


async def test_the_later_overlay_is_on_top_unless_z_is_given(stage: FakeContext, studio: Studio):
    white = str(studio.still("white.png", "color=white:size=64x64"))
    black = str(studio.still("black.png", "color=black:size=64x64"))
    scenes = [{"color": "gray", "duration": 0.2}]

    _, default = await make(stage, scenes=scenes, overlays=[{"src": white}, {"src": black}])
    default_frame = studio.gray_frames(default, size=(64, 64))[2].mean()
    _, reordered = await make(stage, scenes=scenes, overlays=[{"src": white, "z": 1}, {"src": black}])

    assert default_frame < 5
    assert studio.gray_frames(reordered, size=(64, 64))[2].mean() > 250


async def test_opacity_fades_and_transparent_images_show_the_scene_below(stage: FakeContext, studio: Studio):
    glass = str(studio.still("glass.png", "color=white@0.5:size=64x64,format=rgba"))
    white = str(studio.still("white.png", "color=white:size=64x64"))
    overlays = [
        {"src": glass, "start": 0, "duration": 0.2},
        {"src": white, "start": 0.2, "duration": 0.2, "opacity": 0.25},
        {"src": white, "start": 0.4, "duration": 1, "fade_in": 0.4, "fade_out": 0.4},
    ]

    _, path = await make(stage, scenes=[{"color": "black", "duration": 1.4}], overlays=overlays)

    frames = studio.gray_frames(path, size=(64, 64)).mean(axis=(1, 2))
    assert frames[3] == pytest.approx(127, abs=8)
    assert frames[8] == pytest.approx(64, abs=8)
    assert frames[18] == pytest.approx(127, abs=25)
    assert frames[27] > 245
    assert frames[36] == pytest.approx(127, abs=25)


@pytest.mark.parametrize("encoder", ["libvpx", "libvpx-vp9"])
async def test_a_transparent_webm_shows_the_scene_below(stage: FakeContext, studio: Studio, encoder: str):
    half = "color=red:size=64x64:rate=30,format=yuva420p,geq=lum='p(X,Y)':cb='p(X,Y)':cr='p(X,Y)':a='255*gte(X,32)'"
    coding = ["-c:v", encoder, "-auto-alt-ref", "0", "-pix_fmt", "yuva420p"]
    clip = str(studio.make(f"{encoder}.webm", "-f", "lavfi", "-i", half, "-t", "0.5", *coding))

    _, path = await make(
        stage,
        scenes=[{"color": "white", "duration": 0.5, "overlays": [clip]}, {"src": clip, "background": "lime"}],
        output={**SMALL, "background": "blue"},
    )

    over, alone = studio.rgb_frames(path, size=(64, 64))[[7, 22]]
    assert over[32, 10] == pytest.approx([255, 255, 255], abs=6)
    assert alone[32, 10] == pytest.approx([0, 255, 0], abs=6)
    for frame in (over, alone):
        assert frame[32, 50] == pytest.approx([254, 0, 0], abs=6)


async def test_a_transparent_image_is_drawn_on_the_background(stage: FakeContext, studio: Studio):
    glass = str(studio.still("half.png", "color=white@0.5:size=64x64,format=rgba"))
    clear = str(studio.still("clear.png", "color=white@0:size=64x64,format=rgba"))
    scenes = [
        {"src": glass, "duration": 0.2},
        {"src": clear, "duration": 0.2, "background": "white"},
        {"src": clear, "duration": 0.2, "fit": "contain_blur"},
    ]

    _, path = await make(stage, scenes=scenes)

    frames = studio.gray_frames(path, size=(64, 64)).mean(axis=(1, 2))
    assert frames[3::6] == pytest.approx([127, 255, 0], abs=4)


async def test_a_green_screen_becomes_transparent(stage: FakeContext, studio: Studio):
    green = "color=0x00ff00:size=64x64:rate=30,drawbox=x=16:y=16:w=32:h=32:color=white:t=fill"
    clip = str(studio.clip("green.mp4", green, seconds=0.3))

    _, path = await make(
        stage, scenes=[{"color": "black", "duration": 0.3}], overlays=[{"src": clip, "chromaKey": "lime"}]
    )

    frame = studio.gray_frames(path, size=(64, 64))[4]
    assert frame[20:44, 20:44].min() > 230
    assert frame[:12].max() < 30


async def test_transparent_parts_stay_transparent_with_a_chroma_key(stage: FakeContext, studio: Studio):
    # Green on the left, white in the middle; half of the white, and all to the right of it, is transparent.
    source = "color=white:size=64x64,drawbox=w=16:color=0x00ff00:t=fill,format=rgba"
    clear = "geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='if(lt(X,32),255,if(lt(X,48),128,0))'"
    logo = str(studio.still("glass.png", f"{source},{clear}"))

    _, path = await make(
        stage, scenes=[{"color": "black", "duration": 0.2}], overlays=[{"src": logo, "chromaKey": "lime"}]
    )

    row = studio.gray_frames(path, size=(64, 64))[3][32]
    assert row[[8, 24, 40, 56]] == pytest.approx([0, 255, 128, 0], abs=8)


async def test_overlays_slide_in_and_out(stage: FakeContext, studio: Studio):
    logo = str(studio.still("logo.png", "color=white:size=16x16"))
    overlay = {"src": logo, "duration": 2, "animation_in": "slide_right", "animation_out": "slide_up"}

    _, path = await make(stage, scenes=[{"color": "black", "duration": 2.2}], overlays=[overlay])

    frames = studio.gray_frames(path, size=(64, 64))
    centers = [np.argwhere(frame > 128).mean(axis=0) if (frame > 128).any() else None for frame in frames]
    assert centers[0] is None
    across = [m[1] for m in centers[1:15] if m is not None]
    assert across == sorted(across) and across[0] < 20
    assert centers[30] == pytest.approx((31.5, 31.5), abs=1)
    down = [m[0] for m in centers[46:60] if m is not None]
    assert down == sorted(down, reverse=True) and down[-1] < 15
    assert centers[62] is None


async def test_an_overlay_rotates_around_its_center(stage: FakeContext, studio: Studio):
    bar = str(studio.still("bar.png", "color=white:size=48x8"))

    _, path = await make(stage, scenes=[{"color": "black", "duration": 0.2}], overlays=[{"src": bar, "rotation": 90}])

    frame = studio.gray_frames(path, size=(64, 64))[2]
    assert frame[10:54, 29:35].min() > 200
    assert frame[:, :24].max() < 20


async def test_a_text_is_visible_at_its_time(stage: FakeContext, studio: Studio):
    text = {"text": "HELLO", "start": 0.5, "duration": 0.5, "fontSize": 24, "strokeWidth": 0, "shadow": 0}

    _, path = await make(stage, scenes=[{"color": "black", "duration": 1.5}], overlays=[text])

    frames = studio.gray_frames(path, size=(64, 64)).max(axis=(1, 2)) > 200
    assert frames.nonzero()[0].tolist() == list(range(15, 30))


async def test_the_audio_of_an_overlay_plays_at_its_time(stage: FakeContext, studio: Studio):
    clip = str(studio.clip("sounding.mp4", GREY, seconds=0.5, sound=TONE))
    overlays = [{"src": clip, "start": 0.5}, {"src": clip, "start": 1.2, "mute": True}]

    _, path = await make(stage, scenes=[{"color": "black", "duration": 2}], overlays=overlays)

    samples = np.abs(studio.audio_samples(path)[:, 0]) > 0.02
    first, last = samples.nonzero()[0][[0, -1]]
    assert first == pytest.approx(24_000, abs=200)
    assert last == pytest.approx(48_000, abs=1200)


async def test_tracks_are_stacked(stage: FakeContext, studio: Studio):
    white = str(studio.still("white.png", "color=white:size=64x64"))
    beep = str(studio.sound("beep.wav", TONE, seconds=0.3))
    tracks = [
        {"clips": [{"color": "black", "duration": 2}]},
        {"clips": [{"src": white, "duration": 0.5}, {"src": white, "start": 1, "duration": 0.5}]},
        {"type": "audio", "clips": [{"src": beep, "start": 0.2}, {"src": beep}], "volume": 0.5},
    ]

    _, path = await make(stage, tracks=tracks)

    frames = studio.gray_frames(path, size=(64, 64)).mean(axis=(1, 2)) > 128
    assert frames.nonzero()[0].tolist() == [*range(15), *range(30, 45)]
    samples = studio.audio_samples(path)
    audible = (np.abs(samples[:, 0]) > 0.01).nonzero()[0]
    assert audible[0] == pytest.approx(9_600, abs=200)
    assert audible[-1] == pytest.approx(38_400, abs=1200)


async def test_a_voice_ducks_the_music(stage: FakeContext, studio: Studio):
    low = str(studio.sound("low.wav", "sine=frequency=200", seconds=3))
    voice = str(studio.sound("voice.wav", "sine=frequency=2000", seconds=1))

    _, path = await make(
        stage,
        scenes=[{"color": "black", "duration": 3}],
        soundtrack={"src": low, "duck": True},
        audio_clips=[{"src": voice, "start": 1, "volume": 4}],
    )

    samples = studio.audio_samples(path)[:, 0]

    def music(start: int) -> float:
        spectrum = np.abs(np.fft.rfft(samples[start : start + 9_600]))
        return float(spectrum[35:45].max())

    assert music(72_000) < music(24_000) * 0.5


async def test_a_video_may_be_muted(stage: FakeContext, studio: Studio):
    clip = str(studio.clip("sounding.mp4", GREY, seconds=0.5, sound=TONE))

    result, _ = await make(stage, scenes=[clip], output={**SMALL, "mute": True})

    assert result.video.probe and result.video.probe.audio_codec is None


async def test_scenes_can_be_muted(stage: FakeContext, studio: Studio):
    clip = str(studio.clip("sounding.mp4", GREY, seconds=1, sound=TONE))

    _, path = await make(stage, scenes=[{"src": clip, "mute": True}, clip])

    samples = np.abs(studio.audio_samples(path)[:, 0])
    assert samples[:47_000].max() < 0.01
    assert samples[50_000:90_000].max() > 0.05


@pytest.mark.parametrize(
    ("format", "codec", "probed", "sound"),
    [
        ("mp4", "h264", "h264", "aac"),
        ("mp4", "h265", "hevc", "aac"),
        ("webm", "vp9", "vp9", "opus"),
        ("webm", "av1", "av1", "opus"),
        ("mkv", "h264", "h264", "aac"),
        ("mov", "h264", "h264", "aac"),
    ],
)
async def test_every_output_format_is_rendered(
    stage: FakeContext, studio: Studio, format: str, codec: str, probed: str, sound: str
):
    clip = str(studio.counting("sounding.mp4", frames=60, sound=True))
    output = {**SMALL, "crf": 8, "format": format, "codec": codec}

    result, path = await make(
        stage, scenes=[{"src": clip, "duration": 1, "transition": {"duration": 0.2}}, clip], output=output
    )

    probe = result.video.probe
    assert probe and (probe.video_codec, probe.audio_codec) == (probed, sound)
    assert path.suffix == f".{format}"
    frames = studio.frame_numbers(path)
    assert len(frames) == 84
    assert np.abs(frames[:24] - np.arange(24)).max() < 1
    assert np.abs(frames[30:] - np.arange(6, 60)).max() < 1


async def test_every_unsuitable_file_is_reported_at_once(stage: FakeContext, studio: Studio):
    clip, beep = str(studio.clip("plain.mp4", GREY)), str(studio.sound("beep.wav", TONE, seconds=0.3))

    with pytest.raises(BadParams) as caught:
        await make(
            stage,
            scenes=[{"src": clip, "motion": "zoom_in"}, {"src": clip, "overlays": [{"src": beep}]}],
            overlays=[{"src": clip, "type": "image"}, {"src": clip, "trim_start": 5}],
            audio_clips=[clip],
            soundtrack=clip,
        )

    assert [(p.path, p.code) for p in caught.value.problems] == [
        ("scenes[0].motion", "not_an_image"),
        ("overlays[0].type", "not_an_image"),
        ("overlays[1].trimStart", "out_of_range"),
        ("scenes[1].overlays[0].src", "no_picture"),
        ("audioClips[0].src", "no_sound"),
        ("soundtrack.src", "no_sound"),
    ]


async def test_an_overlay_that_starts_after_the_end_is_reported(stage: FakeContext, studio: Studio):
    logo = str(studio.still("logo.png", "color=white:size=16x16"))

    with pytest.raises(BadParams) as caught:
        await make(stage, scenes=[{"color": "black", "duration": 1}], overlays=[{"src": logo, "start": 4}])

    assert [(p.path, p.code) for p in caught.value.problems] == [("overlays[0]", "out_of_range")]


async def test_late_audio_is_reported_together_with_late_overlays(stage: FakeContext, studio: Studio):
    beep = str(studio.sound("beep.wav", TONE, seconds=0.3))

    with pytest.raises(BadParams) as caught:
        await make(
            stage,
            scenes=[{"color": "black", "duration": 1, "title": {"text": "late", "start": 3}}],
            audio_clips=[{"src": beep, "start": 2}],
            tracks=[{"type": "audio", "clips": [{"src": beep, "loop": True}, beep]}],
        )

    assert [(p.path, p.code) for p in caught.value.problems] == [
        ("scenes[0].title", "out_of_range"),
        ("tracks[0].clips[1]", "out_of_range"),
        ("audioClips[0]", "out_of_range"),
    ]


async def test_audio_with_a_trim_after_its_end_is_reported(stage: FakeContext, studio: Studio):
    beep = str(studio.sound("beep.wav", TONE, seconds=0.3))

    with pytest.raises(BadParams) as caught:
        await make(
            stage,
            scenes=[{"color": "black", "duration": 1}],
            audio_clips=[{"src": beep, "trimStart": 0.3}],
            soundtrack={"src": beep, "trimStart": 9},
        )

    assert [(p.path, p.code) for p in caught.value.problems] == [
        ("audioClips[0].trimStart", "out_of_range"),
        ("soundtrack.trimStart", "out_of_range"),
    ]


async def test_an_unusable_file_is_reported_once_by_its_first_field(stage: FakeContext, tmp_path: Path):
    notes = tmp_path / "notes.txt"
    notes.write_text("not media")

    with pytest.raises(BadParams) as caught:
        await make(stage, scenes=[str(notes), str(notes)], overlays=[str(notes)])

    assert [p.path for p in caught.value.problems] == ["scenes[0].src"]


async def test_music_that_ends_before_the_video_fades_out_at_its_own_end(stage: FakeContext, studio: Studio):
    music = str(studio.sound("music.wav", TONE, seconds=2))

    _, path = await make(
        stage, scenes=[{"color": "black", "duration": 3}], soundtrack={"src": music, "fadeOut": 1, "trimStart": 0.5}
    )

    samples = studio.audio_samples(path)
    loud, fading = sine_level(samples[12_000:24_000]), sine_level(samples[60_000:69_600])
    assert 0.05 < fading / loud < 0.5
    assert np.abs(samples[74_000:]).max() < 0.01


async def test_hdr_video_looks_the_same_as_an_overlay_and_as_a_scene(stage: FakeContext, studio: Studio):
    params = "range=tv:color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc"
    args = ["-vf", f"format=yuv420p10le,setparams={params}", "-c:v", "libx265", "-x265-params"]
    tags = "log-level=error:colorprim=9:transfer=16:colormatrix=9"
    clip = str(studio.make("pq.mp4", "-f", "lavfi", "-i", GREY, "-t", "0.2", *args, tags))

    _, path = await make(stage, scenes=[clip, {"color": "black", "duration": 0.2, "overlays": [clip]}])

    levels = studio.gray_frames(path, size=(64, 64)).mean(axis=(1, 2))
    assert levels == pytest.approx(np.full(12, levels[0]), abs=2)


async def test_an_invalid_caption_file_is_reported_by_its_field(stage: FakeContext, tmp_path: Path):
    notes = tmp_path / "notes.txt"
    notes.write_text("no captions")

    with pytest.raises(BadParams) as caught:
        await make(stage, scenes=[{"color": "black", "duration": 1}], captions=str(notes))

    assert [p.path for p in caught.value.problems] == ["captions.src"]


async def test_a_scene_without_a_picture_plays_over_its_background(stage: FakeContext, studio: Studio):
    beep = str(studio.sound("beep.wav", TONE, seconds=1))

    result, path = await make(stage, scenes=[{"src": beep, "trim_start": 0.5, "background": "#ff0000"}])

    assert result.duration == pytest.approx(0.5)
    assert studio.rgb_frames(path, size=(64, 64))[5, 32, 32] == pytest.approx([255, 0, 0], abs=6)
    assert sine_level(studio.audio_samples(path)[4_800:19_200]) == pytest.approx(0.088, abs=0.01)


def test_a_file_of_another_job_is_a_scene_an_overlay_and_an_audio_clip():
    file = {
        "artifactId": "019ab1f0-0000-7000-8000-000000000008",
        "name": "video.mp4",
        "key": "render/019ab1f0/1/video.mp4",
        "mediaType": "video/mp4",
        "size": 1,
        "sha256": "0" * 64,
    }

    params = validate_params({"scenes": [file], "overlays": [file], "audioClips": [file]}, render.params)

    assert isinstance(params, RenderParams)
    assert [field for field, _ in params.media()] == ["scenes[0]", "overlays[0]", "audioClips[0]"]
