"""The least that a FastAPI service does to accept a job: parse a body, insert one row with asyncpg, return its id.

python -m bench.peers.bare_route PORT
"""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson
import uvicorn
from fastapi import FastAPI, Request
from pydantic import BaseModel

STORE = os.environ["BENCH_STORE"]
TABLE = "CREATE TABLE jobs (id uuid PRIMARY KEY, plan jsonb NOT NULL, created_at timestamptz NOT NULL DEFAULT now())"


class BareJob(BaseModel):
    """A job of a plan."""

    id: str
    operation: str
    params: dict[str, Any]


class BarePlan(BaseModel):
    """The body."""

    jobs: list[BareJob]


class Accepted(BaseModel):
    """The response."""

    id: UUID


@asynccontextmanager
async def _pool(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(STORE, min_size=8, max_size=8) as app.state.pool:
        await app.state.pool.execute(TABLE)
        yield


app = FastAPI(lifespan=_pool)


@app.post("/api/execute", status_code=202)
async def execute(plan: BarePlan, request: Request) -> Accepted:
    """Store a plan."""
    job_id = uuid4()
    text = orjson.dumps(plan.model_dump()).decode()
    await request.app.state.pool.execute("INSERT INTO jobs (id, plan) VALUES ($1, $2)", job_id, text)
    return Accepted(id=job_id)


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="warning", loop="uvloop")
