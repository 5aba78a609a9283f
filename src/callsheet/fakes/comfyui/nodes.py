"""The nodes of the stand-in: those of ComfyUI that need no model, and some that a test holds in its hand.

`Step` reports a step each time the test says so and can be interrupted between them; `Stuck` waits for the test and
cannot. `Raise` fails, `Block` closes its branch, `NotANumber` and `Loud` answer with NaN and with megabytes.
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
    """A node closes its branch; the rest of the prompt goes on."""


class Hand(Protocol):
    """What a node is given to work with."""

    async def step(self, value: int, most: int) -> None:
        """Wait until the test allows a step, and report it; raises Interrupted."""

    async def stuck(self) -> None:
        """Wait until the test lets it go."""

    def save(self, prefix: str, suffix: str, data: bytes, *, temp: bool = False) -> dict[str, str]:
        """Write a file under the next free name, and return how it is named in the history."""

    def input_file(self, name: str) -> Path:
        """Return where a file that was uploaded lies."""


@dataclass(frozen=True, slots=True)
class NodeKind:
    """A kind of node: what goes in, what comes out, what it does."""

    inputs: Spec
    returns: tuple[str, ...]
    run: Callable[..., Awaitable[tuple[tuple[Any, ...], Ui | None]]]
    output: bool = False
    """Whether it is a reason to run a graph."""
    file_input: str | None = None
    """The input that must name a file of the server."""


_ANY: tuple[str, Mapping[str, Any]] = ("*", {})
_TEXT: tuple[str, Mapping[str, Any]] = ("STRING", {})


def _int(low: int, high: int = 16384) -> tuple[str, Mapping[str, Any]]:
    return "INT", {"min": low, "max": high}


async def _empty_image(_: Hand, width: int, height: int, batch_size: int, color: int) -> Any:
    colour = (color >> 16 & 255, color >> 8 & 255, color & 255)
    return ([Image.new("RGB", (width, height), colour) for _ in range(batch_size)],), None


async def _scale(_: Hand, image: list[Image.Image], width: int, height: int, **_more: Any) -> Any:
    return ([each.resize((width, height)) for each in image],), None


async def _load_image(hand: Hand, image: str) -> Any:
    with Image.open(hand.input_file(image)) as picture:
        return ([picture.convert("RGB")],), None


def _png(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


async def _save_image(hand: Hand, images: list[Image.Image], filename_prefix: str) -> Any:
    return (), {"images": [hand.save(filename_prefix, ".png", _png(image)) for image in images]}


async def _preview_image(hand: Hand, images: list[Image.Image]) -> Any:
    return (), {"images": [hand.save("ComfyUI_temp_abcde", ".png", _png(image), temp=True) for image in images]}


async def _animated_webp(hand: Hand, images: list[Image.Image], filename_prefix: str, fps: float, **_: Any) -> Any:
    data = io.BytesIO()
    images[0].save(data, "WEBP", save_all=True, append_images=images[1:], duration=int(1000 / fps))
    return (), {"images": [hand.save(filename_prefix, ".webp", data.getvalue())], "animated": [len(images) != 1]}


async def _create_video(_: Hand, images: list[Image.Image], fps: float) -> Any:
    return ((images, fps),), None


def _film(images: list[Image.Image], fps: float, container: str, codec: str) -> bytes:
    data = io.BytesIO()
    with av.open(data, "w", format=container) as film:
        stream = film.add_stream(codec, rate=Fraction(fps).limit_denominator(1000))
        assert isinstance(stream, av.VideoStream)  # noqa: S101 - both codecs are of pictures
        stream.width, stream.height, stream.pix_fmt = *images[0].size, "yuv420p"
        for image in images:
            film.mux(stream.encode(av.VideoFrame.from_bytes(image.convert("RGBA").tobytes(), *image.size)))
        film.mux(stream.encode(None))
    return data.getvalue()


async def _save_video(hand: Hand, video: tuple[list[Image.Image], float], filename_prefix: str, **_: Any) -> Any:
    # A video stands under "images", as with the real node.
    file = hand.save(filename_prefix, ".mp4", _film(*video, "mp4", "libx264"))
    return (), {"images": [file], "animated": [True]}


async def _save_webm(hand: Hand, images: list[Image.Image], filename_prefix: str, fps: float, **_: Any) -> Any:
    file = hand.save(filename_prefix, ".webm", _film(images, fps, "webm", "libvpx-vp9"))
    return (), {"images": [file], "animated": [True]}


async def _combine(hand: Hand, images: list[Image.Image], filename_prefix: str) -> Any:
    file = hand.save(filename_prefix, ".mp4", _film(images, 8, "mp4", "libx264"))
    return (), {"gifs": [{**file, "format": "video/h264-mp4", "frame_rate": 8.0, "fullpath": "/srv/out/it.mp4"}]}


async def _empty_audio(_: Hand, duration: float, sample_rate: int, channels: int) -> Any:
    return ((bytes(2 * channels * int(duration * sample_rate)), sample_rate, channels),), None


async def _split_channels(_: Hand, audio: tuple[bytes, int, int]) -> Any:
    if audio[2] != 2:
        raise ValueError("AudioSplit: Input audio must be stereo, in /srv/ComfyUI/comfy_extras/nodes_audio.py")
    half = audio[0][: len(audio[0]) // 2]
    return ((half, audio[1], 1), (half, audio[1], 1)), None


def _flac(audio: tuple[bytes, int, int]) -> bytes:
    wav, data = io.BytesIO(), io.BytesIO()
    with wave.open(wav, "wb") as sound:
        sound.setparams((audio[2], 2, audio[1], 0, "NONE", ""))
        sound.writeframes(audio[0])
    wav.seek(0)
    with av.open(wav, "r") as source, av.open(data, "w", format="flac") as target:
        stream = target.add_stream("flac", rate=audio[1])
        for frame in source.decode(audio=0):
            frame.pts = None
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return data.getvalue()


async def _save_audio(hand: Hand, audio: tuple[bytes, int, int], filename_prefix: str) -> Any:
    return (), {"audio": [hand.save(filename_prefix, ".flac", _flac(audio))]}


async def _preview_audio(hand: Hand, audio: tuple[bytes, int, int]) -> Any:
    return (), {"audio": [hand.save("ComfyUI_temp_abcde", ".flac", _flac(audio), temp=True)]}


async def _load_audio(hand: Hand, audio: str) -> Any:
    return ((hand.input_file(audio).read_bytes(), 44100, 2),), None


async def _value(_: Hand, value: Any) -> Any:
    return (value,), None


async def _preview_any(_: Hand, source: Any) -> Any:
    return (), {"text": [str(source)]}


async def _empty_latent(_: Hand, width: int, height: int, batch_size: int) -> Any:
    return ((batch_size, 4, height // 8, width // 8),), None


async def _save_latent(hand: Hand, samples: tuple[int, ...], filename_prefix: str) -> Any:
    size = 4
    for length in samples:
        size *= length
    head = json.dumps({"latent_tensor": {"dtype": "F32", "shape": samples, "data_offsets": [0, size]}}).encode()
    return (), {"latents": [hand.save(filename_prefix, ".latent", struct.pack("<Q", len(head)) + head + bytes(size))]}


async def _save_nothing(hand: Hand, filename_prefix: str) -> Any:
    return (), {"images": [hand.save(filename_prefix, ".png", b"")]}


async def _step(hand: Hand, image: Any, steps: int) -> Any:
    for number in range(steps):
        await hand.step(number + 1, steps)
    return (image,), None


async def _stuck(hand: Hand, image: Any) -> Any:
    await hand.stuck()
    return (image,), None


async def _raise(_: Hand, message: str, **_more: Any) -> Any:
    raise MemoryError(message) if "memory" in message else RuntimeError(message)


async def _block(_: Hand, message: str, **_more: Any) -> Any:
    raise Blocked(message)


async def _not_a_number(_: Hand, **_more: Any) -> Any:
    return (), {"scores": [float("nan"), float("inf")], "text": ["seen"]}


async def _loud(_: Hand, megabytes: int, **_more: Any) -> Any:
    return (), {"noise": ["x" * (megabytes * 2**20)], "text": ["received"]}


_SCALING: Spec = {
    "upscale_method": (["nearest-exact", "bilinear", "area", "bicubic", "lanczos"], {}),
    "crop": (["disabled", "center"], {}),
}
_PREFIX: Spec = {"filename_prefix": _TEXT}
_IMAGES: Spec = {"images": ("IMAGE", {})}
_IMAGE: Spec = {"image": ("IMAGE", {})}
_AUDIO: Spec = {"audio": ("AUDIO", {})}
_FPS: Spec = {"fps": ("FLOAT", {"min": 0.01, "max": 1000.0})}
_SIZE: Spec = {"width": _int(1), "height": _int(1), "batch_size": _int(1, 4096)}


def _kinds() -> dict[str, NodeKind]:
    image, saves = ("IMAGE",), dict[str, Any](returns=(), output=True)
    return {
        "EmptyImage": NodeKind({**_SIZE, "color": _int(0, 0xFFFFFF)}, image, _empty_image),
        "ImageScale": NodeKind({**_IMAGE, "width": _int(0), "height": _int(0), **_SCALING}, image, _scale),
        "LoadImage": NodeKind({"image": _TEXT}, image, _load_image, file_input="image"),
        "LoadAudio": NodeKind({"audio": _TEXT}, ("AUDIO",), _load_audio, file_input="audio"),
        "SaveImage": NodeKind({**_IMAGES, **_PREFIX}, run=_save_image, **saves),
        "PreviewImage": NodeKind(_IMAGES, run=_preview_image, **saves),
        "SaveAnimatedWEBP": NodeKind({**_IMAGES, **_PREFIX, **_FPS}, run=_animated_webp, **saves),
        "CreateVideo": NodeKind({**_IMAGES, **_FPS}, ("VIDEO",), _create_video),
        "SaveVideo": NodeKind({"video": ("VIDEO", {}), **_PREFIX}, run=_save_video, **saves),
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
        "Loud": NodeKind({**_IMAGE, "megabytes": _int(1, 64)}, run=_loud, **saves),
    }


KINDS = _kinds()
"""All of them, by class type."""


@dataclass
class Folders:
    """Where files lie."""

    base: Path
    temp: Path
    taken: dict[tuple[str, str], int] = field(default_factory=dict)

    def of(self, kind: str) -> Path:
        """Return the folder of a type of file: `input`, `output` or `temp`; raises KeyError."""
        return {"input": self.base / "input", "output": self.base / "output", "temp": self.temp}[kind]

    def save(self, prefix: str, suffix: str, data: bytes, *, temp: bool = False) -> dict[str, str]:
        """Write a file under the next free name."""
        kind = "temp" if temp else "output"
        subfolder, _, stem = prefix.rpartition("/")
        folder = self.of(kind) / subfolder
        folder.mkdir(parents=True, exist_ok=True)
        number = 1 + max((_counter(path.name, stem) for path in folder.iterdir()), default=0)
        name = f"{stem}_{number:05}_{suffix}"
        (folder / name).write_bytes(data)
        return {"filename": name, "subfolder": subfolder, "type": kind}


def _counter(name: str, stem: str) -> int:
    digits = name.removeprefix(f"{stem}_").partition("_")[0] if name.startswith(f"{stem}_") else ""
    return int(digits) if digits.isdecimal() else 0
