"""The `talk` operation, and `speech` by F5-TTS, on a fake ComfyUI server."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from media.studio import Studio

from callsheet.comfyui.pool import Pool
from callsheet.domain.errors import BadParams, ProviderFailed
from callsheet.domain.plan_validation import validate_params
from callsheet.fakes.comfyui import FakeComfyUI, running_comfyui
from callsheet.media.probing.frame_index import read_frame_index
from callsheet.media.probing.probe import probe_details
from callsheet.operation_api.contract import RunChildJobs
from callsheet.operations.comfyui.operation import comfyui
from callsheet.operations.speech import SpeechParams, speech
from callsheet.operations.talk import InfiniteTalkParams, TalkParams, TalkResult, talk
from callsheet.settings import Settings
from callsheet.testing.context import RecordingContext
from callsheet.testing.engine import running_engine

TEMPLATES = Path(__file__).parents[3] / "src/callsheet/comfyui/templates"
SMALL = {"width": 96, "height": 64, "fps": 10}
SPOKEN = "The first sentence. And a second one, which is longer."


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[FakeComfyUI]:
    async with running_comfyui(tmp_path / "server") as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path, server: FakeComfyUI) -> Settings:
    return Settings(
        _env_file=None,
        data_dir=tmp_path / "data",
        comfyui_api_url=server.url,
        comfyui_workflows=TEMPLATES,
        comfyui_poll_interval=0.2,
        source_roots=[tmp_path.parent.parent],
    )


@pytest.fixture
async def job(tmp_path: Path, settings: Settings) -> AsyncIterator[RecordingContext]:
    async with Pool(settings) as pool:
        yield RecordingContext(tmp_path, operation="talk", settings=settings, comfyui=pool)


@pytest.fixture(scope="module")
def face(studio: Studio) -> str:
    return str(studio.make("face.png", "-f", "lavfi", "-i", "testsrc=size=200x100:duration=1", "-frames:v", "1"))


def sound(studio: Studio, name: str, seconds: float, *encoding: str) -> str:
    return str(studio.make(name, "-f", "lavfi", "-i", f"sine=220:duration={seconds}:sample_rate=24000", *encoding))


async def run(job: RecordingContext, **params: object) -> TalkResult:
    async with asyncio.timeout(60):
        return await talk.run(job, TalkParams.model_validate({**SMALL, **params}))


def audio_packets(path: Path) -> str:
    """Return the checksum of the packets of the first audio stream."""
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-map", "0:a:0", "-c", "copy"]
    return subprocess.run([*command, "-f", "md5", "-"], capture_output=True, check=True, text=True).stdout


async def test_the_video_has_exactly_the_length_of_its_audio_which_is_untouched(job, server, studio, face):
    voice = sound(studio, "voice.m4a", 2.35, "-c:a", "aac")

    result = await run(job, image=face, audio=voice, window=13, overlap=3, steps=4, prompt="she nods", seed=5)

    video = await probe_details(job.path_of(result.video))
    frames = len(await read_frame_index(job.ffmpeg, video))
    assert (result.frames, result.fps, result.windows) == (frames, 10, 3)
    assert abs(frames / 10 - result.duration) <= 0.05
    assert (video.probe.width, video.probe.height, video.probe.video_codec) == (96, 64, "h264")
    assert audio_packets(video.path) == audio_packets(Path(voice))
    (request,) = server.prompt_requests
    graph = request["prompt"]
    assert {name: graph["21"]["inputs"][name] for name in ("width", "height", "frame_window_size", "motion_frame")} == {
        "width": 96,
        "height": 64,
        "frame_window_size": 13,
        "motion_frame": 3,
    }
    assert graph["20"]["inputs"]["num_frames"] == frames
    assert graph["15"]["inputs"]["positive_prompt"] == "she nods"
    assert (graph["22"]["inputs"]["steps"], graph["22"]["inputs"]["seed"]) == (4, 5)
    assert result.server == job.comfyui.servers[0].name


@pytest.mark.parametrize(("format", "copied"), [("mp4", False), ("mkv", True)])
async def test_wav_audio_is_kept_in_mkv_and_encoded_in_mp4_with_a_note(job, studio, face, format, copied):
    voice = sound(studio, "voice.wav", 0.97)

    result = await run(job, image=face, audio=voice, format=format)

    video = await probe_details(job.path_of(result.video))
    assert len(await read_frame_index(job.ffmpeg, video)) == result.frames == 10
    assert result.windows == 1
    assert (video.probe.audio_codec == "pcm_s16le") is copied
    assert any("the audio was encoded: mp4" in note for note in result.notes) is not copied
    # 0.97 s at 10 frames per second end within the tenth frame, which the node does not make.
    assert result.notes[0] == "the workflow made 9 frames, the audio needs 10: the last frame was repeated"


async def test_a_text_is_spoken_first(job, studio, face):
    params = {"image": face, "text": SPOKEN, **SMALL}

    with pytest.raises(RunChildJobs) as raised:
        await run(job, **params)

    (child,) = raised.value.jobs
    assert (child.id, child.operation, child.params) == ("speech", "speech", {"text": SPOKEN})
    job.children_done, job.results_of_children = True, {"speech": None}
    with pytest.raises(ProviderFailed, match="see the job tested/speech"):
        await run(job, **params)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "give one of audio, text and speech"),
        ({"audio": "./a.wav", "text": "Hi."}, "give one of audio, text and speech"),
        ({"text": "Hi.", "speech": {"text": "Hi."}}, "give text or speech, not both"),
        ({"text": "…"}, "no letter and no digit"),
        ({"audio": "./a.wav", "window": 80}, "a multiple of 4, plus 1"),
        ({"audio": "./a.wav", "window": 21, "overlap": 21}, "overlap 21 must be below window 21"),
        ({"audio": "./a.wav", "width": 100}, "multiple of 16"),
        ({"audio": "./a.wav", "fps": 90}, "less than or equal to 60"),
    ],
)
def test_invalid_params_are_rejected_at_submission(params, message):
    with pytest.raises(BadParams) as refused:
        validate_params({"image": "./face.png", **params}, TalkParams)

    assert message in str([problem.message for problem in refused.value.problems])


async def test_a_video_as_image_silence_as_audio_and_endless_audio_are_named(job, studio, face):
    film = str(studio.make("film.mp4", "-f", "lavfi", "-i", "testsrc=size=96x64:rate=5:duration=1"))
    long = sound(studio, "long.m4a", 200, "-c:a", "aac", "-b:a", "32k")
    for params, field, code in (
        ({"image": film, "audio": long}, "image", "not_an_image"),
        ({"image": face, "audio": film}, "audio", "no_sound"),
        ({"image": face, "audio": long, "fps": 60}, "audio", "too_large"),
    ):
        with pytest.raises(BadParams) as refused:
            await run(job, **params)
        (problem,) = refused.value.problems
        assert (problem.path, problem.code) == (field, code)
    assert "at most 166.667 s at 60 frames per second" in problem.message
    assert "Cut it with split at silences into at least 2 parts" in problem.message


async def test_an_unknown_workflow_and_a_server_without_the_nodes_fail_with_their_names(job, server, studio, face):
    voice = sound(studio, "voice.wav", 0.97)
    with pytest.raises(BadParams) as refused:
        await run(job, image=face, audio=voice, workflow="infinite-tlak")
    assert "known workflows: f5-tts, infinite-talk, upscale" in refused.value.problems[0].message
    server.missing_nodes.add("WanVideoSampler")
    with pytest.raises(BadParams) as refused:
        await run(job, image=face, audio=voice)
    assert "WanVideoSampler: Node 'Sampler' not found" in str(refused.value.problems)


def test_windows_are_counted_with_their_overlap():
    params = InfiniteTalkParams(window=81, overlap=9)

    assert [params.windows(frames) for frames in (1, 81, 82, 153, 154)] == [1, 1, 2, 2, 3]


async def test_a_text_and_a_reference_voice_become_a_talking_head(settings, studio, face, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # no model recognizes the words
    voice = sound(studio, "me.wav", 1.5)
    params = {"text": SPOKEN, "voice": voice, "voiceText": "hum", "speed": 2, "sentencePause": 500, "seed": 3}
    plan = {"jobs": [{"id": "head", "operation": "talk", "params": {"image": face, "speech": params, **SMALL}}]}

    async with running_engine([talk, speech, comfyui], settings=settings) as engine:
        execution = await engine.run(plan, timeout=90)

    jobs = {job.job_id: job for job in execution.jobs}
    assert {name: job.status for name, job in jobs.items()} == dict.fromkeys(
        ["head", "head/speech", "head/speech/sentence-1", "head/speech/sentence-2"], "succeeded"
    )
    result = jobs["head"].result
    spoken = result["speech"]
    assert (spoken["engine"], spoken["sampleRate"], spoken["timing"]) == ("f5-tts", 24_000, "estimated")
    first, second = spoken["sentences"]
    # The fake speaks 0.03 s for each letter, at half the length.
    assert second["end"] - second["start"] == pytest.approx(0.015 * len(second["text"]) + 0.06, abs=0.02)
    assert second["start"] - first["end"] == pytest.approx(0.5, abs=0.001)
    assert [word["text"] for word in spoken["words"]] == SPOKEN.split()
    assert "cannot be downloaded" in spoken["notes"][0]
    assert result["frames"] == round(spoken["duration"] * 10)


def test_f5_tts_sends_the_voice_with_every_sentence(tmp_path):
    params = SpeechParams.model_validate({"text": SPOKEN, "refAudio": "./me.wav", "refText": "hum", "speed": 0.5})

    with pytest.raises(RunChildJobs) as raised:
        asyncio.run(speech.run(RecordingContext(tmp_path), params))

    first, second = raised.value.jobs
    common = {"voice": "./me.wav", "voiceText": "hum", "stretch": 2.0, "seed": 0}
    assert first.params == {"workflow": "f5-tts", "inputs": {**common, "text": "The first sentence."}}
    assert second.params["inputs"]["text"] == "And a second one, which is longer."
