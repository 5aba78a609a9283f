"""JSON as ComfyUI writes it, and its words as they may be passed on."""

import json
import re
from typing import Any

from callsheet.domain.json_storage import storable_text

_FOLDERS = re.compile(r"(?<![\w:/.])(?:[A-Za-z]:)?(?:[/\\][^\s/\\'\":,;()<>]+)+[/\\](?=[^\s/\\])")
_LONGEST = 400


def read_json(data: str | bytes) -> Any:
    """Read JSON in which NaN and Infinity may stand; they become None. Raises ValueError when it is none."""
    return json.loads(data, parse_constant=lambda _: None)


def read_object(data: str | bytes) -> dict[str, Any]:
    """Read a JSON object; an empty one when it is anything else."""
    try:
        read = read_json(data)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def sanitize_text(text: object) -> str:
    """Return words of the server in one line, without the folders of its machine, and not too many."""
    line = _FOLDERS.sub("", " ".join(storable_text(str(text)).split()))
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
