"""Reconcile submissions of unknown outcome: find the task of a request whose response was lost."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from callsheet.db.database import FOREVER, Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import ProviderRateLimited, ProviderUnreachable, SubmissionUnknown
from callsheet.domain.json_storage import storable_json
from callsheet.providers.contract import InputFile, Provider, SubmitRequest, Task

_MAX_CLOCK_SKEW_MS = 15 * 60_000
"""Upper bound of the clock difference between workers and providers."""
_AMBIGUOUS = "An identical request was sent at about the same time, so that its task cannot be identified."
_FILE = "$file"


@dataclass(frozen=True, slots=True)
class SubmissionReconciler:
    """Searches the task list of one provider for lost submissions."""

    database: Database
    provider: Provider

    async def find(self, submission: UUID, request: SubmitRequest, since: datetime) -> str | None:
        """Find the task of a submission and store it.

        Returns None if the task was found, otherwise the reason why the outcome is still unknown.
        """
        if not self.provider.capabilities.find_submission:
            return "The provider cannot list its tasks."
        identical = await self.database.retry(partial(_identical_submissions, submission), timeout=FOREVER)
        if identical["in_flight"]:
            # A task in the list could belong to that submission, which will store it itself.
            return _AMBIGUOUS
        try:
            task = await self.provider.find_submission(request, since, identical["tasks"])
        except (SubmissionUnknown, ProviderUnreachable, ProviderRateLimited) as error:
            return error.message
        if task is None:
            return "The provider's task list does not contain it."
        adopted = await self.database.retry(partial(_adopt, submission, task), timeout=FOREVER, transaction=True)
        return None if adopted else _AMBIGUOUS


async def accept_submission(connection: Connection, submission: UUID, task: Task) -> None:
    """Store that the provider accepted a submission. The first stored task wins."""
    stored = storable_json({"provider": task.provider, "id": task.id, "handle": task.handle})
    await sql.accept_submission(connection, id=submission, provider_job_id=task.id, task=stored)


async def _identical_submissions(submission: UUID, connection: Connection) -> Any:
    # Ids are UUIDv7: the first 48 bits are milliseconds. Older submissions cannot be confused with this one.
    min_id = UUID(int=max((submission.int >> 80) - _MAX_CLOCK_SKEW_MS, 0) << 80)
    return await sql.identical_submissions(connection, id=submission, min_id=min_id)


async def _adopt(submission: UUID, task: Task, connection: Connection) -> bool:
    """Store the found task for the submission. Return False if it could belong to an identical submission."""
    # The lock serializes adoptions, and the check is repeated under it: an identical submission may have been sent, or
    # may have adopted this very task, since the search.
    await sql.lock_identical_submissions(connection, id=submission)
    identical = await _identical_submissions(submission, connection)
    if identical["in_flight"] or task.id in identical["tasks"]:
        return False
    await accept_submission(connection, submission, task)
    return True


def search_criteria(request: SubmitRequest) -> str:
    """Return the parts of a request that identify it in a task list, as JSON. Files are replaced by markers."""
    criteria = {"model": request.model, "version": request.version, "input": _without_files(request.input)}
    return storable_json(criteria)


def read_search_criteria(text: str, submission: UUID) -> SubmitRequest:
    """Return a request that can be searched for. It must not be sent: its files are only markers."""
    criteria = orjson.loads(text)
    return SubmitRequest(
        criteria["model"],
        _with_files(criteria["input"]),
        version=criteria["version"],
        client_reference=str(submission),
    )


def _without_files(value: Any) -> Any:
    if isinstance(value, InputFile):
        return {_FILE: value.media_type}
    if isinstance(value, Mapping):
        return {str(key): _without_files(item) for key, item in value.items()}
    return [_without_files(item) for item in value] if isinstance(value, list | tuple) else value


def _with_files(value: Any) -> Any:
    if isinstance(value, Mapping):
        if value.keys() == {_FILE}:
            return InputFile(Path(), value[_FILE])
        return {key: _with_files(item) for key, item in value.items()}
    return [_with_files(item) for item in value] if isinstance(value, list) else value
