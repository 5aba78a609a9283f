"""The installed `callsheet` command."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest

from callsheet.db.embedded.postgres import EmbeddedPostgres
from callsheet.db.upgrade import upgrade

CALLSHEET = Path(sys.executable).with_name("callsheet")

OPERATIONS = '''
import asyncio
import os

import callsheet


class Params(callsheet.Model):
    seconds: float = 0
    text: str = "hello"


class Result(callsheet.Model):
    text: str
    file: callsheet.Artifact


@callsheet.operation("note")
async def note(job: callsheet.Context, params: Params) -> Result:
    """Write a note."""
    await asyncio.sleep(params.seconds)
    path = job.dir / "a note, 'quoted' 🎬.txt"
    path.write_text(params.text)
    return Result(text=params.text + "!", file=await job.keep(path))


class Source(callsheet.Model):
    source: callsheet.MediaSource


@callsheet.operation("copy")
async def copy(job: callsheet.Context, params: Source) -> Result:
    """Copy a file."""
    path = job.dir / "copy.txt"
    path.write_bytes((await job.fetch_input(params.source)).read_bytes())
    return Result(text="", file=await job.keep(path))


@callsheet.operation("refuse")
async def refuse(job: callsheet.Context, params: Params) -> Result:
    """Fail."""
    raise callsheet.JobError("failed on purpose")


@callsheet.operation("film", needs={"ffmpeg"})
async def film(job: callsheet.Context, params: Params) -> Result:
    """Encode in real time."""
    job.progress(0.3, "rolling")
    source = f"testsrc2=s=64x64:d={params.seconds}"
    await job.ffmpeg.run(["-re", "-f", "lavfi", "-i", source, str(job.dir / "film.mkv")], duration=params.seconds)
    return Result(text="", file=await job.keep(job.dir / "film.mkv"))


@callsheet.operation("crash")
async def crash(job: callsheet.Context, params: Params) -> Result:
    """Exit the process with status 0."""
    os._exit(0)
'''

INVALID_PLAN = """
jobs:
  - {id: a, operation: nott}
  - {id: b, operation: note, params: {seconds: soon, colour: red}}
  - {id: b, operation: note}
  - {id: c, operation: note, params: {text: "${d.nothing}"}, dependsOn: [missing]}
  - {id: d, operation: note, params: {text: "${c.text}"}}
"""


@pytest.fixture
def here(tmp_path):
    (tmp_path / "my_operations.py").write_text(OPERATIONS)
    return tmp_path


@pytest.fixture
def environment(here, database_url):
    return {
        **os.environ,
        "CALLSHEET_DATA_DIR": str(here / "data"),
        "CALLSHEET_HEARTBEAT_INTERVAL": "0.3",
        "CALLSHEET_RESCUE_INTERVAL": "0.3",
        "CALLSHEET_POLL_INTERVAL": "0.5",
        "DATABASE_URL": database_url,
    }


@pytest.fixture
def callsheet(here, environment):
    def run(*words, timeout=60, input=None, **more):
        env = {**environment, **more}
        return subprocess.run(
            [CALLSHEET, *words],
            cwd=here,
            env=env,
            input=input,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture
def started(here, environment):
    """Start `callsheet` in the background. It is killed at the end of the block."""

    @contextmanager
    def start(*words, **more):
        process = subprocess.Popen(
            [CALLSHEET, *words],
            cwd=here,
            env={**environment, **more},
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    return start


def write_plan(folder, *jobs):
    path = folder / "the plan.json"
    path.write_text(json.dumps({"jobs": list(jobs)}))
    return str(path)


def read_until(stream, pattern):
    """Read lines up to the first one that matches, and return it."""
    seen = []
    for line in stream:
        seen.append(line)
        if re.search(pattern, line):
            return line
    raise AssertionError(f"no line matched {pattern!r}:\n{''.join(seen)}")


def rows(database_url, query, *values):
    async def fetch():
        connection = await asyncpg.connect(database_url)
        try:
            return await connection.fetch(query, *values)
        finally:
            await connection.close()

    return asyncio.run(fetch())


def wait_for(what, *, seconds=30):
    """Poll `what()` until it returns a true value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def test_a_plan_with_a_custom_operation_produces_files(callsheet, here):
    plan = write_plan(
        here,
        {"id": "first", "operation": "note", "params": {"text": "Ada"}},
        {"id": "second", "operation": "note", "params": {"text": "${first.text}"}},
    )

    done = callsheet("run", plan, "--import", "my_operations", "--out", "the files", "--json", DATABASE_URL="")

    assert done.returncode == 0, done.stderr
    execution = json.loads(done.stdout)
    assert [job["status"] for job in execution["jobs"]] == ["succeeded", "succeeded"]
    texts = {artifact["path"]: (here / artifact["path"]).read_text() for artifact in execution["artifacts"]}
    assert texts == {
        "the files/first/a note, 'quoted' 🎬.txt": "Ada",
        "the files/second/a note, 'quoted' 🎬.txt": "Ada!",
    }
    assert "second: succeeded" in done.stderr
    assert "\x1b" not in done.stderr


def test_a_failed_job_gives_exit_status_1_and_its_reason(callsheet, here):
    plan = write_plan(here, {"id": "a", "operation": "refuse"}, {"id": "b", "operation": "note", "dependsOn": ["a"]})

    done = callsheet("run", plan, "--import", "my_operations.py")

    assert done.returncode == 1
    assert "a: failed: failed on purpose" in done.stderr
    assert "b: skipped" in done.stderr


def test_all_problems_of_a_plan_are_printed_and_nothing_is_stored(callsheet, here, database_url):
    (here / "bad.yaml").write_text(INVALID_PLAN)

    done = callsheet("run", "bad.yaml", "--import", "my_operations")

    assert done.returncode == 2
    for line in (
        "jobs[0].operation: unknown operation 'nott', did you mean 'note'?",
        "jobs[1].params.seconds: ",
        "jobs[1].params.colour: unknown field",
        "jobs[2].id: the id 'b' is already used by jobs[1]",
        "jobs[3].dependsOn[0]: there is no job 'missing'",
        "jobs[3].params.text: ${d.nothing}: the operation 'note' has no output 'nothing'",
        "jobs: these jobs wait for each other: c → d → c",
    ):
        assert f"  {line}" in done.stderr
    assert "Traceback" not in done.stderr
    assert rows(database_url, "SELECT FROM executions") == []


def test_a_plan_is_validated_without_running_it(callsheet, here):
    (here / "bad.yaml").write_text(INVALID_PLAN)

    bad = callsheet("plan", "check", "bad.yaml", "--import", "my_operations", "--json")
    good = callsheet("plan", "check", write_plan(here, {"id": "a", "operation": "note"}), "--import", "my_operations")

    assert bad.returncode == 2
    assert {p["code"] for p in json.loads(bad.stdout)["problems"]} >= {"unknown_operation", "duplicate_id", "cycle"}
    assert good.returncode == 0, good.stderr


def test_a_timeline_is_rendered_to_the_requested_file(callsheet, here):
    (here / "timeline.yaml").write_text("- {color: red, duration: 0.2}\n- {color: blue, duration: 0.2}\n")

    done = callsheet("render", "timeline.yaml", "--out", "films/the film.mkv", "--data-dir", "data", "--json")
    failed = callsheet("render", "-", "--out", "films", input='[{"src": "timeline.yaml"}]')

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["artifacts"][0]["path"] == "films/the film.mkv"
    assert (here / "films" / "the film.mkv").read_bytes()[:4] == b"\x1a\x45\xdf\xa3"
    assert "render: succeeded" in done.stderr
    assert failed.returncode == 1
    assert "  scenes[0].src: 'timeline.yaml' cannot be read as media" in failed.stderr
    assert [path.name for path in (here / "films").iterdir()] == ["the film.mkv"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_cancel_the_execution_and_leave_no_process(started, here, database_url, number, status):
    plan = write_plan(here, {"id": "a", "operation": "film", "params": {"seconds": 300}})

    with started("run", plan, "--import", "my_operations") as run:
        read_until(run.stderr, "rolling")
        children = wait_for(lambda: psutil.Process(run.pid).children(recursive=True))
        run.send_signal(number)
        _, said = run.communicate(timeout=20)

    assert run.returncode == status
    assert "The execution is cancelled, its jobs are stopped." in said
    assert "Traceback" not in said
    assert [row["status"] for row in rows(database_url, "SELECT status FROM execution_jobs")] == ["cancelled"]
    assert [row["status"] for row in rows(database_url, "SELECT status FROM executions")] == ["cancelled"]
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []


def test_a_job_of_a_killed_worker_is_completed_by_another(started, callsheet, here, database_url):
    """The supervisor reports the death at once, so the rescue does not wait for the worker timeout."""
    plan = write_plan(here, {"id": "a", "operation": "note", "params": {"seconds": 3}})
    worker = ("worker", "--queues", "default", "--import", "my_operations")
    with started("up", "--port", "0", "--concurrency", "default=1", "--import", "my_operations") as up:
        url = read_until(up.stderr, "listens at").split()[3]
        with started(*worker, "--name", "other@%h") as other:
            read_until(other.stderr, "worker started")
            execution = callsheet("submit", plan, "--url", url).stdout.strip()
            running = "SELECT w.pid, w.name FROM workers w JOIN execution_jobs j ON j.worker_id = w.id"
            victim = wait_for(lambda: rows(database_url, running + " WHERE j.status = 'running'"))[0]
            os.kill(victim["pid"], signal.SIGKILL)
            killed_at = time.monotonic()

            watched = callsheet("watch", execution, "--url", url, "--json")
            took = time.monotonic() - killed_at
            for process in (up, other):
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=30)

    assert watched.returncode == 0, watched.stderr
    events = [json.loads(line) for line in watched.stdout.splitlines()]
    assert [event["number"] for event in events] == list(range(1, len(events) + 1))
    assert [e["data"].get("reason") for e in events if e["type"] == "job.queued"] == ["worker lost"]
    assert len(rows(database_url, "SELECT FROM artifacts")) == 1
    assert took < 11, "the rescue must not wait for the worker timeout"
    assert (up.returncode, other.returncode) == (0, 0)


def test_a_job_that_exits_its_process_fails_and_the_worker_is_restarted(started, callsheet, here):
    plan = write_plan(here, {"id": "a", "operation": "crash"})
    (here / "good").mkdir()
    good = write_plan(here / "good", {"id": "a", "operation": "note"})
    with started("up", "--port", "0", "--import", "my_operations") as up:
        url = read_until(up.stderr, "listens at").split()[3]

        crashed = callsheet("submit", plan, "--wait", "--json", "--url", url)
        after = callsheet("submit", good, "--wait", "--json", "--url", url)

        lanes = psutil.Process(up.pid).children()
        up.kill()
        _, alive = psutil.wait_procs(lanes, timeout=20)

    assert crashed.returncode == 1
    assert json.loads(crashed.stdout)["jobs"][0]["error"]["code"] == "crash_loop"
    assert after.returncode == 0, after.stderr
    assert alive == [], "the workers exit with their parent"


def test_a_worker_that_is_stopped_from_elsewhere_is_not_restarted_and_the_server_continues(started, callsheet):
    with started("up", "--port", "0", "--import", "my_operations") as up:
        url = read_until(up.stderr, "listens at").split()[3]
        wait_for(lambda: json.loads(callsheet("workers", "list", "--json", "--url", url).stdout)["workers"])
        name = json.loads(callsheet("workers", "list", "--json", "--url", url).stdout)["workers"][0]["name"]

        stopped = callsheet("workers", "stop", name, "--url", url)
        said = read_until(up.stderr, "worker has ended as requested")
        listed = callsheet("workers", "list", "--json", "--url", url)
        children = psutil.Process(up.pid).children()
        up.send_signal(signal.SIGTERM)
        up.communicate(timeout=30)

    assert stopped.returncode == 0 and "is stopping" in stopped.stderr
    assert "API and console go on" in said
    assert json.loads(listed.stdout)["workers"] == []
    assert [child for child in children if "worker" in " ".join(child.cmdline())] == []
    assert up.returncode == 0


def test_submit_uploads_local_files_and_download_fetches_the_results(started, callsheet, here):
    (here / "a note.txt").write_text("Ada")
    plan = write_plan(
        here,
        {"id": "copy", "operation": "copy", "params": {"source": "a note.txt"}},
        {"id": "again", "operation": "copy", "params": {"source": "${copy.file}"}},
    )
    with started("up", "--port", "0", "--import", "my_operations") as up:
        url = read_until(up.stderr, "listens at").split()[3]

        first = callsheet("submit", plan, "--wait", "--json", CALLSHEET_URL=url)
        second = callsheet("submit", plan, "--wait", "--json", CALLSHEET_URL=url)
        downloaded = callsheet("download", "last", "--out", "the files", CALLSHEET_URL=url)
        events = callsheet("events", "last", "--job", "again", "--json", CALLSHEET_URL=url)
        missing = callsheet(
            "submit",
            "-",
            input=json.dumps([{"id": "a", "operation": "copy", "params": {"source": "b"}}]),
            CALLSHEET_URL=url,
        )
        up.send_signal(signal.SIGTERM)
        up.communicate(timeout=30)

    assert first.returncode == 0, first.stderr
    assert "a note.txt: uploaded (3 B)" in first.stderr
    assert "a note.txt: the server has it already (3 B)" in second.stderr
    assert json.loads(second.stdout)["status"] == "succeeded"
    assert downloaded.stdout.splitlines() == ["the files/copy/copy.txt", "the files/again/copy.txt"]
    assert [(here / path).read_text() for path in downloaded.stdout.splitlines()] == ["Ada", "Ada"]
    types = [json.loads(line)["type"] for line in events.stdout.splitlines()]
    assert types == ["job.queued", "job.running", "job.succeeded"]
    assert missing.returncode == 2
    assert "jobs[0].params.source: There is no readable file 'b'" in missing.stderr


def test_up_with_reload_restarts_after_a_change_of_a_python_file(started, callsheet, here):
    with started("up", "--port", "0", "--import", "my_operations", "--reload") as up:
        url = read_until(up.stderr, "listens at").split()[3]
        (here / "my_operations.py").write_text(OPERATIONS.replace('"refuse"', '"decline"'))
        read_until(up.stderr, "Changed: my_operations.py")
        again = read_until(up.stderr, "listens at").split()[3]
        plan = write_plan(here, {"id": "a", "operation": "decline"})

        submitted = callsheet("submit", plan, "--wait", "--url", url)

        up.send_signal(signal.SIGTERM)
        up.communicate(timeout=30)

    assert again == url
    assert submitted.returncode == 1
    assert "failed on purpose" in submitted.stderr
    assert up.returncode == 0


def test_check_lists_errors_first(callsheet, here):
    good = callsheet("check", "--json", "--import", "my_operations")
    bad = callsheet(
        "check",
        "--host",
        "0.0.0.0",
        DATABASE_URL="postgres://me:hush@127.0.0.1:1/none",
        FFMPEG_PATH="/nowhere/ffmpeg",
        CALLSHEET_SOURCE_ROOTS=str(here / "gone"),
    )
    unreadable = callsheet("check", CALLSHEET_PORT="x", CALLSHEET_LANES="render")

    assert good.returncode == 0, good.stdout
    assert {finding["level"] for finding in json.loads(good.stdout)} <= {"ok", "warning"}
    assert [finding["code"] for finding in json.loads(good.stdout) if finding["subject"] == "database"] == [
        "database.ok"
    ]
    assert bad.returncode == 2
    found = [line for line in bad.stdout.splitlines() if not line.startswith(" ")]
    levels = [line.split()[0] for line in found]
    assert levels == sorted(levels, key=["error", "warning", "ok"].index)
    # What to do follows every error and every warning.
    assert bad.stdout.count("→ ") == len(found) - levels.count("ok")
    assert {line.split(":")[0].split(None, 1)[1] for line in bad.stdout.splitlines() if line.startswith("error")} == {
        "database",
        "ffmpeg",
        "bind address",
    }
    assert "hush" not in bad.stdout + bad.stderr
    assert unreadable.returncode == 2
    assert "CALLSHEET_PORT" in unreadable.stdout
    assert "CALLSHEET_LANES" in unreadable.stdout


def test_an_unreachable_server_gives_exit_status_6_and_advice(callsheet):
    done = callsheet("status", "last", "--url", "http://127.0.0.1:1")

    assert done.returncode == 6
    assert "callsheet up" in done.stderr


def test_a_worker_that_cannot_start_is_not_restarted(callsheet):
    unknown = callsheet("worker", "--queues", "nothing-like-it")
    invalid = callsheet("worker", DATABASE_URL="postgres://me@127.0.0.1:port/none")

    assert unknown.returncode == 2
    assert "restarting it" not in unknown.stderr
    assert invalid.returncode == 2
    assert "DATABASE_URL is invalid" in invalid.stderr


def test_the_example_in_the_package_docstring_runs(here, environment):
    import callsheet

    lines = callsheet.__doc__.splitlines()
    program = "\n".join(line.removeprefix("    ") for line in lines if line.startswith("    "))

    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=here,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stdout == "succeeded ['card.mp4']\n", done.stderr
    assert (here / "videos" / "card" / "card.mp4").stat().st_size > 1000


TALKING = '''
import logging
import subprocess
import threading
import warnings

import structlog

import callsheet


class Empty(callsheet.Model):
    pass


@callsheet.operation("chat")
async def chat(job: callsheet.Context, params: Empty) -> Empty:
    """Write to every output."""
    print("printed")
    logging.getLogger("film").info("logged")
    structlog.get_logger("film").info("structured", frames=12)
    warnings.warn("an old codec", UserWarning)
    subprocess.run(["echo", "from a child process"])
    thread = threading.Thread(target=print, args=("from a thread of its own",))
    thread.start()
    thread.join()
    return params
'''


def test_the_json_of_run_is_pure_json_whatever_the_operations_print(tmp_path, new_database):
    (tmp_path / "talking.py").write_text(TALKING)
    (tmp_path / "plan.json").write_text('{"jobs": [{"id": "a", "operation": "chat"}]}')
    dsn = new_database()
    done = subprocess.run(
        [CALLSHEET, "run", "plan.json", "--import", "talking.py", "--json"],
        cwd=tmp_path,
        env={**os.environ, "CALLSHEET_DATA_DIR": str(tmp_path / "data"), "DATABASE_URL": dsn},
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert json.loads(done.stdout)["status"] == "succeeded", done.stderr
    assert "from a child process" in done.stderr

    async def log_lines():
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetch("SELECT logger, message FROM job_logs ORDER BY number")
        finally:
            await connection.close()

    lines = [tuple(row) for row in asyncio.run(log_lines())]
    assert lines[:2] == [("stdout", "printed"), ("film", "logged")]
    assert ("film", "structured frames=12") in lines
    assert any(logger == "stderr" and "UserWarning: an old codec" in message for logger, message in lines)


@pytest.mark.parametrize("command", ["worker", "check"])
def test_an_unknown_database_is_an_error_at_once(callsheet, database_url, command):
    unknown = callsheet(command, DATABASE_URL=database_url.replace("/test_", "/no_such_"))

    output = unknown.stdout + unknown.stderr
    assert "does not have this database" in output, output
    assert unknown.returncode == (2 if command == "check" else 6)


def test_a_database_url_of_another_kind_is_an_error_at_once(callsheet):
    invalid = callsheet("up", DATABASE_URL="mysql://me:hush@127.0.0.1/x")

    assert "DATABASE_URL is invalid" in invalid.stderr
    assert "hush" not in invalid.stderr
    assert invalid.returncode == 2


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except OSError:
        return None, None


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_server_and_a_worker_wait_for_a_database_that_starts_after_them(tmp_path, environment, command):
    """A TCP port without a listener, on which the database server is started later."""
    database_port, port = free_port(), free_port()
    folder = tmp_path / "server"
    server = EmbeddedPostgres(folder, port=database_port)
    asyncio.run(upgrade(server.start()))
    dsn = server.tcp_dsn
    server.stop()
    log = (tmp_path / "log").open("w")
    options = ["--port", str(port)] if command == "serve" else []
    process = subprocess.Popen(
        [CALLSHEET, command, *options], env={**environment, "DATABASE_URL": dsn}, stdout=log, stderr=log
    )
    try:
        wait_for(lambda: "waiting for the database" in (tmp_path / "log").read_text())
        if command == "serve":
            base = f"http://127.0.0.1:{port}"
            assert get(f"{base}/health")[0] == 200
            status, problem = get(f"{base}/readyz")
            assert (status, problem["code"]) == (503, "database_not_ready")
        with server:
            ready = "worker started" if command == "worker" else "Callsheet listens"
            wait_for(lambda: ready in (tmp_path / "log").read_text())
            if command == "serve":
                assert get(f"{base}/readyz") == (200, {"status": "ready"})
            process.terminate()
            assert process.wait(60) == 0
    finally:
        process.kill()
        log.close()
