"""Object keys: their layout and validation, and sanitized file names."""

import re
import unicodedata
from pathlib import PurePosixPath
from uuid import UUID

from callsheet.domain.errors import BadSource

MAX_NAME_BYTES = 150
UPLOADS = "uploads"
"""Folder of uploads in the storage."""
_UPLOAD_SUFFIX = re.compile(r"\.[a-z0-9]{1,10}")
_UPLOAD_KEY = re.compile(rf"storage:({UPLOADS}/[0-9a-f]{{64}}(?:\.[a-z0-9]{{1,10}})?)")
_MAX_SUFFIX_BYTES = 16
_MAX_KEY_BYTES = 1024
_MAX_SEGMENT_BYTES = 240
_ZERO_WIDTH_JOINER = "\u200d"
_STAGED_SUFFIX = re.compile(r"#([0-9]+)$")
"""obstore's local store writes `x` to a temporary `x#1` first, and rejects names of that form."""


def object_key(operation: str, job_record_id: UUID, name: str, *, epoch: int = 1) -> str:
    """Return the object key of a job's file: `<operation>/<job record id>/<name>`.

    From the second epoch on, the epoch is part of the key. A worker that lost its job can therefore not overwrite
    the file of the worker that runs the job now.
    """
    folder = "" if epoch == 1 else f"{epoch}/"
    return f"{operation}/{job_record_id}/{folder}{safe_name(name)}"


def upload_key(sha256: str, name: str) -> str:
    """Return the object key of an upload: `uploads/<sha256>`, with the extension of the name if it is a plain one."""
    suffix = PurePosixPath(name).suffix.lower()
    return f"{UPLOADS}/{sha256}{suffix if _UPLOAD_SUFFIX.fullmatch(suffix) else ''}"


def find_upload_keys(text: str) -> set[str]:
    """Return the keys of the uploads that a text, such as the params of a job, names."""
    return set(_UPLOAD_KEY.findall(text)) if f"storage:{UPLOADS}/" in text else set()


def safe_name(name: str) -> str:
    """Sanitize a file name for use in a key.

    The result is one path segment of visible characters, at most 150 bytes. The extension is kept.
    """
    text = unicodedata.normalize("NFC", re.sub(r"[/\\]+", "-", name.replace("\0", "")))
    text = "".join(" " if c.isspace() else c for c in text if _is_visible(c))
    text = _STAGED_SUFFIX.sub(r"-\1", text.strip().lstrip(". -").rstrip(". ")).lstrip("-")
    return _truncate(text) or "file"


def _is_visible(char: str) -> bool:
    if char == _ZERO_WIDTH_JOINER or char.isspace():  # the joiner is part of emoji sequences
        return True
    return unicodedata.category(char) not in {"Cc", "Cf", "Cs"}


def _truncate(name: str) -> str:
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    suffix = PurePosixPath(name).suffix
    if len(suffix.encode()) > _MAX_SUFFIX_BYTES:
        suffix = ""
    max_stem = MAX_NAME_BYTES - len(suffix.encode())
    stem = name.removesuffix(suffix).encode()[:max_stem].decode(errors="ignore")
    return _STAGED_SUFFIX.sub(r"-\1", stem.rstrip(". ") + suffix)


def validate_key(key: str) -> str:
    """Return a client's key unchanged. Raises BadSource for a key that is not a valid relative path in the storage."""
    problem = _key_problem(key)
    if problem:
        raise BadSource(f"{key[:200]!r} is not a valid storage key: {problem}")
    return key


def _key_problem(key: str) -> str | None:
    parts = key.split("/")
    if not key or key.startswith("/"):
        return "it must be relative and not empty"
    if any(part in {"", ".", ".."} for part in parts):
        return "it has an empty segment, '.' or '..'"
    if "\\" in key or any(unicodedata.category(c) in {"Cc", "Cs"} for c in key):
        return "it has a backslash or a control character"
    if _STAGED_SUFFIX.search(key):
        return "it ends with '#' and a number"
    if len(key.encode()) > _MAX_KEY_BYTES or any(len(part.encode()) > _MAX_SEGMENT_BYTES for part in parts):
        return f"it is longer than {_MAX_KEY_BYTES} bytes, or one segment is longer than {_MAX_SEGMENT_BYTES}"
    return None


def is_staged(name: str) -> bool:
    """Return whether a file name is that of a file in a folder that is still being written."""
    return _STAGED_SUFFIX.search(name) is not None


def is_valid_key(key: str) -> bool:
    """Return whether a key, or the path of a file that is still being written, is a valid path in the storage."""
    return _key_problem(_STAGED_SUFFIX.sub("", key)) is None
