"""The console: HTML pages for people."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from callsheet.console import (
    access,
    api_docs,
    approvals,
    artifacts,
    audit,
    batches,
    bulk_actions,
    clean_up,
    compare,
    executions,
    home,
    intakes,
    job_list,
    job_moves,
    jobs,
    login,
    models,
    new,
    plans,
    providers,
    queues,
    schedules,
    streams,
    views,
    webhooks,
    winners,
    workers,
)
from callsheet.console.shared_reads import SharedReads

ROUTERS = tuple(
    module.router
    for module in (
        access,
        api_docs,
        approvals,
        artifacts,
        audit,
        batches,
        bulk_actions,
        clean_up,
        compare,
        executions,
        home,
        intakes,
        job_list,
        job_moves,
        jobs,
        login,
        models,
        new,
        plans,
        providers,
        queues,
        schedules,
        streams,
        views,
        webhooks,
        winners,
        workers,
    )
)
"""All pages."""


def install(app: FastAPI) -> None:
    """Add the pages and their static files to an app. They are left out of the OpenAPI document."""
    for router in ROUTERS:
        app.include_router(router, include_in_schema=False)
    app.state.shared_reads = SharedReads()
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
