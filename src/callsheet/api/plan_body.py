"""The request body of a submission: JSON or YAML, with a whole submission or with a bare plan."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from callsheet.api.errors import ApiError
from callsheet.domain.errors import PlanRefused, Problem
from callsheet.domain.plan import Submission
from callsheet.domain.plan_parsing import read_plan_text, with_lines
from callsheet.domain.plan_validation import read_plan, read_submission
from callsheet.operation_api.catalog import Catalog

_MEDIA_TYPES = {"application/json", "application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml", ""}
_MAX_BYTES_ON_LOOP = 8 * 1024
"""Larger bodies are parsed in a thread."""
_PLAN_FIELDS = ("jobs", "name")


@dataclass(frozen=True, slots=True)
class PlanBody:
    """A parsed body: `{"executionPlan": {"jobs": […]}, …}`, a bare plan `{"jobs": […]}`, or a list of jobs."""

    data: Any
    text: bytes
    is_large: bool = False
    """Whether work on it would block the event loop."""

    async def submission(self, operations: Catalog) -> Submission:
        """Return the submission. Raises PlanRefused with every problem, with paths in the body."""
        if self.is_large:
            return await asyncio.to_thread(self._submission, operations)
        return self._submission(operations)

    def _submission(self, operations: Catalog) -> Submission:
        if self._is_bare_plan:
            return Submission(execution_plan=read_plan(self.data, operations))
        if not self._is_list:
            return read_submission(self.data, operations)
        try:
            return Submission(execution_plan=read_plan({"jobs": self.data}, operations))
        except PlanRefused as refused:
            raise refused.located(self.in_body) from None

    def in_body(self, problem: Problem) -> Problem:
        """Return a problem of a plan with its path in the body, such as `executionPlan.jobs[0].operation`."""
        path = problem.path
        if self._is_list:
            path = path.removeprefix("jobs")
        elif path.startswith(_PLAN_FIELDS) and not self._is_bare_plan:
            path = f"executionPlan.{path}"
        return Problem(path, problem.code, problem.message)

    def refused(self, error: PlanRefused) -> PlanRefused:
        """Return an error with paths in the body with line and column besides, if the body is YAML. CPU-bound."""
        return with_lines(error, self.text)

    @property
    def _is_list(self) -> bool:
        return isinstance(self.data, list)

    @property
    def _is_bare_plan(self) -> bool:
        if not isinstance(self.data, Mapping) or "jobs" not in self.data:
            return False
        return not self.data.keys() & {"executionPlan", "execution_plan"}


async def read_plan_body(request: Request, *, max_bytes: int) -> PlanBody:
    """Read the body of a request. Raises ApiError for another media type, PlanRefused if it cannot be parsed."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in _MEDIA_TYPES:
        raise ApiError(415, "unsupported_media_type", "Send the plan as application/json or application/yaml.")
    body = await request.body()
    # A large plan takes long to parse, and YAML takes a hundred times longer than JSON. In a thread, it does not block
    # other requests. A thread costs more than the parsing of a small plan.
    if len(body) > _MAX_BYTES_ON_LOOP or body.lstrip()[:1] != b"{":
        return PlanBody(await asyncio.to_thread(_parse, body, max_bytes), body, is_large=True)
    return PlanBody(_parse(body, max_bytes), body)


def _parse(body: bytes, max_bytes: int) -> Any:
    if not body.strip():
        raise PlanRefused([Problem("", "empty", "the body is empty; send a plan")])
    return read_plan_text(body, max_bytes=max_bytes)
