"""The console: HTML pages for people."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from callsheet.console import api_docs, executions, login, streams


def install(app: FastAPI) -> None:
    """Add the pages and their static files to an app. They are left out of the OpenAPI document."""
    for module in (api_docs, executions, login, streams):
        app.include_router(module.router, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
