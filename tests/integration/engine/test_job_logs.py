"""What jobs print and log becomes their log."""

import asyncio
import logging
import sys

import pytest
import structlog
from plans import job, plan

from callsheet.domain.model import Model
from callsheet.engine.reads.job_logs import job_log_page
from callsheet.operation_api.blocking_context import BlockingContext
from callsheet.operation_api.contract import Context, operation
from callsheet.testing.engine import running_engine


class Text(Model):
    text: str = ""
    times: int = 1


@operation("talk", queue="test")
async def talk(job: Context, params: Text) -> Text:
    print(params.text, end=" ")
    print("and more")
    print("to stderr", file=sys.stderr)
    logging.getLogger("film").info("logged %s", params.text)
    await asyncio.to_thread(print, "in a thread")
    await asyncio.gather(asyncio.create_task(say("in a task")))
    print("no newline", end="")
    return params


async def say(text):
    print(text)


@operation("shout", queue="test")
async def shout(job: Context, params: Text) -> Text:
    for number in range(params.times):
        print(number, params.text)
    return params


@operation("loggers", queue="test")
async def loggers(job: Context, params: Text) -> Text:
    try:
        raise KeyError("colour")
    except KeyError:
        logging.getLogger("film").exception("no colour")
    structlog.get_logger("film").warning("structured", frames=12)
    return params


@operation("odd-characters", queue="test")
async def odd_characters(job: Context, params: Text) -> Text:
    print("a\0b postgres://me:hunter2@db/x \ud800")
    return params


@operation("talk-in-thread", queue="test")
def talk_in_thread(job: BlockingContext, params: Text) -> Text:
    print(params.text)
    logging.getLogger("film").info("logged")
    return params


@operation("talk-in-process", queue="test", run_in="process")
def talk_in_process(job: BlockingContext, params: Text) -> Text:
    print(params.text)
    logging.getLogger("film").info("logged")
    return params


@pytest.fixture
async def engine(settings):
    short = settings.model_copy(update={"job_log_max_lines": 100, "job_log_max_bytes": 5_000})
    logging.getLogger("film").setLevel(logging.INFO)
    operations = [talk, shout, loggers, odd_characters, talk_in_thread, talk_in_process]
    async with running_engine(operations, settings=short) as engine:
        yield engine


async def log_of(engine, execution, job=None):
    page = await job_log_page(engine.runtime.database, execution.execution_id, job, after=0, limit=500)
    assert page.ended
    return page.lines


async def test_prints_and_log_records_of_a_job_are_its_log_and_not_output_of_the_process(engine, capfd):
    execution = await engine.run(plan(job("a", "talk", params={"text": "hello"}), job("b", "shout")))

    lines = await log_of(engine, execution, "a")
    assert [(line.level, line.logger, line.message) for line in lines] == [
        ("info", "stdout", "hello and more"),
        ("warning", "stderr", "to stderr"),
        ("info", "film", "logged hello"),
        ("info", "stdout", "in a thread"),
        ("info", "stdout", "in a task"),
        ("info", "stdout", "no newline"),
    ]
    assert {(line.job_id, line.attempt) for line in lines} == {("a", 1)}
    assert [line.message for line in await log_of(engine, execution, "b")] == ["0 "]
    assert len(await log_of(engine, execution)) == 7
    assert "hello" not in capfd.readouterr().out


@pytest.mark.parametrize("where", ["thread", "process"])
async def test_plain_functions_have_a_log_too(engine, where):
    execution = await engine.run(plan(job("a", f"talk-in-{where}", params={"text": "hello"})), timeout=60)

    lines = [(line.logger, line.message) for line in await log_of(engine, execution)]
    assert lines == [("stdout", "hello"), ("film", "logged")]


async def test_exceptions_and_structured_events_are_in_the_log(engine):
    execution = await engine.run(plan(job("a", "loggers")))

    lines = await log_of(engine, execution)
    first = lines[0]
    assert (first.level, first.logger) == ("error", "film")
    assert first.message.startswith("no colour\nTraceback") and first.message.endswith("KeyError: 'colour'")
    assert any("structured" in line.message and "12" in line.message for line in lines)


@pytest.mark.parametrize("text", ["", "x" * 1_000])
async def test_a_log_beyond_its_limits_ends_with_the_number_of_dropped_lines(engine, text):
    execution = await engine.run(plan(job("a", "shout", params={"text": text, "times": 1000})))

    lines = await log_of(engine, execution)
    kept = 100 if not text else 4
    assert len(lines) == kept + 1
    assert lines[-1].message == f"{1000 - kept} lines dropped: the log of this run is full."


async def test_secrets_and_characters_that_cannot_be_stored_are_replaced(engine):
    execution = await engine.run(plan(job("a", "odd-characters")))

    (line,) = await log_of(engine, execution)
    assert line.message == "a\N{SYMBOL FOR NULL}b postgres://me:[hidden]@db/x ?"


async def test_the_log_of_a_deleted_execution_is_deleted(engine):
    execution = await engine.run(plan(job("a", "shout")))

    async with engine.runtime.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM job_logs") == 1
        await connection.execute("DELETE FROM executions WHERE id = $1", execution.execution_id)
        assert await connection.fetchval("SELECT count(*) FROM job_logs") == 0
