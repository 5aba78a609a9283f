"""Names of files, made fit for object keys."""

import re
import unicodedata
from pathlib import PurePosixPath
from uuid import UUID

from callsheet.domain.errors import BadSource

MAX_NAME_BYTES = 150
_MAX_SUFFIX_BYTES = 16
_MAX_KEY_BYTES = 1024
_MAX_PART_BYTES = 240
_ZERO_WIDTH_JOINER = "\u200d"
_STAGED = re.compile(r"#([0-9]+)$")
"""The local store writes `x` as `x#1` first, and refuses names of that form."""


def object_key(operation: str, job_record_id: UUID, name: str, *, epoch: int = 1) -> str:
    """Return where a file of a job lies: `<operation>/<job record id>/<name>`.

    Later epochs get a folder of their own, so that a worker that lost its job cannot overwrite the file of the
    worker that has it now.
    """
    run = "" if epoch == 1 else f"{epoch}/"
    return f"{operation}/{job_record_id}/{run}{safe_name(name)}"


def safe_name(name: str) -> str:
    """Make a client's file name fit for a key: one part, visible, at most 150 bytes, its extension kept."""
    text = unicodedata.normalize("NFC", re.sub(r"[/\\]+", "-", name.replace("\0", "")))
    text = "".join(" " if c.isspace() else c for c in text if _is_visible(c))
    text = _STAGED.sub(r"-\1", text.strip().lstrip(". -").rstrip(". "))
    return _shortened(text) or "file"


def _is_visible(char: str) -> bool:
    if char == _ZERO_WIDTH_JOINER or char.isspace():  # the joiner holds emoji together
        return True
    return unicodedata.category(char) not in {"Cc", "Cf", "Cs"}


def _shortened(name: str) -> str:
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    suffix = PurePosixPath(name).suffix
    if len(suffix.encode()) > _MAX_SUFFIX_BYTES:
        suffix = ""
    room = MAX_NAME_BYTES - len(suffix.encode())
    stem = name.removesuffix(suffix).encode()[:room].decode(errors="ignore")
    return _STAGED.sub(r"-\1", stem.rstrip(". ") + suffix)


def validate_key(key: str) -> str:
    """Return a key that a client gave, if it names a file inside the storage; raises BadSource otherwise."""
    problem = _problem_with(key)
    if problem:
        raise BadSource(f"{key[:200]!r} cannot be a storage key: {problem}")
    return key


def _problem_with(key: str) -> str | None:
    parts = key.split("/")
    if not key or key.startswith("/"):
        return "it must be relative and not empty"
    if any(part in {"", ".", ".."} for part in parts):
        return "it has an empty part, '.' or '..'"
    if "\\" in key or any(unicodedata.category(c) in {"Cc", "Cs"} for c in key):
        return "it has a backslash or a control character"
    if _STAGED.search(key):
        return "it ends with '#' and a number"
    if len(key.encode()) > _MAX_KEY_BYTES or any(len(part.encode()) > _MAX_PART_BYTES for part in parts):
        return f"it is longer than {_MAX_KEY_BYTES} bytes, or a part of it than {_MAX_PART_BYTES}"
    return None
