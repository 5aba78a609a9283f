"""Rendering of templates."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from callsheet.console.form_fields import shown

_TEMPLATES = Path(__file__).parent / "templates"

_STATUS_TEXTS = {
    "pending": "waiting for other jobs",
    "scheduled": "scheduled",
    "queued": "queued",
    "running": "running",
    "waiting": "waiting",
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
    "skipped": "skipped",
}
_SIZE_UNITS = ("bytes", "kB", "MB", "GB", "TB")

PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' http: https: data:; media-src 'self' http: https:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""Security headers of pages. Only images and media may come from another host, such as a bucket."""


def render_template(template: str, **context: Any) -> str:
    """Return the HTML of a template."""
    return _environment.get_template(template).render(context)


def render_macro(template: str, macro: str, *args: Any) -> str:
    """Return the HTML of a macro in a template."""
    return str(getattr(_environment.get_template(template).module, macro)(*args))


def render_problem(document: dict[str, Any]) -> str:
    """Return the HTML page of a problem document."""
    return render_template("problem.html", problem=document)


def _status_text(status: str) -> str:
    return _STATUS_TEXTS.get(status, status)


def _size_text(count: int) -> str:
    number, unit = float(count), 0
    while number >= 1000 and unit < len(_SIZE_UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.0f} {_SIZE_UNITS[unit]}" if unit == 0 else f"{number:.1f} {_SIZE_UNITS[unit]}"


def _time_text(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")


def _duration_text(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {whole % 60} s"


def indented(value: Any, most: int) -> tuple[str, bool]:
    """Return JSON for people of at most `most` characters, and whether it was shortened."""
    text = _indented_json(value)
    return text[:most], len(text) > most


def own_path(url: str | None, artifact_id: UUID) -> str | None:
    """Return the path of the URL of a file if this server has it; None: another host has it.

    Captions and waveforms are read by scripts, which may only read from the server of their page.
    """
    parts = urlsplit(url or "")
    return f"{parts.path}?{parts.query}" if parts.path == f"/files/{artifact_id}" else None


def _indented_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


_environment = Environment(
    loader=FileSystemLoader(_TEMPLATES),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {
    "status_text": _status_text,
    "size": _size_text,
    "time": _time_text,
    "duration": _duration_text,
    "indented_json": _indented_json,
    "own_path": own_path,
    "shown": shown,
}
