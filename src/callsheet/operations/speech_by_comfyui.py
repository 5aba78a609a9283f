"""Speech by F5-TTS on ComfyUI servers: a child job for each sentence, with the stored workflow `f5-tts`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from callsheet.domain.errors import BadParams, Problem, ProviderFailed
from callsheet.domain.media_source import MediaSource
from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.voice.hibari import SpokenFile
from callsheet.operation_api.contract import ChildJob, Context, RunChildJobs
from callsheet.operations.comfyui.operation import comfyui as comfyui_operation
from callsheet.operations.comfyui.prepare import PreparedGraph, prepare_graph
from callsheet.operations.comfyui.results import ComfyUIResult
from callsheet.settings import Settings

WORKFLOW = "f5-tts"
MAX_SENTENCES = 500
"""Sentences of one text, each a child job."""
_SAMPLE_RATE = 24_000
"""Hertz: that of F5-TTS."""


def prepare_speech(text: str, inputs: Mapping[str, Any], settings: Settings) -> PreparedGraph:
    """Set the inputs of the workflow for one sentence.

    Raises BadParams with every problem by the param of `speech`, ConfigurationError when the workflow is invalid.
    """
    try:
        return prepare_graph(WORKFLOW, None, {**inputs, "text": text}, {}, settings)
    except BadParams as error:
        raise BadParams([Problem(_param_of(each.path), each.code, each.message) for each in error.problems]) from None


def _param_of(path: str) -> str:
    name = path.removeprefix("inputs.")
    return "speed" if name == "stretch" else name


async def speak_on_comfyui(job: Context, texts: Sequence[str], inputs: Mapping[str, Any]) -> list[SpokenFile]:
    """Return the audio of each sentence. Raises RunChildJobs first, and ProviderFailed if a child job failed.

    `inputs` are those of the workflow, without the text.
    """
    names = [f"sentence-{number}" for number in range(1, len(texts) + 1)]
    if not job.children_done:
        raise RunChildJobs(
            [
                ChildJob(name, comfyui_operation.name, {"workflow": WORKFLOW, "inputs": {**inputs, "text": text}})
                for name, text in zip(names, texts, strict=True)
            ]
        )
    results = await job.child_results()
    return [await _fetch(job, name, results.get(name)) for name in names]


async def _fetch(job: Context, name: str, result: dict[str, Any] | None) -> SpokenFile:
    child = f"{job.job_id}/{name}"
    if result is None:
        raise ProviderFailed(f"ComfyUI did not speak a sentence; see the job {child} for the reason.")
    audio = ComfyUIResult.model_validate(result).audio
    if not audio:
        raise ProviderFailed(f"The workflow {WORKFLOW} made no audio: job {child}.", code="no_output")
    path = await job.fetch_input(MediaSource(audio[0]))
    return SpokenFile(await _decode(job, path, job.dir / f"{name}.wav"), None)


async def _decode(job: Context, path: Path, output: Path) -> Path:
    encoding = ["-ac", "1", "-ar", str(_SAMPLE_RATE), "-c:a", "pcm_s16le", "-bitexact", "-f", "wav"]
    await job.ffmpeg.run([*media_input(path), "-map", "0:a:0", *encoding, file_url(output)])
    return output
