"""The `http` operation: an endpoint that the operator has named in the steps file."""

import logging
from datetime import timedelta
from typing import Any

from pydantic import ConfigDict, Field

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadParams, Problem
from callsheet.operation_api.contract import Context, operation
from callsheet.operations.outside_params import (
    OutsideParams,
    OutsideResult,
    checked_step,
    request_for,
    result_of,
)
from callsheet.outside_steps.declarations import EndpointStep
from callsheet.outside_steps.endpoint import call_endpoint
from callsheet.outside_steps.fetched_files import fetch_file
from callsheet.outside_steps.messages import SentFile

log = logging.getLogger("http")


class HttpParams(OutsideParams):
    """An endpoint, and its params."""

    kind = "endpoint"
    # A step of examples/steps/steps.yaml.
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"endpoint": "poster", "params": {"title": "A lighthouse at dusk"}}]}
    )

    endpoint: str = Field(min_length=1, max_length=100, description="Name of an endpoint of the steps file")


@operation(
    "http",
    # The limit of each endpoint is in the steps file.
    timeout=timedelta(hours=24),
    # Most attempts are used while the endpoint does not respond.
    attempts=10,
    # Params are checked against the steps file.
    blocking_validation=True,
)
async def http(job: Context, params: HttpParams) -> OutsideResult:
    """Call an HTTP endpoint that the operator has named in the steps file, and store its files."""
    step = await checked_step(job, params, EndpointStep)
    inputs = {name: await _input(job, name, params) for name in params.inputs}
    end = await call_endpoint(step, request_for(job, step.name, params, inputs), job.progress, log.info)
    files = [await _keep(job, step, file, number) for number, file in enumerate(end.files, 1)]
    return result_of(end.result or {}, files)


async def _input(job: Context, name: str, params: HttpParams) -> dict[str, Any]:
    url = await job.public_url(params.inputs[name])
    if url is None:
        message = "has no URL for the endpoint: set CALLSHEET_PUBLIC_URL, or use a public URL as the source"
        raise BadParams([Problem(f"inputs.{name}", "bad_url", message)])
    return {"url": url}


async def _keep(job: Context, step: EndpointStep, file: SentFile, number: int) -> Artifact:
    target = job.dir / f"file-{number}"
    fetched = await fetch_file(step, file, target, job.settings)
    return await job.keep(target, name=file.name or fetched.name, media_type=file.media_type or fetched.media_type)
