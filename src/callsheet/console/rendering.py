"""Making pages from templates."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

_HERE = Path(__file__).parent

_WORDS = {
    "pending": "waits for other jobs",
    "scheduled": "waits for its time",
    "queued": "in the queue",
    "running": "running",
    "waiting": "at the provider",
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
    "skipped": "skipped",
}
_SIZES = ("bytes", "kB", "MB", "GB", "TB")


def page(template: str, **given: Any) -> str:
    """Return a page."""
    return _environment.get_template(template).render(given)


def part(template: str, macro: str, *given: Any) -> str:
    """Return a part of a page, by the name of its macro."""
    return str(getattr(_environment.get_template(template).module, macro)(*given))


def problem_page(document: dict[str, Any]) -> str:
    """Return a problem document as a page for people."""
    return page("problem.html", problem=document)


def _words(status: str) -> str:
    return _WORDS.get(status, status)


def _size(count: int) -> str:
    number, unit = float(count), 0
    while number >= 1000 and unit < len(_SIZES) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.0f} {_SIZES[unit]}" if unit == 0 else f"{number:.1f} {_SIZES[unit]}"


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")


def _took(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {whole % 60} s"


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


_environment = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {"words": _words, "size": _size, "moment": _moment, "took": _took, "pretty": _pretty}
