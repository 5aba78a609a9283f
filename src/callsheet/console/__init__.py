"""The pages for people."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from callsheet.console import executions, login, streams


def install(app: FastAPI) -> None:
    """Add the pages to an app; they stay out of the API's description."""
    for pages in (executions, login, streams):
        app.include_router(pages.router, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
