"""The storage: by writing, reading, listing and deleting a small file."""

import asyncio
from collections.abc import AsyncIterator

from callsheet.cli.diagnostics.findings import Finding, ok
from callsheet.cli.diagnostics.installation import Installation
from callsheet.domain.errors import DiskFull, StorageRejected
from callsheet.files.storage import StorageStep, open_storage

_RIGHTS: dict[StorageStep, str] = {
    "write": "s3:PutObject",
    "read": "s3:GetObject",
    "list": "s3:ListBucket",
    "delete": "s3:DeleteObject",
}
"""Step → the right that its key needs."""


async def storage(installation: Installation) -> AsyncIterator[Finding]:
    """Report each step that the storage refuses."""
    settings = installation.settings
    if settings.s3_bucket is None and not settings.files_dir.is_dir():
        yield ok("storage", f"local files in {settings.files_dir}, will be created")
        return
    problems = await (await asyncio.to_thread(open_storage, settings)).probe()
    for step, problem in problems.items():
        if problem is not None:
            action = _action(step, problem, is_bucket=settings.s3_bucket is not None)
            yield Finding(f"storage.{step}_failed", f"cannot {step} a file: {problem.message}", action)
    if not any(problems.values()):
        location = f"bucket {settings.s3_bucket}" if settings.s3_bucket else f"local files in {settings.files_dir}"
        yield ok("storage", f"{location}: write, read, list and delete work")


def _action(step: StorageStep, problem: Exception, *, is_bucket: bool) -> str:
    if isinstance(problem, DiskFull):
        return "make room in the storage"
    if not is_bucket:
        return "give this user the right to write the folder, or set CALLSHEET_DATA_DIR"
    if isinstance(problem, StorageRejected):
        return f"check CALLSHEET_S3_BUCKET and the keys; the access key needs the right {_RIGHTS[step]} for the bucket"
    return "check CALLSHEET_S3_ENDPOINT, and whether the server responds"
