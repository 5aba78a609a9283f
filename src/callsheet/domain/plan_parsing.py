"""Parses plans from JSON or YAML text."""

from typing import Any

from callsheet.domain.document_limits import DocumentError
from callsheet.domain.errors import PlanRefused, Problem, TooLarge
from callsheet.domain.json_text import read_json
from callsheet.domain.yaml_text import read_yaml


def read_plan_text(text: str | bytes, *, max_bytes: int) -> Any:
    """Return the data of a JSON or YAML document.

    Raises TooLarge for more than `max_bytes`, and PlanRefused with line and column for a syntax error and for an
    exceeded limit (`document_limits`).
    """
    raw = text.encode() if isinstance(text, str) else text
    if len(raw) > max_bytes:
        raise TooLarge(f"The plan has {len(raw):,} bytes; the limit is {max_bytes:,} bytes")
    try:
        return read_json(raw) if _is_json(raw) else read_yaml(raw)
    except DocumentError as error:
        raise _refused(error) from None


def _is_json(raw: bytes) -> bool:
    return raw.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")


def _refused(error: DocumentError) -> PlanRefused:
    if error.is_limit:
        return PlanRefused([Problem("", "too_large", error.located)], "The plan exceeds a limit")
    return PlanRefused([Problem("", "unreadable", error.located)], "The plan is not valid JSON or YAML")
