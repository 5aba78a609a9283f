"""Lenient parsing of ComfyUI's JSON, and sanitizing of its texts."""

import json
import re
from typing import Any

from callsheet.domain.document_limits import check_size
from callsheet.domain.json_storage import shown_text

_FOLDERS = re.compile(r"(?<![\w:/.])(?:[A-Za-z]:)?(?:[/\\][^\s/\\'\":,;()<>]+)+[/\\](?=[^\s/\\])")
_MAX_LENGTH = 400


def read_json(data: str | bytes) -> Any:
    """Parse JSON. ComfyUI writes NaN and Infinity, which become None.

    Raises ValueError when it is not JSON, or nested too deeply.
    """
    try:
        parsed = json.loads(data, parse_constant=lambda _: None)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    check_size(parsed, max_values=None)
    return parsed


def read_object(data: str | bytes) -> dict[str, Any]:
    """Parse a JSON object; anything else becomes an empty object."""
    try:
        value = read_json(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def sanitize_text(text: object) -> str:
    """Return a text of the server as one line of at most 400 characters, without folders of the server's machine."""
    line = _FOLDERS.sub("", " ".join(shown_text(str(text)).split()))
    return line if len(line) <= _MAX_LENGTH else line[: _MAX_LENGTH - 1] + "…"
