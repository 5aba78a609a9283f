"""Downloads of models into the model folder of the managed ComfyUI server.

A download continues after a cut or a restart, appears under its name complete and verified or not at all, and makes
room for itself: pulled models that were not used for long are removed when all together exceed the limit of the
settings.
"""

import asyncio
import fcntl
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from callsheet.comfyui.model_list import ModelSource
from callsheet.domain.errors import BadSource, Conflict, DigestMismatch, DiskFull, SourceUnreachable
from callsheet.files.atomic_write import raise_disk_full
from callsheet.files.digest import sha256_of_file
from callsheet.files.fetch import redact_url
from callsheet.http_clients import async_client, describe_error
from callsheet.settings import Settings

_RECORDS = ".callsheet-models.json"
_FREE_SPACE = 2**30
"""Bytes of the disk that stay free."""
_GIVE_UP_AFTER = 60.0
"""Seconds without progress after which a download fails."""
_PAUSE = 1.0
_TIMEOUT = httpx2.Timeout(connect=15, read=60, write=30, pool=15)
_RANGE_NOT_SATISFIABLE = 416

OnProgress = Callable[[int, int | None], None]
"""Called with the bytes that have arrived, and the size if it is known."""


@dataclass(frozen=True, slots=True)
class PulledModel:
    """A model file on the disk."""

    path: Path
    bytes: int
    sha256: str
    is_verified: bool
    """Whether the digest is the expected one, and not only that of the file."""
    is_new: bool
    removed: tuple[Path, ...]
    """Models that were removed to make room."""


def models_folder(settings: Settings) -> Path:
    """Return the model folder of the managed server."""
    return (settings.comfyui_base_dir or settings.data_dir / "comfyui").absolute() / "models"


async def pull_model(source: ModelSource, settings: Settings, on_progress: OnProgress) -> PulledModel:
    """Download a model, or continue its download; a complete file is only verified.

    Raises BadSource when the server refuses the file; SourceUnreachable when nothing arrives for a minute;
    DigestMismatch for other contents; DiskFull when the disk or the limit of the settings has too little room; Conflict
    while another process pulls the same file.
    """
    root = models_folder(settings)
    target = root / source.folder / source.file
    await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
    with _exclusive(target):
        if await asyncio.to_thread(target.is_file):
            return await _existing(source, target, root)
        part = target.with_name(f".{target.name}.part")
        removed = await _Download(source, part, settings, on_progress).run()
        digest = await asyncio.to_thread(sha256_of_file, part)
        if source.sha256 is not None and digest != source.sha256:
            await asyncio.to_thread(part.unlink)
            raise DigestMismatch(
                f"{redact_url(source.url)} has the SHA-256 {digest}, not {source.sha256}. The file was deleted."
            )
        size = part.stat().st_size
        await asyncio.to_thread(part.replace, target)
        ModelRecords(root).add(target, {"url": redact_url(source.url), "bytes": size, "sha256": digest})
        part.with_suffix(".etag").unlink(missing_ok=True)
    return PulledModel(target, size, digest, source.sha256 is not None, True, tuple(removed))


async def _existing(source: ModelSource, target: Path, root: Path) -> PulledModel:
    digest = await asyncio.to_thread(sha256_of_file, target)
    if source.sha256 is not None and digest != source.sha256:
        raise DigestMismatch(
            f"{target} exists with the SHA-256 {digest}, not {source.sha256}. Remove it, or set another --name."
        )
    ModelRecords(root).touch(target)
    size = (await asyncio.to_thread(target.stat)).st_size
    return PulledModel(target, size, digest, source.sha256 is not None, False, ())


@contextmanager
def _exclusive(target: Path) -> Iterator[None]:
    lock = target.with_name(f".{target.name}.lock")
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"Another process pulls {target.name} now.") from None
        yield
        lock.unlink(missing_ok=True)


@dataclass(slots=True)
class _Download:
    source: ModelSource
    part: Path
    settings: Settings
    on_progress: OnProgress

    async def run(self) -> list[Path]:
        """Fetch the whole file into `part`. Return the models that were removed for it."""
        last_progress = time.monotonic()
        removed: list[Path] = []
        while True:
            have = self._size()
            try:
                async with async_client(timeout=_TIMEOUT, follow_redirects=True) as client:
                    if await self._fetch_rest(client, removed):
                        return removed
                reason = "the connection was closed before the end"
            except (httpx2.TransportError, SourceUnreachable) as error:
                reason = error.message if isinstance(error, SourceUnreachable) else describe_error(error)
            if self._size() > have:
                last_progress = time.monotonic()
            elif time.monotonic() - last_progress > _GIVE_UP_AFTER:
                raise SourceUnreachable(
                    f"The download of {self.source.file} stopped ({reason}). Start it again to continue."
                )
            await asyncio.sleep(_PAUSE)

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    @property
    def _etag_file(self) -> Path:
        return self.part.with_suffix(".etag")

    async def _fetch_rest(self, client: httpx2.AsyncClient, removed: list[Path]) -> bool:
        """Request what is missing. Return whether the file is complete."""
        have = self._size()
        etag = self._etag_file.read_text() if self._etag_file.exists() else ""
        if not etag:
            have = 0  # nothing says that the rest belongs to this beginning
        # Without `identity`, a size would be that of the compressed file.
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers |= {"Range": f"bytes={have}-", "If-Range": etag}
        async with client.stream("GET", self.source.url, headers=headers) as response:
            if response.status_code == _RANGE_NOT_SATISFIABLE:
                self.part.unlink(missing_ok=True)
                return False
            self._check(response)
            continues = response.status_code == httpx2.codes.PARTIAL_CONTENT
            have = have if continues else 0
            length = response.headers.get("Content-Length", "")
            total = have + int(length) if length.isdecimal() else None
            removed += await asyncio.to_thread(self._make_room, have, total)
            self._etag_file.write_text(_strong_etag(response))
            await self._receive(response, have, total)
        return total is None or self._size() == total

    def _check(self, response: httpx2.Response) -> None:
        status, url = response.status_code, redact_url(self.source.url)
        if status in {401, 403}:
            raise BadSource(
                f"{url} answered {status}: the model may require an account and a licence. Download it in a browser "
                f"into {self.part.parent}"
            )
        if status in {408, 425, 429} or status >= 500:
            raise SourceUnreachable(f"{url} answered {status}")
        if status not in {200, 206}:
            raise BadSource(f"{url} answered {status}")
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise BadSource(f"{url} is a web page, not a file. Copy the address of its download link")

    def _make_room(self, have: int, total: int | None) -> list[Path]:
        size = total or self.source.bytes
        if self.source.bytes is not None and total is not None and total != self.source.bytes:
            raise DigestMismatch(f"{self.source.file} has {total:,} bytes, not {self.source.bytes:,}")
        removed = remove_least_recent(self.settings, needed=size or 0)
        free = shutil.disk_usage(self.part.parent).free
        if size is not None and free < size - have + _FREE_SPACE:
            raise DiskFull(
                f"{self.source.file} has {size:,} bytes; {free:,} are free on the disk of {self.part.parent}"
            )
        return removed

    async def _receive(self, response: httpx2.Response, have: int, total: int | None) -> None:
        with raise_disk_full(self.part.parent):
            file = await asyncio.to_thread(self.part.open, "ab" if have else "wb")
            allowed = have + shutil.disk_usage(self.part.parent).free - _FREE_SPACE
            try:
                async for chunk in response.aiter_bytes():
                    if have + len(chunk) > allowed:  # the size was not known before
                        raise DiskFull(f"The disk of {self.part.parent} is almost full")
                    await asyncio.to_thread(file.write, chunk)
                    have += len(chunk)
                    self.on_progress(have, total)
            finally:
                await asyncio.to_thread(file.close)


def _strong_etag(response: httpx2.Response) -> str:
    etag = response.headers.get("ETag", "")
    return "" if etag.startswith("W/") else etag


def remove_least_recent(settings: Settings, *, needed: int) -> list[Path]:
    """Remove pulled models, the least recently used first, until `needed` bytes fit below the limit of the settings.

    Files that were not pulled, were changed since, or were used within the time of the settings are never removed.
    Returns the removed files. Raises DiskFull if there is not enough room then.
    """
    limit = settings.comfyui_models_max_bytes
    if limit is None:
        return []
    records = ModelRecords(models_folder(settings))
    models = sorted(records.models(), key=lambda model: model.used_at)
    total = sum(model.bytes for model in models)
    newest = time.time() - settings.comfyui_models_keep_for.total_seconds()
    removed: list[Path] = []
    for model in models:
        if total + needed <= limit or model.used_at > newest:
            break
        model.path.unlink(missing_ok=True)
        records.remove(model.path)
        removed.append(model.path)
        total -= model.bytes
    if total + needed > limit:
        raise DiskFull(
            f"The pulled models have {total:,} bytes and were used lately; {needed:,} more exceed the limit of "
            f"{limit:,} bytes (CALLSHEET_COMFYUI_MODELS_MAX_BYTES)"
        )
    return removed


@dataclass(frozen=True, slots=True)
class RecordedModel:
    """A model that was pulled."""

    path: Path
    bytes: int
    sha256: str
    used_at: float
    """Seconds since 1970: the latest of the download, the last pull, and the last access that the file system knows."""


class ModelRecords:
    """Which files of a model folder were pulled, in a file beside them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._file = root / _RECORDS

    def add(self, path: Path, facts: dict[str, Any]) -> None:
        """Record a file that was pulled now."""
        self._write({**self._read(), self._key(path): {**facts, "usedAt": time.time()}})

    def touch(self, path: Path) -> None:
        """Record a use of a file, if it was pulled."""
        known = self._read()
        if self._key(path) in known:
            known[self._key(path)]["usedAt"] = time.time()
            self._write(known)

    def remove(self, path: Path) -> None:
        """Forget a file."""
        self._write({key: facts for key, facts in self._read().items() if key != self._key(path)})

    def models(self) -> list[RecordedModel]:
        """Return the pulled files that exist and have their size."""
        found: list[RecordedModel] = []
        for key, facts in self._read().items():
            path = self._root / key
            if path.is_file() and path.stat().st_size == facts["bytes"]:
                used = max(facts["usedAt"], path.stat().st_atime)
                found.append(RecordedModel(path, facts["bytes"], facts["sha256"], used))
        return found

    def _key(self, path: Path) -> str:
        return str(path.relative_to(self._root))

    def _read(self) -> dict[str, dict[str, Any]]:
        if not self._file.exists():
            return {}
        records: dict[str, dict[str, Any]] = json.loads(self._file.read_text("utf-8"))
        return records

    def _write(self, records: dict[str, dict[str, Any]]) -> None:
        part = self._file.with_name(f"{_RECORDS}.part")
        part.write_text(json.dumps(records, indent=1) + "\n", "utf-8")
        part.replace(self._file)
