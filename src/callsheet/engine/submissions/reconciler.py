"""Finding an order whose answer was lost in its provider's list, and telling it from others like it."""

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

_CLOCK_SKEW = 15 * 60_000
"""Milliseconds: more than the clocks of machines and providers differ."""
_IDENTICAL = "Another order like it was on its way, so that they could not be told apart."
_FILE = "$file"


@dataclass(frozen=True, slots=True)
class SubmissionReconciler:
    """Asks one provider for orders."""

    database: Database
    provider: Provider

    async def find(self, submission: UUID, order: SubmitRequest, since: datetime) -> str | None:
        """Find an order and store its task; returns why its fate is still unknown, None when it was found."""
        if not self.provider.capabilities.find_submission:
            return "Its provider cannot be asked for it."
        rivals = await self.database.retry(partial(_identical_submissions, submission), seconds=FOREVER)
        if rivals["on_its_way"]:
            return _IDENTICAL
        try:
            task = await self.provider.find_submission(order, since, rivals["tasks"])
        except (SubmissionUnknown, ProviderUnreachable, ProviderRateLimited) as error:
            return error.message
        if task is None:
            return "Its provider's list does not show it."
        mine = await self.database.retry(partial(_adopt, submission, task), seconds=FOREVER, transaction=True)
        return None if mine else _IDENTICAL


async def accept(connection: Connection, submission: UUID, task: Task) -> None:
    """Store that an order was taken; of several answers the first counts."""
    stored = storable_json({"provider": task.provider, "id": task.id, "handle": task.handle})
    await sql.accept_submission(connection, id=submission, provider_job_id=task.id, task=stored)


async def _identical_submissions(submission: UUID, connection: Connection) -> Any:
    # An id begins with its time in milliseconds.
    floor = UUID(int=max((submission.int >> 80) - _CLOCK_SKEW, 0) << 80)
    return await sql.identical_submissions(connection, id=submission, floor=floor)


async def _adopt(submission: UUID, task: Task, connection: Connection) -> bool:
    """Store the task that was found, unless it may be that of a rival which was sent, or found, meanwhile."""
    await sql.lock_identical_submissions(connection, id=submission)
    rivals = await _identical_submissions(submission, connection)
    if rivals["on_its_way"] or task.id in rivals["tasks"]:
        return False
    await accept(connection, submission, task)
    return True


def search_criteria(order: SubmitRequest) -> str:
    """Return what it takes to know an order again, as JSON; of files only that they are there."""
    told = {"model": order.model, "version": order.version, "input": _without_files(order.input)}
    return storable_json(told)


def read_search_criteria(text: str, submission: UUID) -> SubmitRequest:
    """Return an order that can be looked for, and not be sent."""
    told = orjson.loads(text)
    return SubmitRequest(
        told["model"], _with_files(told["input"]), version=told["version"], client_reference=str(submission)
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
