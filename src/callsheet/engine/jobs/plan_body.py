"""The text of a submission: JSON or YAML, with a whole submission or with a bare plan."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from callsheet.domain.errors import PlanRefused, Problem
from callsheet.domain.plan import Submission
from callsheet.domain.plan_parsing import read_plan_text, with_lines
from callsheet.domain.plan_validation import read_plan, read_submission
from callsheet.operation_api.catalog import Catalog
from callsheet.processes.plan_thread import in_plan_thread

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
            return await in_plan_thread(self._submission, operations)
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


def is_large(text: bytes) -> bool:
    """Return whether a plan is parsed in a thread, so that it does not block other requests.

    YAML takes a hundred times longer than JSON. A thread costs more than the parsing of a small plan.
    """
    return len(text) > _MAX_BYTES_ON_LOOP or text.lstrip()[:1] != b"{"


async def parse_plan_body(text: bytes, *, max_bytes: int) -> PlanBody:
    """Parse the body of a request. Raises PlanRefused if it cannot be parsed."""
    if is_large(text):
        return PlanBody(await in_plan_thread(_parse, text, max_bytes), text, is_large=True)
    return PlanBody(_parse(text, max_bytes), text)


def _parse(body: bytes, max_bytes: int) -> Any:
    if not body.strip():
        raise PlanRefused([Problem("", "empty", "the body is empty; send a plan")])
    return read_plan_text(body, max_bytes=max_bytes)
