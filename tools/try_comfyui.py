"""Install a version of ComfyUI with torch for the CPU, and run the tests of a real server against it.

Usage: python tools/try_comfyui.py SOURCE [--folder FOLDER] [--torch PACKAGES] [-- arguments of pytest]

SOURCE is a checkout of ComfyUI, an archive of one (.tar.gz, .zip), or a tag such as v0.33.0, which is downloaded. The
code, its virtual environment and its files go into FOLDER, by default ~/.cache/callsheet-comfyui, outside of this
repository; a second run uses them again. Run it with the Python of Callsheet's own environment: `make setup` makes it.
No model is needed, and none is downloaded. The exit status is that of the tests.
"""

import argparse
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = "tests/integration/test_comfyui_real.py"
NODES = ROOT / "tests/support/comfyui_nodes.py"
DOWNLOAD = "https://github.com/Comfy-Org/ComfyUI/archive/refs/tags/{tag}.tar.gz"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
_TORCH = ("torch", "torchvision", "torchaudio")
_START_SECONDS = 300.0


def main() -> int:
    """Install, start the server, and run the tests."""
    given, for_pytest = _split(sys.argv[1:])
    options = _parse(given)
    folder = (options.folder or Path("~/.cache/callsheet-comfyui").expanduser()).absolute()
    if folder.is_relative_to(ROOT):
        raise SystemExit(f"{folder} is in the repository; choose a --folder outside of it.")
    code = _place_code(options.source, folder)
    python = _install(code, folder, options)
    with _running_server(code, python, folder / "base") as url:
        print(f"ComfyUI {_version(code)} at {url}", flush=True)
        environment = {
            "CALLSHEET_TEST_COMFYUI_URL": url,
            "CALLSHEET_TEST_COMFYUI_PATH": str(code),
            "CALLSHEET_TEST_COMFYUI_PYTHON": str(python),
            "PYTHONPATH": str(ROOT / "src"),
        }
        tests = [sys.executable, "-m", "pytest", TESTS, *(for_pytest or ["-q", "-ra"])]
        return subprocess.run(tests, cwd=ROOT, env={**os.environ, **environment}, check=False).returncode


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return the arguments before and after `--`."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at + 1 :]


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Run the tests of a real ComfyUI server against a version of it.",
        epilog="Arguments after -- are those of pytest.",
    )
    parser.add_argument("source", help="a checkout, an archive (.tar.gz, .zip), or a tag such as v0.33.0")
    parser.add_argument("--folder", type=Path, help="where it is installed; default: ~/.cache/callsheet-comfyui")
    parser.add_argument("--python", default=sys.executable, help="Python for ComfyUI; default: the one that runs this")
    parser.add_argument(
        "--torch-index",
        default=CPU_INDEX,
        help=f"package index of torch; default: {CPU_INDEX}; empty: the indexes that pip is configured with",
    )
    parser.add_argument(
        "--torch",
        help="packages of torch, such as 'torch==2.13.0 torchvision==0.28.0 torchaudio==2.11.1': the first with its "
        "dependencies, the others without; default: those of ComfyUI's requirements",
    )
    return parser.parse_args(arguments)


def _place_code(source: str, folder: Path) -> Path:
    """Copy, unpack or download the code of ComfyUI into the folder, and return where it is."""
    path = Path(source).expanduser()
    name = re.sub(r"(\.tar)?\.[a-z]+$", "", path.name) if path.is_file() else path.name
    target = folder / f"ComfyUI-{name.removeprefix('ComfyUI-')}"
    if (target / "main.py").is_file():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, target, ignore=shutil.ignore_patterns(".git", "venv", ".venv", "models", "output"))
    elif path.is_file():
        _unpack(path, target)
    else:
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            archive = Path(temporary) / "comfyui.tar.gz"
            print(f"Downloading {DOWNLOAD.format(tag=source)} …", flush=True)
            urllib.request.urlretrieve(DOWNLOAD.format(tag=source), archive)
            _unpack(archive, target)
    if not (target / "main.py").is_file():
        shutil.rmtree(target)
        raise SystemExit(f"There is no main.py in {source}: it is no ComfyUI.")
    return target


def _unpack(archive: Path, target: Path) -> None:
    """Unpack an archive whose files are in one folder, as those of GitHub are, or in none."""
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        options = {} if archive.suffix == ".zip" else {"filter": "data"}
        shutil.unpack_archive(archive, temporary, **options)
        entries = list(Path(temporary).iterdir())
        shutil.move(entries[0] if len(entries) == 1 else temporary, target)


def _install(code: Path, folder: Path, options: argparse.Namespace) -> Path:
    """Install the requirements of ComfyUI into an environment of its own, and return its Python."""
    environment = folder / f"venv-{code.name}"
    installed = environment / "bin" / "python"
    if (environment / ".ready").exists():
        return installed
    print(f"Installing into {environment} (some minutes) …", flush=True)
    subprocess.run([options.python, "-m", "venv", "--clear", environment], check=True)
    pip = [installed, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    index = ["--index-url", options.torch_index] if options.torch_index else []
    torch, *others = (options.torch or "").split() or _torch_packages(code)
    subprocess.run([*pip, *index, torch, *([] if options.torch else others)], check=True)
    if options.torch and others:
        subprocess.run([*pip, *index, "--no-deps", *others], check=True)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as rest:
        rest.write("\n".join(_other_requirements(code)))
        rest.flush()
        subprocess.run([*pip, "-r", rest.name], check=True)
    (environment / ".ready").touch()
    return installed


def _requirements(code: Path) -> list[str]:
    lines = (code / "requirements.txt").read_text("utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _torch_packages(code: Path) -> list[str]:
    return [line for line in _requirements(code) if _package(line) in _TORCH]


def _other_requirements(code: Path) -> list[str]:
    return [line for line in _requirements(code) if _package(line) not in _TORCH]


def _package(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower()


def _version(code: Path) -> str:
    found = re.search(r'__version__ = "(.*)"', (code / "comfyui_version.py").read_text("utf-8"))
    return found[1] if found else "of an unknown version"


@contextlib.contextmanager
def _running_server(code: Path, python: Path, base: Path) -> Iterator[str]:
    """Run the server with the nodes of the tests. It prints into `comfyui.log` beside its files."""
    nodes = base / "custom_nodes"
    for each in (nodes, base / "models", base / "user"):
        each.mkdir(parents=True, exist_ok=True)
    shutil.copy(NODES, nodes / "callsheet_tests.py")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    flags = ["--cpu", "--listen", "127.0.0.1", "--port", str(port), "--base-directory", str(base)]
    command = [str(python), "main.py", *flags, "--disable-auto-launch"]
    log = base / "comfyui.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=code, stdout=output, stderr=output, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(url, process, log)
        yield url
    finally:
        _end(process)


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"ComfyUI ended with status {process.returncode}:\n{_tail(log)}")
        with contextlib.suppress(OSError), opener.open(f"{url}/system_stats", timeout=10):
            return
        time.sleep(0.5)
    raise SystemExit(f"ComfyUI did not answer within {_START_SECONDS:g} s:\n{_tail(log)}")


def _tail(log: Path, lines: int = 30) -> str:
    return "\n".join(log.read_text("utf-8", "replace").splitlines()[-lines:])


def _end(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


if __name__ == "__main__":
    sys.exit(main())
