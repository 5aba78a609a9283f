"""Operation `command`: programs of the operator."""

import asyncio
import json
import sys
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from tests.support.ended import all_end

from callsheet.domain.errors import ConfigurationError, JobError, TimedOut, Transient
from callsheet.operations.outside_command import CommandParams, command
from callsheet.outside_steps.declarations import read_steps
from callsheet.settings import Settings
from callsheet.testing.context import RecordingContext

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture
def job(tmp_path):
    return RecordingContext(tmp_path, settings=Settings(_env_file=None, steps_file=tmp_path / "steps.yaml"))


@pytest.fixture
def declare(tmp_path, job):
    """Write a steps file with one command, which runs a Python program."""

    def declare(program="", **fields):
        step = {"name": "tried", "command": [sys.executable, "-c", program], **fields}
        (tmp_path / "steps.yaml").write_text(yaml.safe_dump({"commands": [step]}))

    return declare


def run(job, **params):
    return command.run(job, CommandParams(command="tried", **params))


def in_json(*messages):
    return "; ".join(f"print({json.dumps(json.dumps(message))}, flush=True)" for message in messages)


async def test_a_program_gets_its_request_and_returns_a_result_with_files(job, declare, tmp_path):
    (tmp_path / "clip.txt").write_text("seven")
    declare(
        "import json, sys, pathlib\n"
        "request = json.load(sys.stdin)\n"
        "print(json.dumps({'progress': 0.25, 'message': 'reading'}))\n"
        "text = pathlib.Path(request['inputs']['clip']['path']).read_text()\n"
        "pathlib.Path('out').mkdir(); pathlib.Path('out/copy.txt').write_text(text)\n"
        "print(json.dumps({'result': request, 'files': [{'path': 'out/copy.txt', 'mediaType': 'text/plain'}]}))"
    )

    result = await run(job, params={"n": 1}, inputs={"clip": str(tmp_path / "clip.txt")})

    assert result.data["params"] == {"n": 1}
    assert result.data["idempotencyKey"] == f"{job.id}-1" and result.data["jobId"] == str(job.id)
    assert job.path_of(result.files[0]).read_text() == "seven"
    assert (job.progress_reports[0].done, job.progress_reports[0].message) == (0.25, "reading")


async def test_a_program_sees_only_the_variables_that_it_may(job, declare, monkeypatch):
    monkeypatch.setenv("ALLOWED", "yes")
    monkeypatch.setenv("CALLSHEET_API_KEY", "a-key-that-stays-secret")
    declare("import json, os; print(json.dumps({'result': dict(os.environ)}))", environment=["ALLOWED", "MISSING"])

    seen = (await run(job)).data

    assert seen["ALLOWED"] == "yes"
    assert "CALLSHEET_API_KEY" not in seen and "MISSING" not in seen


@pytest.mark.parametrize(
    ("program", "error", "said"),
    [
        ("import sys; print('no disk', file=sys.stderr); sys.exit(3)", JobError, "ended with status 3: no disk"),
        ("import sys; sys.exit(75)", Transient, "ended with status 75"),
        ("import os; os.kill(os.getpid(), 9)", JobError, "killed by signal 9"),
        (in_json({"error": "too dark"}), JobError, "too dark"),
        (in_json({"error": "busy", "transient": True, "retryAfter": 7}), Transient, "busy"),
        ("print('{\"progress\": ')", JobError, "invalid JSON"),
        (in_json({"progress": 2}), JobError, "progress"),
        (in_json({"result": {}}, {"progress": 1}), JobError, "after its result"),
        (in_json({"result": {}}, {"progress": 1}) + "; import time; time.sleep(60)", JobError, "after its result"),
        (in_json({"files": [{"path": "missing.png"}]}), JobError, "does not exist"),
        (in_json({"files": [{"path": "../../secret"}]}), JobError, "not in the folder"),
        ("import os; os.symlink('/etc/passwd', 'p'); " + in_json({"files": [{"path": "p"}]}), JobError, "not in the"),
        ("print('{' + ' ' * 2_000_000)", JobError, "more than 1,048,576 bytes"),
    ],
)
async def test_failures_of_a_program_have_clear_errors(job, declare, program, error, said):
    declare(program)

    with pytest.raises(error, match=said) as raised:
        await run(job)

    assert isinstance(raised.value, Transient) == (error is Transient)
    assert job.kept == []


async def test_other_lines_are_the_log_of_the_job(job, declare, caplog):
    caplog.set_level("INFO", logger="command")
    declare("import sys; print('hello'); print('warned', file=sys.stderr); " + in_json({"log": "counted"}))

    await run(job)

    assert sorted(record.message for record in caplog.records) == ["counted", "hello", "warned"]


async def test_a_program_that_takes_too_long_is_killed(job, declare):
    declare("import time; time.sleep(600)", timeout="300ms")

    with pytest.raises(TimedOut, match="'tried' took longer than"):
        await run(job)


STARTS_A_CHILD = (
    "import subprocess, sys, os\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "open(os.environ['PIDS'], 'w').write(f'{os.getpid()} {child.pid}')\n"
    "print('{\"progress\": 0.5}', flush=True)\n"
)


@pytest.fixture
def pids(tmp_path, monkeypatch):
    file = tmp_path / "pids"
    monkeypatch.setenv("PIDS", str(file))
    return lambda: [int(pid) for pid in file.read_text().split()]


async def test_a_cancelled_job_kills_the_program_and_its_children(job, declare, pids, monkeypatch):
    declare(STARTS_A_CHILD + "child.wait()", environment=["PIDS"])
    started = asyncio.Event()
    monkeypatch.setattr(job, "progress", lambda *_: started.set())

    running = asyncio.create_task(run(job))
    await asyncio.wait_for(started.wait(), 20)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert await all_end(pids())


async def test_children_that_a_program_leaves_behind_are_killed(job, declare, pids):
    declare(STARTS_A_CHILD + in_json({"result": {"a": 1}}), environment=["PIDS"])

    assert (await asyncio.wait_for(run(job), 20)).data == {"a": 1}
    assert await all_end(pids())


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"command": "tried", "params": {"n": "x"}}, r"params\.n\n.*'x' is not of type 'integer'"),
        ({"command": "tried", "params": {}}, "'n' is a required property"),
        ({"command": "tired"}, "there is no command 'tired', did you mean 'tried'"),
    ],
)
def test_params_are_checked_at_the_submission(job, declare, params, said):
    declare(params={"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}})

    CommandParams.model_validate({"command": "tried", "params": {"n": "${a.count}"}}, context=job.settings)
    with pytest.raises(ValidationError, match=said):
        CommandParams.model_validate(params, context=job.settings)


def test_without_a_steps_file_the_setting_is_named():
    with pytest.raises(ValidationError, match="CALLSHEET_STEPS_FILE is not set"):
        CommandParams.model_validate({"command": "a"}, context=Settings(_env_file=None, steps_file=None))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("commands: [{name: A b, command: [x]}]", "a name of lowercase letters"),
        ("commands: [{name: a, command: []}]", "at least 1 item"),
        ("commands: [{name: a, command: [x]}, {name: a, command: [x]}]", "several steps have the name a"),
        ("commands: [{name: a, command: [x], params: {type: 7}}]", "is no JSON Schema"),
        ("endpoints: [{name: a, url: 'ftp://a'}]", "starts with https"),
        ("endpoints: [{name: a, url: 'https://a', secret: short}]", "starts with whsec_"),
        (
            "endpoints: [{name: a, url: 'https://a', secret: short, secretFile: b}]",
            "secret: set secret or secretFile, not both",
        ),
        ("commands: {", "line"),
    ],
)
def test_a_wrong_steps_file_is_refused_with_its_problems(tmp_path, text, said):
    file = tmp_path / "steps.yaml"
    file.write_text(text)

    with pytest.raises(ConfigurationError, match=said) as raised:
        read_steps(Settings(_env_file=None, steps_file=file))

    assert "short" not in str(raised.value)


async def test_a_program_that_does_not_exist_is_named(job, declare):
    declare(command=["/nowhere/program"])

    with pytest.raises(ConfigurationError, match="'tried' cannot be started: No such file"):
        await run(job)


async def test_the_example_in_the_shell_counts_words(tmp_path):
    settings = Settings(_env_file=None, steps_file=EXAMPLES / "steps" / "steps.yaml")
    job = RecordingContext(tmp_path, settings=settings)
    plan = yaml.safe_load((EXAMPLES / "command.yaml").read_text())

    result = await command.run(job, CommandParams.model_validate(plan["jobs"][0]["params"], context=settings))

    assert result.data == {"words": 8}
    assert job.path_of(result.files[0]).read_text().split()[1] == "lighthouse"
    assert job.progress_reports[0].message == "counting"
