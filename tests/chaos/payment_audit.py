"""The records of the fake providers against the submissions in the database."""

from collections import Counter, defaultdict

import asyncpg
from tests.chaos.load import Client
from tests.chaos.system import System

from callsheet.fakes.providers.fake_server import FakeTask
from callsheet.fakes.providers.task_script import Cancelled, Failed


def failed_tasks(system: System) -> set[str]:
    """Return the orders of which a task failed at its provider."""
    return {
        str(task.input["prompt"])
        for fake in system.providers.values()
        for task in fake.tasks.values()
        if isinstance(task.script[-1], Failed)
    }


async def payment_faults(connection: asyncpg.Connection, system: System, client: Client) -> list[str]:
    """Return which submissions were accepted twice.

    Every accepted task needs a submission of its own in the database. A job may have a further submission only after
    its task failed or was cancelled at the provider, or after the client requested a retry.
    """
    rows = await connection.fetch("""
        SELECT s.id, s.outcome, j.execution_id::text, j.params ->> 'prompt' AS key
        FROM submissions s JOIN execution_jobs j ON j.id = s.job WHERE j.operation = 'generate'""")
    stored: dict[str, list[asyncpg.Record]] = defaultdict(list)
    for row in rows:
        if row["outcome"] != "rejected":
            stored[row["key"]].append(row)
    retries = Counter(client.interventions.retried)
    paid: dict[str, list[FakeTask]] = defaultdict(list)
    for fake in system.providers.values():
        for task in fake.tasks.values():
            paid[str(task.input["prompt"])].append(task)
    faults = []
    for key, tasks in paid.items():
        own = stored[key]
        reasons = sum(isinstance(task.script[-1], Failed | Cancelled) for task in tasks)
        allowed = 1 + reasons + sum(retries[execution_id] for execution_id in {row["execution_id"] for row in own})
        if len(tasks) > len(own):
            faults.append(f"{key}: {len(tasks)} tasks paid for {len(own)} submissions")
        if len(tasks) > allowed:
            faults.append(f"{key}: {len(tasks)} tasks paid, at most {allowed} are justified")
    prompts = Counter(system.comfyui.accepted)
    return faults + [f"ComfyUI prompt {prompt}: accepted {n} times" for prompt, n in prompts.items() if n > 1]
