"""Graphs of one node on Redis Streams: a client that adds them, and a reader of the group that only calls back.

python -m bench.peers.redis_streams submit | work
"""

import asyncio
import json
import os
import signal
import sys
from typing import Any

import redis

from bench.peers.protocol import answer, batches, reply, timed

STREAM, GROUP = "process:data", "python-workers"
JOBS_IN_A_CALL = 1000
READ_TOGETHER = 50
BLOCK_MS = 200


def graph(task: str, number: int) -> dict[str, str]:
    """Return the fields of an entry."""
    job_id = f"{task}-{os.getpid()}-{number}"
    node = {"id": "a", "plane": "python", "task": task, "params": {"n": number}}
    return {"jobId": job_id, "payload": json.dumps({"jobId": job_id, "nodes": [node]})}


async def send(store: Any) -> None:
    """Answer the bench's requests. The client blocks, and nothing else runs here."""

    def add(task: str, jobs: int) -> None:
        for numbers in batches(range(jobs), JOBS_IN_A_CALL):
            with store.pipeline(transaction=False) as pipeline:
                for number in numbers:
                    pipeline.xadd(STREAM, graph(task, number))
                pipeline.execute()

    async def bulk(jobs: int) -> dict[str, Any]:
        async def submit() -> None:
            add("noop", jobs)

        async def all_acknowledged() -> bool:
            (group,) = store.xinfo_groups(STREAM)
            return group["lag"] == 0 and group["pending"] == 0

        return await timed(submit, all_acknowledged)

    async def open_graphs(jobs: int) -> dict[str, Any]:
        add("held", jobs)
        return {"jobs": jobs}

    await answer(bulk=bulk, open=open_graphs)


def work(store: Any) -> None:
    """Complete each graph: store it, publish its status, acknowledge its entry, in one transaction."""
    reply(ready=True)
    while True:
        found = store.xreadgroup(GROUP, "plain", {STREAM: ">"}, count=READ_TOGETHER, block=BLOCK_MS)
        for entry, fields in found[0][1] if found else ():
            done = json.loads(fields["payload"])
            done["nodes"][0] |= {"status": "completed", "output": {"n": done["nodes"][0]["params"]["n"]}}
            done["status"] = "completed"
            job_id = done["jobId"]
            status = json.dumps({"jobId": job_id, "status": "completed"})
            with store.pipeline(transaction=True) as pipeline:
                pipeline.set(f"job:{job_id}", json.dumps(done))
                pipeline.set(f"last:channel:status:{job_id}", status, ex=86_400)
                pipeline.publish(f"channel:status:{job_id}", status)
                pipeline.xack(STREAM, GROUP, entry)
                pipeline.execute()


if __name__ == "__main__":
    client = redis.Redis.from_url(os.environ["BENCH_STORE"], decode_responses=True, socket_timeout=60)
    try:
        client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    except redis.ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise
    if sys.argv[1] == "submit":
        asyncio.run(send(client))
    else:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        work(client)
