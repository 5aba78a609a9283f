"""Files of an ended execution under fixed keys, as its plan asks for in `metadata.publish`."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadSource
from callsheet.domain.records import Execution
from callsheet.domain.statuses import ExecutionStatus
from callsheet.files.object_keys import UPLOADS, validate_key
from callsheet.intake.contract import PublishedFile
from callsheet.wiring import Runtime


async def publish_files(runtime: Runtime, execution: Execution, source: str) -> list[PublishedFile]:
    """Publish the files of a succeeded execution under keys below the name of its source. Can be repeated.

    Raises BadSource for an invalid request, and StorageUnreachable.
    """
    wanted = execution.metadata.get("publish")
    if execution.status != ExecutionStatus.SUCCEEDED or not isinstance(wanted, list):
        return []
    return [await _publish(runtime, *_wanted_file(runtime, execution, entry, source)) for entry in wanted]


def publish_entry(job: str, field: str, key: str) -> Mapping[str, str]:
    """Return an entry of `metadata.publish`. Raises BadSource for an invalid key."""
    return {"job": job, "field": field, "key": validate_key(key)}


def _wanted_file(runtime: Runtime, execution: Execution, entry: Any, source: str) -> tuple[Artifact, str]:
    try:
        job = next(job for job in execution.jobs if job.job_id == entry["job"])
        found, key = job.result[entry["field"]], str(entry["key"])
        artifact = Artifact.model_validate({name: found.get(to_camel(name)) for name in Artifact.model_fields})
    except (StopIteration, KeyError, TypeError, AttributeError, ValidationError):
        raise BadSource(f"The plan asks to publish {entry!r}, which is no file of one of its jobs") from None
    # Folders of operations and uploads have other files, which must not be replaced.
    if not key.startswith(f"{source}/") or source in {UPLOADS, *runtime.catalog}:
        raise BadSource(f"The key '{key}' cannot be published: it must start with '{source}/'")
    return artifact, key


async def _publish(runtime: Runtime, artifact: Artifact, key: str) -> PublishedFile:
    await runtime.storage.copy(artifact.key, key)
    # A folder has no URLs of its own: the server delivers the artifact, whose contents are the same.
    url, expires = runtime.sign(artifact)
    return PublishedFile(
        key, runtime.storage.sign(key, lifetime=runtime.settings.signed_url_ttl) or url, expires, artifact
    )
