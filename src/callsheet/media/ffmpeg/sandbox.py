"""Paths that a decoder may use: those its arguments name, and those of the system that every run needs."""

import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Literal

from callsheet.domain.errors import ConfigurationError
from callsheet.media.fonts import FONTCONFIG
from callsheet.processes.landlock import FileAccess, landlock_version
from callsheet.settings.folders import cache_folder

Sandbox = Literal["auto", "off", "required"]

_LIBRARIES = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/nix/store", "/etc/ld.so.cache", "/etc/fonts")
_MACHINE = ("/sys", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/filesystems", "/proc/sys/vm")
_GPU_FACTS = (
    *("/proc/driver", "/proc/devices", "/proc/modules", "/etc/vulkan", "/etc/OpenCL", "/etc/glvnd"),
    *("/proc/sys/kernel", "/run/nvidia", "/var/lib/nvidia"),
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/dri", "/dev/kfd")


def check_sandbox(sandbox: Sandbox) -> None:
    """Raise ConfigurationError if a sandbox is required and the kernel has none."""
    if sandbox == "required" and not landlock_version():
        raise ConfigurationError(
            "FFMPEG_SANDBOX is 'required', but this kernel has no Landlock (Linux 5.13 or later, enabled in `lsm=`)"
        )


def is_sandboxed(sandbox: Sandbox) -> bool:
    """Return whether decoders run with restricted access."""
    return sandbox != "off" and landlock_version() > 0


def ffmpeg_access(
    sandbox: Sandbox,
    binary: Path,
    args: Sequence[str],
    cwd: Path | None,
    *,
    read: Iterable[Path] = (),
    write: Iterable[Path] = (),
) -> FileAccess | None:
    """Return the access of one FFmpeg run; None: not restricted.

    It may read the files after `-i`, and use the folder it runs in and the folders of the other paths among its
    arguments. Paths inside a filter or a list are not found: name them in `read` and `write`.
    """
    if not is_sandboxed(sandbox):
        return None
    base = (cwd or Path()).absolute()
    inputs, outputs = _paths(args, base)
    program = (binary, binary.resolve().parent.with_name("lib"))
    folders = (cwd.absolute(),) if cwd is not None else ()
    return FileAccess(
        read=(*program, *_system_paths(), *inputs, *read),
        write=(*_device_paths(), *folders, *outputs, *write),
    )


def script_access(sandbox: Sandbox, *, read: Iterable[Path], write: Iterable[Path]) -> FileAccess | None:
    """Return the access of a Python script that decodes media; None: not restricted."""
    if not is_sandboxed(sandbox):
        return None
    return FileAccess(read=(*_python_paths(), *_system_paths(), *read), write=(*_device_paths(), *write))


def _paths(args: Sequence[str], base: Path) -> tuple[list[Path], list[Path]]:
    """Return the input files, and the folders of the outputs."""
    inputs: list[Path] = []
    outputs: list[Path] = []
    for position, arg in enumerate(args):
        name = arg.removeprefix("file:")
        if position and args[position - 1] == "-i":
            inputs.append(base / name)
        # Only paths that this program chose start an argument: texts of clients follow a key, as in `title=…`.
        elif name.startswith("/") or (position == len(args) - 1 and not name.startswith(("-", "pipe:"))):
            path = base / name
            # A device is opened itself; a file is created in its folder.
            outputs.append(path if path.exists() and not (path.is_file() or path.is_dir()) else path.parent)
    return inputs, outputs


@cache
def _system_paths() -> tuple[Path, ...]:
    libraries = filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep))
    names = (*_LIBRARIES, *_MACHINE, *_GPU_FACTS, *libraries)
    return (*(Path(name) for name in names if Path(name).exists()), FONTCONFIG.parent)


@cache
def _device_paths() -> tuple[Path, ...]:
    """Return the devices and the caches: of fonts, and of CUDA kernels, which take seconds to compile."""
    gpus = list(Path("/dev").glob("nvidia*"))
    caches = [folder / "fontconfig"] if (folder := cache_folder()) else []
    if gpus and (home := os.environ.get("HOME")):
        caches.append(Path(home, ".nv/ComputeCache"))
    for folder in caches:
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
    return (*(device for device in (*map(Path, _DEVICES), *gpus) if device.exists()), *caches)


@cache
def _python_paths() -> tuple[Path, ...]:
    package = Path(__file__).parents[2]
    prefixes = {Path(prefix) for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix)}
    return (package, *(path for path in (*prefixes, *map(Path, sys.path)) if path.is_absolute() and path.exists()))
