"""GPUs of this machine: by NVML (`pip install 'callsheet[gpu]'`), else by the command nvidia-smi, else none."""

import importlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import structlog

from callsheet.domain.resources import GpuUse

log = structlog.get_logger(__name__)

_COMMAND_TIMEOUT = 10.0
"""Seconds."""
_COLUMNS = "index,uuid,name,utilization.gpu,memory.total,memory.free,temperature.gpu"
_MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True)
class _Gpu:
    uuid: str
    use: GpuUse


def measure_gpus(environment: Mapping[str, str] = os.environ) -> list[GpuUse]:
    """Return the use of the GPUs that CUDA_VISIBLE_DEVICES leaves to this process.

    Empty without a GPU, and without a driver that responds.
    """
    found = _by_nvml()
    if found is None:
        found = _by_command()
    return _visible(found, environment.get("CUDA_VISIBLE_DEVICES"))


def _visible(gpus: list[_Gpu], chosen: str | None) -> list[GpuUse]:
    if chosen is None:
        return [gpu.use for gpu in gpus]
    names = [name.strip() for name in chosen.split(",") if name.strip()]
    return [
        gpu.use
        for gpu in gpus
        # Ids may be shortened: GPU-8f2c.
        if any(name == str(gpu.use.index) or (name.startswith("GPU-") and gpu.uuid.startswith(name)) for name in names)
    ]


def _by_nvml() -> list[_Gpu] | None:
    """Return the GPUs that NVML knows; None: its Python module or the driver is not there."""
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        log.debug("NVML does not work", error=str(error))
        return None
    try:
        return [_nvml_gpu(nvml, index) for index in range(nvml.nvmlDeviceGetCount())]
    except nvml.NVMLError as error:
        log.warning("the GPUs could not be measured", error=str(error))
        return []
    finally:
        nvml.nvmlShutdown()


def _nvml_gpu(nvml: ModuleType, index: int) -> _Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return _Gpu(
        _text(nvml.nvmlDeviceGetUUID(handle)),
        GpuUse(
            index=index,
            name=_text(nvml.nvmlDeviceGetName(handle)),
            percent=_nvml_percent(nvml, handle),
            memory_percent=_percent(memory.total, memory.free),
            memory_total=memory.total,
            memory_free=memory.free,
            temperature=_nvml_temperature(nvml, handle),
        ),
    )


def _nvml_percent(nvml: ModuleType, handle: Any) -> float | None:
    try:
        return float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    except nvml.NVMLError:  # a GPU that is divided (MIG) does not say it
        return None


def _nvml_temperature(nvml: ModuleType, handle: Any) -> float | None:
    try:
        return float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))
    except nvml.NVMLError:
        return None


def _by_command() -> list[_Gpu]:
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    arguments = [command, f"--query-gpu={_COLUMNS}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=_COMMAND_TIMEOUT, check=True)
        return [_gpu_of_line(line) for line in done.stdout.splitlines() if line.strip()]
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        log.warning("the GPUs could not be measured", command=command, error=str(error))
        return []


def _gpu_of_line(line: str) -> _Gpu:
    """Return a GPU from a line of nvidia-smi. Raises ValueError for any other line."""
    index, uuid, name, percent, total, free, temperature = (part.strip() for part in line.split(","))
    memory_total, memory_free = (int(size) * _MEBIBYTE for size in (total, free))
    use = GpuUse(
        index=int(index),
        name=name,
        percent=_number(percent),
        memory_percent=_percent(memory_total, memory_free),
        memory_total=memory_total,
        memory_free=memory_free,
        temperature=_number(temperature),
    )
    return _Gpu(uuid, use)


def _number(text: str) -> float | None:
    """Return a number; None for `[N/A]` and the like."""
    try:
        return float(text)
    except ValueError:
        return None


def _percent(total: int, free: int) -> float:
    return round(100 * (total - free) / total, 1) if total else 0.0


def _text(value: str | bytes) -> str:
    """Return a text. Old versions of the module return bytes."""
    return value.decode() if isinstance(value, bytes) else value
