"""Nodes of the fake server: those of ComfyUI that need no model, and some that a test controls.

`Step` makes a step for each permit of the test, and can be interrupted between steps. `Stuck` waits for the test, and
cannot be interrupted. `Raise` fails, `Block` blocks its branch, `NotANumber` outputs NaN, `LargeOutput` outputs
megabytes, and `SaveNothing` saves an empty file.
"""

import io
import json
import struct
import wave
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
from PIL import Image

Spec = Mapping[str, tuple[str | list[str], Mapping[str, Any]]]
Ui = dict[str, list[Any]]


class Blocked(Exception):
    """A node blocks its branch; the other branches continue."""


class NodeContext(Protocol):
    """The services that a running node can use."""

    async def step(self, value: int, total: int) -> None:
        """Wait for a permit of the test, and report the step. Raises Interrupted."""

    async def stuck(self) -> None:
        """Wait until the test sets `Executor.release_stuck`."""

    def save(self, prefix: str, suffix: str, data: bytes, *, temp: bool = False) -> dict[str, str]:
        """Write a file under the next free name, and return its entry for the history."""

    def input_file(self, name: str) -> Path:
        """Return the path of an uploaded file."""

    def output_folder(self) -> Path:
        """Return the folder of saved files."""


@dataclass(frozen=True, slots=True)
class NodeKind:
    """A class of nodes: inputs, output types, and function."""

    inputs: Spec
    returns: tuple[str, ...]
    run: Callable[..., Awaitable[tuple[tuple[Any, ...], Ui | None]]]
    output: bool = False
    """Whether it is an output node: only graphs with output nodes run."""
    file_input: str | None = None
    """Name of the input that must be a file of the server."""
    optional: Spec = field(default_factory=dict)
    """Inputs that a graph may leave out."""
    hidden: tuple[str, ...] = ()
    """Inputs that the server fills."""


_ANY: tuple[str, Mapping[str, Any]] = ("*", {})
_TEXT: tuple[str, Mapping[str, Any]] = ("STRING", {})


def _int(low: int, high: int = 16384) -> tuple[str, Mapping[str, Any]]:
    return "INT", {"min": low, "max": high}


async def _empty_image(_: NodeContext, width: int, height: int, batch_size: int, color: int) -> Any:
    rgb = (color >> 16 & 255, color >> 8 & 255, color & 255)
    return ([Image.new("RGB", (width, height), rgb) for _ in range(batch_size)],), None


async def _scale(_: NodeContext, image: list[Image.Image], width: int, height: int, **_more: Any) -> Any:
    return ([each.resize((width, height)) for each in image],), None


async def _load_image(context: NodeContext, image: str) -> Any:
    with Image.open(context.input_file(image)) as opened:
        return ([opened.convert("RGB")],), None


def _png(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


async def _save_image(context: NodeContext, images: list[Image.Image], filename_prefix: str, **_: Any) -> Any:
    return (), {"images": [context.save(filename_prefix, ".png", _png(image)) for image in images]}


async def _save_dataset(
    context: NodeContext, images: list[Image.Image], folder_name: str, filename_prefix: str, **_: Any
) -> Any:
    # As the real node, it creates its own folder only, and lists no file.
    folder = context.output_folder() / folder_name
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        (folder / f"{filename_prefix}_{number:05}.png").write_bytes(_png(image))
    return (), None


async def _preview_image(context: NodeContext, images: list[Image.Image]) -> Any:
    return (), {"images": [context.save("ComfyUI_temp_abcde", ".png", _png(image), temp=True) for image in images]}


async def _animated_webp(
    context: NodeContext, images: list[Image.Image], filename_prefix: str, fps: float, **_: Any
) -> Any:
    data = io.BytesIO()
    images[0].save(data, "WEBP", save_all=True, append_images=images[1:], duration=int(1000 / fps))
    return (), {"images": [context.save(filename_prefix, ".webp", data.getvalue())], "animated": [len(images) != 1]}


async def _load_video(context: NodeContext, file: str) -> Any:
    return (context.input_file(file),), None


async def _video_components(_: NodeContext, video: Path) -> Any:
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate or 1)
        images = [Image.fromarray(frame.to_ndarray(format="rgb24")) for frame in container.decode(stream)]
    return (images, None, rate), None


async def _create_video(_: NodeContext, images: list[Image.Image], fps: float) -> Any:
    return ((images, fps),), None


def _encode_video(images: list[Image.Image], fps: float, container: str, codec: str) -> bytes:
    data = io.BytesIO()
    with av.open(data, "w", format=container) as container_file:
        stream = container_file.add_stream(codec, rate=Fraction(fps).limit_denominator(1000))
        assert isinstance(stream, av.VideoStream)  # noqa: S101 - both are video codecs
        stream.width, stream.height, stream.pix_fmt = *images[0].size, "yuv420p"
        for image in images:
            container_file.mux(stream.encode(av.VideoFrame.from_bytes(image.convert("RGBA").tobytes(), *image.size)))
        container_file.mux(stream.encode(None))
    return data.getvalue()


async def _save_video(
    context: NodeContext, video: tuple[list[Image.Image], float], filename_prefix: str, **_: Any
) -> Any:
    # The real node, too, lists videos under "images".
    file = context.save(filename_prefix, ".mp4", _encode_video(*video, "mp4", "libx264"))
    return (), {"images": [file], "animated": [True]}


async def _save_webm(
    context: NodeContext, images: list[Image.Image], filename_prefix: str, fps: float, **_: Any
) -> Any:
    file = context.save(filename_prefix, ".webm", _encode_video(images, fps, "webm", "libvpx-vp9"))
    return (), {"images": [file], "animated": [True]}


async def _combine(context: NodeContext, images: list[Image.Image], filename_prefix: str) -> Any:
    file = context.save(filename_prefix, ".mp4", _encode_video(images, 8, "mp4", "libx264"))
    return (), {"gifs": [{**file, "format": "video/h264-mp4", "frame_rate": 8.0, "fullpath": "/srv/out/it.mp4"}]}


async def _empty_audio(_: NodeContext, duration: float, sample_rate: int, channels: int) -> Any:
    return ((bytes(2 * channels * int(duration * sample_rate)), sample_rate, channels),), None


async def _split_channels(_: NodeContext, audio: tuple[bytes, int, int]) -> Any:
    if audio[2] != 2:
        raise ValueError("AudioSplit: Input audio must be stereo, in /srv/ComfyUI/comfy_extras/nodes_audio.py")
    half = audio[0][: len(audio[0]) // 2]
    return ((half, audio[1], 1), (half, audio[1], 1)), None


def _flac(audio: tuple[bytes, int, int]) -> bytes:
    wav, data = io.BytesIO(), io.BytesIO()
    with wave.open(wav, "wb") as wav_file:
        wav_file.setparams((audio[2], 2, audio[1], 0, "NONE", ""))
        wav_file.writeframes(audio[0])
    wav.seek(0)
    with av.open(wav, "r") as source, av.open(data, "w", format="flac") as target:
        stream = target.add_stream("flac", rate=audio[1])
        for frame in source.decode(audio=0):
            frame.pts = None
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return data.getvalue()


async def _save_audio(context: NodeContext, audio: tuple[bytes, int, int], filename_prefix: str) -> Any:
    return (), {"audio": [context.save(filename_prefix, ".flac", _flac(audio))]}


async def _preview_audio(context: NodeContext, audio: tuple[bytes, int, int]) -> Any:
    return (), {"audio": [context.save("ComfyUI_temp_abcde", ".flac", _flac(audio), temp=True)]}


async def _load_audio(context: NodeContext, audio: str) -> Any:
    return (decode_audio(context.input_file(audio)),), None


def decode_audio(path: Path) -> tuple[bytes, int, int]:
    """Return the first audio stream of a file: 16-bit samples, sample rate in hertz, channels."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="s16", layout=stream.layout.name, rate=stream.rate)
        frames = [*(frame for decoded in container.decode(stream) for frame in resampler.resample(decoded))]
        frames += resampler.resample(None)
        channels = stream.channels
        samples = b"".join(bytes(frame.planes[0])[: frame.samples * channels * 2] for frame in frames)
        return samples, stream.rate, channels


async def _value(_: NodeContext, value: Any) -> Any:
    return (value,), None


async def _preview_any(_: NodeContext, source: Any) -> Any:
    return (), {"text": [str(source)]}


async def _empty_latent(_: NodeContext, width: int, height: int, batch_size: int) -> Any:
    return ((batch_size, 4, height // 8, width // 8),), None


async def _save_latent(context: NodeContext, samples: tuple[int, ...], filename_prefix: str) -> Any:
    size = 4
    for length in samples:
        size *= length
    head = json.dumps({"latent_tensor": {"dtype": "F32", "shape": samples, "data_offsets": [0, size]}}).encode()
    return (), {
        "latents": [context.save(filename_prefix, ".latent", struct.pack("<Q", len(head)) + head + bytes(size))]
    }


async def _save_nothing(context: NodeContext, filename_prefix: str) -> Any:
    return (), {"images": [context.save(filename_prefix, ".png", b"")]}


async def _step(context: NodeContext, image: Any, steps: int) -> Any:
    for number in range(steps):
        await context.step(number + 1, steps)
    return (image,), None


async def _stuck(context: NodeContext, image: Any) -> Any:
    await context.stuck()
    return (image,), None


async def _raise(_: NodeContext, message: str, **_more: Any) -> Any:
    raise MemoryError(message) if "memory" in message else RuntimeError(message)


async def _block(_: NodeContext, message: str, **_more: Any) -> Any:
    raise Blocked(message)


async def _not_a_number(_: NodeContext, **_more: Any) -> Any:
    return (), {"scores": [float("nan"), float("inf")], "text": ["seen"]}


async def _large_output(_: NodeContext, megabytes: int, **_more: Any) -> Any:
    return (), {"noise": ["x" * (megabytes * 2**20)], "text": ["received"]}


_METHODS = ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]
_CROP: Spec = {"crop": (["disabled", "center"], {})}
_PREFIX: Spec = {"filename_prefix": _TEXT}
_IMAGES: Spec = {"images": ("IMAGE", {})}
_IMAGE: Spec = {"image": ("IMAGE", {})}
_AUDIO: Spec = {"audio": ("AUDIO", {})}
_FPS: Spec = {"fps": ("FLOAT", {"min": 0.01, "max": 1000.0})}
_SIZE: Spec = {"width": _int(1), "height": _int(1), "batch_size": _int(1, 4096)}


def basic_kinds() -> dict[str, NodeKind]:
    """Return the nodes of ComfyUI that need no model, and those that a test controls, by class type."""
    image, saves = ("IMAGE",), dict[str, Any](returns=(), output=True)
    return {
        "EmptyImage": NodeKind({**_SIZE, "color": _int(0, 0xFFFFFF)}, image, _empty_image),
        "ImageScale": NodeKind(
            {**_IMAGE, "upscale_method": (_METHODS, {}), "width": _int(0), "height": _int(0), **_CROP}, image, _scale
        ),
        "LoadImage": NodeKind({"image": _TEXT}, image, _load_image, file_input="image"),
        "LoadVideo": NodeKind({"file": _TEXT}, ("VIDEO",), _load_video, file_input="file"),
        "GetVideoComponents": NodeKind({"video": ("VIDEO", {})}, ("IMAGE", "AUDIO", "FLOAT"), _video_components),
        "LoadAudio": NodeKind({"audio": _TEXT}, ("AUDIO",), _load_audio, file_input="audio"),
        "SaveImage": NodeKind({**_IMAGES, **_PREFIX}, run=_save_image, **saves),
        "SaveImageDataSetToFolder": NodeKind(
            {**_IMAGES, "folder_name": _TEXT, **_PREFIX, "mode": (["overwrite", "increment"], {})},
            run=_save_dataset,
            **saves,
        ),
        "PreviewImage": NodeKind(_IMAGES, run=_preview_image, **saves),
        "SaveAnimatedWEBP": NodeKind({**_IMAGES, **_PREFIX, **_FPS}, run=_animated_webp, **saves),
        "CreateVideo": NodeKind({**_IMAGES, **_FPS}, ("VIDEO",), _create_video),
        "SaveVideo": NodeKind(
            {"video": ("VIDEO", {}), **_PREFIX, "format": (["auto", "mp4"], {}), "codec": (["auto", "h264"], {})},
            run=_save_video,
            **saves,
        ),
        "SaveWEBM": NodeKind({**_IMAGES, **_PREFIX, **_FPS}, run=_save_webm, **saves),
        "VHS_VideoCombine": NodeKind({**_IMAGES, **_PREFIX}, run=_combine, **saves),
        "EmptyAudio": NodeKind(
            {"duration": ("FLOAT", {"min": 0.0}), "sample_rate": _int(1, 192000), "channels": _int(1, 2)},
            ("AUDIO",),
            _empty_audio,
        ),
        "SplitAudioChannels": NodeKind(_AUDIO, ("AUDIO", "AUDIO"), _split_channels),
        "SaveAudio": NodeKind({**_AUDIO, **_PREFIX}, run=_save_audio, **saves),
        "PreviewAudio": NodeKind(_AUDIO, run=_preview_audio, **saves),
        "PrimitiveInt": NodeKind({"value": _int(-(2**31), 2**31)}, ("INT",), _value),
        "PrimitiveString": NodeKind({"value": _TEXT}, ("STRING",), _value),
        "PreviewAny": NodeKind({"source": _ANY}, run=_preview_any, **saves),
        "EmptyLatentImage": NodeKind(_SIZE, ("LATENT",), _empty_latent),
        "SaveLatent": NodeKind({"samples": ("LATENT", {}), **_PREFIX}, run=_save_latent, **saves),
        "SaveNothing": NodeKind(_PREFIX, run=_save_nothing, **saves),
        "Step": NodeKind({**_IMAGE, "steps": _int(1)}, image, _step),
        "Stuck": NodeKind(_IMAGE, image, _stuck),
        "Raise": NodeKind({**_IMAGE, "message": _TEXT}, image, _raise),
        "Block": NodeKind({**_IMAGE, "message": _TEXT}, image, _block),
        "NotANumber": NodeKind(_IMAGE, run=_not_a_number, **saves),
        "LargeOutput": NodeKind({**_IMAGE, "megabytes": _int(1, 64)}, run=_large_output, **saves),
    }
