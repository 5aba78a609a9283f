"""The command line of a managed ComfyUI server."""

import asyncio
import os
import re
import shlex
import shutil
import socket
from pathlib import Path
from uuid import uuid4

from callsheet.comfyui.server_files import managed_base
from callsheet.comfyui.server_process import UNLIMITED, ServerProcess
from callsheet.domain.errors import ConfigurationError, ProviderUnreachable
from callsheet.files.scratch_folders import own_scratch_folder
from callsheet.processes.child import child_environment, start_child
from callsheet.settings import Settings

_HELP_TIMEOUT = 60.0
_PACKAGES = ("torch", "torchvision", "aiohttp", "numpy", "PIL", "yaml", "safetensors")
"""Modules without which no version of ComfyUI starts."""
_LIST_MISSING = (
    "import importlib.util, sys; "
    "print(sys.version.split()[0], *[name for name in sys.argv[1:] if importlib.util.find_spec(name) is None])"
)
_VERSION = re.compile(r'__version__ = "([^"]{1,50})"')


async def build_command(settings: Settings, folder: Path) -> tuple[list[str], ServerProcess]:
    """Create the server's folders, and return its command with a process that is not started yet.

    `folder` contains ComfyUI's code. Raises ConfigurationError when there is no ComfyUI or no Python to run it.
    """
    program, python = folder / "main.py", _find_python(settings, folder)
    if not program.is_file():
        raise ConfigurationError(f"There is no ComfyUI in {folder}: main.py is missing (COMFYUI_PATH).")
    base = managed_base(settings)
    scratch = own_scratch_folder(settings.scratch_dir) / f"comfyui-{uuid4().hex[:12]}"
    for each in (base / "custom_nodes", base / "user", base / "models", scratch / "front"):
        each.mkdir(parents=True, exist_ok=True)
    port = free_port()
    # ComfyUI exits on an unknown flag, and flags differ between versions.
    supported = await _read_help(python, folder)
    flags = [word for flag in _flags(base, scratch, port) if flag[0] in supported for word in flag]
    argv = [*flags, *shlex.split(settings.comfyui_args)]
    process = ServerProcess(scratch.name, f"http://127.0.0.1:{port}", argv, scratch)
    return [str(python), "main.py", *argv], process


def code_folder(settings: Settings) -> Path:
    """Return the folder of COMFYUI_PATH, which must be set."""
    assert settings.comfyui_path is not None  # noqa: S101 - without it there is no managed server
    return settings.comfyui_path.expanduser().absolute()


async def describe_installation(settings: Settings) -> str:
    """Return the versions of ComfyUI and of its Python, for people.

    Raises ConfigurationError when the code, the Python or its packages are missing.
    """
    folder = code_folder(settings)
    if not (folder / "main.py").is_file():
        raise ConfigurationError(f"There is no ComfyUI in {folder}: main.py is missing (COMFYUI_PATH).")
    python = _find_python(settings, folder)
    version, *missing = (await _run([str(python), "-c", _LIST_MISSING, *_PACKAGES], folder, python)).split()
    if missing:
        raise ConfigurationError(
            f"{python} lacks {', '.join(missing)}: install the requirements.txt of {folder}, or set "
            "CALLSHEET_COMFYUI_PYTHON."
        )
    found = _VERSION.search(await asyncio.to_thread(_read_version, folder))
    return f"ComfyUI {found[1] if found else 'of an unknown version'} in {folder}, with Python {version} ({python})"


def _read_version(folder: Path) -> str:
    path = folder / "comfyui_version.py"
    return path.read_text("utf-8", "replace") if path.is_file() else ""


def _flags(base: Path, scratch: Path, port: int) -> list[tuple[str, ...]]:
    return [
        ("--listen", "127.0.0.1"),
        ("--port", str(port)),
        ("--base-directory", str(base)),
        ("--temp-directory", str(scratch)),
        # The default database is in ComfyUI's own folder, which other instances share.
        ("--database-url", f"sqlite:///{scratch}/comfyui.db"),
        # An empty folder replaces the front-end package, which a server without a browser does not need.
        ("--front-end-root", str(scratch / "front")),
        ("--disable-auto-launch",),
    ]


def _find_python(settings: Settings, folder: Path) -> Path:
    if settings.comfyui_python is not None:
        return settings.comfyui_python.expanduser().absolute()
    for name in (".venv", "venv"):
        if (found := folder / name / "bin" / "python").exists():
            return found
    python = shutil.which("python3")
    if python is None:
        raise ConfigurationError("No Python was found for the managed ComfyUI; set CALLSHEET_COMFYUI_PYTHON.")
    return Path(python)


async def _read_help(python: Path, folder: Path) -> str:
    return await _run([str(python), "main.py", "--help"], folder, python)


async def _run(command: list[str], folder: Path, python: Path) -> str:
    """Return what a short command prints."""
    try:
        async with start_child(command, cwd=folder, env=child_environment(), limits=UNLIMITED) as process:
            async with asyncio.timeout(_HELP_TIMEOUT):
                out, err = await process.communicate()
    except TimeoutError:
        raise ProviderUnreachable(f"{python} did not run in {folder} within {_HELP_TIMEOUT:g} s.") from None
    except OSError as error:
        raise ConfigurationError(
            f"{python} cannot be started for the managed ComfyUI: {os.strerror(error.errno or 0)}"
        ) from None
    if process.returncode != 0:
        raise ConfigurationError(
            f"ComfyUI in {folder} cannot be started: {err.decode(errors='replace')[-500:].strip()}"
        )
    return out.decode(errors="replace")


def free_port() -> int:
    """Return a free port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
