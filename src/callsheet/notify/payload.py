"""Body of an outgoing webhook: what was true when it was written, in at most 20 kB.

The outbox has the facts, as the SQL functions `webhook_execution` and `webhook_event` collect them. So a webhook that
is sent again has the same contents. Only the URLs of files are signed again for each attempt, because they expire.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from callsheet.domain.records import StoredArtifact
from callsheet.domain.statuses import JobStatus
from callsheet.engine.reads.artifacts import SignUrl, signed_artifact
from callsheet.engine.reads.jobs import with_urls
from callsheet.notify.event_types import AD_ACTION, EXECUTION_ENDS
from callsheet.notify.payload_schema import EndedExecution, EventJob, WebhookJob

MAX_BYTES = 20_000

_MAX_JOBS = 20
_SUMMARY = ("status", "job_counts", "cancel_requested_at", "created_at", "started_at", "finished_at", "last_event")


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook of the outbox."""

    id: UUID
    type: str
    created_at: datetime
    execution_id: UUID | None
    event_number: int | None
    data: str
    """JSON text."""
    traceparent: str | None = None
    """Trace of the request that submitted the execution."""


def build_payload(webhook: Webhook, *, sign: SignUrl, base_url: str) -> bytes:
    """Return the JSON body of a webhook.

    It never contains params, except for the action of an `ad-action` job. A body of an event above 20 kB is shortened
    in steps: without results, with failed jobs only, without jobs and artifacts, without metadata. `truncated` is true
    then, and `statusUrl` returns everything.
    """
    facts = orjson.loads(webhook.data)
    message = {"type": webhook.type, "timestamp": webhook.created_at.astimezone(UTC)}
    if webhook.execution_id is None or webhook.type == AD_ACTION:
        return orjson.dumps(message | facts)
    around = {
        "executionId": str(webhook.execution_id),
        "eventNumber": webhook.event_number,
        "name": facts["name"],
        "statusUrl": f"{base_url}/api/executions/{webhook.execution_id}",
    }
    body = b""
    for data in _variants(webhook.type, facts, sign):
        body = orjson.dumps(message | {"data": around | data})
        if len(body) <= MAX_BYTES:
            break
    return body


def _variants(kind: str, facts: Mapping[str, Any], sign: SignUrl) -> Iterator[dict[str, Any]]:
    """Yield the data of a webhook, ever shorter."""
    artifacts = _artifacts(facts, sign)
    metadata = {"metadata": facts["metadata"] or {}}
    variants = _execution_variants if kind in EXECUTION_ENDS else _event_variants
    files = {"artifacts": [artifact.model_dump(mode="json") for artifact in (artifacts or {}).values()]}
    fits = artifacts is not None and facts["metadata"] is not None
    for is_complete, data in variants(facts, artifacts or {}):
        if fits:
            yield data | metadata | files | {"truncated": not is_complete}
    *_, (_, shortest) = variants(facts, {})
    shortest |= {"artifacts": [], "truncated": True} | ({"jobs": []} if "jobs" in shortest else {})
    yield shortest | metadata
    yield shortest | {"metadata": {}}


def _execution_variants(
    facts: Mapping[str, Any], artifacts: Mapping[UUID, StoredArtifact]
) -> Iterator[tuple[bool, dict[str, Any]]]:
    """Yield (whether nothing is left out, the data): with results, without them, with failed jobs only."""
    summary = EndedExecution(**{name: facts[name] for name in _SUMMARY}).model_dump(mode="json")
    jobs = [WebhookJob(**job) for job in facts["jobs"]]
    for job in jobs:
        job.result = with_urls(job.result, artifacts)
    if len(jobs) == facts["job_count"]:
        if facts["has_results"]:
            yield True, summary | {"jobs": [job.model_dump(mode="json") for job in jobs]}
        yield False, summary | {"jobs": [job.model_dump(mode="json", exclude={"result"}) for job in jobs]}
    failed = [job for job in jobs if job.status is JobStatus.FAILED][:_MAX_JOBS]
    yield False, summary | {"jobs": [job.model_dump(mode="json", exclude={"result"}) for job in failed]}


def _event_variants(
    facts: Mapping[str, Any], artifacts: Mapping[UUID, StoredArtifact]
) -> Iterator[tuple[bool, dict[str, Any]]]:
    """Yield (whether nothing is left out, the data): with the job's result, without it, without the event's data."""
    job = EventJob(**facts["job"]) if facts["job"] else None
    if job is not None:
        job.result = with_urls(job.result, artifacts)
    event = {} if facts["event"] is None else {"event": facts["event"]}
    if facts["has_results"]:
        yield True, {"job": job and job.model_dump(mode="json")} | event
    short = {"job": job and job.model_dump(mode="json", exclude={"result"})}
    yield False, short | event
    yield False, short


def _artifacts(facts: Mapping[str, Any], sign: SignUrl) -> dict[UUID, StoredArtifact] | None:
    """Return the artifacts with signed URLs, by their ids; None if they do not fit into a webhook."""
    if facts["artifacts"] is None:
        return None
    artifacts = (signed_artifact(StoredArtifact(**artifact), sign) for artifact in facts["artifacts"])
    return {artifact.artifact_id: artifact for artifact in artifacts}
