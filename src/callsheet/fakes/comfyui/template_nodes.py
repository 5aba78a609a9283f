"""Nodes of the packages that the workflows of Callsheet need. Inputs and outputs are those of the real nodes.

They run no model. F5-TTS returns a tone whose length depends on the text, InfiniteTalk returns the image with a mouth
that opens with the loudness of the audio, and models that upscale repeat each pixel.
"""

import array
import math
from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from callsheet.comfyui.needs import NeededNode, read_needs
from callsheet.fakes.comfyui.nodes import NodeContext, NodeKind, Spec

Run = Callable[..., Awaitable[Any]]
Audio = tuple[bytes, int, int]

_SPEECH_RATE = 24_000
_SECONDS_PER_LETTER = 0.03
_SILENCE = 0.2
"""Seconds before and after the tone."""


def template_kinds() -> dict[str, NodeKind]:
    """Return the nodes of all shipped workflows, by class type."""
    folder = Path(str(files("callsheet.comfyui.templates")))
    needs = [read_needs(graph) for graph in sorted(folder.glob("*.json"))]
    return {name: _kind(name, node) for each in needs for name, node in each.nodes.items()}


def _kind(name: str, node: NeededNode) -> NodeKind:
    return NodeKind(
        _spec(node.input.get("required", {})),
        tuple(node.output),
        _RUNS.get(name) or _placeholder(len(node.output)),
        output=node.output_node,
        optional=_spec(node.input.get("optional", {})),
        hidden=tuple(node.input.get("hidden", {})),
    )


def _spec(inputs: Mapping[str, Any]) -> Spec:
    return {name: (spec[0], spec[1]) for name, spec in inputs.items()}


def _placeholder(outputs: int) -> Run:
    """Return the function of a node whose outputs are only passed on: a loader or an encoder."""

    async def run(_: NodeContext, **inputs: Any) -> Any:
        return (inputs,) * outputs, None

    return run


async def _speak(_: NodeContext, speech: str, speed: float, seed: int, **_more: Any) -> Any:
    count = round(len(speech) * _SECONDS_PER_LETTER * speed * _SPEECH_RATE)
    pitch = 2 * math.pi * (150 + seed % 50) / _SPEECH_RATE
    tone = array.array("h", (round(9000 * math.sin(pitch * number)) for number in range(count)))
    silence = bytes(2 * round(_SILENCE * _SPEECH_RATE))
    return ((silence + tone.tobytes() + silence, _SPEECH_RATE, 1),), None


async def _embed_audio(_: NodeContext, audio_1: Audio, num_frames: int, fps: float, **_more: Any) -> Any:
    data, rate, channels = audio_1
    # As in the real node, the audio limits the number of frames.
    frames = min(num_frames, int(len(data) / (2 * channels * rate) * fps))
    return ([_loudness(audio_1, number / fps, (number + 1) / fps) for number in range(frames)], audio_1, frames), None


def _loudness(audio: Audio, start: float, end: float) -> float:
    data, rate, channels = audio
    samples = memoryview(data)[2 * channels * int(start * rate) : 2 * channels * int(end * rate)].cast("h")
    return max(map(abs, samples[::8]), default=0) / 32768


async def _embed_image(_: NodeContext, start_image: list[Image.Image], width: int, height: int, **_more: Any) -> Any:
    return (start_image[0].resize((width, height)), ""), None


async def _sample(_: NodeContext, image_embeds: Image.Image, multitalk_embeds: list[float], **_more: Any) -> Any:
    frames = [_frame(image_embeds, loudness) for loudness in multitalk_embeds]
    return (frames, frames), None


def _frame(face: Image.Image, loudness: float) -> Image.Image:
    frame = face.copy()
    width, height = frame.size
    opening = max(1, round(height * loudness / 4))
    box = (width * 0.4, height * 0.7 - opening, width * 0.6, height * 0.7 + opening)
    ImageDraw.Draw(frame).ellipse(box, fill=(120, 20, 30))
    return frame


async def _pass_images(_: NodeContext, samples: list[Image.Image]) -> Any:
    return (samples, ""), None


async def _upscale(_: NodeContext, upscale_model: Mapping[str, str], image: list[Image.Image]) -> Any:
    factor = 2 if "x2" in upscale_model["model_name"] else 4
    larger = [each.resize((each.width * factor, each.height * factor), Image.Resampling.NEAREST) for each in image]
    return (larger,), None


_RUNS: Mapping[str, Run] = {
    "F5TTSAudioInputs": _speak,
    "ImageUpscaleWithModel": _upscale,
    "MultiTalkWav2VecEmbeds": _embed_audio,
    "WanVideoImageToVideoMultiTalk": _embed_image,
    "WanVideoSampler": _sample,
    "WanVideoPassImagesFromSamples": _pass_images,
}
