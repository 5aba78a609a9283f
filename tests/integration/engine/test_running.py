"""Runs of jobs: results, failures, retries, time limits."""

import asyncio
import json
import os

import pytest
from plans import job, plan, statuses
from pydantic import BaseModel
from structlog.testing import CapturingLogger

from callsheet.domain.errors import JobError, Transient
from callsheet.domain.model import Model
from callsheet.operation_api.contract import operation
from callsheet.testing.engine import running_engine
from callsheet.testing.operations import AnyValue, fail, noop, write


async def test_results_flow_from_job_to_job(engine):
    execution = await engine.run(
        plan(
            job("a", params={"value": {"list": [1, {"deep": "value"}]}}),
            job("b", params={"value": "${a.value.list[1].deep}"}),
            job("c", params={"value": "found: ${b.value}!"}),
        )
    )

    assert execution.status == "succeeded"
    assert execution.jobs[2].result == {"value": "found: value!"}


async def test_many_jobs_end_in_few_transactions(settings):
    async with running_engine([noop], settings=settings, lanes={"test": 100}) as engine:
        execution = await engine.run(plan(*(job(str(n)) for n in range(400))))

        # `xmin` is the transaction that wrote a row last. Counters of the server include the other test processes.
        async with engine.runtime.database.connection() as connection:
            transactions = await connection.fetchval(
                "SELECT count(DISTINCT xmin::text) FROM execution_jobs WHERE execution_id = $1", execution.execution_id
            )
    assert set(statuses(execution).values()) == {"succeeded"}
    assert transactions < 100


async def test_a_transient_failure_is_retried_after_a_random_backoff(engine):
    params = {"times": 3, "transient": True}

    execution = await engine.run(plan(job("a", "fail", params=params, retries=5)))

    ended = execution.jobs[0]
    events = await engine.events(execution.execution_id, job="a")
    delays = [event.data["delay"] for event in events if event.type == "job.scheduled"]
    assert (ended.status, ended.attempts, ended.result) == ("succeeded", 3, {"value": 4})
    assert len(delays) == 3
    assert all(0 <= delay <= 0.02 * 2**n for n, delay in enumerate(delays))
    assert [event.data["attempt"] for event in events if event.type == "job.running"] == [1, 2, 3, 4]


async def test_a_permanent_failure_is_not_retried(engine):
    execution = await engine.run(plan(job("a", "fail", params={"times": 1}, retries=5)))

    assert execution.status == "failed"
    assert execution.jobs[0].attempts == 1
    assert execution.jobs[0].error.code == "job_failed"
    assert execution.jobs[0].error.message == "failed on purpose"


async def test_a_transient_failure_is_final_without_attempts_left(engine):
    execution = await engine.run(plan(job("a", "fail", params={"transient": True}, retries=2)))

    assert execution.status == "failed"
    assert execution.jobs[0].attempts == 3
    assert execution.jobs[0].error.code == "transient"


async def test_an_exception_of_an_operation_is_shown_with_its_causes_and_without_secrets(settings, monkeypatch):
    @operation("chained", queue="test")
    async def chained(job, params: AnyValue) -> AnyValue:
        """Fail with a cause."""
        try:
            {}["colour"]
        except KeyError as error:
            raise ValueError("no colour; connected to postgres://me:hunter2@db/x") from error

    logger = CapturingLogger()
    monkeypatch.setattr("callsheet.engine.worker.executor.log", logger)
    async with running_engine([chained], settings=settings) as engine:
        execution = await engine.run(plan(job("a", "chained")))
        events = await engine.events(execution.execution_id, job="a")

    error = execution.jobs[0].error
    assert (error.code, error.attempt) == ("internal_error", 1)
    assert error.message == "ValueError: no colour; connected to postgres://me:[hidden]@db/x"
    assert "KeyError: 'colour'" in error.traceback
    assert "in chained" in error.traceback
    assert "hunter2" not in error.traceback
    assert "traceback" not in events[-1].data["error"]
    (call,) = [call for call in logger.calls if call.args == ("operation raised an exception",)]
    assert call.method_name == "error"
    logged = call.kwargs.pop("exc_info")
    assert isinstance(logged, ValueError) and isinstance(logged.__cause__, KeyError)
    assert call.kwargs == {
        "execution": str(execution.execution_id),
        "job": str(execution.jobs[0].id),
        "job_id": "a",
        "operation": "chained",
        "attempt": 1,
    }


async def test_the_only_exception_of_a_task_group_is_the_error_of_the_job(settings):
    @operation("grouped", queue="test", attempts=1)
    async def grouped(job, params: AnyValue) -> AnyValue:
        """Fail in a task of a group."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fails(JobError("the clip is empty")))
        return params

    @operation("several", queue="test")
    async def several(job, params: AnyValue) -> AnyValue:
        """Fail twice."""
        raise ExceptionGroup("both failed", [ValueError("one"), KeyError("two")])

    async def fails(error):
        raise error

    async with running_engine([grouped, several], settings=settings) as engine:
        execution = await engine.run(plan(job("a", "grouped"), job("b", "several")))

    first, second = (found.error for found in execution.jobs)
    assert (first.code, first.message) == ("job_failed", "the clip is empty")
    assert second.message == ("ExceptionGroup: both failed (2 sub-exceptions): ValueError: one; KeyError: 'two'")
    assert "ValueError: one" in second.traceback and "KeyError: 'two'" in second.traceback


async def test_a_failure_with_a_known_cause_has_no_traceback(engine):
    execution = await engine.run(plan(job("a", "fail")))

    assert execution.jobs[0].error.traceback is None


async def test_a_run_beyond_its_time_limit_fails_and_is_not_retried(engine):
    execution = await engine.run(plan(job("a", "sleep", params={"seconds": 60}, timeout=0.2, retries=3)))

    assert execution.jobs[0].error.code == "timed_out"
    assert execution.jobs[0].attempts == 1


async def test_a_failure_skips_all_downstream_jobs_and_no_others(engine):
    execution = await engine.run(
        plan(
            job("bad", "fail"),
            job("child", after=["bad"]),
            job("grandchild", after=["child", "other"]),
            job("other"),
            job("cousin", after=["other"]),
        )
    )

    assert execution.status == "failed"
    assert statuses(execution) == {
        "bad": "failed",
        "child": "skipped",
        "grandchild": "skipped",
        "other": "succeeded",
        "cousin": "succeeded",
    }


async def test_with_continue_on_failure_downstream_jobs_run_with_null(engine):
    execution = await engine.run(
        plan(job("bad", "fail", continueOnFailure=True), job("next", params={"value": "${bad.value}"}))
    )

    assert execution.status == "succeeded"
    assert statuses(execution) == {"bad": "failed", "next": "succeeded"}
    assert execution.jobs[1].result == {"value": None}


async def test_an_unresolvable_reference_fails_its_job_with_the_path(engine):
    execution = await engine.run(plan(job("a", params={"value": {"x": 1}}), job("b", params={"value": "${a.value.y}"})))

    error = execution.jobs[1].error
    assert error.code == "bad_params"
    assert error.problems[0].path == "params.value"


class Odd(Model):
    value: object = None


@operation("odd-result", queue="test")
async def odd_result(job, params: Odd) -> Odd:
    return Odd(value={"nul": "a\0b", "half": "\ud800", "nan": float("nan"), "fine": 1}[params.value])


@operation("wrong-result", queue="test")
async def wrong_result(job, params: Odd) -> Odd:
    return "no model"


@operation("odd-text", queue="test")
async def odd_text(job, params: Odd) -> Odd:
    job.progress(float("nan"), "nul \0 and half \ud800")
    job.log("nul \0 and half \ud800", path=os, number=2**70, raw=b"\xff")
    job.publish(value="nul \0", other={1: 2})
    await asyncio.sleep(0.6)  # sleep: progress is written while it runs
    return Odd(value=1)


@operation("odd-error", queue="test")
async def odd_error(job, params: Odd) -> Odd:
    raise JobError("nul \0 and half \ud800", path=os.fspath, number=2**70)


@operation("foreign-error", queue="test")
async def foreign_error(job, params: Odd) -> Odd:
    raise OSError(5, "half \ud800 \0")


@operation("leave", queue="test")
async def leave(job, params: Odd) -> Odd:
    raise SystemExit(3)


@operation("retry-later", queue="test", attempts=2)
async def retry_later(job, params: Odd) -> Odd:
    raise Transient("later", retry_after=0.3)


ODD = (odd_result, wrong_result, odd_text, odd_error, foreign_error, leave, retry_later)


@pytest.fixture
async def odd_engine(settings):
    async with running_engine(ODD, settings=settings) as engine:
        yield engine


@pytest.mark.parametrize("value", ["nul", "half"])
async def test_a_result_that_cannot_be_stored_fails_the_job(odd_engine, value):
    execution = await odd_engine.run(plan(job("a", "odd-result", params={"value": value})))

    assert execution.jobs[0].status == "failed"
    assert execution.jobs[0].error.code == "internal_error"


async def test_a_rejected_result_does_not_affect_others_of_its_batch(odd_engine):
    execution = await odd_engine.run(
        plan(*(job(f"j{n}", "odd-result", params={"value": "nul" if n % 10 == 0 else "fine"}) for n in range(40)))
    )

    failed = {name for name, status in statuses(execution).items() if status == "failed"}
    assert failed == {"j0", "j10", "j20", "j30"}
    assert set(statuses(execution).values()) == {"failed", "succeeded"}


async def test_a_result_of_the_wrong_type_fails_with_the_declared_type(odd_engine):
    execution = await odd_engine.run(plan(job("a", "wrong-result")))

    assert "returned str, but it declares Odd" in execution.jobs[0].error.message


async def test_text_that_the_database_cannot_store_is_replaced(odd_engine):
    execution = await odd_engine.run(plan(job("a", "odd-text"), job("b", "odd-result", params={"value": "fine"})))

    assert statuses(execution) == {"a": "succeeded", "b": "succeeded"}
    assert json.loads(execution.model_dump_json())["progress"] == 1


@pytest.mark.parametrize("name", ["odd-error", "foreign-error"])
async def test_an_error_that_the_database_cannot_store_still_ends_its_job(odd_engine, name):
    execution = await odd_engine.run(plan(job("a", name)))

    assert execution.jobs[0].status == "failed"
    assert "half" in execution.jobs[0].error.message


async def test_an_operation_that_raises_system_exit_fails(odd_engine):
    execution = await odd_engine.run(plan(job("a", "leave")), timeout=10)

    assert execution.jobs[0].status == "failed"


async def test_a_failure_with_retry_after_is_not_retried_earlier(odd_engine):
    execution = await odd_engine.run(plan(job("a", "retry-later")))

    events = await odd_engine.events(execution.execution_id, job="a")
    scheduled, started = (next(e.at for e in events[1:] if e.type == kind) for kind in ("job.scheduled", "job.running"))
    assert (started - scheduled).total_seconds() >= 0.29


async def test_an_engine_runs_without_settings():
    async with running_engine([noop]) as engine:
        execution = await engine.run(plan(job("a", params={"value": 1})))

    assert execution.jobs[0].result == {"value": 1}


class Outcomes(BaseModel):
    value: int = 0


async def test_a_custom_operation_takes_ten_lines(settings):
    @operation("double")
    async def double(job, params: Outcomes) -> Outcomes:
        """Double a number."""
        return Outcomes(value=params.value * 2)

    async with running_engine([double], settings=settings) as engine:
        execution = await engine.run(plan(job("a", "double", params={"value": 21})))

    assert execution.jobs[0].result == {"value": 42}


async def test_the_log_has_one_line_for_each_milestone_of_a_job(settings, monkeypatch, tmp_path):
    logger = CapturingLogger()
    for module in ("executor", "context"):
        monkeypatch.setattr(f"callsheet.engine.worker.{module}.log", logger)
    async with running_engine([write, fail], settings=settings) as engine:
        execution = await engine.run(plan(job("a", "write"), job("b", "fail")))

    def lines_of(name):
        return [call for call in logger.calls if call.kwargs["job_id"] == name]

    assert [call.args[0] for call in lines_of("a")] == ["job claimed", "file stored", "job ended"]
    assert [call.args[0] for call in lines_of("b")] == ["job claimed", "job ended"]
    assert {call.method_name for call in logger.calls} == {"info"}
    for call in logger.calls:
        assert call.kwargs["execution"] == str(execution.execution_id)
        assert call.kwargs["operation"] in ("write", "fail")
    end = lines_of("b")[-1].kwargs
    assert (end["status"], end["code"], end["message"]) == ("failed", "job_failed", "failed on purpose")
    assert end["seconds"] >= 0
