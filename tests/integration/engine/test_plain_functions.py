"""Operations that are plain functions, in threads and in processes."""

import os
import signal
import threading
import time
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from plans import job, plan

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import NoEffect, Transient
from callsheet.domain.model import Model
from callsheet.operation_api.blocking_context import BlockingContext, JobStopped
from callsheet.operation_api.contract import Context, operation
from callsheet.testing.context import RecordingContext
from callsheet.testing.engine import running_engine
from callsheet.testing.waiters import until


class Params(Model):
    text: str = ""
    file: str = ""


class Kept(Model):
    pid: int
    thread: str
    file: Artifact


class Empty(Model):
    pass


def make(job, params):
    """Use every method of the context."""
    source = job.dir / "note.txt"
    source.write_text(params.text)
    job.progress(0.5, "half")
    job.log("written", characters=len(params.text))
    job.publish(draft=params.text)
    return Kept(pid=os.getpid(), thread=threading.current_thread().name, file=job.keep(source, name="kept.txt"))


def wait_forever(job, params):
    Path(params.file).write_text(str(os.getpid()))
    while True:
        time.sleep(0.01)
        job.progress(0.1)


@operation("make-in-thread", queue="test")
def make_in_thread(job: BlockingContext, params: Params) -> Kept:
    return make(job, params)


@operation("make-in-process", queue="test", run_in="process")
def make_in_process(job: BlockingContext, params: Params) -> Kept:
    return make(job, params)


@operation("wait-in-thread", queue="test")
def wait_in_thread(job: BlockingContext, params: Params) -> Empty:
    try:
        return wait_forever(job, params)
    except JobStopped:
        Path(params.file).unlink()
        raise


@operation("sleep-in-process", queue="test", run_in="process")
def sleep_in_process(job: BlockingContext, params: Params) -> Empty:
    Path(params.file).write_text(str(os.getpid()))
    time.sleep(3600)  # sleep: until it is cancelled
    return Empty()


@operation("fail-in-thread", queue="test")
def fail_in_thread(job: BlockingContext, params: Params) -> Empty:
    raise KeyError("missing")


@operation("fail-in-process", queue="test", run_in="process")
def fail_in_process(job: BlockingContext, params: Params) -> Empty:
    raise KeyError("missing")


@operation("busy-in-process", queue="test", run_in="process", attempts=2)
def busy_in_process(job: BlockingContext, params: Params) -> Empty:
    if job.attempt == 1:
        raise Transient("the model is loading", retry_after=0.01)
    return Empty()


@operation("die-in-process", queue="test", run_in="process")
def die_in_process(job: BlockingContext, params: Params) -> Empty:
    os.kill(os.getpid(), signal.SIGSEGV)
    return Empty()


@operation("deaf", queue="test")
def deaf(job: BlockingContext, params: Params) -> Empty:
    """Ignore that the run must stop, until a file exists."""
    while not Path(params.file).exists():
        time.sleep(0.01)
    return Empty()


@operation("pay", queue="test", attempts=2)
def pay(job: BlockingContext, params: Params) -> Empty:
    def action() -> int:
        with Path(params.file).open("a") as ledger:
            ledger.write("paid\n")
        return 7

    assert job.once("pay", action, int) == 7
    if job.attempt == 1:
        raise Transient("after the payment", retry_after=0.01)
    return Empty()


class Receipt(Model):
    amount: timedelta
    text: str


def _buy(job: BlockingContext, params: Params) -> Receipt:
    with Path(params.file).open("a") as ledger:
        ledger.write("paid\n")
    job.progress(0.5, "paid")
    # Another thread may use the context while the step runs.
    helper = threading.Thread(target=lambda: job.keep(_written(job, "other")))
    helper.start()
    helper.join()
    return Receipt(amount=timedelta(seconds=7), text=params.text)


def _written(job: BlockingContext, text: str) -> Path:
    path = job.dir / "note.txt"
    path.write_text(text)
    return path


@operation("pay-in-process", queue="test", run_in="process", attempts=2)
def pay_in_process(job: BlockingContext, params: Params) -> Empty:
    """Pay in a once step, fail once, and check the stored value."""
    receipt = job.once("pay", lambda: _buy(job, params), Receipt)
    assert receipt == Receipt(amount=timedelta(seconds=7), text=params.text)
    if job.attempt == 1:
        raise Transient("after the payment", retry_after=0.01)
    return Empty()


@operation("pay-later-in-process", queue="test", run_in="process", attempts=3)
def pay_later_in_process(job: BlockingContext, params: Params) -> Empty:
    """Fail without effect, then with an unknown one."""

    def action() -> int:
        with Path(params.file).open("a") as ledger:
            ledger.write(f"{job.attempt}\n")
        if job.attempt == 1:
            raise NoEffect("not charged", retry_after=0.01)
        raise Transient("the connection broke", retry_after=0.01)

    job.once("pay", action, int)
    return Empty()


@operation("die-in-once", queue="test", run_in="process", attempts=2)
def die_in_once(job: BlockingContext, params: Params) -> Empty:
    """Die in a once step."""
    job.once("pay", lambda: os.kill(os.getpid(), signal.SIGKILL), type(None))
    return Empty()


OPERATIONS = [
    *(make_in_thread, make_in_process, wait_in_thread, sleep_in_process, fail_in_thread, fail_in_process),
    *(busy_in_process, die_in_process, deaf, pay, pay_in_process, pay_later_in_process, die_in_once),
]


@pytest.fixture
async def engine(settings):
    async with running_engine(OPERATIONS, settings=settings, lanes={"test": 2}) as engine:
        yield engine


@pytest.mark.parametrize("where", ["thread", "process"])
async def test_a_plain_function_stores_files_and_reports_events(engine, where):
    execution = await engine.run(plan(job("a", f"make-in-{where}", params={"text": "hello"})), timeout=60)

    result = execution.jobs[0].result
    assert (result["pid"] == os.getpid()) == (where == "thread")
    assert result["thread"] == ("operation make-in-thread" if where == "thread" else "MainThread")
    assert [artifact.name for artifact in execution.artifacts] == ["kept.txt"]
    events = {event.type: event.data for event in await engine.events(execution.execution_id, job="a")}
    assert events["job.log"] == {"message": "written", "characters": 5}
    assert events["job.output"] == {"draft": "hello"}


async def test_a_cancelled_thread_stops_at_its_next_progress_report(engine, tmp_path):
    file = tmp_path / "started"
    execution_id = await engine.submit(plan(job("a", "wait-in-thread", params={"file": str(file)})))
    await until(file.exists)

    await engine.cancel(execution_id)

    assert (await engine.ended(execution_id)).jobs[0].status == "cancelled"
    assert not file.exists()


async def test_a_process_beyond_its_time_limit_is_killed(engine, tmp_path):
    file = tmp_path / "started"
    execution = await engine.run(plan(job("a", "sleep-in-process", params={"file": str(file)}, timeout=15)), timeout=60)

    assert execution.jobs[0].error.code == "timed_out"
    await until(lambda: not psutil.pid_exists(int(file.read_text())))


@pytest.mark.parametrize("where", ["thread", "process"])
async def test_an_exception_of_a_plain_function_is_shown_with_its_own_traceback(engine, where):
    execution = await engine.run(plan(job("a", f"fail-in-{where}")), timeout=60)

    error = execution.jobs[0].error
    assert (error.code, error.message) == ("internal_error", "KeyError: 'missing'")
    assert f"in fail_in_{where}\n" in error.traceback


async def test_a_transient_failure_in_a_process_is_retried(engine):
    execution = await engine.run(plan(job("a", "busy-in-process")), timeout=60)

    assert (execution.status, execution.jobs[0].attempts) == ("succeeded", 1)


async def test_a_process_that_crashes_fails_its_job_and_not_its_worker(engine):
    execution = await engine.run(plan(job("a", "die-in-process")), timeout=60)

    assert execution.jobs[0].error.message == "The process of the operation died (killed by SIGSEGV)."


@pytest.mark.parametrize("name", ["pay", "pay-in-process"])
async def test_a_once_step_runs_once(engine, tmp_path, name):
    ledger = tmp_path / "ledger"
    execution = await engine.run(plan(job("a", name, params={"file": str(ledger), "text": "thanks"})), timeout=60)

    assert execution.jobs[0].attempts == 1
    assert execution.status == "succeeded"
    assert ledger.read_text() == "paid\n"


async def test_a_once_step_of_a_process_is_repeated_only_if_it_certainly_had_no_effect(engine, tmp_path):
    ledger = tmp_path / "ledger"
    execution = await engine.run(plan(job("a", "pay-later-in-process", params={"file": str(ledger)})), timeout=60)

    assert execution.jobs[0].error.code == "outcome_unknown"
    assert ledger.read_text() == "1\n2\n"


async def test_a_process_that_dies_in_a_once_step_leaves_its_outcome_unknown(engine):
    execution = await engine.run(plan(job("a", "die-in-once")), timeout=60)
    failed = execution.jobs[0]
    assert failed.error.message == "The process of the operation died (killed by SIGKILL)."

    await engine.retry(execution.execution_id)

    assert (await engine.ended(execution.execution_id)).jobs[0].error.code == "outcome_unknown"


async def test_a_once_step_of_a_process_works_with_the_context_of_the_test_kit(tmp_path):
    context = RecordingContext(tmp_path)
    params = Params(file=str(tmp_path / "ledger"), text="thanks")

    with pytest.raises(Transient, match="after the payment"):
        await pay_in_process.run(context, params)

    assert (tmp_path / "ledger").read_text() == "paid\n"


async def test_a_thread_that_does_not_stop_keeps_its_slot_after_its_job_has_ended(engine, tmp_path):
    gate = tmp_path / "gate"
    execution = await engine.run(plan(job("a", "deaf", params={"file": str(gate)}, timeout=0.2)), timeout=60)

    assert execution.jobs[0].error.code == "timed_out"
    worker = engine.workers[0]
    assert worker.running == 1
    gate.touch()
    await until(lambda: worker.running == 0)


async def test_a_plain_function_runs_with_the_context_of_the_test_kit(tmp_path):
    context = RecordingContext(tmp_path)

    result = await make_in_thread.run(context, Params(text="hello"))

    assert context.path_of(result.file).read_text() == "hello"
    assert [report.done for report in context.progress_reports] == [0.5]


def test_a_declaration_that_mixes_async_and_run_in_is_rejected():
    with pytest.raises(TypeError, match="is for plain functions"):

        @operation("mixed", run_in="thread")
        async def mixed(job: Context, params: Params) -> Empty:
            return Empty()

    with pytest.raises(TypeError, match="must be 'thread' or 'process', got 'fibre'"):

        @operation("wrong", run_in="fibre")
        def wrong(job: BlockingContext, params: Params) -> Empty:
            return Empty()

    with pytest.raises(TypeError, match="must be at the top level of a module"):

        @operation("inner", run_in="process")
        def inner(job: BlockingContext, params: Params) -> Empty:
            return Empty()
