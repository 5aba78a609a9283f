"""Read tokens for one execution."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Request
from pydantic import AwareDatetime, Field

from callsheet.access.directory import Directory
from callsheet.access.read_tokens import MAX_LIFETIME
from callsheet.api import examples_access as examples
from callsheet.api.dependencies import CallerDep, RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.durations import Duration
from callsheet.domain.model import Model
from callsheet.engine.jobs.receipt import status_and_last_event

router = APIRouter(prefix="/api/executions", tags=["access"])

_HOUR = timedelta(hours=1)


class TokenRequest(Model):
    """A new read token."""

    lifetime: Duration = Field(
        _HOUR, gt=timedelta(0), le=MAX_LIFETIME, description="Time until it expires, at most 24 h", examples=["15m"]
    )


class ExecutionToken(Model):
    """A read token."""

    token: str = Field(description="Sent as `Authorization: Bearer …`", examples=["cst_…"])
    execution_id: UUID
    expires_at: AwareDatetime


@router.post(
    "/{execution_id}/tokens",
    status_code=201,
    summary="Create a read token",
    responses={**problem_responses(404, 422), 201: examples.token},
)
async def create_read_token(
    execution_id: UUID,
    request: Request,
    caller: CallerDep,
    runtime: RuntimeDep,
    options: Annotated[TokenRequest | None, Body(openapi_examples=examples.token_requests)] = None,
) -> ExecutionToken:
    """Return a token that reads this execution, its events, logs and artifacts, and nothing else.

    A product gives it to the browser of the person whose execution it is. It ends when it expires, or when the key that
    created it is revoked or expires.
    """
    await status_and_last_event(runtime.database, execution_id)
    directory: Directory = request.app.state.directory
    token, expires_at = directory.issue_read_token(execution_id, caller, (options or TokenRequest()).lifetime)
    return ExecutionToken(token=token, execution_id=execution_id, expires_at=expires_at)
