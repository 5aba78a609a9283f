"""Run a model by ncnn or onnxruntime, on a GPU if the runtime can use one.

Images are float32 arrays of shape (channels, height, width), RGB, from 0 to 1. On the CPU, each frame has one thread of
its own: several frames at once need no barrier between threads, which costs much on a machine that does other work.
"""

import os
import sys
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from callsheet.media.enhancement.requests import Compute, ModelFiles

Image: TypeAlias = npt.NDArray[np.float32]

_GPU_FRAMES = 2
"""Frames in work on a GPU: one is computed while the other one is copied."""
_PROBE_SIDE = 64
"""Pixels of the image that shows the scale of a model."""
_REAL_GPUS = (0, 1)
"""Discrete and integrated, by the numbers of ncnn. The others are virtual or run on the CPU, slower than the CPU."""


class Model(Protocol):
    """A loaded model. `run` may be called by several threads at once."""

    device: str
    """The device that runs it, such as `cpu`."""
    concurrency: int
    """Number of images to run at once."""
    fixed_size: tuple[int, int] | None
    """The only height and width that it accepts; None: any."""
    inputs: int
    """Number of its inputs."""

    def run(self, inputs: Sequence[Image]) -> Image:
        """Return the output for one value of each input. Raises ValueError if the model fails."""


def load_model(files: ModelFiles, compute: Compute) -> Model:
    """Load a model. Raises ValueError if it cannot be used, and ImportError without its runtime."""
    return _NcnnModel(files, compute) if files.runtime == "ncnn" else OnnxModel(files, compute)


def scale_of(model: Model) -> int:
    """Return the factor by which a model enlarges an image, found by running it once.

    Raises ValueError if it is not a model that makes a larger image of one image.
    """
    if model.inputs != 1:
        raise ValueError(f"the model has {model.inputs} inputs; a model that upscales has one")
    height, width = model.fixed_size or (_PROBE_SIDE, _PROBE_SIDE)
    output = model.run([np.zeros((3, height, width), np.float32)])
    scale = int(output.shape[-1]) // width
    if scale < 1 or output.shape != (3, height * scale, width * scale):
        raise ValueError(f"the model makes {output.shape} of an image of (3, {height}, {width}); it cannot upscale")
    return scale


class _NcnnModel:
    fixed_size: tuple[int, int] | None = None

    def __init__(self, files: ModelFiles, compute: Compute) -> None:
        import ncnn

        self._ncnn = ncnn
        gpu = _ncnn_gpu(ncnn) if compute.device == "auto" else None
        self.device = "cpu" if gpu is None else f"gpu {gpu}"
        self.concurrency = compute.threads if gpu is None else _GPU_FRAMES
        self._net = ncnn.Net()
        self._net.opt.use_vulkan_compute = gpu is not None
        self._net.opt.num_threads = 1
        if gpu is not None:
            self._net.set_vulkan_device(gpu)
        if self._net.load_param(files.graph) or self._net.load_model(files.weights):
            raise ValueError(f"ncnn cannot read the files of the model '{files.name}'")
        self._inputs: list[str] = list(self._net.input_names())
        self._output: str = self._net.output_names()[-1]
        self.inputs = len(self._inputs)

    def run(self, inputs: Sequence[Image]) -> Image:
        extractor = self._net.create_extractor()
        arrays = [np.ascontiguousarray(each, np.float32) for each in inputs]
        for name, array in zip(self._inputs, arrays, strict=True):
            extractor.input(name, self._ncnn.Mat(array))
        failed, output = extractor.extract(self._output)
        if failed:
            raise ValueError(f"ncnn cannot run the model (error {failed}); it may need more memory or a smaller tile")
        return np.array(output, np.float32)


def _ncnn_gpu(ncnn: Any) -> int | None:
    """Return the number of the first real GPU."""
    return next((n for n in range(ncnn.get_gpu_count()) if ncnn.get_gpu_info(n).type() in _REAL_GPUS), None)


class OnnxModel:
    """A model that onnxruntime runs."""

    def __init__(self, files: ModelFiles, compute: Compute) -> None:
        """Load the model. Raises ValueError if it cannot be used, and ImportError without onnxruntime."""
        import onnxruntime

        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        wanted = ["CPUExecutionProvider"]
        if compute.device == "auto" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            wanted.insert(0, "CUDAExecutionProvider")
        try:
            self._session = onnxruntime.InferenceSession(files.weights, options, providers=wanted)
        except Exception as error:  # noqa: BLE001 - its exceptions have no base class of their own
            raise ValueError(f"onnxruntime cannot load the model '{files.name}': {_first_line(error)}") from None
        on_gpu = self._session.get_providers()[0] == "CUDAExecutionProvider"
        self.device = "cuda" if on_gpu else "cpu"
        self.concurrency = _GPU_FRAMES if on_gpu else compute.threads
        self._inputs = self._session.get_inputs()
        self._names: list[str] = [output.name for output in self._session.get_outputs()]
        self._output = self._names[0]
        self.inputs = len(self._inputs)
        self.fixed_size = _fixed_size(self._inputs[0].shape)

    def run(self, inputs: Sequence[Image]) -> Image:
        """Return the first output. Raises ValueError if the model fails."""
        output = self.run_all(inputs)[self._output]
        return np.asarray(output, np.float32).reshape(output.shape[-3:])

    def run_all(self, inputs: Sequence[Image]) -> dict[str, npt.NDArray[Any]]:
        """Return all outputs by name. Raises ValueError if the model fails."""
        feed = {spec.name: _shaped(value, spec) for spec, value in zip(self._inputs, inputs, strict=True)}
        try:
            outputs = self._session.run(self._names, feed)
        except Exception as error:  # noqa: BLE001 - its exceptions have no base class of their own
            raise ValueError(f"onnxruntime cannot run the model: {_first_line(error)}") from None
        return dict(zip(self._names, outputs, strict=True))


def _fixed_size(shape: Sequence[Any]) -> tuple[int, int] | None:
    height, width = shape[-2:] if len(shape) >= 3 else (None, None)
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None


def _shaped(value: Image, spec: Any) -> npt.NDArray[Any]:
    """Return a value with the number of dimensions and the type of an input: images get a batch of one."""
    kind = np.float16 if spec.type == "tensor(float16)" else np.float32
    return np.asarray(value, kind).reshape((1,) * (len(spec.shape) - value.ndim) + value.shape)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def quiet_runtimes() -> None:
    """Send what native libraries print to stderr: stdout is for messages."""
    sys.stdout.flush()
    messages = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = os.fdopen(messages, "w", buffering=1)
