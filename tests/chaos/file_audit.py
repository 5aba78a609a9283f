"""Rows of artifacts against the objects in the storage."""

import asyncio
import hashlib
from dataclasses import dataclass, field

import asyncpg
import obstore
from obstore.store import S3Store
from tests.chaos.system import System
from tests.integration.s3_server import ACCESS_KEY, BUCKET, SECRET_KEY

_SHARED_PREFIXES = ("callsheet-cache/", "uploads/")
"""Objects that belong to no job: encoded segments for reuse, and files of clients."""
_READINESS_PROBE = "ready"
"""The object that the S3 server's own start writes."""


@dataclass
class FileFindings:
    """The result."""

    faults: list[str] = field(default_factory=list)
    compared: int = 0
    documented_leftovers: int = 0
    """Objects of runs that were killed before they could delete them: decision record 0003."""


async def file_faults(connection: asyncpg.Connection, system: System) -> FileFindings:
    """Read every artifact and compare its size and SHA-256; then look for objects that no row names."""
    store = S3Store(
        BUCKET,
        endpoint=system.storage_endpoint,
        access_key_id=ACCESS_KEY,
        secret_access_key=SECRET_KEY,
        region="auto",
        client_options={"allow_http": True},
    )
    objects = {entry["path"] for batch in await asyncio.to_thread(lambda: list(obstore.list(store))) for entry in batch}
    rows = await connection.fetch("SELECT key, size, sha256 FROM artifacts")
    findings = FileFindings()
    for row in rows:
        if row["key"] not in objects:
            findings.faults.append(f"{row['key']}: a row without a file")
            continue
        data = await asyncio.to_thread(lambda key=row["key"]: obstore.get(store, key).bytes())
        findings.compared += 1
        if (len(data), hashlib.sha256(data).hexdigest()) != (row["size"], row["sha256"]):
            findings.faults.append(f"{row['key']}: size or SHA-256 differ from the row")
    jobs = {
        row["id"]: row["epoch"] if row["status"] == "succeeded" else None
        for row in await connection.fetch("SELECT id::text, epoch, status FROM execution_jobs")
    }
    for key in sorted(objects - {row["key"] for row in rows} - {_READINESS_PROBE}):
        if key.startswith(_SHARED_PREFIXES):
            continue
        if _is_of_another_run(key, jobs):
            findings.documented_leftovers += 1
        else:
            findings.faults.append(f"{key}: a file without a row")
    return findings


def _is_of_another_run(key: str, jobs: dict[str, int | None]) -> bool:
    """Return whether a key belongs to a run of a known job other than the one that succeeded."""
    _, _, rest = key.partition("/")
    job, _, name = rest.partition("/")
    epoch = int(name.partition("/")[0]) if "/" in name else 1
    return job in jobs and jobs[job] != epoch
