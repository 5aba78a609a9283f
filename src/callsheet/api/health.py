"""Liveness, readiness and metrics."""

import asyncio
from importlib.metadata import version
from typing import Literal

import structlog
from fastapi import APIRouter, Request, Response

from callsheet.api import examples
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.errors import ApiError
from callsheet.api.problems import problem_responses
from callsheet.db.outages import DATABASE_ERRORS, outage_reason
from callsheet.db.upgrade import check_revision
from callsheet.domain.errors import CallsheetError
from callsheet.domain.model import Model

router = APIRouter(tags=["health"])

log = structlog.get_logger(__name__)

_TIMEOUT = 3.0
"""Timeout of all readiness checks together, in seconds."""


class Health(Model):
    """The process is alive."""

    status: Literal["ok"] = "ok"
    version: str


class Readiness(Model):
    """The process can serve requests: database and storage respond."""

    status: Literal["ready"] = "ready"


@router.get("/health", name="read_health", summary="Check that the process is alive", responses={200: examples.health})
async def health() -> Health:
    """Respond as long as the process runs. Checks nothing else, so that a database outage causes no restarts."""
    return Health(version=version("callsheet"))


@router.get(
    "/readyz",
    name="read_readiness",
    summary="Check that the process can serve requests",
    responses={503: problem_responses()[503], 200: examples.ready},
)
async def readiness(request: Request, runtime: RuntimeDep) -> Readiness:
    """Check within 3 seconds that the database can be written, its schema, and the storage.

    Of `callsheet up`, also check that its worker process stays up.
    """
    step = "database"
    try:
        async with asyncio.timeout(_TIMEOUT):
            await runtime.database.check_writable()
            await check_revision(runtime.database)
            step = "storage"
            await runtime.storage.check()
    except CallsheetError as error:
        raise _not_ready(step, error.message) from None
    except DATABASE_ERRORS as error:
        reason = outage_reason(error) if step == "database" else f"The {step} does not respond."
        raise _not_ready(step, f"{reason} ({type(error).__name__})") from None
    if trouble := request.app.state.worker_trouble():
        raise _not_ready("worker", trouble)
    return Readiness()


def _not_ready(step: str, detail: str) -> ApiError:
    log.warning("not ready", step=step, detail=detail)
    return ApiError(503, f"{step}_not_ready", detail)


@router.get(
    "/metrics",
    name="read_metrics",
    summary="Read metrics",
    response_class=Response,
    responses={**problem_responses(), 200: examples.metrics},
)
async def metrics(request: Request) -> Response:
    """Return metrics of all workers and queues in the Prometheus text format. All servers return the same values."""
    body, kind = await request.app.state.metrics.scrape()
    return Response(body, headers={"Content-Type": kind})
