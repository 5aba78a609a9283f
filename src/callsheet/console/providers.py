"""The page of providers: whether they are set up, how their newest tasks ended, held submissions, ComfyUI servers."""

import asyncio
from datetime import timedelta

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from callsheet.console.fragments import Fragment, rows_of
from callsheet.console.rendering import render_macro
from callsheet.console.responses import CheckedForm, RuntimeDep, csrf_token, page_response
from callsheet.console.session import FormToken
from callsheet.console.shared_pages import shared_stream
from callsheet.domain.clock import shared_now
from callsheet.domain.errors import NotFound
from callsheet.engine.reads.costs import sum_costs
from callsheet.engine.reads.overview import MOST_SUBMISSIONS, provider_outcomes
from callsheet.engine.submissions.held import list_held_submissions, release_all_submissions
from callsheet.wiring import Runtime

router = APIRouter(prefix="/console/providers")

_REFRESH_SECONDS = 5.0
_MAX_HELD = 1000
_PATIENCE = 1.0
"""Seconds for which a page waits for ComfyUI servers that do not respond; the stream adds what they say later."""
_SPENT_DAYS = 30
_MOST_MODELS = 50


@router.get("")
async def page(request: Request, runtime: RuntimeDep) -> Response:
    """Show the providers."""
    since = shared_now() - timedelta(days=_SPENT_DAYS)
    rows, servers, spent = await asyncio.gather(
        _rows(runtime, csrf_token(request)),
        _server_rows(runtime),
        sum_costs(runtime.reads, "model", since=since, until=None, limit=_MOST_MODELS),
    )
    return page_response(
        request,
        "providers.html",
        rows=rows,
        most=MOST_SUBMISSIONS,
        servers=servers,
        problem=runtime.comfyui_servers.problem,
        spent=spent,
        days=_SPENT_DAYS,
    )


@router.get("/stream")
async def stream(request: Request, runtime: RuntimeDep) -> Response:
    """Stream the changed providers and ComfyUI servers."""

    async def rows(token: FormToken) -> list[Fragment]:
        return [*await _rows(runtime, token), *await _server_rows(runtime)]

    return shared_stream(request, rows, every=_REFRESH_SECONDS)


@router.post("/{name}/release")
async def release(name: str, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Release all submissions to a provider that are held now."""
    del form
    if name not in runtime.providers:
        raise NotFound(f"There is no provider '{name}'.")
    await release_all_submissions(runtime.database, name)
    return RedirectResponse("/console/providers", 303)


async def _rows(runtime: Runtime, token: FormToken) -> list[Fragment]:
    outcomes = await provider_outcomes(runtime.reads)
    held = [each.provider for each in await list_held_submissions(runtime.database, limit=_MAX_HELD)]
    found = []
    for name in sorted({*runtime.providers, *outcomes, *held}):
        why_not = runtime.providers.why_not(name)
        html = render_macro("fleet_parts.html", "provider", name, why_not, outcomes.get(name), held.count(name), token)
        found.append(Fragment(f"providers-{name}", html, "", "providers"))
    return found


async def _server_rows(runtime: Runtime) -> list[Fragment]:
    """Return the ComfyUI servers: as they are now, or as they were if one does not respond soon."""
    try:
        async with asyncio.timeout(_PATIENCE):
            records = await runtime.comfyui_servers.read()
    except TimeoutError:
        records = runtime.comfyui_servers.latest
    return rows_of("fleet_parts.html", "comfyui_server", records, "comfyui-servers")
