"""The GPUs of this machine, as `nvidia-smi` lists them."""

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from callsheet.domain.errors import ConfigurationError

_QUERY = ("--query-gpu=index,uuid,name", "--format=csv,noheader")
_TIMEOUT = 60.0
"""Seconds. Without persistence mode, the driver first initializes each GPU."""
ALL = "all"


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU."""

    index: int
    """In the order of `nvidia-smi`, which CUDA does not have by default."""
    uuid: str
    """`GPU-…`, as CUDA_VISIBLE_DEVICES takes it."""
    name: str


async def list_gpus() -> list[Gpu]:
    """Return all GPUs of this machine. Raises ConfigurationError if there is none, or the driver does not respond."""
    program = shutil.which("nvidia-smi")
    if program is None:
        raise ConfigurationError("There is no GPU: the program nvidia-smi of the NVIDIA driver is not on the PATH.")
    process = await asyncio.create_subprocess_exec(
        program,
        *_QUERY,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_TIMEOUT):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise ConfigurationError(f"{program} did not list the GPUs within {_TIMEOUT:g} s.") from None
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    if process.returncode:
        reason = lines[0] if lines else f"exit status {process.returncode}"
        raise ConfigurationError(f"{program} cannot list the GPUs: {reason}")
    gpus = [gpu for line in lines if (gpu := _read(line)) is not None]
    if not gpus:
        raise ConfigurationError(f"There is no GPU: {program} lists none.")
    return gpus


def choose_gpus(given: str, gpus: Sequence[Gpu], *, visible: str | None) -> list[Gpu]:
    """Return the GPUs that `all`, or a list such as `0,2`, names. `visible` is CUDA_VISIBLE_DEVICES, if it is set.

    A part is an index of `nvidia-smi`, or the start of a UUID. Raises ConfigurationError with what is there.
    """
    allowed = list(gpus) if visible is None else _named(visible, gpus, "CUDA_VISIBLE_DEVICES")
    return allowed if given.strip().lower() == ALL else _named(given, allowed, "--gpus")


def _named(text: str, gpus: Sequence[Gpu], option: str) -> list[Gpu]:
    known = ", ".join(f"{gpu.index} ({gpu.name})" for gpu in gpus) or "none"
    chosen: dict[int, Gpu] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        found = [gpu for gpu in gpus if str(gpu.index) == part or (len(part) > 4 and gpu.uuid.startswith(part))]
        if len(found) != 1:
            raise ConfigurationError(f"{option}: there is no GPU '{part}'. Use `all`, or some of: {known}.")
        if found[0].index in chosen:
            raise ConfigurationError(f"{option}: the GPU '{part}' is named twice.")
        chosen[found[0].index] = found[0]
    if not chosen:
        raise ConfigurationError(f"{option}: no GPU is named. Use `all`, or some of: {known}.")
    return list(chosen.values())


def _read(line: str) -> Gpu | None:
    """Read `0, GPU-5f3a…, NVIDIA L4`. None: a line that is no GPU, such as `No devices were found`."""
    index, uuid, name = [*(part.strip() for part in line.split(",", 2)), "", ""][:3]
    return Gpu(int(index), uuid, name) if index.isdecimal() and uuid.startswith("GPU-") else None
