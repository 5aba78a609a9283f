"""The file of an index. It replaces the one before at once, and one that is damaged counts as missing."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from callsheet.ads.winners.index import build_index
from callsheet.files.atomic_write import raise_disk_full

if TYPE_CHECKING:
    from callsheet.ads.winners.index import Numbers
    from callsheet.embeddings.contract import Vectors

log = structlog.get_logger(__name__)

_FORM = "callsheet winners 1"
_MAX_HEADER = 1000


@dataclass(frozen=True, slots=True)
class StoredIndex:
    """An index as of a version of its tenant. It is never changed."""

    index: Any
    version: int
    count: int
    size: int
    """Numbers of a vector."""


def stored_index(numbers: "Numbers", vectors: "Vectors", version: int) -> StoredIndex:
    """Build an index. Blocks."""
    return StoredIndex(build_index(numbers, vectors), version, len(numbers), vectors.shape[1])


def save_index(path: Path, stored: StoredIndex) -> None:
    """Write an index to a file, and rename it to its place. Blocks. Raises OSError or DiskFull."""
    import faiss

    payload = faiss.serialize_index(stored.index).data
    header = {
        "form": _FORM,
        "version": stored.version,
        "count": stored.count,
        "size": stored.size,
        "sha256": hashlib.sha256(payload).hexdigest(),
    }
    # Several processes may write it at the same time; each has a file of its own until the rename.
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with raise_disk_full(path.parent):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                file.write(orjson.dumps(header) + b"\n")
                file.write(payload)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def load_index(path: Path) -> StoredIndex | None:
    """Return the index in a file; None without one, and, with a warning, for a damaged file. Blocks."""
    try:
        with path.open("rb") as file:
            header = orjson.loads(file.readline(_MAX_HEADER))
            payload = file.read()
        return _read(header, payload)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        log.warning("an index of winners cannot be read, and is built again", file=str(path), error=str(error))
        return None


def _read(header: Any, payload: bytes) -> StoredIndex:
    import faiss
    import numpy as np

    if header["form"] != _FORM:
        raise ValueError("it has another form")
    # FAISS trusts what it reads, and a damaged file could crash the process.
    if hashlib.sha256(payload).hexdigest() != header["sha256"]:
        raise ValueError("its digest is wrong")
    index = faiss.deserialize_index(np.frombuffer(payload, np.uint8))
    return StoredIndex(index, int(header["version"]), int(header["count"]), int(header["size"]))
