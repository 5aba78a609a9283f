"""Whether this process lives, is ready, and how the fleet does."""

import asyncio
from importlib.metadata import version
from typing import Literal

import structlog
from fastapi import APIRouter, Request, Response

from callsheet.api import examples
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.errors import ApiError
from callsheet.api.problems import problem_responses
from callsheet.db.database import TRANSIENT_ERRORS
from callsheet.db.upgrade import check_revision
from callsheet.domain.errors import CallsheetError
from callsheet.domain.model import Model

router = APIRouter(tags=["health"])

log = structlog.get_logger(__name__)

_PATIENCE = 3.0
"""Seconds for all checks together."""


class Health(Model):
    """This process lives."""

    status: Literal["ok"] = "ok"
    version: str


class Readiness(Model):
    """Everything that this process needs answers."""

    status: Literal["ready"] = "ready"


@router.get("/health", name="read_health", summary="Tell whether the process lives", responses={200: examples.health})
@router.get("/healthz", include_in_schema=False)
async def health() -> Health:
    """Answers as long as the process turns; looks at nothing else, so that a database outage restarts nobody."""
    return Health(version=version("callsheet"))


@router.get(
    "/readyz",
    name="read_readiness",
    summary="Tell whether the process can serve",
    responses={503: problem_responses()[503], 200: examples.ready},
)
async def readiness(runtime: RuntimeDep) -> Readiness:
    """Checks the database, its schema and the storage, within three seconds."""
    step = "database"
    try:
        async with asyncio.timeout(_PATIENCE):
            await check_revision(runtime.database)
            step = "storage"
            await runtime.storage.check()
    except CallsheetError as error:
        raise _not_ready(step, error.message) from None
    except TRANSIENT_ERRORS as error:
        raise _not_ready(step, f"The {step} does not answer ({type(error).__name__}).") from None
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
    """Figures of the whole fleet, in the text format of Prometheus. All servers of a fleet tell the same."""
    body, kind = await request.app.state.metrics.scrape()
    return Response(body, headers={"Content-Type": kind})
