"""The steps of the Dockerfile without a container engine: its script, then its commands in a read-only root."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COPIED = ("pyproject.toml", "README.md", "LICENSE", "requirements.lock", "src", "examples", "deploy/docker")
_READ_ONLY_ROOT = """
set -e
mount --bind "$DATA" "$DATA"
mount -o remount,ro,bind /
exec "$@"
"""


def can_mount():
    """Whether this process may have a root file system of its own."""
    return (
        os.geteuid() == 0
        and subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with `source`, what the Dockerfile copies, and `opt`, the environment that its script makes of it."""
    folder = tmp_path_factory.mktemp("image")
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, folder / "source" / name)
    for path in (folder / "source").rglob("*"):
        path.chmod(0o555 if path.is_dir() or path.suffix == ".sh" else 0o444)
    before = files_in(folder / "source")
    (folder / "home").mkdir()
    install = ["sh", str(folder / "source/deploy/docker/install.sh"), str(folder / "source"), str(folder / "opt"), ""]
    # Without this environment: its packages and settings are not those of the image.
    path = os.pathsep.join(
        part for part in os.environ["PATH"].split(os.pathsep) if Path(part) != Path(sys.prefix) / "bin"
    )
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    cache = {"PIP_CACHE_DIR": str(Path.home() / ".cache/pip")}
    environment = {**cache, **pip, "PATH": path, "HOME": str(folder / "home")}
    done = subprocess.run(install, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    assert files_in(folder / "source") == before
    return folder


def files_in(folder):
    return sorted(str(path) for path in folder.rglob("*"))


@pytest.fixture
def data():
    """The volume. Its path is short, like that of the image: the socket of PostgreSQL is in it, not in /tmp."""
    with tempfile.TemporaryDirectory(prefix="image-", dir="/tmp") as folder:
        (Path(folder) / "tmp").mkdir()
        yield Path(folder)


@pytest.fixture
def environment(place, data):
    """The variables of the Dockerfile, with the folders of this test."""
    text = (ROOT / "Dockerfile").read_text()
    [block] = re.findall(r"^ENV ((?:.*\\\n)*.*)$", text, re.MULTILINE)
    variables = dict(re.findall(r"(\w+)=(\S+)", block))
    values = {
        name: value.replace("/opt/callsheet", str(place / "opt")).replace("/data", str(data))
        for name, value in variables.items()
    }
    values["PATH"] = values["PATH"].replace("$PATH", "/usr/local/bin:/usr/bin:/bin")
    return {**values, "DATA": str(data), "TMPDIR": str(data / "tmp"), "CALLSHEET_HOST": "127.0.0.1"}


@pytest.fixture
def in_image():
    """The start of a command line that runs a command as in a container with `read_only: true`."""
    return ["unshare", "--mount", "sh", "-c", _READ_ONLY_ROOT, "sh"] if can_mount() else []


def run(command, environment, **more):
    cwd = environment["DATA"]
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=180, **more)


def test_the_installed_image_checks_itself(place, environment, in_image, data):
    usage = run([*in_image, "callsheet", "--help"], environment, check=True).stdout
    assert "callsheet COMMAND" in usage or "Usage" in usage

    findings = json.loads(run([*in_image, "callsheet", "check", "--json"], environment, check=False).stdout)
    assert [each for each in findings if each["level"] == "error"] == []
    [ffmpeg] = [each["message"] for each in findings if each["subject"] == "ffmpeg"]
    assert ffmpeg.endswith(f"at {place / 'opt/bin/ffmpeg'}")
    with_pip = run([str(place / "opt/bin/python"), "-c", "import pip"], environment, check=False)
    assert "No module named 'pip'" in with_pip.stderr


MAX_INSTALLED_BYTES = 570 * 10**6
"""FFmpeg, PyAV with its libraries and PostgreSQL take 350 MB of it, and compiled Python 50 MB."""


def test_an_installation_without_extras_is_not_larger_than_documented(place):
    sizes = {}
    for path in (place / "opt/lib").glob("python*/site-packages/*"):
        files = path.rglob("*") if path.is_dir() else [path]
        sizes[path.name] = sum(each.stat().st_size for each in files if each.is_file() and not each.is_symlink())

    largest = sorted(sizes.items(), key=lambda size: -size[1])[:12]
    assert 400 * 10**6 < sum(sizes.values()) < MAX_INSTALLED_BYTES, largest


def test_a_plan_runs_in_the_installed_image(place, environment, in_image, data):
    video = data / "in.mp4"
    made = ["-v", "error", "-f", "lavfi", "-i", "testsrc2=d=1:s=128x128", "-pix_fmt", "yuv420p", str(video)]
    run([str(place / "opt/bin/ffmpeg"), *made], environment, check=True)
    job = {"id": "web", "operation": "transcode", "params": {"source": str(video), "format": "webm"}}
    (data / "plan.json").write_text(json.dumps({"jobs": [job]}))

    done = run(
        [*in_image, "callsheet", "run", str(data / "plan.json"), "--out", str(data / "out")], environment, check=False
    )

    assert done.returncode == 0, done.stderr
    assert [path.suffix for path in (data / "out").rglob("*") if path.is_file()] == [".webm"]


@pytest.mark.skipif(not can_mount(), reason="needs root, to make a root file system read-only")
def test_the_root_of_these_tests_is_read_only(environment, in_image, place):
    done = run([*in_image, "touch", str(place / "opt/file")], environment, check=False)
    assert (done.returncode, "Read-only file system" in done.stderr) == (1, True)


def test_a_server_with_a_worker_is_healthy_in_a_read_only_root(place, environment, in_image, data):
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        port, monitor = str(one.getsockname()[1]), str(two.getsockname()[1])
    [check] = re.findall(r'^HEALTHCHECK .* CMD \["(\w+)", "8500"\]$', (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert run([check, port], environment, check=False).returncode == 1

    ports = {"CALLSHEET_PORT": port, "CALLSHEET_MONITOR_PORT": monitor}
    with (data / "log").open("wb") as log:
        server = subprocess.Popen(
            [*in_image, "callsheet", "up"], env={**environment, **ports}, cwd=data, stdout=log, stderr=log
        )
    try:
        for each in (port, monitor):
            wait_until_healthy([check, each], environment, server, data / "log")
        assert run([check, port, "/no-such-page"], environment, check=False).returncode == 1
        plan = {
            "jobs": [{"id": "still", "operation": "render", "params": {"scenes": [{"color": "red", "duration": 1}]}}]
        }
        (data / "plan.json").write_text(json.dumps(plan))
        url = ["--url", f"http://127.0.0.1:{port}"]
        done = run(["callsheet", "submit", "plan.json", "--wait", "--timeout", "2m", *url], environment, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        server.terminate()
        status = server.wait(60)
    assert status == 0, (data / "log").read_text()


def wait_until_healthy(command, environment, server, log):
    deadline = time.monotonic() + 120
    while run(command, environment, check=False).returncode:
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.3)
