"""Child jobs."""

import asyncio
import hashlib
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from claiming import claim_and_die, claimer
from plans import job, plan, statuses
from pydantic import model_validator

from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.errors import JobError, Transient
from callsheet.domain.ids import new_id
from callsheet.domain.model import Model
from callsheet.domain.statuses import JobStatus
from callsheet.engine.jobs.complete import complete
from callsheet.engine.jobs.completer import Completer
from callsheet.engine.jobs.outcomes import ChildJobRow, Outcome
from callsheet.local import arun
from callsheet.operation_api.contract import ChildJob, RunChildJobs, operation
from callsheet.testing.engine import running_engine
from callsheet.testing.operations import ALL, block, noop, run_children
from callsheet.testing.waiters import until


class Empty(Model):
    pass


class Files(Model):
    until: str
    fixed: str


@operation("stubborn", queue="test")
async def stubborn(job, params: Files) -> Empty:
    """Fail until a file exists, then run until another one exists."""
    if not Path(params.fixed).exists():  # noqa: ASYNC240
        raise JobError("not fixed")
    await block.run(job, block.params(until=params.until))
    return Empty()


@pytest.fixture
async def engine(settings):
    async with running_engine([*ALL, stubborn], settings=settings) as engine:
        yield engine


def child_job(id, operation="noop", **params):
    return {"id": id, "operation": operation, "params": params}


def parent(*jobs, id="cut", **more):
    return job(id, "run-children", params={"jobs": list(jobs)}, **more)


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


async def types(engine, execution_id, job):
    return [event.type for event in await engine.events(execution_id, job=job)]


async def claim_as_live_worker(database, limit=1):
    _, claims = await claimer(database, "alive", "run-children")
    return (await claims.claim("test", limit)).jobs


def deferred(claimed, *names):
    """The outcome of a run that requests child jobs with these ids."""
    wanted = tuple(ChildJobRow(new_id(), f"cut/{name}", noop, 1, "{}") for name in names or ["a"])
    return Outcome(claimed.id, claimed.execution_id, claimed.epoch, JobStatus.PENDING, children=wanted)


async def job_row(engine, execution_id, job):
    async with engine.runtime.database.connection() as connection:
        return await connection.fetchrow(
            "SELECT * FROM execution_jobs WHERE execution_id = $1 AND job_id = $2", execution_id, job
        )


async def test_a_job_runs_again_after_its_child_jobs(engine):
    execution = await engine.run(
        plan(parent(child_job("a", value=1), child_job("b", value=2)), job("after", after=["cut"]))
    )

    assert execution.status == "succeeded"
    assert statuses(execution) == dict.fromkeys(["cut", "after", "cut/a", "cut/b"], "succeeded")
    assert [j.result for j in execution.jobs if "/" in j.job_id] == [{"value": 1}, {"value": 2}]
    assert await types(engine, execution.execution_id, "cut") == [
        *("job.running", "job.pending", "job.queued", "job.running", "job.succeeded")
    ]
    assert await types(engine, execution.execution_id, "cut/a") == ["job.queued", "job.running", "job.succeeded"]
    assert execution.progress == 1
    assert execution.jobs[0].depends_on == ["cut/a", "cut/b"]


async def test_requesting_child_jobs_counts_as_no_attempt_and_no_start(engine, tmp_path):
    gate = tmp_path / "gate"
    execution_id = await engine.submit(plan(parent(child_job("a", "block", until=str(gate)))))
    await engine.wait(execution_id, "job.pending", job="cut")

    waiting = await job_row(engine, execution_id, "cut")
    gate.touch()
    ended = (await engine.ended(execution_id)).jobs[0]

    assert (waiting["status"], waiting["starts"], waiting["attempts"], waiting["pending_dependencies"]) == (
        "pending",
        0,
        0,
        1,
    )
    assert (ended.attempts, ended.error) == (0, None)


async def test_a_job_that_waits_for_child_jobs_holds_no_slot(settings):
    async with running_engine(ALL, settings=settings, lanes={"test": 1}) as engine:
        execution = await engine.run(
            plan(parent(child_job("a"), child_job("b")), job("next", "run-children", params={"jobs": [child_job("c")]}))
        )

    assert set(statuses(execution).values()) == {"succeeded"}


async def test_child_jobs_run_before_other_jobs_of_their_queue(settings):
    async with running_engine(ALL, settings=settings, lanes={"test": 1}, workers=0) as engine:
        execution_id = await engine.submit(plan(parent(child_job("a"), priority=3), job("other", priority=3)))
        await engine.start_worker({"test": 1})
        await engine.ended(execution_id)
        started = [e.job_id for e in await engine.events(execution_id) if e.type == "job.running" and e.job_id]

    assert started == ["cut", "cut/a", "cut", "other"]


async def test_failed_child_jobs_do_not_fail_their_parent(engine):
    execution = await engine.run(plan(parent(child_job("a", "fail"), child_job("b"))))

    assert execution.status == "succeeded"
    assert statuses(execution) == {"cut": "succeeded", "cut/a": "failed", "cut/b": "succeeded"}


async def test_references_in_the_params_of_a_child_job_are_text(engine):
    odd = "${unknown.x} and $${y}"
    wanted = {"jobs": [{"id": "a", "operation": "noop", "params": {"value": "${text.value}"}}]}

    execution = await engine.run(
        plan(job("text", params={"value": odd.replace("${", "$${")}), job("cut", "run-children", params=wanted))
    )

    text_result = next(j for j in execution.jobs if j.job_id == "text").result["value"]
    assert text_result == "${unknown.x} and $${y}"
    assert next(j for j in execution.jobs if j.job_id == "cut/a").result == {"value": text_result}


async def test_child_jobs_may_have_child_jobs(engine):
    execution = await engine.run(plan(parent(child_job("a", "run-children", jobs=[child_job("deep")]))))

    assert statuses(execution) == dict.fromkeys(["cut", "cut/a", "cut/a/deep"], "succeeded")


async def test_child_jobs_can_be_requested_only_once(engine):
    execution = await engine.run(plan(job("cut", "run-children", params={"jobs": [child_job("a")], "again": True})))

    error = execution.jobs[0].error
    assert execution.status == "failed"
    assert (error.code, error.message) == (
        "internal_error",
        "The operation requested child jobs for a second time.",
    )
    assert statuses(execution) == {"cut": "failed", "cut/a": "succeeded"}


async def test_invalid_child_jobs_fail_their_parent_with_all_problems(engine):
    wanted = [
        child_job("a", "sleep", seconds="long"),
        child_job("a"),
        child_job("no/id"),
        child_job("d", "sleeep"),
        child_job("e", "sleep"),
    ]

    execution = await engine.run(plan(parent(*wanted)))

    error = execution.jobs[0].error
    assert list(statuses(execution)) == ["cut"]
    assert (execution.status, error.code) == ("failed", "internal_error")
    for text in (
        "jobs[0].params.seconds: input should be a valid number",
        "jobs[1].id: 2 jobs have the id 'a'",
        "jobs[2].id: 'no/id' is not a valid job id",
        "jobs[3].operation: unknown operation 'sleeep', did you mean 'sleep'?",
        "jobs[4].params.seconds: field required",
    ):
        assert text in error.message


async def test_child_job_params_that_cannot_be_stored_fail_the_parent(settings):
    @operation("odd", queue="test")
    async def odd(job, params: Empty) -> Empty:
        raise RunChildJobs([ChildJob("a", "noop", {"value": "nul \0"})])

    async with running_engine([odd, noop], settings=settings) as engine:
        execution = await engine.run(plan(job("cut", "odd")))

    assert "jobs[0].params: must not contain a NUL character" in execution.jobs[0].error.message


async def test_a_validator_that_crashes_on_child_job_params_fails_the_parent(settings):
    class Picky(Model):
        value: int

        @model_validator(mode="before")
        @classmethod
        def _breaks(cls, data):
            return {"value": data["nothing"]}

    @operation("picky", queue="test")
    async def picky(job, params: Picky) -> Empty:
        return Empty()

    async with running_engine([run_children, picky], settings=settings) as engine:
        execution = await engine.run(plan(parent(child_job("a", "picky", value=1))), timeout=10)

    assert execution.jobs[0].error.code == "internal_error"
    assert execution.jobs[0].error.message == "KeyError: 'nothing'"


def test_child_jobs_must_not_be_empty():
    with pytest.raises(ValueError, match="at least one job"):
        RunChildJobs([])


async def test_cancelling_an_execution_cancels_child_jobs(engine, tmp_path):
    never = str(tmp_path / "never")
    wanted = [child_job(f"p{n}", "block", until=never) for n in range(20)]
    execution_id = await engine.submit(plan(parent(*wanted)))
    await engine.wait(execution_id, "job.running", job="cut/p0")

    await engine.cancel(execution_id)
    execution = await engine.ended(execution_id)

    assert execution.status == "cancelled"
    assert set(statuses(execution).values()) == {"cancelled"}
    assert len(execution.jobs) == 21
    await until(lambda: engine.workers[0].running == 0)


async def test_cancelling_a_job_cancels_its_child_jobs_and_no_others(engine, tmp_path):
    never, gate = str(tmp_path / "never"), tmp_path / "gate"
    wanted = [child_job(f"p{n}", "block", until=never) for n in range(10)]
    execution_id = await engine.submit(
        plan(
            parent(*wanted),
            job("after", after=["cut"]),
            job("cut2", "block", params={"until": str(gate)}),
            job("cutter"),
        )
    )
    await engine.wait(execution_id, "job.running", job="cut/p0")

    await engine.cancel(execution_id, job="cut")
    gate.touch()
    execution = await engine.ended(execution_id)

    found = statuses(execution)
    assert (found.pop("cut2"), found.pop("cutter"), found.pop("after")) == ("succeeded", "succeeded", "skipped")
    assert set(found.values()) == {"cancelled"} and len(found) == 11


async def test_cancelling_a_child_job_skips_its_parent(engine, tmp_path):
    execution_id = await engine.submit(
        plan(parent(child_job("a", "block", until=str(tmp_path / "never")), child_job("b")))
    )
    await engine.wait(execution_id, "job.running", job="cut/a")

    await engine.cancel(execution_id, job="cut/a")
    execution = await engine.ended(execution_id)

    assert statuses(execution) == {"cut": "skipped", "cut/a": "cancelled", "cut/b": "succeeded"}


async def test_a_cancelled_parent_continues_after_a_retry(engine, tmp_path):
    gate = tmp_path / "gate"
    execution_id = await engine.submit(plan(parent(child_job("a", "block", until=str(gate)), child_job("b"))))
    await engine.wait(execution_id, "job.succeeded", job="cut/b")
    await engine.cancel(execution_id)
    await engine.ended(execution_id)

    gate.touch()
    again = await engine.retry(execution_id)
    execution = await engine.ended(execution_id)

    assert again == 2
    assert statuses(execution) == dict.fromkeys(["cut", "cut/a", "cut/b"], "succeeded")
    assert (await types(engine, execution_id, "cut/b")).count("job.running") == 1
    assert (await types(engine, execution_id, "cut")).count("job.running") == 2


async def test_a_retried_child_job_delays_its_parent(engine, tmp_path):
    fixed, gate = tmp_path / "fixed", tmp_path / "gate"
    execution_id = await engine.submit(
        plan(
            parent(
                child_job("a", "stubborn", fixed=str(fixed), until=str(gate)),
                child_job("b", "block", until=str(gate)),
            )
        )
    )
    await engine.wait(execution_id, "job.failed", job="cut/a")
    before = await job_row(engine, execution_id, "cut")

    fixed.touch()
    await engine.retry(execution_id, job="cut/a")
    after = await job_row(engine, execution_id, "cut")
    gate.touch()
    execution = await engine.ended(execution_id)

    assert (before["pending_dependencies"], after["pending_dependencies"]) == (1, 2)
    assert statuses(execution) == dict.fromkeys(["cut", "cut/a", "cut/b"], "succeeded")


async def test_a_failed_child_job_can_be_retried_after_the_end(engine):
    execution_id = (await engine.run(plan(parent(child_job("a", "fail")), job("after", after=["cut"])))).execution_id

    assert await engine.retry(execution_id, job="cut/a") == 1
    execution = await engine.ended(execution_id)

    assert statuses(execution) == {"cut": "succeeded", "after": "succeeded", "cut/a": "failed"}
    assert execution.status == "succeeded"


async def test_cancelling_a_retried_child_job_does_not_affect_jobs_after_its_parent(engine, tmp_path):
    fixed, gate, never = tmp_path / "fixed", tmp_path / "gate", tmp_path / "never"
    execution_id = await engine.submit(
        plan(
            parent(child_job("a", "stubborn", fixed=str(fixed), until=str(never))),
            job("slow", "block", params={"until": str(gate)}),
            job("after", after=["cut", "slow"]),
        )
    )
    await engine.wait(execution_id, "job.succeeded", job="cut")

    fixed.touch()
    await engine.retry(execution_id, job="cut/a")
    await engine.cancel(execution_id, job="cut/a")
    await engine.wait(execution_id, "job.cancelled", job="cut/a")
    gate.touch()
    execution = await engine.ended(execution_id)

    assert statuses(execution) == {"cut": "succeeded", "slow": "succeeded", "after": "succeeded", "cut/a": "cancelled"}


async def test_a_cancel_wins_over_a_request_for_child_jobs(idle_engine):
    database = idle_engine.runtime.database
    execution_id = await idle_engine.submit(plan(parent(child_job("a"))))
    (claimed,) = await claim_as_live_worker(database)
    await idle_engine.cancel(execution_id, job="cut")

    async with database.transaction() as connection:
        await complete(connection, [deferred(claimed)])

    execution = await idle_engine.execution(execution_id)
    assert statuses(execution) == {"cut": "cancelled"}
    assert execution.status == "cancelled"


async def test_a_run_that_lost_its_job_cannot_add_child_jobs(idle_engine):
    database = idle_engine.runtime.database
    execution_id = await idle_engine.submit(plan(parent(child_job("a"))))
    (claimed,) = await claim_and_die(database, "gone", 1, "run-children")
    await idle_engine.start_worker()
    await idle_engine.ended(execution_id)
    before = await idle_engine.execution(execution_id)

    async with database.transaction() as connection:
        recorded = await complete(connection, [deferred(claimed, "late")])

    assert recorded == {}
    assert (await idle_engine.execution(execution_id)).last_event == before.last_event


class LossyDatabase(Database):
    """Loses the response to its first commit."""

    has_lost = False

    @asynccontextmanager
    async def transaction(self):
        async with super().transaction() as connection:
            yield connection
        if not self.has_lost:
            self.has_lost = True
            raise ConnectionResetError


async def test_child_jobs_are_stored_once_when_the_response_is_lost(idle_engine):
    execution_id = await idle_engine.submit(plan(parent(child_job("a"))))
    (claimed,) = await claim_as_live_worker(idle_engine.runtime.database)

    async with LossyDatabase(idle_engine.runtime.database.address) as database:
        completer = Completer(database)
        writing = asyncio.create_task(completer.run())
        recorded = await completer.record(deferred(claimed))
        writing.cancel()

    execution = await idle_engine.execution(execution_id)
    assert database.has_lost
    assert recorded is JobStatus.PENDING
    assert statuses(execution) == {"cut": "pending", "cut/a": "queued"}
    assert [e.type for e in await idle_engine.events(execution_id, job="cut/a")] == ["job.queued"]


async def test_a_local_run_runs_child_jobs_of_every_queue(settings, monkeypatch, tmp_path):
    @operation("elsewhere", queue="elsewhere")
    async def elsewhere(job, params: Empty) -> Empty:
        return Empty()

    monkeypatch.chdir(tmp_path)

    execution = await arun(plan(parent(child_job("a", "elsewhere"))), operations=[*ALL, elsewhere], settings=settings)

    assert statuses(execution) == {"cut": "succeeded", "cut/a": "succeeded"}


async def test_child_jobs_of_many_executions_are_stored_together(idle_engine):
    database = idle_engine.runtime.database
    ids = [await idle_engine.submit(plan(parent(child_job("a")))) for _ in range(5)]
    claimed = await claim_as_live_worker(database, 5)

    async with database.transaction() as connection:
        await complete(connection, [deferred(one, "x", "y") for one in claimed])

    for execution_id in ids:
        execution = await idle_engine.execution(execution_id)
        assert statuses(execution) == {"cut": "pending", "cut/x": "queued", "cut/y": "queued"}
        assert [e.number for e in await idle_engine.events(execution_id)] == list(range(1, execution.last_event + 1))


@pytest.mark.parametrize("order", ["together", "deferred first", "ended first"])
async def test_the_second_end_of_an_upstream_job_is_not_counted_as_that_of_a_child_job(idle_engine, order):
    database = idle_engine.runtime.database
    upstream = job("up", continueOnFailure=True)
    execution_id = await idle_engine.submit(plan(upstream, parent(child_job("a"), after=["up"])))
    _, upstream_claims = await claimer(database, "up")

    async def record(*outcomes):
        async with database.transaction() as connection:
            await complete(connection, list(outcomes))

    async def claimed():
        (one,) = (await upstream_claims.claim("test", 1)).jobs
        return one

    def ended(run, status=JobStatus.FAILED):
        return Outcome(run.id, run.execution_id, run.epoch, status, error='{"code": "job_failed", "message": "no"}')

    await record(ended(await claimed()))
    (cut,) = await claim_as_live_worker(database)
    await idle_engine.retry(execution_id, job="up")
    again, deferred_cut = ended(await claimed()), deferred(cut, "a", "b")

    batches = {
        "together": [[again, deferred_cut]],
        "deferred first": [[deferred_cut], [again]],
        "ended first": [[again], [deferred_cut]],
    }
    for batch in batches[order]:
        await record(*batch)
    assert ((await job_row(idle_engine, execution_id, "cut"))["pending_dependencies"]) == 2

    child_runs = (await upstream_claims.claim("test", 2)).jobs
    await record(*[ended(piece) for piece in child_runs])
    assert (await job_row(idle_engine, execution_id, "cut"))["status"] == "queued"


async def test_files_of_a_run_that_requests_child_jobs_are_deleted(settings, tmp_path):
    @operation("keep-and-wait", queue="test")
    async def keep_and_wait(job, params: Empty) -> Empty:
        if not job.children_done:
            path = job.dir / "half.txt"
            path.write_text("half")
            await job.keep(path)
            raise RunChildJobs([ChildJob("a", "noop", {})])
        return Empty()

    async with running_engine([keep_and_wait, noop], settings=settings) as engine:
        execution = await engine.run(plan(job("cut", "keep-and-wait")))

    assert execution.status == "succeeded"
    assert list(settings.files_dir.rglob("half.txt")) == []


async def test_after_a_failure_the_job_knows_that_its_child_jobs_are_done(settings):
    known = []

    @operation("forgetful", queue="test", attempts=3)
    async def forgetful(job, params: Empty) -> Empty:
        known.append((job.children_done, job.attempt))
        if not job.children_done:
            raise RunChildJobs([ChildJob("a", "noop", {})])
        if job.attempt == 1:
            raise Transient("once more")
        return Empty()

    async with running_engine([forgetful, noop], settings=settings) as engine:
        execution = await engine.run(plan(job("cut", "forgetful")))

    assert execution.status == "succeeded"
    assert known == [(False, 1), (True, 1), (True, 2)]


async def test_a_cached_piece_is_not_made_again(engine, tmp_path):
    ledger = tmp_path / "ledger"
    wanted = [child_job(f"p{n}", "piece", digest=digest(str(n % 3)), ledger=str(ledger)) for n in range(3)]

    await engine.run(plan(parent(*wanted)))
    again = await engine.run(plan(parent(*wanted)))

    assert [j.result["value"] for j in again.jobs[1:]] == ["found"] * 3
    assert len(ledger.read_text().splitlines()) == 3


async def test_worker_host_count_counts_hosts_with_a_live_worker_of_the_operation(engine):
    async def register(host, *, operations=("run-children",), lanes='{"test": 2}'):
        worker = new_id()
        async with engine.runtime.database.connection() as connection:
            await sql.register_worker(
                connection,
                id=worker,
                name=host,
                host=host,
                pid=1,
                version="1",
                lanes=lanes,
                operations=operations,
                missing="{}",
                timeout=30,
                only_reserved=False,
            )
        return worker

    async def hosts():
        return (await engine.run(plan(parent(child_job("a"))))).jobs[0].result["value"]

    async def change(worker, what):
        async with engine.runtime.database.connection() as connection:
            await connection.execute(f"UPDATE workers SET {what} WHERE id = $1", worker)

    assert await hosts() == 1
    await register("one")
    await register("one")
    await register("other work", operations=("render",))
    await register("other lanes", lanes='{"render": 2}')
    await register("closed lane", lanes='{"test": 0}')
    assert await hosts() == 2
    for what in ("stopping = true", "lost_at = now()", "heartbeat_at = now() - interval '1 hour'"):
        await change(await register(what), what)
    assert await hosts() == 2
