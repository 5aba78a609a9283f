from pathlib import Path

import numpy as np
import pytest
from media.studio import FakeContext, Studio

from callsheet.domain.errors import BadParams
from callsheet.domain.plan_validation import validate_params
from callsheet.media.encoding.loudness import measure
from callsheet.operations.finish import FinishResult, finish

TONE = "sine=frequency=440:sample_rate=44100,volume=-10dB"


async def make(stage: FakeContext, path: Path, **params: object) -> tuple[FinishResult, Path]:
    result = await finish.run(stage, validate_params({"video": str(path), **params}, finish.params))
    assert isinstance(result, FinishResult)
    return result, stage.kept[-1]


async def test_a_video_gets_its_frame_size_and_loudness(stage: FakeContext, studio: Studio):
    wide = studio.clip("wide.mp4", "testsrc2=size=320x180:rate=25", seconds=2, sound=TONE)

    result, path = await make(stage, wide)

    probe = result.video.probe
    assert probe is not None
    assert (probe.width, probe.height, probe.fps, probe.frames) == (180, 320, 25.0, 50)
    assert (await measure(stage.ffmpeg, path)).integrated == pytest.approx(-16, abs=0.5)
    assert b"moov" in path.read_bytes()[:64]
    assert result.notes == []
    assert stage.reported_progress == sorted(stage.reported_progress)


@pytest.mark.parametrize(
    ("fit", "corner_is_black"),
    [("cover", False), ("contain", True), ("contain_blur", False), ("crop", False), ("pad", True), ("blur", False)],
)
async def test_a_video_is_fitted_as_requested(stage: FakeContext, studio: Studio, fit: str, corner_is_black: bool):
    white = studio.clip("white.mp4", "color=white:size=320x180:rate=25")

    _, path = await make(stage, white, aspect_ratio="1:1", fit=fit)

    frame = studio.gray_frames(path, size=(180, 180))[10]
    assert bool(frame[:20].mean() < 5) is corner_is_black
    assert frame[90].mean() > 250


async def test_a_video_in_its_final_format_is_not_encoded_again(stage: FakeContext, studio: Studio):
    upright = studio.clip("upright.mp4", "testsrc2=size=162x288:rate=30", seconds=2, sound=TONE)

    result, path = await make(stage, upright)

    assert "not encoded again" in result.notes[0]
    assert np.array_equal(studio.gray_frames(path, size=(162, 288)), studio.gray_frames(upright, size=(162, 288)))
    assert (await measure(stage.ffmpeg, path)).integrated == pytest.approx(-16, abs=0.5)


async def test_a_preset_forces_an_encode(stage: FakeContext, studio: Studio):
    upright = studio.clip("upright.mp4", "testsrc2=size=162x288:rate=30", seconds=2, sound=TONE)

    result, _ = await make(stage, upright, preset="veryfast", crf=40)

    assert result.notes == []
    assert result.video.size < upright.stat().st_size / 2


async def test_a_video_without_audio_stays_without_audio(stage: FakeContext, studio: Studio):
    result, _ = await make(stage, studio.clip("plain.mp4"), width=90)

    probe = result.video.probe
    assert probe is not None
    assert (probe.width, probe.height, probe.audio_codec) == (90, 160, None)


async def test_the_audio_filter_of_a_plan_is_used(stage: FakeContext, studio: Studio):
    film = studio.clip("upright.mp4", "testsrc2=size=162x288:rate=30", seconds=2, sound=TONE)

    _, path = await make(stage, film, audio_filter="volume=0.01,aecho=0.8:0.9:500:0.3")

    assert np.abs(studio.audio_samples(path)).max() < 0.01
    assert len(studio.audio_samples(path)) == pytest.approx(2 * 48000, abs=1100)


async def test_the_audio_filter_of_the_settings_is_used(tmp_path: Path, studio: Studio):
    film = studio.clip("upright.mp4", "testsrc2=size=162x288:rate=30", seconds=2, sound=TONE)

    stage = FakeContext(tmp_path, ffmpeg_audio_filter="loudnorm=I=-23:TP=-2:LRA=7")

    _, path = await make(stage, film)

    assert (await measure(stage.ffmpeg, path)).integrated == pytest.approx(-23, abs=0.5)


SIGNALS = {
    "quiet tone": "sine=frequency=300:sample_rate=48000,volume=-15dB,aformat=channel_layouts=stereo",
    "bursts": "aevalsrc='0.6*random(0)*lt(mod(t,2),0.3)+0.05*random(1)|0.6*random(0)*lt(mod(t,2),0.3)':s=48000",
    "hot pink noise": "anoisesrc=color=pink:amplitude=1:r=48000:seed=7,volume=6dB,aformat=channel_layouts=stereo",
    "peaky": "aevalsrc='0.02*sin(2*PI*200*t)+0.9*sin(2*PI*900*t)*lt(mod(t,2),0.02)|0.02*sin(2*PI*200*t)':s=48000",
    "mono speech": "aevalsrc='0.2*random(0)*lt(mod(t,2),1.2)*(0.5+0.5*sin(2*PI*4*t))':s=44100",
    "surround": "anoisesrc=color=pink:amplitude=0.2:r=48000:seed=7,aformat=channel_layouts=5.1",
    "dual mono": "aevalsrc='0.1*random(0)*(0.6+0.4*sin(2*PI*3*t))|0.1*random(0)*(0.6+0.4*sin(2*PI*3*t))':s=48000",
    "a fifth of a second": "sine=frequency=600:sample_rate=48000,volume=-6dB,aformat=channel_layouts=stereo",
}


@pytest.mark.parametrize("name", SIGNALS)
async def test_every_signal_has_the_target_loudness_in_the_finished_file(tmp_path: Path, studio: Studio, name: str):
    seconds = 0.2 if name == "a fifth of a second" else 4
    args = ["-f", "lavfi", "-i", "color=gray:size=36x64:rate=10", "-f", "lavfi", "-i", SIGNALS[name]]
    coding = ["-t", str(seconds), "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "pcm_f32le"]
    stage = FakeContext(tmp_path)

    _, path = await make(stage, studio.make(f"{name}.mkv", *args, *coding))

    reached = await measure(stage.ffmpeg, path)
    assert reached.integrated == pytest.approx(-16, abs=0.5)
    assert reached.true_peak <= -1.5


async def test_the_target_is_reached_where_loudnorm_misses_it(stage: FakeContext, studio: Studio):
    film = studio.make(
        "peaky.mkv",
        *("-f", "lavfi", "-i", "color=gray:size=36x64:rate=10", "-f", "lavfi", "-i", SIGNALS["peaky"]),
        *("-t", "4", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "pcm_f32le"),
    )
    loudnorm = "loudnorm=I=-16:TP=-1.5:LRA=11,aformat=sample_rates=48000:channel_layouts=stereo"
    naive = studio.make("naive.m4a", "-i", str(film), "-vn", "-af", loudnorm, "-c:a", "aac", "-b:a", "192k")

    _, path = await make(stage, film)

    assert abs((await measure(stage.ffmpeg, naive)).integrated + 16) > 1
    assert (await measure(stage.ffmpeg, path)).integrated == pytest.approx(-16, abs=0.5)


async def test_silence_stays_silent(stage: FakeContext, studio: Studio):
    film = studio.clip("silent.mp4", "color=gray:size=36x64:rate=10", sound="anullsrc=r=48000:cl=stereo")

    result, path = await make(stage, film)

    assert result.video.probe is not None and result.video.probe.audio_codec == "aac"
    assert np.abs(studio.audio_samples(path)).max() == 0


async def test_a_filter_chain_in_the_settings_is_used_unchanged(tmp_path: Path, studio: Studio):
    film = studio.clip("upright.mp4", "testsrc2=size=162x288:rate=30", seconds=2, sound=TONE)
    stage = FakeContext(tmp_path, ffmpeg_audio_filter="volume=0.5,loudnorm=I=-30:TP=-2:LRA=7")

    _, path = await make(stage, film)

    assert (await measure(stage.ffmpeg, path)).integrated == pytest.approx(-30, abs=1)
    assert len(studio.audio_samples(path)) == pytest.approx(2 * 48000, abs=1100)


async def test_a_video_without_a_usable_frame_rate_gets_the_default(stage: FakeContext, studio: Studio):
    slow = studio.make(
        "slow.mkv", "-f", "lavfi", "-i", "testsrc2=size=36x64:rate=1/4", "-frames:v", "2", "-c:v", "libx264"
    )

    result, _ = await make(stage, slow)

    assert result.video.probe is not None and result.video.probe.fps == 30


async def test_non_square_pixels_become_square(stage: FakeContext, studio: Studio):
    film = studio.clip("anamorphic.mp4", "testsrc2=size=80x320:rate=30,setsar=9/4")

    result, path = await make(stage, film)

    assert result.notes == []
    assert result.video.probe is not None
    assert (result.video.probe.width, result.video.probe.height) == (180, 320)
    assert len(studio.gray_frames(path, size=(180, 320))) == 30


async def test_progress_increases(stage: FakeContext, studio: Studio):
    await make(stage, studio.clip("wide.mp4", "testsrc2=size=320x180:rate=25", seconds=2, sound=TONE))

    assert stage.reported_progress[-1] < 1
    assert stage.reported_progress == sorted(stage.reported_progress)


@pytest.mark.parametrize("late", ["neither", "picture", "sound"])
@pytest.mark.parametrize("suffix", ["ts", "mkv", "mp4"])
async def test_audio_and_video_stay_in_sync(stage: FakeContext, studio: Studio, suffix: str, late: str):
    picture = "color=black:size=36x64:rate=30,drawbox=color=white:t=fill:enable='between(t,0.9,0.999)'"
    beep = "sine=frequency=1000:sample_rate=48000,volume=enable='not(between(t,0.9,1))':volume=0"
    clip = str(studio.clip("flash.mp4", picture, seconds=1.5, sound=beep))
    delays = ["0.2" if late == which else "0" for which in ("picture", "sound")]
    inputs = [word for delay in delays for word in ("-itsoffset", delay, "-i", clip)]
    source = studio.make(f"{late}.{suffix}", *inputs, "-map", "0:v", "-map", "1:a", "-c", "copy")

    _, path = await make(stage, source, loudness=False)

    seen = float(np.argmax(studio.gray_frames(path, size=(36, 64)).mean(axis=(1, 2)) > 128)) / 30
    audible = float(np.argmax(np.abs(studio.audio_samples(path)[:, 0]) > 0.05)) / 48_000
    assert seen - audible == pytest.approx({"neither": 0, "picture": 0.2, "sound": -0.2}[late], abs=1.5 / 30)


def test_filters_that_could_read_files_are_rejected():
    with pytest.raises(BadParams, match="'amovie' is not allowed"):
        validate_params({"video": "a.mp4", "audio_filter": "amovie=/etc/passwd"}, finish.params)


async def test_a_still_image_or_an_audio_file_is_rejected(stage: FakeContext, studio: Studio):
    with pytest.raises(BadParams, match="video: this is a still image, not a video"):
        await make(stage, studio.still("still.png"))
    with pytest.raises(BadParams, match="video: there is no video or image in this file"):
        await make(stage, studio.sound("tone.wav", TONE))


async def test_a_truncated_video_is_finished_as_far_as_it_goes_or_refused(
    stage: FakeContext, studio: Studio, tmp_path: Path
):
    whole = studio.make(
        "front.mp4", "-i", str(studio.clip("long.mp4", seconds=3)), "-c", "copy", "-movflags", "+faststart"
    )
    truncated = tmp_path / "truncated.mp4"
    truncated.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])

    with pytest.raises(BadParams, match="cut off"):
        await make(stage, truncated, width=90, strict=True)

    result, _ = await make(stage, truncated, width=90)

    assert "is cut off" in result.notes[0]
    assert 0.5 < result.duration < 2.5
