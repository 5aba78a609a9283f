"""Plans that are submitted together share a statement, and nothing else."""

import asyncio
import socket
import tempfile
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from plans import job, plan

from callsheet.db.database import Database
from callsheet.db.embedded.postgres import EmbeddedPostgres
from callsheet.db.upgrade import upgrade
from callsheet.domain.errors import DatabaseUnavailable, IdempotencyConflict, PlanRefused
from callsheet.domain.plan_validation import read_submission
from callsheet.engine.jobs import submission_writer
from callsheet.engine.jobs.submit import submit
from callsheet.operation_api.catalog import Catalog
from callsheet.testing.operations import ALL
from callsheet.testing.waiters import until
from support.proxy import Proxy


@pytest.fixture
def groups(monkeypatch):
    """The sizes of the groups that are stored, in turn."""
    sizes = []
    insert = submission_writer.insert_executions

    async def recorded(connection, executions):
        sizes.append(len(executions))
        return await insert(connection, executions)

    monkeypatch.setattr(submission_writer, "insert_executions", recorded)
    return sizes


async def stored(engine):
    async with engine.runtime.database.connection() as connection:
        return {row["id"] for row in await connection.fetch("SELECT id FROM executions")}


async def test_plans_that_are_submitted_together_are_stored_by_one_statement(idle_engine, groups):
    ids = await asyncio.gather(*(idle_engine.submit(plan(job("a"))) for _ in range(30)))

    assert len(set(ids)) == 30
    assert await stored(idle_engine) == set(ids)
    assert groups == [30]


async def test_all_jobs_of_a_group_run(engine):
    executions = await asyncio.gather(
        *(engine.run(plan(job("a"), job(f"b{n}", after=["a"]), job("c"))) for n in range(20))
    )

    assert {execution.status for execution in executions} == {"succeeded"}
    assert [sorted(j.job_id for j in e.jobs) for e in executions] == [["a", f"b{n}", "c"] for n in range(20)]


async def test_a_refused_plan_among_others_is_refused_alone(idle_engine):
    plans = [plan(job("a")), plan(job("a"), job("a")), plan(job("a", params={"value": "nul \0"})), plan(job("b"))]

    results = await asyncio.gather(*(idle_engine.submit(each) for each in plans), return_exceptions=True)

    assert [isinstance(result, PlanRefused) for result in results] == [False, True, True, False]
    assert await stored(idle_engine) == {results[0], results[3]}


async def test_a_plan_that_the_database_rejects_fails_alone(idle_engine, groups):
    # A key with a NUL character passes the validation, and PostgreSQL rejects the statement with it.
    keys = [None, "k1", "nul \0", "k2", None]

    results = await asyncio.gather(
        *(idle_engine.submit(plan(job("a")), idempotency_key=key) for key in keys), return_exceptions=True
    )

    assert isinstance(results[2], asyncpg.CharacterNotInRepertoireError)
    assert await stored(idle_engine) == {results[0], results[1], results[3], results[4]}
    assert groups[0] == 5


async def test_an_id_that_is_already_stored_fails_alone(idle_engine, monkeypatch):
    taken = await idle_engine.submit(plan(job("a")))
    new_id, ids = submission_writer.ExecutionRows.__init__, iter(range(100))

    def third_has_the_taken_id(self, *args, **options):
        new_id(self, *args, **options)
        if next(ids) == 2:
            self.execution_id = taken
            self.jobs = [(row[0], taken, *row[2:]) for row in self.jobs]

    monkeypatch.setattr(submission_writer.ExecutionRows, "__init__", third_has_the_taken_id)

    results = await asyncio.gather(*(idle_engine.submit(plan(job("a"))) for _ in range(6)), return_exceptions=True)

    assert [n for n, result in enumerate(results) if isinstance(result, asyncpg.UniqueViolationError)] == [2]
    assert await stored(idle_engine) == {taken, *(result for n, result in enumerate(results) if n != 2)}


async def test_the_same_key_twice_in_one_group_stores_one_execution(idle_engine, groups):
    ids = await asyncio.gather(*(idle_engine.submit(plan(job("a")), idempotency_key="k") for _ in range(5)))

    assert len(set(ids)) == 1
    assert await stored(idle_engine) == set(ids)
    assert groups == [5]


async def test_the_same_key_with_another_plan_conflicts_inside_a_group(idle_engine, groups):
    plans = [plan(job("a")), plan(job("b")), plan(job("a"))]

    results = await asyncio.gather(
        *(idle_engine.submit(each, idempotency_key="k") for each in plans),
        idle_engine.submit(plan(job("c"))),
        return_exceptions=True,
    )

    assert isinstance(results[1], IdempotencyConflict)
    assert results[0] == results[2]
    assert await stored(idle_engine) == {results[0], results[3]}
    assert groups == [4]


async def test_jobs_and_edges_of_a_duplicate_are_not_stored(idle_engine):
    two = plan(job("a"), job("b", after=["a"]))

    await asyncio.gather(*(idle_engine.submit(two, idempotency_key="k") for _ in range(3)))

    async with idle_engine.runtime.database.connection() as connection:
        counts = await connection.fetchrow(
            "SELECT (SELECT count(*) FROM execution_jobs), (SELECT count(*) FROM edges), (SELECT count(*) FROM events)"
        )
    assert tuple(counts) == (2, 1, 1)


async def test_groups_with_the_same_keys_in_another_order_do_not_deadlock(idle_engine):
    async with Database(idle_engine.runtime.database.address, size=4) as other:

        async def both(number):
            for database, keys in ((idle_engine.runtime.database, range(20)), (other, reversed(range(20)))):
                for key in keys:
                    yield submit(
                        database,
                        read_submission({"executionPlan": plan(job("a"))}),
                        idle_engine.runtime.catalog,
                        max_jobs=10,
                        idempotency_key=f"{number}-{key}",
                    )

        for number in range(10):
            calls = [call async for call in both(number)]
            results = await asyncio.gather(*calls)
            assert len({result.execution_id for result in results}) == 20

    assert len(await stored(idle_engine)) == 200


async def test_a_cancelled_caller_neither_loses_nor_duplicates_the_plans_of_others(idle_engine):
    tasks = [asyncio.create_task(idle_engine.submit(plan(job("a")))) for _ in range(60)]
    for n, task in enumerate(tasks):
        await asyncio.sleep(0)
        if n % 3 == 0:
            task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)

    accepted = [result for result in results if not isinstance(result, BaseException)]
    found = await stored(idle_engine)
    assert set(accepted) <= found
    assert len(accepted) == 40
    assert len(found) <= 60


class Outage:
    """A database behind a proxy, and the same one without."""

    def __init__(self, database, proxy, direct):
        self.database = database
        self.proxy = proxy
        self._direct = direct

    async def submit(self, *keys):
        """Submit one plan for each key, all at the same time. Return their results or errors."""
        calls = [
            submit(
                self.database,
                read_submission({"executionPlan": plan(job("a", "noop"))}),
                Catalog(ALL),
                max_jobs=10,
                idempotency_key=key,
            )
            for key in keys
        ]
        return await asyncio.gather(*calls, return_exceptions=True)

    async def stored(self):
        return {str(row["id"]) for row in await self._direct.fetch("SELECT id FROM executions")}

    async def submit_and_lose_the_response(self, *keys):
        """Submit plans, and cut the connection after the commit and before its response arrives."""
        before = await self.stored()
        self.proxy.hold_responses()
        submitting = asyncio.create_task(self.submit(*keys))
        async with asyncio.timeout(30):
            while await self.stored() == before:  # noqa: ASYNC110 - another process is watched
                await asyncio.sleep(0.005)
        self.proxy.cut()
        self.proxy.release()
        return await submitting


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that also listens on TCP."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="callsheet-tcp-") as folder:
        server = EmbeddedPostgres(Path(folder) / "postgres", port=port)
        asyncio.run(upgrade(server.start()))
        yield server
        server.stop()


@pytest.fixture
async def outage(server):
    parts = urlsplit(server.tcp_dsn)
    direct = await asyncpg.connect(server.tcp_dsn)
    async with Proxy("127.0.0.1", parts.port) as proxy:
        netloc = f"{parts.username}:{parts.password}@127.0.0.1:{proxy.port}"
        async with Database(urlunsplit(parts._replace(netloc=netloc)), size=1) as database:
            outage = Outage(database, proxy, direct)
            # The statement is prepared now, and later takes one request and one response.
            await outage.submit(None)
            yield outage
    await direct.close()


async def test_after_a_lost_response_each_caller_gets_its_execution_if_it_was_stored(outage):
    before = await outage.stored()

    results = await outage.submit_and_lose_the_response(None, None, None)

    assert {str(result.execution_id) for result in results} == await outage.stored() - before
    assert len(results) == 3


async def test_while_the_database_is_away_each_caller_learns_that_the_outcome_is_unknown_and_its_execution_id(outage):
    outage.proxy.accepting = False

    results = await outage.submit_and_lose_the_response(None, None, None)

    assert all(isinstance(result, DatabaseUnavailable) for result in results)
    assert {result.facts["stored"] for result in results} == {"unknown"}
    assert {result.facts["execution_id"] for result in results} <= await outage.stored()


async def test_after_a_lost_response_plans_with_a_key_are_stored_once(outage):
    before = await outage.stored()

    results = await outage.submit_and_lose_the_response("k1", "k2", "k1")

    ids = [str(result.execution_id) for result in results]
    assert ids[0] == ids[2] != ids[1]
    assert await outage.stored() - before == set(ids)
    # The first try was theirs: only the second caller of k1 gets the execution of another one.
    assert sorted(result.is_duplicate for result in results) == [False, False, True]


async def test_without_a_connection_each_caller_learns_that_nothing_was_stored(outage):
    outage.proxy.accepting = False
    outage.proxy.cut()
    before = await outage.stored()

    results = await outage.submit(None, None)

    assert {result.facts["stored"] for result in results} == {"no"}
    assert await outage.stored() == before


async def test_plans_with_a_key_wait_for_the_database(outage):
    outage.proxy.accepting = False
    outage.proxy.cut()
    submitting = asyncio.create_task(outage.submit("w1", "w2"))
    await until(lambda: outage.proxy.refused > 0)

    outage.proxy.accepting = True
    results = await submitting

    assert {str(result.execution_id) for result in results} <= await outage.stored()


async def test_a_burst_with_lost_connections_loses_and_duplicates_nothing(outage):
    before = await outage.stored()

    results = []
    for n, delay in enumerate((0, 0.005, 0.01, 0.02, 0.05)):
        submitting = asyncio.create_task(outage.submit(*(f"burst-{n}-{k}" for k in range(60))))
        await asyncio.sleep(delay)  # sleep: the moment of the cut varies
        outage.proxy.cut()
        results += await submitting

    assert await outage.stored() - before == {str(result.execution_id) for result in results}
    assert len({result.execution_id for result in results}) == 300
